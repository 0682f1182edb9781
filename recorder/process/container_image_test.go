package process

import (
	"strings"
	"testing"
)

func TestImageOperand(t *testing.T) {
	for _, tc := range []struct{ argv, want string }{ // want is the image, "" for no such command, or an error behind !
		{"docker run --rm -it -v a:b team/t:1 x", "team/t:1"},
		{"docker container create --name n team/t:1", "team/t:1"},
		{"docker -H tcp://h pull --platform linux/arm64 team/t:1", "team/t:1"},
		{"docker image pull -q team/t:1", "team/t:1"},
		{"podman --log-level debug run -e A=b team/t:1 run", "team/t:1"},
		{"podman pull --policy newer team/t:1", "team/t:1"},
		{"podman-hpc run --gpu --rm team/t:1 x", "team/t:1"},
		{"nerdctl -n k8s.io run --rm team/t:1", "team/t:1"},
		{"/usr/bin/nerdctl --address a container run team/t:1", "team/t:1"},
		{"docker image create x", ""},
		{"docker container pull x", ""},
		{"docker compose run x", ""},
		{"docker volume create x", ""},
		{"docker exec x run", ""},
		{"podman", ""},
		{"python run x", ""},
		{"docker --strange run x y", "!the option --strange is not known"},
		{"podman run --gpu x y", "!the option --gpu is not known"},
		{"docker pull --all-tags x", "!the option --all-tags is not known"},
		{"podman pull a b", "!more than one image"},
		{"podman create --rootfs /d", "!runs a directory"},
		{"docker run --rm", "!no image is given"},
	} {
		argv := strings.Fields(tc.argv)
		at, err := ImageOperand(argv)
		switch wanted, fails := strings.CutPrefix(tc.want, "!"); {
		case fails:
			if err == nil || !strings.Contains(err.Error(), wanted) {
				t.Errorf("%s: %d, %v", tc.argv, at, err)
			}
		case err != nil, tc.want == "" && at != 0, tc.want != "" && (at == 0 || argv[at] != tc.want):
			t.Errorf("%s: %d, %v", tc.argv, at, err)
		}
	}
}
