package datasettest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

func testPlace(t *testing.T, kit Kit) {
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	pin := resolve(t, r, uri, nil)
	for _, copied := range []bool{false, true} {
		dest := filepath.Join(realTemp(t), "below", "data")
		err := r.PlaceDataset(context.Background(), pin, "", dest, copied, nil)
		if schema.IsKind(err, schema.Unavailable) {
			if _, can := kit.New(t, dataset.Options{}).(dataset.Placer); !can {
				t.Skip(err)
			}
		}
		if err != nil {
			t.Fatalf("copy %v: %v", copied, err)
		}
		for name, want := range files {
			if got, err := os.ReadFile(filepath.Join(dest, filepath.FromSlash(name))); err != nil || string(got) != want {
				t.Errorf("copy %v: %s holds %q, %v", copied, name, got, err)
			}
		}
		if err := r.PlaceDataset(context.Background(), pin, "", dest, copied, nil); !schema.IsKind(err, schema.Conflict) {
			t.Errorf("copy %v: placed over another: %v", copied, err)
		}
		if a := r.CheckDataset(context.Background(), pin, dest, true); a.State != schema.StateAvailable {
			t.Errorf("copy %v: what was placed is %+v", copied, a)
		}
		// The directories are one's own: what is made, renamed and removed in them stays there.
		for name := range files {
			path := filepath.Join(dest, filepath.FromSlash(name))
			if err := errors.Join(os.WriteFile(filepath.Join(filepath.Dir(path), "new"), nil, 0o666), os.Rename(path, path+".moved")); err != nil {
				t.Errorf("copy %v: %v", copied, err)
			}
		}
		if d := r.RecheckDataset(context.Background(), pin); d != nil {
			t.Errorf("copy %v: making files below it changed the original: %+v", copied, d)
		}
		if err := os.RemoveAll(dest); err != nil {
			t.Error(err)
		}
		if a := r.CheckDataset(context.Background(), pin, "", true); a.State != schema.StateAvailable {
			t.Errorf("copy %v: removing it changed the original: %+v", copied, a)
		}
		if err := r.PlaceDataset(context.Background(), pin, "", dest, copied, nil); err != nil {
			t.Errorf("copy %v: placed again: %v", copied, err)
		}
		if copied { // a copy's files are one's own too
			if err := os.WriteFile(filepath.Join(dest, "labels.csv"), []byte("mine"), 0o666); err != nil {
				t.Error(err)
			}
			if a := r.CheckDataset(context.Background(), pin, "", true); a.State != schema.StateAvailable {
				t.Errorf("writing to the copy changed the original: %+v", a)
			}
		}
	}
}

func testPlaceRefuses(t *testing.T, kit Kit) {
	if _, can := kit.New(t, dataset.Options{}).(dataset.Placer); !can {
		t.Skip("this kind of data set is not put in place")
	}
	uri := kit.Make(t, files)
	r := resolver(t, kit)
	pin := resolve(t, r, uri, nil)
	kit.Put(t, uri, "labels.csv", "x,y\n1,3\n")
	dest := filepath.Join(realTemp(t), "below", "data")
	for _, copied := range []bool{false, true} {
		if err := r.PlaceDataset(context.Background(), pin, "", dest, copied, nil); !schema.IsKind(err, schema.Drift) || !strings.Contains(err.Error(), "dataset:d") {
			t.Errorf("changed, copy %v: %v", copied, err)
		}
		absent(t, filepath.Dir(dest))
	}
	kit.Destroy(t, uri)
	for _, copied := range []bool{false, true} {
		if err := r.PlaceDataset(context.Background(), pin, "", dest, copied, nil); !schema.IsKind(err, schema.Gone) {
			t.Errorf("gone, copy %v: %v", copied, err)
		}
		absent(t, filepath.Dir(dest))
	}
}
