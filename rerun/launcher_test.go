package rerun

import (
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestWhereARerunMayRun(t *testing.T) {
	image := schema.ImagePin{Name: "main", ConfigDigest: digestA}
	for name, c := range map[string]struct {
		was, on string
		images  []schema.ImagePin
		want    string // "" for refused
		relaxed string
	}{
		"as it was":              {"local", "", nil, "local", ""},
		"unsaid":                 {"", "", nil, "local", ""},
		"to Slurm":               {"local", "slurm", nil, "slurm", "moved-to-slurm"},
		"back from Slurm":        {"slurm", "local", nil, "local", "moved-from-slurm"},
		"on Slurm again":         {"slurm", "", nil, "slurm", ""},
		"into its image":         {"local", "podman", []schema.ImagePin{image}, "podman", "moved-into-image"},
		"into no image":          {"local", "podman", nil, "", ""},
		"into one of two":        {"local", "docker", []schema.ImagePin{image, image}, "", ""},
		"another engine":         {"podman", "docker", []schema.ImagePin{image}, "docker", ""},
		"out of its image":       {"podman", "local", []schema.ImagePin{image}, "", ""},
		"an image to Slurm":      {"podman", "slurm", []schema.ImagePin{image}, "", ""},
		"a command to a cluster": {"local", "kubernetes", nil, "", ""},
		"nowhere":                {"local", "moon", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			run := original()
			run.Launcher, run.Images = c.was, c.images
			p := preparedOf(run)
			err := chooseLauncher(&p, c.on)
			if (err == nil) != (c.want != "") || err == nil && p.Launcher != c.want || err != nil && schema.KindOf(err) != schema.Invalid {
				t.Fatalf("%s, %v; want %q", p.Launcher, err, c.want)
			}
			if len(p.Relaxed) > 0 && string(p.Relaxed[0].Code) != c.relaxed || len(p.Relaxed) == 0 && c.relaxed != "" {
				t.Errorf("relaxed %+v, want %q", p.Relaxed, c.relaxed)
			}
		})
	}
}
