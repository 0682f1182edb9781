package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runpin/runpin/rerun/launch/launchtest"
	"github.com/runpin/runpin/schema"
)

// mustStartNothing requires a rerun that ends with that exit code, says why, starts no command and writes no run.
func (d *decay) mustStartNothing(r *decayRun, want int, why string) {
	d.t.Helper()
	started, runs := d.started(), d.stored()
	code, stdout, stderr := d.rerun(r)
	if code != want || !strings.Contains(stderr, why) || stdout != "" {
		d.t.Errorf("%s: exit code %d, want %d with %q\n%s%s", r.what, code, want, why, stdout, stderr)
	}
	if d.started() != started || d.stored() != runs {
		d.t.Errorf("%s: it started %d commands and left %d runs\n%s", r.what, d.started()-started, d.stored()-runs, stderr)
	}
}

// flakyRegistry stands before the real one. What the engine asks, and nothing that runpin itself asks, goes through pulling, which may say no.
func (d *decay) flakyRegistry(pulling func() bool) (addr string) {
	d.t.Helper()
	real, err := url.Parse("http://" + d.world.registry)
	if err != nil {
		d.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(real)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.UserAgent(), "containers/") && !pulling() {
			panic(http.ErrAbortHandler) // the connection is closed without an answer
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	d.t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// TestRerunFaultsImage takes the registry away, and then edits the data, at the moment when the engine pulls: preflight has found everything by then.
func TestRerunFaultsImage(t *testing.T) {
	d := newDecay(t)
	var fault atomic.Value
	fault.Store(func() bool { return true })
	addr := d.flakyRegistry(func() bool { return fault.Load().(func() bool)() })
	_, rest, _ := strings.Cut(d.world.image, "/")
	d.world.write("kept/a.csv", "1,2\n")
	record := func(what, data string) *decayRun {
		return d.record(&decayRun{what: what, at: d.steady}, "--in", "podman", "--image", addr+"/"+rest,
			"--dataset", "data=../"+data, "--output", "model=out/model.txt", "--", "sh", "train.sh", "../"+data, "out/model.txt")
	}
	r := record("the registry goes away before the pull", "kept")
	d.dropImages()
	fault.Store(func() bool { return false })
	if pins := d.predict(r); len(pins) > 0 {
		t.Errorf("preflight finds %q", pins)
	}
	d.mustStartNothing(r, exitUnavailable, "podman pull")

	d.world.write("pulled/a.csv", "1,2\n")
	fault.Store(func() bool { return true })
	r = record("the data is edited during the pull", "pulled")
	d.dropImages()
	fault.Store(func() bool { d.world.write("pulled/a.csv", "8,9\n"); return true })
	code, stdout, stderr := d.rerun(r)
	if code != exitGone && code != exitNotComparable || strings.Contains(stderr, "identical") { // refused, or run and said so
		t.Errorf("%s: exit code %d\n%s", r.what, code, stderr)
	}
	if id := idInText.FindString(stdout); id != "" {
		if run := d.world.show(id); len(run.Drift) == 0 {
			t.Errorf("%s: the record does not say so: %s", r.what, stderr)
		}
	}
}

// TestRerunFaultsCode breaks the clone and the remote in every way that leaves the preflight something to find.
func TestRerunFaultsCode(t *testing.T) {
	d := newDecay(t)
	d.world.write("kept/a.csv", "1,2\n")
	record := func(what string, at *world, data string) *decayRun {
		return d.record(&decayRun{what: what, at: at}, "--dataset", "data=../"+data, "--output", "model=out/model.txt", "--", "sh", "train.sh", "../"+data, "out/model.txt")
	}
	same := func(r *decayRun) {
		t.Helper()
		code, stdout, stderr := d.rerun(r)
		d.requireSame(r, code, stdout, stderr)
	}

	// A git that was killed leaves its locks: nothing that a restore needs to write.
	r := record("the clone is locked", d.steady, "kept")
	for _, lock := range []string{"index.lock", "HEAD.lock", "packed-refs.lock", "shallow.lock", "config.lock"} {
		d.world.write("steady/.git/"+lock, "")
	}
	same(r)

	// A clone whose pack is damaged is still there to be found; the remote has the same.
	at := d.clone("damaged", "main")
	runGit(t, at.project, "repack", "-adq")
	r = record("the clone's pack is damaged, the remote has the commit", at, "kept")
	d.damagePacks("damaged")
	same(r)
	r.what = "the clone's pack is damaged, the remote is gone"
	started := d.started()
	remote := d.world.remote
	if err := os.Rename(remote, remote+".away"); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := d.rerun(r)
	if code != exitGone && code != exitUnavailable || stdout != "" || d.started() != started {
		t.Errorf("%s: exit code %d\n%s%s", r.what, code, stdout, stderr)
	}
	if err := os.Rename(remote+".away", remote); err != nil {
		t.Fatal(err)
	}

	// The data is edited while the code is fetched: git itself runs the hook, between preflight and the placing of the data.
	runGit(t, d.world.project, "push", "--quiet", "origin", "HEAD:refs/tags/v1")
	at = d.clone("fetched", "main")
	d.world.write("fetching/a.csv", "1,2\n")
	r = record("the data is edited while the code is fetched", at, "fetching")
	d.remove("fetched")
	d.world.write("hook.sh", "#!/bin/sh\necho 8,9 > "+d.path("fetching/a.csv")+"\nexec \"$@\"\n")
	if err := os.Chmod(d.path("hook.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.world.write("gitconfig", fmt.Sprintf("[uploadpack]\n\tpackObjectsHook = %s\n", d.path("hook.sh")))
	d.world.env = append(d.world.env, "GIT_CONFIG_GLOBAL="+d.path("gitconfig"))
	d.mustStartNothing(r, exitGone, "dataset:data")
	if got := d.world.read("fetching/a.csv"); got != "8,9\n" {
		t.Errorf("the hook did not run: %q", got)
	}
}

// damagePacks writes over the middle of a clone's packs.
func (d *decay) damagePacks(clone string) {
	d.t.Helper()
	packs, err := filepath.Glob(d.path(clone + "/.git/objects/pack/*.pack"))
	if err != nil || len(packs) == 0 {
		d.t.Fatalf("no packs: %v", err)
	}
	for _, pack := range packs {
		b, err := os.ReadFile(pack)
		if err != nil {
			d.t.Fatal(err)
		}
		for i := len(b) / 3; i < len(b)-40; i++ {
			b[i] ^= 0x55
		}
		if err := os.Chmod(pack, 0o644); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(pack, b, 0o444); err != nil {
			d.t.Fatal(err)
		}
	}
}

// TestRerunFaultsDiskFull restores code, and then data, into a file system that is too small for them.
func TestRerunFaultsDiskFull(t *testing.T) {
	d := newDecay(t)
	small := d.smallDisk("2m")
	random := func(name string, size int) {
		b := make([]byte, size)
		rand.Read(b)
		d.world.write(name, string(b))
	}
	d.world.write("kept/a.csv", "1,2\n")
	random("large/a.bin", 4<<20)
	random("code/weights.bin", 4<<20)
	d.world.write("code/train.sh", trainScript)
	d.world.write("code/settings.txt", "rate=1\n")
	runGit(t, d.world.dir, "init", "--quiet", "code")
	runGit(t, d.path("code"), "add", "-A")
	runGit(t, d.path("code"), "commit", "--quiet", "--message", "large")
	at := *d.world
	at.project = d.path("code")
	for _, r := range []*decayRun{
		d.record(&decayRun{what: "no room for the code", at: &at}, "--dataset", "data=../kept", "--output", "model=model.txt", "--", "sh", "train.sh", "../kept", "model.txt"),
		d.record(&decayRun{what: "no room for the data", at: d.steady}, "--dataset", "data=../large", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../large", "out/model.txt"),
	} {
		r.again = []string{"--workdir", filepath.Join(small, "again")}
		started, runs := d.started(), d.stored()
		code, stdout, stderr := d.rerun(r)
		if code != exitUnavailable || stdout != "" || !strings.Contains(stderr, "space") {
			t.Errorf("%s: exit code %d, want %d\n%s%s", r.what, code, exitUnavailable, stdout, stderr)
		}
		if left, _ := os.ReadDir(small); len(left) > 0 || d.started() != started || d.stored() != runs {
			t.Errorf("%s: it left %v and started something", r.what, left)
		}
		r.again = nil
		code, stdout, stderr = d.rerun(r)
		d.requireSame(r, code, stdout, stderr)
	}
	if run := d.world.show(d.runs[0].id); run.Status != schema.Succeeded {
		t.Errorf("the original is %s", run.Status)
	}
}

// smallDisk mounts an empty file system of that size.
func (d *decay) smallDisk(size string) string {
	d.t.Helper()
	requirePart(d.t, "mount", "umount")
	dir := d.t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		launchtest.Missing(d.t, "tmpfs", "cannot be mounted here (it takes root): "+string(out))
	}
	d.t.Cleanup(func() { exec.Command("umount", "--lazy", dir).Run() })
	return dir
}
