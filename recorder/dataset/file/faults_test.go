package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// TestChangesWhileRead injects writers between the reading of a file and the look at its stamp.
func TestChangesWhileRead(t *testing.T) {
	for name, c := range map[string]struct {
		stage  string
		times  int32
		do     func(path string)
		ok     bool
		wanted string
	}{
		"once":         {"read", 1, func(p string) { must(t, os.WriteFile(p, []byte("longer"), 0o644)) }, true, ""},
		"always":       {"read", 99, func(p string) { f, _ := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0); f.WriteString("x"); f.Close() }, false, "changes while it is read"},
		"same size":    {"read", 99, func(p string) { time.Sleep(11 * time.Millisecond); must(t, os.WriteFile(p, []byte("tw0"), 0o644)) }, false, "changes while it is read"},
		"vanished":     {"open", 99, func(p string) { os.Remove(p) }, false, "vanished"},
		"now a link":   {"open", 99, func(p string) { os.Remove(p); os.Symlink("a", p) }, false, "changes while it is read"},
		"now a fifo":   {"open", 99, func(p string) { os.Remove(p); makeFifo(t, p) }, false, "changes while it is read"},
		"now a folder": {"open", 99, func(p string) { os.Remove(p); os.Mkdir(p, 0o777) }, false, "changes while it is read"},
		"briefly absent": {"open", 1, func(p string) {
			os.Remove(p)
			time.AfterFunc(5*time.Millisecond, func() { os.WriteFile(p, []byte("back"), 0o644) })
		}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, map[string]string{"a": "one", "victim": "two"})
			b := New(dataset.Options{})
			var calls atomic.Int32
			b.fault = func(stage, path string) {
				if stage == c.stage && path == "victim" && calls.Add(1) <= c.times {
					c.do(filepath.Join(root, path))
				}
			}
			_, err := b.Resolve(t.Context(), request(root))
			if c.ok {
				must(t, err)
				return
			}
			wantKind(t, err, schema.Unpinnable, filepath.Join(root, "victim"), c.wanted)
		})
	}
}

func TestInterrupted(t *testing.T) {
	root := plant(t, map[string]string{"a": "1", "b": "2"})
	must(t, os.Truncate(filepath.Join(root, "a"), 4<<30)) // sparse
	ctx, cancel := context.WithCancel(t.Context())
	b := New(dataset.Options{})
	b.fault = func(stage, path string) {
		if path == "a" {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
	}
	_, err := b.Resolve(ctx, request(root))
	wantKind(t, err, schema.Interrupted)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_, err = b.Resolve(ctx, request(root))
	wantKind(t, err, schema.Interrupted)
}
