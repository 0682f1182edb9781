package process

import (
	"strings"
	"testing"
)

func TestHiddenContainer(t *testing.T) {
	for _, c := range []struct {
		in  string // arguments are separated by |
		why string // "" when nothing is found
	}{
		{"sh|-c|docker run img", "docker run in the text of sh -c"},
		{"/bin/bash|-lc|cd x && podman  run --rm img", "podman run"},
		{"bash|-ec|sudo docker exec c x", "docker exec"},
		{"bash|-euxo|pipefail|-c|docker compose up", "docker compose"},
		{"bash|-o|pipefail|--norc|--rcfile|f|-c|podman create x", "podman create"},
		{"zsh|-c|for i in 1 2; do docker \\\n run x; done", "docker run"},
		{"dash|-c|x=$(/usr/bin/docker --context prod -H h container run img)", "docker run"},
		{"sh|-c|\"$@\"|_|podman|run|img", "podman run"},
		{"sh|-c|eval \"docker run x\"", "docker run"},
		{"sh|-c|\\docker 'run' x", "docker run"},
		{"sh|-c|podman-compose up", "podman-compose"},
		{"sh|-c|nerdctl --namespace k8s.io run x", "nerdctl run"},
		{"sh|-c|apptainer --nv exec x.sif y", "apptainer exec"},
		{"sh|-c|singularity shell x.sif", "singularity shell"},
		{"sh|-c|srun -n 4 --container-image=x y", "srun --container-image"},
		{"fish|--command=docker run x", "docker run"},
		{"sudo|-u|x|sh|-c|docker run img", "docker run in the text of sh -c"},
		{"env|A=b|timeout|5|bash|-c|docker run img", "docker run"},
		{"env|-S|podman run img", "podman run behind env, whose options are not understood"},
		{"sudo|-i|docker|run|img", "docker run behind sudo"},
		{"docker|compose|up", "docker compose"},
		{"docker|-H|h|compose|up", "docker compose"},
		{"sudo|docker|compose|-f|x.yml|run|svc", "docker compose"},
		{"docker-compose|up", "docker-compose"},
		{"podman|create|img", "podman create"},
		{"podman|container|create|img", "podman create"},
		{"podman|kube|play|x.yml", "podman kube"},
		{"podman|--frobnicate|x|exec|c|y", "podman exec"},
		{"docker|start|-a|c", "docker start"},
		{"nerdctl|run|img", "nerdctl run"},
		{"apptainer|exec|--nv|x.sif|python", "apptainer exec"},
		{"apptainer|shell", "apptainer shell"},
		{"singularity|instance|start|x.sif|y", "singularity start"},
		{"srun|--container-image|x|y", "srun --container-image"},
		{"srun|-n|4|podman|run|img", "podman run behind srun"},
		{"xargs|-n1|docker|run", "docker run behind xargs"},
		{"su|-c|docker run x", "docker run behind su"},
		{"docker|run|--frobnicate|x|img", "docker run: the option --frobnicate is not known"},
		{"nice|podman|run|-Z|img", "podman run: the option -Z is not known"},
		{"podman|run|--rootfs|/x", "--rootfs"},

		{"", ""},
		{"podman|run|img", ""},
		{"podman|run|img|sh|-c|docker run x", ""}, // what runs in a pinned image is pinned
		{"sudo|-E|docker|run|-it|img", ""},
		{"podman|run", ""},
		{"podman|run|--rm", ""},
		{"podman|run|--help|img", ""},
		{"podman|run|-e", ""},
		{"podman|build|.", ""},
		{"docker|volume|create|v", ""},
		{"docker|network|create|v", ""},
		{"docker|ps", ""},
		{"docker|-H|run|ps", ""},
		{"docker|--help", ""},
		{"docker", ""},
		{"apptainer|pull|x", ""},
		{"srun|python|x.py", ""},
		{"echo|podman", ""},
		{"echo|podman|run", ""},
		{"sh|-c|echo podman", ""},
		{"sh|-c|which docker; run x", ""},
		{"sh|-c|cd docker && run", ""},
		{"sh|-c|python docker/run.py --docker-image-name run", ""},
		{"sh|-c|x --engine=docker run", ""},
		{"sh|-c|dockerd run; mypodman run", ""},
		{"sh|docker-run.sh|docker|run", ""},
		{"sh|-x|s.sh|-c|docker run", ""}, // the -c is the script's
		{"bash|--|-c|docker run", ""},
		{"bash", ""},
		{"bash|-c", ""},
		{"python|train.py|--docker-image-name|run", ""},
		{"python|docker/run.py|exec", ""},
		{"python|-c|docker run", ""},
		{"env|A=b", ""},
		{"env|A=docker run x|python|t.py", ""},
		{"env|--frob|python|t.py", ""},
	} {
		var argv []string
		if c.in != "" {
			argv = strings.Split(c.in, "|")
		}
		why, found := HiddenContainer(argv)
		if found != (c.why != "") || !strings.Contains(why, c.why) || found != (why != "") {
			t.Errorf("%q: %q, %v, want %q", argv, why, found, c.why)
		}
	}
	if why, _ := HiddenContainer([]string{"docker", "run", "--token=hunter2", "img"}); why == "" || strings.Contains(why, "hunter2") {
		t.Errorf("%q", why)
	}
}

// Text that is long and made to be followed far takes linear time; a search that does not would not end.
func TestHiddenContainerBounds(t *testing.T) {
	for _, s := range []string{"docker -a ", "srun x ", "docker ", "$(", "\\\n"} {
		if why, found := HiddenContainer([]string{"sh", "-c", strings.Repeat(s, 1<<17)}); found {
			t.Errorf("%q: %s", s, why)
		}
	}
}

func FuzzHiddenContainer(f *testing.F) {
	for _, s := range []string{"sh|-c|docker run x", "docker|compose|up", "env|-S|podman run", "bash|-o", "sudo|sh|-lc|srun --container-image=x", "podman|run|--x",
		"sh|-c|a;b|$(docker \\\n run)", "srun|apptainer|-d|exec", "docker|run|-t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		argv := strings.Split(s, "|")
		why, found := HiddenContainer(argv)
		if found != (why != "") {
			t.Fatalf("%q: %q, %v", argv, why, found)
		}
		_, _, understood := ContainerCommand(argv)
		if found && understood {
			t.Fatalf("%q is understood and reported: %s", argv, why)
		}
		if !found && !understood {
			return
		}
		wrapped := append([]string{"env", "A=b", "timeout", "5"}, argv...)
		if _, again := HiddenContainer(wrapped); again != found && argv[0] != "" && argv[0][0] != '-' && !strings.Contains(argv[0], "=") {
			t.Fatalf("%q: %v, behind a wrapper %v", argv, found, again)
		}
	})
}
