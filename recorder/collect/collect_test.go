package collect

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestStatusOf(t *testing.T) {
	for word, want := range map[string]schema.Status{
		"Succeeded": schema.Succeeded, "Error": schema.Failed, "Omitted": schema.Planned, "CANCELLED by 1000": schema.Failed, "COMPLETED": schema.Succeeded, "COMPLETING": schema.Running,
		"OUT_OF_MEMORY": schema.Failed, "oom": schema.Failed, "Complete": schema.Succeeded, "CANCELLED+": schema.Failed, " running ": schema.Running, "": "", "lost": "", "Unknown": "",
	} {
		if got, ok := StatusOf(word); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", word, got, ok, want)
		}
	}
	if s, _ := SlurmStatus("SUSPENDED"); s != schema.Running {
		t.Errorf("SUSPENDED of Slurm: %s", s)
	}
	if s, _ := StatusOf("Suspended"); s != schema.Planned {
		t.Errorf("Suspended of Kubernetes: %s", s)
	}
}

func FuzzParseImageID(f *testing.F) {
	hex := strings.Repeat("a", 64)
	for _, s := range []string{"docker-pullable://a/b@sha256:" + hex, "docker://sha256:" + hex, hex, "sha256:" + hex, "a:5000/b:1@sha256:" + hex, "@sha256:" + hex, "a@b@sha256:" + hex} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		told, ok := ParseImageID(s)
		if !ok {
			return
		}
		again := string(told.Digest)
		if told.Repository != "" {
			again = told.Repository + "@" + again
		}
		if twice, ok := ParseImageID(again); !ok || twice.Digest != told.Digest {
			t.Errorf("%q gives %q, which gives %q", s, again, twice)
		}
	})
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		code, signal, want int
		name               string
	}{{0, 0, 0, ""}, {3, 0, 3, ""}, {137, 0, 137, "SIGKILL"}, {0, 15, 143, "SIGTERM"}, {128, 0, 128, ""}, {255, 0, 255, ""}, {0, 40, 168, "SIG40"}} {
		code, name := Ended(c.code, c.signal)
		if *code != c.want || name != c.name {
			t.Errorf("%d:%d is %d %s, want %d %s", c.code, c.signal, *code, name, c.want, c.name)
		}
	}
}
