package process

import (
	"strings"
	"testing"
)

func TestContainerCommandBehindWrappers(t *testing.T) {
	for in, found := range map[string]bool{
		"env A=b C=d podman run img":                                     true,
		"env -i PATH=/bin -- podman run img":                             false, // a program named --
		"env -i -- PATH=/bin podman run img":                             true,
		"env - A=b podman run img":                                       true,
		"env -u A -uB --unset=C --unset D -C /w podman run img":          true,
		"env --block-signal=INT -v podman run img":                       true,
		"/usr/bin/env podman run img":                                    true,
		"env podman run -e A=b img":                                      true,
		"env -S podman run img":                                          false,
		"env -iS podman run img":                                         false,
		"env -u podman run img":                                          false,
		"env A=podman run img":                                           false,
		"nice podman run img":                                            true,
		"nice -n 5 podman run img":                                       true,
		"nice -n5 podman run img":                                        true,
		"nice -n -5 podman run img":                                      true,
		"nice --adjustment=5 podman run img":                             true,
		"nice -10 podman run img":                                        true,
		"nice --10 podman run img":                                       true,
		"nice -x podman run img":                                         false,
		"time podman run img":                                            true,
		"time -p podman run img":                                         true,
		"/usr/bin/time -v -f %e -o out.txt --append podman run img":      true,
		"time --format=%e podman run img":                                true,
		"nohup podman run img":                                           true,
		"nohup -x podman run img":                                        false,
		"sudo podman run img":                                            true,
		"sudo -u me -g us -E -H -n -b -k podman run img":                 true,
		"sudo -nEu me podman run img":                                    true,
		"sudo --user=me --group us -h host -p p -C 3 -D /w podman run i": true,
		"sudo -R /x -T 5 A=b podman run img":                             true,
		"sudo --preserve-env=A,B -- podman run img":                      true,
		"sudo -i podman run img":                                         false,
		"sudo -s podman run img":                                         false,
		"sudo -l podman run img":                                         false,
		"sudo A=b -u me podman run img":                                  false,
		"sudo --us me podman run img":                                    false, // getopt's abbreviations are not guessed
		"stdbuf -oL -e 0 --input=L podman run img":                       true,
		"timeout 5 podman run img":                                       true,
		"timeout -k 5 -s KILL --foreground 1.5h podman run img":          true,
		"timeout --signal=INT --kill-after=3 10 podman run img":          true,
		"timeout podman run img":                                         false,
		"setsid -fw podman run img":                                      true,
		"ionice -c 2 -n 7 podman run img":                                true,
		"ionice -c3 -t podman run img":                                   true,
		"ionice -p 1 podman run img":                                     false, // starts nothing
		"taskset 0x3 podman run img":                                     true,
		"taskset -c 0-3,8 podman run img":                                true,
		"taskset -ac 0 podman run img":                                   true,
		"taskset -p 3 podman run img":                                    false,
		"numactl --cpunodebind=0 --membind 0 podman run img":             true,
		"numactl -N 0 -m 0 -l podman run img":                            true,
		"numactl --frob 0 podman run img":                                false,
		"chrt -f 10 podman run img":                                      true,
		"chrt --batch 0 podman run img":                                  true,
		"chrt -i podman run img":                                         true,
		"chrt -d -T 5 -P10 --sched-deadline 8 0 podman run img":          true,
		"xvfb-run -a -s '-screen' podman run img":                        true,
		"sudo -n env A=b nice -5 timeout 60 time -p podman run img":      true,
		"env env env podman run img":                                     true,
		"env":                                                            false,
		"timeout 5":                                                      false,
		"timeout":                                                        false,
		"sudo -u":                                                        false,
		"env A=b":                                                        false,
		"sudo sh -c x run img":                                           false,
		"env A=b python train.py run img":                                false,
	} {
		argv := strings.Fields(in)
		engine, at, ok := ContainerCommand(argv)
		if ok != found || ok && (engine != "podman" || argv[at] != "img" && argv[at] != "i") {
			t.Errorf("%s: %q, %d, %v", in, engine, at, ok)
		}
		if _, err := ReadContainerCommand(argv); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	c, err := ReadContainerCommand(strings.Fields("env X=y docker run -e A=b img"))
	if err != nil || c.Image != 6 || len(c.Variables) != 1 || c.Variables[0] != (ContainerVariable{5, "A=b"}) {
		t.Fatalf("indices count in the whole of argv: %+v, %v", c, err)
	}
	if _, err := ReadContainerCommand(strings.Fields("sudo docker run --frob x img")); err == nil || !strings.Contains(err.Error(), "--frob is not known") {
		t.Fatal(err)
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range []string{"env -i A=b -- x", "sudo -u\x00x\x00y", "nice -5 nice --5 x", "timeout -k", "chrt", "taskset -c", "env - - x", "time -f"} {
		f.Add(strings.ReplaceAll(s, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, s string) {
		argv := strings.Split(s, "\x00")
		at, ok := unwrap(argv)
		if at < 0 || at > len(argv) {
			t.Fatalf("%q: %d", argv, at)
		}
		if at == len(argv) {
			return
		}
		if _, is := wrappers[programName(argv[at])]; is == ok {
			t.Fatalf("%q: stopped at %q, %v", argv, argv[at], ok)
		}
		again, _ := unwrap(append([]string{"timeout", "5"}, argv...))
		if again != at+2 && !strings.HasPrefix(argv[0], "-") && argv[0] != "" {
			t.Fatalf("%q: %d behind timeout, %d without", argv, again, at)
		}
	})
}
