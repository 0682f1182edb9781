package rerun

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/runpin/runpin/schema"
)

// TestLinksIntoTheCheckout: a tracked link by an absolute path would run what the user edited since.
func TestLinksIntoTheCheckout(t *testing.T) {
	w, r := newWorld()
	told := 0
	r.Warn = func(string, ...any) { told++ }
	w.restored = func(dir string) error {
		if err := os.MkdirAll(filepath.Join(dir, "sub", ".git"), 0o755); err != nil {
			return err
		}
		for link, to := range map[string]string{"sub/into": project + "/lib/t.py", "root": project, "out": "/etc/hostname", "beside": project + "-other/x", "sub/relative": "../root", "sub/.git/x": project} {
			if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(link))); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := r.Execute(t.Context(), Request{Run: original(), Dir: filepath.Join(t.TempDir(), "again")}); err != nil {
		t.Fatal(err)
	}
	root := w.prepared.Root
	for link, want := range map[string]string{"sub/into": "../lib/t.py", "root": ".", "out": "/etc/hostname", "beside": project + "-other/x", "sub/relative": "../root", "sub/.git/x": project} {
		if to, err := os.Readlink(filepath.Join(root, filepath.FromSlash(link))); to != want {
			t.Errorf("%s leads to %q (%v), want %q", link, to, err, want)
		}
	}
	if told != 2 || len(w.prepared.Relaxed) != 2 || w.prepared.Relaxed[0].Code != "link-moved" {
		t.Errorf("told %d times, %+v", told, w.prepared.Relaxed)
	}
}

func TestNothingIsPutIntoGitsDirectory(t *testing.T) {
	for _, rel := range []schema.Text{".git/hooks", "sub/.GIT/config", ".git "} {
		_, r := newWorld()
		run := original()
		run.Datasets[0].Path.Rel = rel
		if _, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again")}); schema.KindOf(err) != schema.Invalid {
			t.Errorf("%s: %v", rel, err)
		}
	}
}
