//go:build unix

package slurm

import (
	"os"
	"strings"
	"testing"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// Whether there is a job of a run is said only where it can be known.
func TestFind(t *testing.T) {
	const run = "01M8H29CMFAMZH478YSVSA2X1C"
	plain, own := "#!/bin/sh\necho x\n", "#!/bin/sh\n#SBATCH --comment=mine\necho x\n"
	for name, c := range map[string]struct {
		squeue, script, place, job string
		kind                       schema.Kind
	}{
		"one":              {say("11|RUNNING|other", "12|COMPLETED|runpin.dev/run="+run+" try=0123456789abcdef array=0-2"), plain, "test", "12", ""},
		"named by a stamp": {say("12|PENDING|" + run), own, "test", "12", ""},
		"place unknown":    {say("12|PENDING|" + run), plain, "", "12", ""},
		"another run's":    {say("12|RUNNING|runpin.dev/run=01M8H29CMFAMZH478YSVSA2X1D"), plain, "test", "", ""},
		"none":             {"exit 0", plain, "test", "", ""},
		"its own comment":  {say("12|RUNNING|mine"), own, "test", "", schema.Unavailable},
		"withheld":         {"exit 0", "", "test", "", schema.Unavailable},
		"another cluster":  {say("12|RUNNING|" + run), plain, "far", "", schema.Invalid},
		"no answer":        {"echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", plain, "test", "", schema.Unavailable},
		"not a job":        {say("-1|RUNNING|" + run), plain, "test", "", ""},
	} {
		l := New(Options{Path: programs(t, map[string]string{"squeue": c.squeue, "scontrol": "echo 'ClusterName             = test'"}) + ":" + os.Getenv("PATH")})
		job, ok, err := l.Find(t.Context(), launch.Spec{Run: run, Data: []byte(c.script)}, c.place)
		if schema.KindOf(err) != c.kind || ok != (c.job != "") || job.Job != c.job || ok && job.Place != "test" {
			t.Errorf("%s: %+v %v %v", name, job, ok, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q", err)
		}
	}
}
