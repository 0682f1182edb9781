package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/runpin/runpin/schema"
)

// decay is a world in which runs are recorded and which then decays. steady is a clone that nothing happens to: what is recorded in it shows the decay of data and images alone.
type decay struct {
	t             *testing.T
	world, steady *world
	runs          []*decayRun

	moduleRemote, lostModule string

	same, refused, silent int
	extra                 int // reruns that succeeded and are not in the score
}

// decayRun is a run and what the decay does to it.
type decayRun struct {
	what  string
	id    string
	at    *world   // the clone that it was recorded in
	lost  []string // the pins that are lost; none: the rerun must come out bit for bit
	again []string // flags of the rerun
	same  bool     // nothing that it uses changes: a rerun without runpin would come out the same, too
	today string   // directory of the data, as one would name it today
	image string   // reference of the image, as one would name it today
}

func newDecay(t *testing.T) *decay {
	requirePart(t, "git-lfs")
	d := &decay{t: t, world: newWorld(t)}
	d.world.env = append(d.world.env, "STARTED="+filepath.Join(d.world.dir, "started.txt"))
	d.watchPodman()
	d.steady = d.clone("steady", "main")
	return d
}

// watchPodman puts a program before podman that notes each container. (podman's own journal is not read to its end by `podman events` now and then.)
func (d *decay) watchPodman() {
	d.t.Helper()
	program, err := exec.LookPath("podman")
	if err != nil {
		d.t.Fatal(err)
	}
	d.world.write("bin/podman", fmt.Sprintf("#!/bin/sh\ncase $1 in run | create) echo container >> %q ;; esac\nexec %q \"$@\"\n", d.path("started.txt"), program))
	if err := os.Chmod(d.path("bin/podman"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	d.world.env = append(d.world.env, "PATH="+d.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (d *decay) path(name string) string { return filepath.Join(d.world.dir, filepath.FromSlash(name)) }

func (d *decay) remove(name string) {
	d.t.Helper()
	if _, err := os.Lstat(d.path(name)); err != nil {
		d.t.Fatal(err)
	}
	if err := os.RemoveAll(d.path(name)); err != nil {
		d.t.Fatal(err)
	}
}

// setTimes gives a file the same time whenever it is called.
func (d *decay) setTimes(name string) {
	d.t.Helper()
	then := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(d.path(name), then, then); err != nil {
		d.t.Fatal(err)
	}
}

// clone clones the remote into a directory of that name, in which runs can then be recorded.
func (d *decay) clone(name, branch string) *world {
	d.t.Helper()
	at := *d.world
	at.project = d.path(name)
	runGit(d.t, d.world.dir, "clone", "--quiet", "--branch", branch, "file://"+d.world.remote, at.project)
	if err := os.Mkdir(filepath.Join(at.project, "out"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	return &at
}

// moduleProject makes a remote to be used as a submodule.
func (d *decay) moduleProject(name, settings string) string {
	d.t.Helper()
	bare, url := bareRemote(d.t)
	work := d.path(name)
	runGit(d.t, d.world.dir, "init", "--quiet", "--initial-branch=main", work)
	d.world.write(name+"/settings.txt", settings+"\n")
	runGit(d.t, work, "add", "-A")
	runGit(d.t, work, "commit", "--quiet", "--message", "module")
	runGit(d.t, work, "push", "--quiet", url, "main")
	d.remove(name)
	return bare
}

func (d *decay) record(r *decayRun, args ...string) *decayRun {
	d.t.Helper()
	before := d.started()
	r.id = r.at.record(args...)
	if n := d.started() - before; n != 1 {
		d.t.Fatalf("%s: recording started %d commands", r.what, n)
	}
	d.runs = append(d.runs, r)
	return r
}

func (d *decay) rerun(r *decayRun) (code int, stdout, stderr string) {
	d.t.Helper()
	return d.world.runpin(append([]string{"rerun", r.id, "--execute"}, r.again...)...)
}

func (d *decay) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.t.Context(), name, args...)
	cmd.Dir, cmd.Env = d.world.dir, d.world.env
	return cmd
}

// started counts the training commands that have been started: on the host each writes a line, and so does podman for each container that it is to make.
func (d *decay) started() int {
	d.t.Helper()
	lines, err := os.ReadFile(d.path("started.txt"))
	if err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	return strings.Count(string(lines), "\n")
}

// stored counts the runs in the store.
func (d *decay) stored() int {
	d.t.Helper()
	code, stdout, stderr := d.world.runpin("list", "-q", "--limit", "0")
	if code != 0 {
		d.t.Fatalf("list: exit code %d\n%s", code, stderr)
	}
	return len(strings.Fields(stdout))
}

// checkHistory asks for the whole history in one go, and requires the answers and the exit code that the losses call for.
func (d *decay) checkHistory() {
	d.t.Helper()
	lost := map[string]bool{}
	for _, r := range d.runs {
		lost[r.id] = len(r.lost) > 0 || len(r.again) > 0 // check --all is told nothing of what moved
	}
	code, stdout, stderr := d.world.runpin("check", "--all", "--json")
	if code != exitGone {
		d.t.Errorf("check --all: exit code %d, want %d\n%s", code, exitGone, stderr)
	}
	decoder := json.NewDecoder(strings.NewReader(stdout))
	for decoder.More() {
		var one checkJSON
		if err := decoder.Decode(&one); err != nil {
			d.t.Fatal(err)
		}
		is, known := lost[string(one.Run)]
		if delete(lost, string(one.Run)); !known || one.Rerunnable == is {
			d.t.Errorf("check --all calls %s rerunnable: %t; lost: %t", one.Run, one.Rerunnable, is)
		}
	}
	if len(lost) > 0 {
		d.t.Errorf("check --all tells nothing of %v", lost)
	}
}

// wouldDiffer types the command again as one would without runpin: in the clone or in a new one, by the names of data and image. It must fail or give another
// result, or else the decay was none and the rerun proved nothing.
func (d *decay) wouldDiffer(r *decayRun) {
	d.t.Helper()
	project := r.at.project
	if _, err := os.Stat(project); err != nil {
		project = d.path("today")
		if _, err := os.Stat(project); err != nil {
			runGit(d.t, d.world.dir, "clone", "--quiet", "file://"+d.world.remote, project)
		}
	}
	out := "today.txt"
	defer os.Remove(filepath.Join(project, out))
	argv := []string{"sh", "train.sh", "../" + r.today, out}
	if r.image != "" {
		argv = append([]string{"podman", "run", "--rm", "--pull=always", "--tls-verify=false", "-v", d.world.dir + ":/w", "-w", "/w/" + filepath.Base(project), r.image}, argv...)
	}
	cmd := d.command(argv[0], argv[1:]...)
	cmd.Dir = project
	said, err := cmd.CombinedOutput()
	content, readErr := os.ReadFile(filepath.Join(project, out))
	recorded := d.world.show(r.id).Outputs[0].FileDigest
	same := err == nil && readErr == nil && schema.SHA256(content) == recorded
	if same != r.same {
		d.t.Errorf("%s: without runpin it gives the same: %t, want %t (%v)\n%s", r.what, same, r.same, err, said)
	}
}

// pushIndex pushes an image for this platform and for another under one tag.
func (d *decay) pushIndex(repo, tag, flavour string) string {
	d.t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{runtime.GOARCH, "riscv64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: buildBusybox(d.t, map[string]string{"etc/flavour": flavour + " " + arch + "\n"}),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	ref, err := name.NewTag(d.world.registry+"/"+repo+":"+tag, name.Insecure)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(d.t.Context())); err != nil {
		d.t.Fatal(err)
	}
	return ref.String()
}

// digestOf gives the digest of the image that a run used, that of its platform's child where child is set.
func (d *decay) digestOf(what string, child bool) schema.Digest {
	d.t.Helper()
	for _, r := range d.runs {
		if r.what == what {
			pin := d.world.show(r.id).Images[0]
			if child {
				if pin.IndexDigest == "" || pin.IndexDigest == pin.PlatformDigest {
					d.t.Fatalf("%s: the record names no index: %+v", what, pin)
				}
				return pin.PlatformDigest
			}
			return pin.Pullable()
		}
	}
	d.t.Fatalf("no run %q", what)
	return ""
}

// deleteManifest asks the registry to delete a manifest, as its administrator would.
func (d *decay) deleteManifest(repo string, digest schema.Digest) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodDelete, "http://"+d.world.registry+"/v2/"+repo+"/manifests/"+string(digest), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		d.t.Fatalf("the registry answers %s to the deletion of %s", resp.Status, digest)
	}
}
