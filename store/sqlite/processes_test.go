//go:build unix

package sqlite

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// The test binary is its own helper: with this variable set it does one thing to a store and exits.
const helperVariable = "RUNPIN_STORE_TEST_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helperVariable); what != "" {
		if err := helper(what, os.Getenv("RUNPIN_STORE_TEST_PATH")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(what, path string) error {
	name, arg, _ := strings.Cut(what, ":")
	n, _ := strconv.Atoi(arg)
	switch name {
	case "write": // opens the store anew for each report, as one recorder after another would
		for i := range n {
			if err := writeOne(path, i); err != nil {
				return err
			}
		}
	case "loop": // until it is killed
		s, err := Open(ctx, path, store.Options{})
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			a, report := wholeReport(i)
			if err := s.Save(ctx, report); err != nil {
				return err
			}
			fmt.Println(a.ID)
		}
	case "read":
		s, err := Open(ctx, path, store.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		runs, err := s.List(ctx, store.Filter{File: "m/000001.bin"})
		if err != nil || len(runs) != 1 {
			return fmt.Errorf("%d runs, %w", len(runs), err)
		}
		_, err = Open(ctx, path, store.Options{})
		if schema.KindOf(err) != schema.Unavailable || schema.HintOf(err) == "" {
			return fmt.Errorf("opened for writing: %w", err)
		}
	}
	return nil
}

func writeOne(path string, i int) error {
	s, err := Open(ctx, path, store.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	a, report := wholeReport(i)
	if err := s.Save(ctx, report); err != nil {
		return err
	}
	fmt.Println(a.ID)
	return nil
}

func wholeReport(i int) (*storetest.Sample, schema.Report) {
	a := storetest.NewSample(i)
	m := storetest.Manifest(fmt.Sprint("m", rand.Uint64()), 20)
	a.UseManifest(m, 20)
	return a, schema.Report{Documents: []schema.Document{a.Base(), a.Output(time.Second, "loss", "1"), a.Ended(time.Minute, schema.Succeeded)}, Blobs: []schema.Blob{m}}
}

func helperCommand(t testing.TB, what, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), helperVariable+"="+what, "RUNPIN_STORE_TEST_PATH="+path)
	return cmd
}

// TestManyProcesses: 64 recorders at once, on a store that none of them finds there, lose nothing.
func TestManyProcesses(t *testing.T) {
	const processes, each = 64, 3
	path := filepath.Join(t.TempDir(), "s.db")
	results := make(chan string, processes)
	for range processes {
		cmd := helperCommand(t, fmt.Sprint("write:", each), path)
		go func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				results <- fmt.Sprintf("failed: %v: %s", err, out)
				return
			}
			results <- string(out)
		}()
	}
	var ids []string
	for range processes {
		out := <-results
		if strings.HasPrefix(out, "failed") {
			t.Error(out)
			continue
		}
		ids = append(ids, strings.Fields(out)...)
	}
	s := open(t, path, store.Options{})
	if report := sound(t, s); report.Runs != processes*each || len(ids) != processes*each {
		t.Errorf("%d runs, %d were confirmed", report.Runs, len(ids))
	}
	for _, id := range ids {
		if r, err := s.Run(ctx, schema.RunID(id)); err != nil || r.Status != schema.Succeeded || r.Metrics["loss"] != "1" {
			t.Errorf("%s: %v %v", id, r.Status, err)
		}
	}
}

// TestKilled: whatever moment a writer is killed at, what it was told is stored is there, and nothing is there by half.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	var confirmed []string
	for round := range 8 {
		cmd := helperCommand(t, "loop", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		time.AfterFunc(time.Duration(50+rand.IntN(100))*time.Millisecond, func() { cmd.Process.Signal(syscall.SIGKILL) })
		for lines.Scan() {
			confirmed = append(confirmed, lines.Text())
		}
		cmd.Wait()
		s := open(t, path, store.Options{})
		report := sound(t, s)
		if report.Documents != 3*report.Runs || report.Blobs != report.Runs || report.Runs < int64(len(confirmed)) {
			t.Fatalf("round %d: %d confirmed, %+v", round, len(confirmed), report)
		}
		s.Close()
	}
	s := open(t, path, store.Options{ReadOnly: true})
	for _, id := range confirmed {
		if r, err := s.Run(ctx, schema.RunID(id)); err != nil || r.Status != schema.Succeeded {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestReadOnlyDirectory reads a store that nobody may write to, as a user who is not root.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ro", "s.db")
	s := open(t, path, store.Options{})
	a := storetest.NewSample(1)
	m := storetest.Manifest("m", 3)
	a.UseManifest(m, 3)
	if err := s.Save(ctx, schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{m}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for p := filepath.Dir(path); len(p) > len(os.TempDir()); p = filepath.Dir(p) {
		os.Chmod(p, 0o555)
		defer os.Chmod(p, 0o755)
	}
	os.Chmod(path, 0o444)
	cmd := helperCommand(t, "read", path)
	if os.Getuid() == 0 { // root may write anything
		binary := filepath.Join(os.TempDir(), fmt.Sprintf("runpin-store-test-%d", os.Getpid()))
		b, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(binary, b, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(binary)
		cmd.Path, cmd.Args[0] = binary, binary
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
