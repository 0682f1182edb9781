package rerun

import (
	"path/filepath"
	"testing"

	"github.com/runpin/runpin/schema"
)

// TestDataElsewhereThatTheCommandIsNotToldOf: --at proves the copy; what counts is what the command reads.
func TestDataElsewhereThatTheCommandIsNotToldOf(t *testing.T) {
	absolute := func(r *schema.Run) {
		r.Datasets[0].Path = &schema.Path{Typed: "/mnt/d", Base: schema.BaseAbsolute, Rel: "/mnt/d", Located: "/mnt/d"}
	}
	untold := func(r *schema.Run) {
		absolute(r)
		r.CommandTemplate = schema.Texts([]string{"sh", "cfg.sh"})
	}
	for name, c := range map[string]struct {
		spoil func(*schema.Run)
		old   schema.State
		kind  schema.Kind
	}{
		"told, and changed":           {absolute, schema.StateChanged, ""},
		"in the checkout":             {func(*schema.Run) {}, schema.StateChanged, ""},
		"not told, and changed":       {untold, schema.StateChanged, schema.Drift},
		"not told, and the same":      {untold, schema.StateAvailable, ""},
		"not told, and gone":          {untold, schema.StateGone, ""},
		"not told, and not to be had": {untold, schema.StateUnknown, schema.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newWorld()
			run := original()
			c.spoil(&run)
			r.Datasets = &elsewhere{world: w, states: map[string]schema.State{string(run.Datasets[0].Path.Located): c.old, "/copy": schema.StateAvailable}}
			_, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again"), At: map[string]string{"train": "/copy"}})
			if schema.KindOf(err) != c.kind && !(c.kind == "" && err == nil) {
				t.Errorf("%v, want kind %q", err, c.kind)
			}
			if c.kind != "" && w.prepared != nil {
				t.Error("it was started")
			}
		})
	}
}
