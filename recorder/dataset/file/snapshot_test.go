package file

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// reader counts the files that a backend reads.
func reader(opts dataset.Options) (*Backend, func() int) {
	b := New(opts)
	var mu sync.Mutex
	n := 0
	b.fault = func(stage, path string) {
		if stage == "read" {
			mu.Lock()
			n++
			mu.Unlock()
		}
	}
	return b, func() int {
		mu.Lock()
		defer mu.Unlock()
		was := n
		n = 0
		return was
	}
}

func needStats(t *testing.T) {
	if !statsTell {
		t.Skip("stamps say too little on this system: every file is read each time")
	}
}

func TestUnchangedIsNotReadAgain(t *testing.T) {
	needStats(t)
	for name, cache := range map[string]string{"in memory": "", "on disk": filepath.Join(t.TempDir(), "deep", "cache")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"l": "-> s/0", "d": "-> s", "big": strings.Repeat("x", 3<<20), "x*": "1", "e/": ""}
			for i := range 600 {
				files[fmt.Sprintf("s/%d", i)] = fmt.Sprint(i)
			}
			root := plant(t, files)
			b, reads := reader(dataset.Options{CacheDir: cache})
			pin := mustPin(t, b, root)
			if n := reads(); n != 603 {
				t.Errorf("%d files read at first, want 603", n)
			}
			if mustPin(t, b, root); reads() == 0 {
				t.Error("files just written were taken on trust")
			}
			age(t)
			mustPin(t, b, root)
			reads()
			if again := mustPin(t, b, root); identity(again) != identity(pin) || reads() != 0 {
				t.Errorf("unchanged: %+v", again)
			}
			if a := check(t, b, pin, false); a.State != schema.StateAvailable || a.How != "stat-match" || reads() != 0 {
				t.Errorf("check: %+v", a)
			}
			if a := check(t, b, pin, true); a.State != schema.StateAvailable || a.How != "hashed" || reads() != 603 {
				t.Errorf("deep check: %+v", a)
			}
			if cache != "" {
				other, reads := reader(dataset.Options{CacheDir: cache})
				if mustPin(t, other, root); reads() != 0 {
					t.Error("another process read again")
				}
				link := filepath.Join(t.TempDir(), "link")
				must(t, os.Symlink(root, link))
				if mustPin(t, other, link); reads() != 0 {
					t.Error("by another path it was read again")
				}
			}
			// Each way to change a file shows, its size and time restored or not.
			writeBack(t, filepath.Join(root, "s/5"), "6")
			changed := mustPin(t, b, root)
			if n := reads(); n != 1 || identity(changed) == identity(pin) {
				t.Errorf("%d files read after a change", n)
			}
			writeBack(t, filepath.Join(root, "s/5"), "5")
			if back := mustPin(t, b, root); identity(back) != identity(pin) || reads() != 1 {
				t.Error("changed back, it is not the same")
			}
			must(t, os.Rename(filepath.Join(root, "s/7"), filepath.Join(root, "s/8")))
			if moved := mustPin(t, b, root); identity(moved) == identity(pin) {
				t.Error("a file moved over another did not show")
			}
			must(t, os.Chmod(filepath.Join(root, "x"), 0o644))
			reads()
			if a := check(t, b, pin, false); a.State != schema.StateChanged {
				t.Errorf("check: %+v", a)
			}
		})
	}
}

// TestDamagedCache: whatever stands in the cache, the identity is right.
func TestDamagedCache(t *testing.T) {
	needStats(t)
	dir := t.TempDir()
	root := plant(t, map[string]string{"a": "1", "b/c": "2", "b/d": "3"})
	want := identity(mustPin(t, New(dataset.Options{}), root))
	age(t)
	b, reads := reader(dataset.Options{CacheDir: dir})
	mustPin(t, b, root)
	reads()
	names, err := filepath.Glob(filepath.Join(dir, "*"+snapshotSuffix))
	must(t, err)
	if len(names) != 1 {
		t.Fatalf("caches %q", names)
	}
	good, err := os.ReadFile(names[0])
	must(t, err)
	flip := func(i int) []byte { b := bytes.Clone(good); b[i] ^= 1; return b }
	damaged := map[string][]byte{"empty": {}, "cut": good[:len(good)/2], "other": []byte("hello"), "longer": append(bytes.Clone(good), 0), "magic": flip(0),
		"digest": flip(20), "checksum": flip(len(good) - 1), "in a stamp": flip(len(good) / 2)}
	for name, content := range damaged {
		must(t, os.WriteFile(names[0], content, 0o600))
		if id := identity(mustPin(t, b, root)); id != want || reads() != 3 {
			t.Errorf("%s: %v", name, id)
		}
		if repaired, err := os.ReadFile(names[0]); err != nil || !bytes.Equal(repaired, good) {
			t.Errorf("%s: not repaired", name)
		}
	}
	// A cache that is a directory, or whose folder cannot be made, is as good as none.
	must(t, os.Remove(names[0]))
	must(t, os.Mkdir(names[0], 0o700))
	if id := identity(mustPin(t, b, root)); id != want {
		t.Errorf("directory: %v", id)
	}
	if id := identity(mustPin(t, New(dataset.Options{CacheDir: filepath.Join(root, "a", "cache")}), root)); id != want {
		t.Errorf("no folder: %v", id)
	}
}

func TestManyProcessesOneCache(t *testing.T) {
	dir, root := t.TempDir(), plant(t, map[string]string{"a": "1", "b": "2"})
	want := identity(mustPin(t, New(dataset.Options{}), root))
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 10 {
				pin, err := New(dataset.Options{CacheDir: dir}).Resolve(t.Context(), request(root))
				if err != nil || identity(pin) != want {
					t.Errorf("%v, %v", pin, err)
				}
			}
		})
	}
	group.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func FuzzSnapshot(f *testing.F) {
	tree := &tree{root: &node{entries: []entry{{name: "a", kind: kindFile, sum: [32]byte{1}}, {name: "b", kind: kindDir, sub: &node{path: "b", entries: []entry{
		{name: "l", kind: kindDirLink, target: "t"}, {name: "e", kind: kindEmptyDir, sub: &node{path: "b/e"}}}}}}}}
	must(f, tree.finish())
	var buf bytes.Buffer
	must(f, tree.writeSnapshot(&buf))
	f.Add(buf.Bytes()[:buf.Len()-32])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		s, err := parseSnapshot(append(bytes.Clone(body), sum[:]...))
		if err != nil {
			return
		}
		for dir := range s.dirs {
			b := s.block(dir)
			_, _ = b.next("b")
			b = s.block(dir)
			_ = b.passed(&node{path: dir}, "")
		}
		_ = tree.changesSince(s)
	})
}
