package rerun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// world implements the ports with what the tests need.
type world struct {
	checks    map[string]schema.Availability
	restored  func(dir string) error
	placed    map[string]string
	prepared  *Prepared
	outcome   func(p Prepared) schema.Run
	saved     []schema.Report
	job       *writtenJob
	collected error
}

func (w *world) CheckImage(_ context.Context, p schema.ImagePin) schema.Availability {
	return w.check("image:" + p.Name)
}
func (w *world) CheckCode(_ context.Context, p schema.CodePin, _ schema.BlobSource) schema.Availability {
	return w.check("code:" + p.Name)
}
func (w *world) CheckDataset(_ context.Context, p schema.DatasetPin, _ string, _ bool) schema.Availability {
	return w.check("dataset:" + p.Name)
}
func (w *world) check(pin string) schema.Availability {
	if a, ok := w.checks[pin]; ok {
		return a
	}
	return schema.Availability{State: schema.StateAvailable}
}
func (w *world) RestoreCode(_ context.Context, _ schema.CodePin, _ schema.BlobSource, dir string) error {
	if w.restored != nil {
		return w.restored(dir)
	}
	return os.MkdirAll(dir, 0o755)
}
func (w *world) PlaceDataset(_ context.Context, p schema.DatasetPin, _, dest string, _ bool, _ schema.Progress) error {
	w.placed[p.Name] = dest
	return os.MkdirAll(dest, 0o755)
}
func (w *world) Record(_ context.Context, p Prepared) (schema.Run, int, error) {
	w.prepared = &p
	return w.outcome(p), 0, nil
}
func (w *world) Plan(_ context.Context, p Prepared) (PlannedJob, error) {
	w.prepared = &p
	id := schema.NewRunID(time.Now())
	spec, err := p.Spec(id)
	w.job = &writtenJob{id: id, spec: spec}
	return w.job, err
}
func (w *world) Save(_ context.Context, r schema.Report) error {
	w.saved = append(w.saved, r)
	return nil
}

func newWorld() (*world, *Rerunner) {
	w := &world{checks: map[string]schema.Availability{}, placed: map[string]string{}}
	w.outcome = func(p Prepared) schema.Run {
		run := original()
		run.ID, run.RerunOf = schema.NewRunID(time.Now()), p.Of.ID
		return run
	}
	return w, &Rerunner{Images: w, Code: w, Datasets: w, Record: w, Saver: w, Now: func() schema.Time { return schema.At(time.Now()) },
		Determining: func(environ, _ []string) map[string]schema.Text {
			found := map[string]schema.Text{}
			for _, kv := range environ {
				if k, v, _ := strings.Cut(kv, "="); strings.HasPrefix(k, "OMP_") {
					found[k] = schema.Text(v)
				}
			}
			return found
		}, Warn: func(string, ...any) {}, ReplaceRoot: func(text, old, new string) string { return strings.ReplaceAll(text, old, new) }, ReadEngine: podmanRun}
}

// podmanRun reads the few options that the tests use, as the recorder's reader does.
func podmanRun(argv []string) (c EngineCommand, err error) {
	if len(argv) < 3 || argv[0] != "podman" || argv[1] != "run" {
		return c, nil
	}
	for i := 2; i < len(argv); i++ {
		take := func(prefix string, to *[]EngineWord) bool {
			text, ok := strings.CutPrefix(argv[i], prefix)
			if !ok {
				return false
			}
			text = strings.TrimPrefix(text, "=")
			if text == "" {
				i++
				text = argv[i]
			}
			*to = append(*to, EngineWord{i, text})
			return true
		}
		switch {
		case take("--env-file", &c.EnvFiles), take("--env", &c.Variables), take("-ite", &c.Variables), take("-e", &c.Variables):
		case argv[i] == "--odd":
			return c, fmt.Errorf("the option --odd is not known")
		case argv[i][0] != '-':
			c.Image = i
			return c, nil
		}
	}
	return c, nil
}

const (
	digestA = schema.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	digestB = schema.Digest("sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	project = "/home/u/project"
)

func original() schema.Run {
	zero := 0
	r := schema.Run{ID: schema.NewRunID(time.Unix(1_790_000_000, 0)), Status: schema.Succeeded, ExitCode: &zero}
	r.Launcher = "local"
	r.Code = []schema.CodePin{{Name: "code", Kind: schema.CodeGit, Commit: "9fceb02d0ae598e95dc970b74767f19372d61af8", Tree: "9fceb02d0ae598e95dc970b74767f19372d61af8", Root: &schema.Path{Located: project}}}
	r.Datasets = []schema.DatasetPin{{Name: "train", Scheme: "file", ContentDigest: digestA, Path: &schema.Path{Typed: "data", Base: schema.BaseCheckout, Rel: "data", Located: project + "/data"}}}
	r.WorkDir = &schema.Path{Typed: ".", Base: schema.BaseCheckout, Rel: ".", Located: project}
	r.CommandTemplate = schema.Texts([]string{"python", "{code_root}/t.py", "--lr", "{lr}", "--data={train}", "--out", "{model}"})
	r.Params = map[string]schema.Text{"lr": "0.1"}
	r.Variables = map[string]schema.Text{"OMP_NUM_THREADS": "4"}
	r.DeclaredOutputs = []schema.Output{{Name: "model", URI: "m.pt", Path: &schema.Path{Typed: "m.pt", Base: schema.BaseCheckout, Rel: "m.pt", Located: project + "/m.pt"}}}
	r.Outputs = []schema.Output{{Name: "model", FileDigest: digestA}}
	return r
}

func TestExecutePinsRestoresAndJudges(t *testing.T) {
	w, r := newWorld()
	dir := filepath.Join(t.TempDir(), "again")
	result, err := r.Execute(t.Context(), Request{Run: original(), Dir: dir, Environ: []string{"OMP_NUM_THREADS=1", "OMP_STACKSIZE=9", "WANDB_RUN_ID=x", "PYTHONPATH=" + project + "/lib:/opt", "HOME=/home/u"}})
	if err != nil {
		t.Fatal(err)
	}
	if result.Verdict.Result != schema.Identical || len(w.saved) != 1 {
		t.Errorf("verdict %+v, %d reports", result.Verdict, len(w.saved))
	}
	root := w.prepared.Root
	if want := "HOME=/home/u OMP_NUM_THREADS=4 PYTHONPATH=" + root + "/lib:/opt"; strings.Join(w.prepared.Environ, " ") != want {
		t.Errorf("environment %q, want %q", w.prepared.Environ, want)
	}
	if w.placed["train"] != filepath.Join(root, "data") || string(w.prepared.Outputs[0].Path.Located) != filepath.Join(root, "m.pt") {
		t.Errorf("data at %s, output at %s", w.placed["train"], w.prepared.Outputs[0].Path.Located)
	}
}

func TestExecuteRefusesBeforeAnythingIsWritten(t *testing.T) {
	w, r := newWorld()
	w.checks["dataset:train"] = schema.Availability{State: schema.StateChanged, Reason: "b.csv changed"}
	w.checks["code:code"] = schema.Availability{State: schema.StateGone}
	dir := filepath.Join(t.TempDir(), "again")
	_, err := r.Execute(t.Context(), Request{Run: original(), Dir: dir})
	if kinds := schema.Kinds(err); len(kinds) != 2 || w.prepared != nil {
		t.Errorf("kinds %v, started %v", kinds, w.prepared != nil)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error("the directory of a refused rerun was made")
	}
}

// Records come from elsewhere too (a spool, an import): none may lead out of the directory of the rerun.
func TestHostileRecordsStayInside(t *testing.T) {
	outside := t.TempDir()
	for name, spoil := range map[string]func(*schema.Run){
		"working directory": func(r *schema.Run) { r.WorkDir.Rel = "../../../../../../../../" + schema.Text(outside) + "/x" },
		"data set":          func(r *schema.Run) { r.Datasets[0].Path.Rel = "../../../../../../../../" + schema.Text(outside) + "/x" },
		"output": func(r *schema.Run) {
			r.DeclaredOutputs[0].Path.Rel = "../../../../../../../../" + schema.Text(outside) + "/x"
		},
		"withheld file": func(r *schema.Run) {
			r.Code[0].Excluded = []schema.Exclusion{{Path: "../../../../../../../../" + schema.Text(outside) + "/x", Why: schema.ExcludedSecret}}
		},
	} {
		w, r := newWorld()
		run := original()
		spoil(&run)
		secrets := map[string]string{}
		for _, x := range run.Code[0].Excluded {
			secrets[string(x.Path)] = "s"
		}
		_, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again"), Secrets: secrets})
		entries, _ := os.ReadDir(outside)
		if len(entries) > 0 {
			t.Errorf("%s: something was written outside: %v (error %v)", name, entries, err)
		}
		if w.prepared != nil && (strings.HasPrefix(w.placed["train"], outside) || strings.HasPrefix(string(w.prepared.Outputs[0].Path.Located), outside)) {
			t.Errorf("%s: placed outside", name)
		}
	}
}

func TestRestoredLinksAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	w, r := newWorld()
	w.restored = func(dir string) error { // code that was made to lead out
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return os.Symlink(outside, filepath.Join(dir, "sub"))
	}
	run := original()
	run.Datasets[0].Path.Rel = "sub/data"
	_, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again")})
	if entries, _ := os.ReadDir(outside); len(entries) > 0 || schema.KindOf(err) != schema.Conflict {
		t.Errorf("error %v, outside has %v", err, entries)
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		set      Setting
		kind     schema.Kind
		template string
		lr       schema.Text
	}{
		{Setting{"lr", "0.2"}, "", "{lr}", "0.2"},
		{Setting{"arg.--lr", "0.3"}, "", "{lr}", "0.3"},
		{Setting{"arg.--data", "x"}, "", "{lr}", "0.1"},
		{Setting{"arg.--nope", "x"}, schema.Invalid, "{lr}", "0.1"},
		{Setting{"epochs", "3"}, schema.Invalid, "{lr}", "0.1"},
		{Setting{"field.spec", "x"}, schema.Invalid, "{lr}", "0.1"},
	} {
		_, r := newWorld()
		p, err := r.plan(Request{Run: original(), Set: []Setting{c.set}})
		if schema.KindOf(err) != c.kind {
			t.Errorf("%v: error %v", c.set, err)
			continue
		}
		if err == nil && (p.Params["lr"] != c.lr || p.Template[3] != c.template || len(p.Relaxed) != 1) {
			t.Errorf("%v: params %v, template %v, relaxed %v", c.set, p.Params, p.Template, p.Relaxed)
		}
	}
	if original().Params["lr"] != "0.1" {
		t.Error("setting changed the original")
	}
}

// A rerun never goes on with the original's run of a tracker, be its id recorded or not.
func TestRecordedTrackerRunIsLeftOut(t *testing.T) {
	w, r := newWorld()
	run := original()
	run.Variables["WANDB_RUN_ID"] = "theirs"
	if _, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again"), Environ: []string{"WANDB_RUN_ID=mine"}}); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(w.prepared.Environ, " "); strings.Contains(all, "WANDB") || len(w.prepared.Relaxed) != 1 || w.prepared.Relaxed[0].Code != "tracker-run" {
		t.Errorf("%s, %+v", all, w.prepared.Relaxed)
	}
	if _, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again"), Set: []Setting{{"env.WANDB_RUN_ID", "new"}}}); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(w.prepared.Environ, " "); !strings.Contains(all, "WANDB_RUN_ID=new") {
		t.Errorf("what the user sets is not there: %s", all)
	}
}
