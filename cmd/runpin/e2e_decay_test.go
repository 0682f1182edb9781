package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// TestDecay is the story that runpin is for: runs of every kind are recorded; then tags move and go, the registry collects its garbage, the git remotes are rewritten
// and collected, clones are deleted, data is edited and deleted. `check` predicts what that did to each run, and every rerun must come out bit for bit, or be
// refused by the name of the pin, exactly as predicted; a refused one starts nothing. Not one may run on something else.
func TestDecay(t *testing.T) {
	d := newDecay(t)
	d.recordData()
	d.recordCode()
	d.recordImages()
	d.allAvailable()

	d.decayData()
	d.decayCode()
	d.decayImages()
	d.engineKeepsImages()
	d.dropImages()
	d.judgeAll()

	// What comes back can be rerun again: a refusal is no verdict on the run.
	for _, r := range d.runs {
		if r.what == "data edited, shared by two runs (1)" {
			d.world.write("shared/a.csv", "shared,1\n")
			d.setTimes("shared/a.csv")
			r.lost = nil
			d.judge(r)
		}
	}
}

func (d *decay) recordData() {
	host := func(what, data string, lost ...string) *decayRun {
		return d.record(&decayRun{what: what, at: d.steady, lost: lost, today: data}, "--dataset", "data=../"+data, "--output", "model=out/model.txt", "--", "sh", "train.sh", "../"+data, "out/model.txt")
	}
	for _, data := range []string{"kept", "sametime", "edited", "added", "deleted", "moved", "shared"} {
		d.world.write(data+"/a.csv", data+",1\n")
		d.world.write(data+"/sub/b.csv", data+",2\n")
		d.setTimes(data + "/a.csv")
	}
	d.settle()
	host("data kept", "kept").same = true
	host("data edited, size and time put back", "sametime", "dataset:data")
	host("data edited", "edited", "dataset:data")
	host("a file added to the data", "added", "dataset:data")
	host("data deleted", "deleted", "dataset:data")
	host("data moved", "moved", "dataset:data")
	elsewhere := host("data moved, and told where", "moved")
	elsewhere.again, elsewhere.today = []string{"--at", "data=" + d.path("elsewhere/moved")}, "moved"
	host("data edited, shared by two runs (1)", "shared", "dataset:data")
	d.record(&decayRun{what: "data edited, shared by two runs (2), in podman", at: d.steady, lost: []string{"dataset:data"}, today: "shared", image: d.world.image},
		"--in", "podman", "--image", d.world.image, "--dataset", "data=../shared", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../shared", "out/model.txt")
}

func (d *decay) decayData() {
	d.world.write("sametime/a.csv", "sameTIME,1\n")
	d.setTimes("sametime/a.csv")
	d.world.write("edited/a.csv", "edited by hand,1\n")
	d.world.write("added/z.csv", "one more\n")
	d.remove("deleted")
	d.world.write("elsewhere/note.txt", "what moved is here\n")
	if err := os.Rename(d.path("moved"), d.path("elsewhere/moved")); err != nil {
		d.t.Fatal(err)
	}
	d.world.write("shared/a.csv", "edited,1\n")
}

func (d *decay) recordCode() {
	record := func(what string, at *world, lost ...string) {
		d.record(&decayRun{what: what, at: at, lost: lost, today: "kept"}, "--dataset", "data=../kept", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../kept", "out/model.txt")
	}
	commit := func(at *world, message string) {
		runGit(d.t, at.project, "add", "-A")
		runGit(d.t, at.project, "commit", "--quiet", "--message", message)
	}
	runGit(d.t, d.world.project, "push", "--quiet", "origin", "HEAD:refs/tags/v1")

	home := d.clone("home", "main")
	record("clean commit of main, which is rewritten; the clone is kept", home)
	home.write("home/settings.txt", "rate=0.2\n")
	home.write("home/extra.txt", "untracked\n")
	record("changed and untracked files; the clone is kept", home)

	tagged := d.clone("tagged", "main")
	record("clean commit that a tag keeps; the clone is deleted", tagged)
	tagged.write("tagged/settings.txt", "rate=0.3\n")
	tagged.write("tagged/extra.txt", "untracked, too\n")
	d.remove("tagged/.gitignore")
	record("changed, untracked and removed files; the clone is deleted", tagged)
	commit(tagged, "never pushed")
	record("a commit that was never pushed; the clone is deleted", tagged)

	side := d.clone("side", "main")
	side.write("side/settings.txt", "rate=0.4\n")
	commit(side, "side")
	runGit(d.t, side.project, "push", "--quiet", "origin", "HEAD:refs/heads/side")
	record("commit of a branch that is forced away; the clone is deleted", side, "code:code")
	side.write("side/extra.txt", "on top\n")
	record("changes on top of that commit", side, "code:code")
	commit(side, "never pushed, on the side")
	record("a commit that was never pushed, on top of that commit", side, "code:code")

	d.moduleRemote, d.lostModule = d.moduleProject("module", "kept by its remote"), d.moduleProject("lostmodule", "rewritten")
	for _, sub := range []struct{ name, remote string }{{"withmodule", d.moduleRemote}, {"withlost", d.lostModule}} {
		at := d.clone(sub.name, "main")
		runGit(d.t, at.project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "file://"+sub.remote, "module")
		at.write(sub.name+"/train.sh", trainScript+"cat module/settings.txt >> \"$2\"\n")
		commit(at, "a submodule")
		runGit(d.t, at.project, "push", "--quiet", "origin", "HEAD:refs/tags/"+sub.name)
		if sub.remote == d.moduleRemote {
			record("a submodule; the clone is deleted", at)
		} else {
			record("a submodule whose remote is rewritten; the clone is deleted", at, "code:code")
		}
	}

	for _, name := range []string{"haslfs", "pushedlfs", "lostlfs"} {
		at := d.clone(name, "main")
		runGit(d.t, at.project, "lfs", "install", "--local")
		runGit(d.t, at.project, "lfs", "track", "*.bin")
		at.write(name+"/weights.bin", "weights of "+name+"\n")
		at.write(name+"/train.sh", trainScript+"cat weights.bin >> \"$2\"\n")
		commit(at, "an LFS file")
		switch name {
		case "haslfs":
			record("an LFS file that the clone keeps", at)
		case "pushedlfs":
			runGit(d.t, at.project, "push", "--quiet", "origin", "HEAD:refs/tags/"+name)
			record("an LFS file that the remote keeps; the clone is deleted", at)
		default:
			record("an LFS file that nobody keeps", at, "code:code")
		}
	}
}

func (d *decay) decayCode() {
	forcePushAndGC(d.t, d.world.remote, "side")
	forcePushAndGC(d.t, d.world.remote, "main")
	forcePushAndGC(d.t, d.lostModule, "main")
	for _, clone := range []string{"tagged", "side", "withmodule", "withlost", "pushedlfs"} {
		d.remove(clone)
	}
	for _, clone := range []string{"home", "haslfs", "lostlfs"} {
		d.world.write(clone+"/settings.txt", "rate=0.9\n")
	}
	d.world.write("lostlfs/weights.bin", "other weights\n")
	d.remove("lostlfs/.git/lfs/objects")
	d.remove("home/extra.txt")
	runGit(d.t, d.path("home"), "commit", "--quiet", "--all", "--message", "later")
}

func (d *decay) recordImages() {
	record := func(what, image string, lost ...string) *decayRun {
		return d.record(&decayRun{what: what, at: d.steady, lost: lost, today: "kept", image: image},
			"--in", "podman", "--image", image, "--dataset", "data=../kept", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../kept", "out/model.txt")
	}
	push := func(repo, tag, flavour string) string {
		busyboxImage(d.t, d.world.registry, repo, tag, map[string]string{"etc/flavour": flavour + "\n"})
		return d.world.registry + "/" + repo + ":" + tag
	}
	record("image whose tag stays", push("team/stays", "1", "stays")).same = true
	moves := push("team/moves", "1", "moves")
	push("team/moves", "1-keep", "moves")
	record("image whose tag moves, and another tag keeps the digest", moves)
	record("image whose tag moves", push("team/collected", "1", "collected"), "image:image")
	record("image that is deleted", push("team/deleted", "1", "deleted"), "image:image")
	index := d.pushIndex("team/multi", "1", "multi")
	record("multi-arch image that loses its child", index, "image:image")
	d.record(&decayRun{what: "image that is deleted, and was only claimed beside a command on the machine", at: d.steady, today: "kept", same: true}, "--image", d.world.registry+"/team/deleted:1",
		"--dataset", "data=../kept", "--output", "model=out/model.txt", "--", "sh", "train.sh", "../kept", "out/model.txt")
	d.record(&decayRun{what: "command that starts podman itself, tag moves", at: d.steady, lost: []string{"image:image"}, today: "kept", image: d.world.registry + "/team/collected:1"},
		"--dataset", "data=../kept", "--output", "model=out/model.txt", "--", "podman", "run", "--rm", "--tls-verify=false", "-v", d.world.dir+":/w", "-v", d.steady.project+":/w/steady", "-w", "/w/steady",
		d.world.registry+"/team/collected:1", "sh", "train.sh", "../kept", "out/model.txt")
}

func (d *decay) decayImages() {
	t, registry := d.t, d.world.registry
	busyboxImage(t, registry, "team/moves", "1", map[string]string{"etc/flavour": "another\n"})
	busyboxImage(t, registry, "team/collected", "1", map[string]string{"etc/flavour": "another\n"})
	d.deleteManifest("team/deleted", d.digestOf("image that is deleted", false))
	d.deleteManifest("team/multi", d.digestOf("multi-arch image that loses its child", true))
	d.world.collect()
}

// engineKeepsImages reruns while the engine still has what the registry lost. Whatever `check` says of it must come true: refused, or run on that very image.
func (d *decay) engineKeepsImages() {
	for _, r := range d.runs {
		if slices.Contains(r.lost, "image:image") {
			predicted := d.predict(r)
			code, stdout, stderr := d.rerun(r)
			if len(predicted) == 0 {
				d.requireSame(r, code, stdout, stderr)
				d.extra++
			} else if code != exitGone {
				d.t.Errorf("%s, while the engine has the image: exit code %d, predicted was %q\n%s", r.what, code, predicted, stderr)
			}
		}
	}
}

// dropImages takes the engine's copies away, so that none can stand in for what the registry lost.
func (d *decay) dropImages() {
	if out, err := d.command("podman", "rmi", "--all", "--force").CombinedOutput(); err != nil {
		d.t.Fatalf("podman rmi: %v\n%s", err, out)
	}
}

// allAvailable shows that nothing stands in the way before the decay: what is refused afterwards is refused because of it.
func (d *decay) allAvailable() {
	for _, r := range d.runs {
		if pins := d.predict(r); len(pins) > 0 && len(r.again) == 0 {
			d.t.Errorf("%s, before the decay: check finds %q", r.what, pins)
		}
	}
}

// judgeAll reruns everything and prints the score.
func (d *decay) judgeAll() {
	d.checkHistory()
	before := d.started()
	for _, r := range d.runs {
		d.judge(r)
	}
	started := d.started() - before
	for _, r := range d.runs {
		d.wouldDiffer(r)
	}
	d.t.Logf("decay: %d runs: %d bit for bit, %d refused naming the pin, %d silently different; %d commands were started", len(d.runs), d.same, d.refused, d.silent, started)
	if started != d.same {
		d.t.Errorf("%d commands were started for %d reruns", started, d.same)
	}
	if d.same+d.refused != len(d.runs) || d.silent != 0 || d.same < 8 || d.refused < 8 {
		d.t.Errorf("of %d runs %d came out bit for bit and %d were refused by name; %d ran on something else", len(d.runs), d.same, d.refused, d.silent)
	}
}

// judge reruns one run and holds what comes of it against the prediction and against what the decay took.
func (d *decay) judge(r *decayRun) {
	d.t.Helper()
	predicted := d.predict(r)
	if !slices.Equal(predicted, r.lost) {
		d.t.Errorf("%s: check predicts the loss of %q, lost is %q", r.what, predicted, r.lost)
	}
	started, runs := d.started(), d.stored()
	code, stdout, stderr := d.rerun(r)
	if len(r.lost) == 0 {
		if d.requireSame(r, code, stdout, stderr) {
			d.same++
		}
		if n := d.started() - started; n != 1 {
			d.t.Errorf("%s: %d commands were started, want 1", r.what, n)
		}
		return
	}
	named := true
	for _, pin := range r.lost {
		named = named && strings.Contains(stderr, pin)
	}
	switch {
	case code == exitGone && named:
		d.refused++
	case code == 0 || code == exitDifferent:
		d.silent++
		fallthrough
	default:
		d.t.Errorf("%s: exit code %d, want %d naming %q\n%s%s", r.what, code, exitGone, r.lost, stdout, stderr)
	}
	if d.started() != started || d.stored() != runs || stdout != "" {
		d.t.Errorf("%s: a refused rerun started %d commands and left %d runs; stdout %q", r.what, d.started()-started, d.stored()-runs, stdout)
	}
	if left, _ := filepath.Glob(d.path("cache/runpin/reruns/*")); len(left) != d.same+d.extra {
		d.t.Errorf("%s: a refused rerun left a directory behind: %q", r.what, left)
	}
}

// requireSame requires a rerun that used exactly what the original used and gave exactly what it gave.
func (d *decay) requireSame(r *decayRun, code int, stdout, stderr string) bool {
	d.t.Helper()
	if code != 0 || !strings.Contains(stderr, "verdict: identical") {
		d.silent += map[bool]int{true: 1}[code == exitDifferent]
		d.t.Errorf("%s: exit code %d, want identical\n%s%s", r.what, code, stdout, stderr)
		return false
	}
	old, again := d.world.show(r.id), d.world.show(idInText.FindString(stdout))
	same := old.Outputs[0].FileDigest == again.Outputs[0].FileDigest && old.Fingerprint != "" && old.Fingerprint == again.Fingerprint &&
		again.Verdict != nil && again.Verdict.Result == schema.Identical && again.RerunOf == old.ID && again.Code[0].Tree == old.Code[0].Tree
	for i := range old.Images {
		same = same && again.Images[i].Pullable() == old.Images[i].Pullable() && again.Images[i].ConfigDigest == old.Images[i].ConfigDigest && again.Images[i].Use == old.Images[i].Use
	}
	if !same {
		d.silent++
		d.t.Errorf("%s: called identical, and it is not: %s", r.what, stderr)
	}
	return same
}

// predict gives the pins that check says stand in the way of a rerun, and requires that its exit code says the same.
func (d *decay) predict(r *decayRun) []string {
	d.t.Helper()
	code, stdout, stderr := d.world.runpin(append([]string{"check", r.id, "--json"}, r.again...)...)
	var said checkJSON
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		d.t.Fatalf("%s: check: %v\n%s%s", r.what, err, stdout, stderr)
	}
	var pins []string
	for _, a := range said.Pins {
		if a.Kind() != "" && !said.Rerunnable { // else it is one that no rerun needs: an image that was only claimed
			pins = append(pins, a.Pin)
			if a.Reason == "" {
				d.t.Errorf("%s: check does not say why %s is %s", r.what, a.Pin, a.State)
			}
		}
	}
	if want := map[bool]int{true: 0, false: exitGone}[len(pins) == 0]; code != want || said.Rerunnable != (len(pins) == 0) {
		d.t.Errorf("%s: check exits with %d, want %d: %s", r.what, code, want, stdout)
	}
	return pins
}

// settle waits until the files are older than the clock ticks of any file system: a cache that is careful reads younger ones again, and that would hide a cache that is not.
func (d *decay) settle() { time.Sleep(2100 * time.Millisecond) }
