package recorder

import (
	"slices"
	"testing"

	"github.com/runpin/runpin/schema"
)

// A launcher is told which variables nobody may keep: those that a file gave to the rerun.
func TestLauncherIsToldOfWithheldVariables(t *testing.T) {
	f := &fakes{}
	r, dir := newTestRecorder(t, f)
	req := command(dir, "train")
	req.Environ = []string{"A=b", "KEY=secret"}
	req.Rerun = &Given{Of: schema.NewRunID(now().Time()), Root: dir, Template: []string{"train"}, Launcher: "local", Env: []string{"KEY=secret"}}
	if _, err := r.Record(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := f.launched[0]; !slices.Equal(got.Withheld, []string{"KEY"}) || !slices.Contains(got.Env, "KEY=secret") {
		t.Errorf("%q of %q", got.Withheld, got.Env)
	}
}
