package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// world is everything a team has around a training run: a registry, a git remote, a checkout, data sets, podman and a store; all real.
type world struct {
	t        *testing.T
	dir      string
	registry string
	collect  func() // the registry's garbage
	remote   string
	project  string
	env      []string
	image    string // repository:tag
	first    string // digest of the image that the runs use
}

const trainScript = `set -e
[ -z "$STARTED" ] || echo "$PWD" >> "$STARTED" # how often it was started at all
# The result depends on the code, on the data that is named, and on the image (/etc/flavour).
{ cat settings.txt; find "$1" -type f | sort | xargs cat; [ ! -e extra.txt ] || cat extra.txt; [ ! -e /etc/flavour ] || cat /etc/flavour; } | sha256sum > "$2"
`

func newWorld(t *testing.T) *world {
	requirePart(t, "git", "podman", "runc", "docker-registry", "busybox")
	w := &world{t: t, dir: t.TempDir()}
	w.registry, w.collect = startRegistry(t)
	w.image = w.registry + "/team/trainer:1.4"
	w.first = busyboxImage(t, w.registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "first\n"})
	remote, url := bareRemote(t)
	w.remote = remote
	w.project = filepath.Join(w.dir, "project")
	runGit(t, w.dir, "init", "--quiet", "--initial-branch=main", w.project)
	runGit(t, w.project, "remote", "add", "origin", url)
	w.write("project/train.sh", trainScript)
	w.write("project/settings.txt", "rate=0.1\n")
	w.write("project/.gitignore", "/data/\n/out/\n")
	runGit(t, w.project, "add", "-A")
	runGit(t, w.project, "commit", "--quiet", "--message", "train")
	runGit(t, w.project, "push", "--quiet", "--set-upstream", "origin", "main")
	w.write("project/data/a.csv", "1,2\n3,4\n")
	w.write("project/data/sub/b.csv", "5,6\n")
	w.write("edited/x.csv", "will be edited\n")
	w.write("deleted/x.csv", "will be deleted\n")
	w.env = append(os.Environ(), podmanEnv(t)...)
	w.env = append(w.env, gitEnv()...)
	w.env = append(w.env, "HOME="+filepath.Join(w.dir, "home"), "RUNPIN_STORE="+filepath.Join(w.dir, "store", "runpin.db"), "XDG_CACHE_HOME="+filepath.Join(w.dir, "cache"), "RUNPIN_USER=e2e", "RUNPIN_RETRY_BUDGET=5s")
	return w
}

func (w *world) write(path, content string) {
	w.t.Helper()
	full := filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, path))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// runpin runs the program in the project and gives its exit code, stdout and stderr.
func (w *world) runpin(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "runpin", args...)
	cmd.Dir, cmd.Env = w.project, w.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

var idInText = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`)

// record records a run that must succeed, and gives its id.
func (w *world) record(args ...string) string {
	w.t.Helper()
	code, stdout, stderr := w.runpin(append([]string{"record"}, args...)...)
	if code != 0 {
		w.t.Fatalf("record %q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return idInText.FindString(stderr + stdout)
}

func (w *world) show(id string) schema.Run {
	w.t.Helper()
	code, stdout, stderr := w.runpin("show", id, "--json")
	if code != 0 {
		w.t.Fatalf("show %s: exit code %d\n%s", id, code, stderr)
	}
	var run schema.Run
	if err := json.Unmarshal([]byte(stdout), &run); err != nil {
		w.t.Fatal(err)
	}
	return run
}

// mustReproduce requires a rerun that gives the same output bit for bit, on the recorded digest, and a record that says so.
func (w *world) mustReproduce(what, id string) {
	w.t.Helper()
	code, stdout, stderr := w.runpin("rerun", id, "--execute")
	if code != 0 || !strings.Contains(stderr, "verdict: identical") {
		w.t.Errorf("%s: exit code %d, want identical\n%s%s", what, code, stdout, stderr)
		return
	}
	old, again := w.show(id), w.show(idInText.FindString(stdout))
	if again.RerunOf != old.ID || again.Verdict == nil || again.Verdict.Result != schema.Identical {
		w.t.Errorf("%s: the new run does not record the verdict: %+v", what, again.Verdict)
	}
	if old.Outputs[0].FileDigest != again.Outputs[0].FileDigest || old.Fingerprint == "" || old.Fingerprint != again.Fingerprint {
		w.t.Errorf("%s: output %s, fingerprint %s; want %s, %s", what, again.Outputs[0].FileDigest, again.Fingerprint, old.Outputs[0].FileDigest, old.Fingerprint)
	}
	for _, i := range again.Images {
		if i.Use == schema.Enforced && string(i.Pullable()) != w.first {
			w.t.Errorf("%s: ran on %s, recorded was %s", what, i.Pullable(), w.first)
		}
	}
}

// mustRefuse requires exit code 14, the pin named, and that no run was made.
func (w *world) mustRefuse(what, id, pin string) {
	w.t.Helper()
	_, before, _ := w.runpin("list", "-q", "--limit", "1000")
	code, stdout, stderr := w.runpin("rerun", id, "--execute")
	if code != exitGone || !strings.Contains(stderr, pin) {
		w.t.Errorf("%s: exit code %d, want %d naming %s\n%s%s", what, code, exitGone, pin, stdout, stderr)
	}
	if _, after, _ := w.runpin("list", "-q", "--limit", "1000"); after != before {
		w.t.Errorf("%s: a refused rerun left a run behind", what)
	}
}

// TestEndToEnd records runs in every way, lets the world decay, and requires of each rerun that it is bit for bit the same or refused by name.
func TestEndToEnd(t *testing.T) {
	w := newWorld(t)
	train := func(data string) []string { return []string{"--", "sh", "train.sh", data, "out/model.txt"} }
	if err := os.MkdirAll(filepath.Join(w.project, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	host := []string{"--dataset", "data=data", "--output", "model=out/model.txt"}
	inImage := append([]string{"--in", "podman", "--image", w.image}, host...)
	args := func(flags []string, rest ...[]string) []string {
		all := append([]string{}, flags...)
		for _, r := range rest {
			all = append(all, r...)
		}
		return all
	}
	runs := map[string]string{}
	runs["host, clean"] = w.record(args(host, train("data"))...)
	runs["image, clean"] = w.record(args(inImage, train("data"))...)
	runs["command starts podman"] = w.record(args(host, []string{"--", "podman", "run", "--rm", "--tls-verify=false", "-v", w.project + ":/w", "-w", "/w", w.image,
		"sh", "train.sh", "data", "out/model.txt"})...)
	edited := w.record("--dataset", "data=../edited", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../edited", "out/model.txt")
	deleted := w.record("--in", "podman", "--image", w.image, "--dataset", "data=../deleted", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../deleted", "out/model.txt")
	w.write("project/settings.txt", "rate=0.2\n")
	w.write("project/extra.txt", "untracked\n")
	runs["host, dirty"] = w.record(args(host, train("data"))...)
	runs["image, dirty"] = w.record(args(inImage, train("data"))...)
	runGit(t, w.project, "add", "-A")
	runGit(t, w.project, "commit", "--quiet", "--message", "unpushed")
	runs["host, unpushed"] = w.record(args(host, train("data"))...)
	runs["image, unpushed"] = w.record(args(inImage, train("data"))...)
	w.write("project/job.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: train}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: main\n        image: "+w.image+" # keep me\n")
	job := w.record("--job", "job.yaml", "--pinned", filepath.Join(w.dir, "pinned.yaml"))
	pinned := w.read("pinned.yaml")
	if !strings.Contains(pinned, "image: "+w.image+"@"+w.first+" # keep me") {
		t.Errorf("the pinned spec does not name the digest:\n%s", pinned)
	}

	// The decay.
	if other := busyboxImage(t, w.registry, "team/trainer", "1.4", map[string]string{"etc/flavour": "second\n"}); other == w.first {
		t.Fatal("the tag did not move")
	}
	forcePushAndGC(t, w.remote, "main")
	w.write("project/settings.txt", "rate=0.3\n")
	runGit(t, w.project, "commit", "--quiet", "--all", "--message", "later")
	w.write("project/settings.txt", "rate=0.4\n")
	w.write("project/train.sh", "exit 1\n")
	w.write("project/out/model.txt", "the user's own\n")
	w.write("edited/x.csv", "was edited here\n")
	if err := os.RemoveAll(filepath.Join(w.dir, "deleted")); err != nil {
		t.Fatal(err)
	}

	for what, id := range runs {
		w.mustReproduce(what, id)
	}
	w.mustRefuse("edited data set", edited, "dataset:data")
	w.mustRefuse("deleted data set", deleted, "dataset:data")
	if code, stdout, stderr := w.runpin("rerun", job); code != 0 || stdout != pinned {
		t.Errorf("the pinned spec of the job changed (exit code %d)\n%s%s", code, stdout, stderr)
	}
	if got := w.read("project/settings.txt") + w.read("project/train.sh") + w.read("project/out/model.txt"); got != "rate=0.4\nexit 1\nthe user's own\n" {
		t.Errorf("the checkout was touched: %q", got)
	}

	if run := w.show(runs["command starts podman"]); run.Images[0].Use != schema.Enforced || !strings.Contains(strings.Join(schema.Strings(run.Command), " "), w.registry+"/team/trainer@"+w.first) {
		t.Errorf("podman was not started by digest: %s %q", run.Images[0].Use, run.Command)
	}

	// Now the registry collects what no tag names, and the clone is lost too.
	w.collect()
	w.mustRefuse("collected image", runs["image, clean"], "image:image")
	w.mustReproduce("host, clean, image collected", runs["host, clean"])
	moved := filepath.Join(w.dir, "elsewhere")
	if err := os.Rename(w.project, moved); err != nil {
		t.Fatal(err)
	}
	w.project = moved
	code, _, stderr := w.runpin("rerun", runs["host, clean"], "--execute", "--at", "data="+filepath.Join(moved, "data"))
	if code != exitGone || !strings.Contains(stderr, "code:code") {
		t.Errorf("a commit that is gone everywhere: exit code %d\n%s", code, stderr)
	}
	// What was never pushed is in the store as a bundle, which builds on what the remote had; and that is gone as well.
	w.mustRefuse("unpushed commit, clone and remote lost", runs["image, unpushed"], "code:code")
}
