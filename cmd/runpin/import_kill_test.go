package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store/storetest"
)

// TestImportKilledAtEveryStep kills imports of one spool at growing delays. After each, every report is where it was or aside, and none is aside that the
// store does not have. Two imports at once then finish the work: nothing is lost and nothing is there twice.
func TestImportKilledAtEveryStep(t *testing.T) {
	dir := t.TempDir()
	spool, db := filepath.Join(dir, "spool"), filepath.Join(dir, "runpin.db")
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	const n = 5000
	for i := 0; i < n; i += 5 {
		a := storetest.NewSample(i)
		docs := []schema.Document{a.Base()}
		for rank := range 4 {
			d := a.Ended(time.Duration(rank)*time.Second, schema.Succeeded)
			d.Reporter.Rank = &rank
			docs = append(docs, d)
		}
		for k, d := range docs {
			b, err := d.Encode()
			if err != nil {
				t.Fatal(err)
			}
			// Written by hand: a spool makes each report durable, which takes long for so many.
			content := fmt.Sprintf("runpin spool 1\ndocument %s %d\n%s\nend 1\n", schema.SHA256(b), len(b), b)
			if err := os.WriteFile(filepath.Join(spool, fmt.Sprintf("%05d.report", i+k)), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "runpin", append(args, "--store", db)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
		return cmd
	}
	count := func(dir string) int {
		names, err := filepath.Glob(filepath.Join(dir, "*.report"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	documents := func() int {
		out, err := command("store", "check", "--json").Output()
		var checked struct {
			Documents int
			Problems  []any
		}
		if err != nil || json.Unmarshal(out, &checked) != nil || len(checked.Problems) > 0 {
			t.Fatalf("store check: %v\n%s", err, out)
		}
		return checked.Documents
	}
	halfway := false
	for i := 0; count(spool) > 0 && i < 12; i++ {
		cmd := command("import", spool)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(10+i*40) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		left, aside := count(spool), count(filepath.Join(spool, "done"))
		if left+aside != n {
			t.Fatalf("%d reports are left and %d aside, of %d", left, aside, n)
		}
		if aside > 0 {
			halfway = halfway || left > 0
			if kept := documents(); kept < aside {
				t.Fatalf("%d reports are aside and the store has %d", aside, kept)
			}
		}
	}
	t.Logf("killed halfway: %v; %d are left", halfway, count(spool))
	// Whatever became of them, put half of the reports back, as a disk that lost the moves does.
	aside, err := filepath.Glob(filepath.Join(spool, "done", "*[02468].report"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range aside {
		if err := os.Rename(path, filepath.Join(spool, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	one, two := command("import", spool), command("import", spool)
	var said [2]strings.Builder
	one.Stderr, two.Stderr = &said[0], &said[1]
	if err := one.Start(); err != nil {
		t.Fatal(err)
	}
	if err := two.Run(); err != nil {
		t.Errorf("%v\n%s", err, said[1].String())
	}
	if err := one.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said[0].String())
	}
	if left, aside := count(spool), count(filepath.Join(spool, "done")); left != 0 || aside != n {
		t.Errorf("%d are left and %d aside, of %d\n%s%s", left, aside, n, said[0].String(), said[1].String())
	}
	if kept := documents(); kept != n {
		t.Errorf("the store has %d documents of %d", kept, n)
	}
}
