package rerun

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// machine implements Hardware and Places.
type machine struct {
	gpus   []schema.GPU
	driver string
	looks  int
	down   map[string]error
	can    bool
	asked  []string
}

func (m *machine) GPUs(context.Context) ([]schema.GPU, string) { m.looks++; return m.gpus, m.driver }
func (m *machine) ProbePlace(_ context.Context, where, program string) error {
	m.asked = append(m.asked, strings.TrimSpace(where+" "+program))
	return m.down[where]
}
func (m *machine) CanGPUs(context.Context, string) bool { return m.can }

func row(found []schema.Availability, pin string) schema.Availability {
	for _, a := range found {
		if a.Pin == pin {
			return a
		}
	}
	return schema.Availability{}
}

func TestGPUsAreCompared(t *testing.T) {
	h100, a100 := schema.GPU{Model: "NVIDIA H100", UUID: "GPU-1"}, schema.GPU{Model: "NVIDIA A100"}
	for name, c := range map[string]struct {
		here   []schema.GPU
		driver string
		want   schema.State
		says   string
	}{
		"the same":       {[]schema.GPU{h100, {Model: "NVIDIA H100", UUID: "GPU-9", Index: 7}}, "550.1", schema.StateAvailable, ""},
		"one less":       {[]schema.GPU{h100}, "550.1", schema.StateChanged, "this machine has 1 × NVIDIA H100, driver 550.1; the run had 2 × NVIDIA H100, driver 550.1"},
		"another":        {[]schema.GPU{h100, a100}, "550.1", schema.StateChanged, "1 × NVIDIA A100 and 1 × NVIDIA H100"},
		"another driver": {[]schema.GPU{h100, h100}, "560.2", schema.StateChanged, "driver 560.2"},
		"none":           {nil, "", schema.StateGone, "this machine shows no GPU"},
	} {
		_, r := newWorld()
		m := &machine{gpus: c.here, driver: c.driver}
		r.Hardware = LookOnce(m)
		run := original()
		run.Environments = []schema.Environment{{}, {GPUs: []schema.GPU{h100, h100}, GPUDriver: "550.1"}}
		for range 2 {
			found := r.Preflight(t.Context(), run, PreflightOptions{})
			if a := row(found, "gpu"); a.State != c.want || !a.Advisory || !strings.Contains(a.Reason, c.says) || Blocking(found, nil) != nil {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if m.looks != 1 {
			t.Errorf("%s: the machine was looked at %d times", name, m.looks)
		}
		run.Environments = run.Environments[:1]
		if a := row(r.Preflight(t.Context(), run, PreflightOptions{}), "gpu"); a.Pin != "" {
			t.Errorf("%s: a run without GPUs is asked for them: %+v", name, a)
		}
		kept := keptBlobs{}
		run, r.Blobs = originalJob(kept), kept
		run.Environments = []schema.Environment{{GPUs: []schema.GPU{h100}}}
		if a := row(r.Preflight(t.Context(), run, PreflightOptions{}), "gpu"); a.Pin != "" {
			t.Errorf("%s: a job runs elsewhere: %+v", name, a)
		}
	}
}

func TestPlaceHasToAnswerWhereARerunStarts(t *testing.T) {
	down := &schema.Error{Op: "x", Kind: schema.Unavailable, Subject: "podman", Err: errors.New("is not installed"), Hint: "install it"}
	w, r := newWorld()
	m := &machine{down: map[string]error{"podman": down}}
	r.Places = m
	run := original()
	run.Launcher = "podman"
	run.Images = []schema.ImagePin{{Name: "image", Repository: "r/x", PlatformDigest: digestA, ConfigDigest: digestB}}
	found := r.Preflight(t.Context(), run, PreflightOptions{})
	if a := row(found, "launcher:podman"); a.State != schema.StateUnknown || !a.Advisory || a.Remedy != "install it" || Blocking(found, nil) != nil {
		t.Errorf("a check: %+v", a)
	}
	dir := filepath.Join(t.TempDir(), "again")
	_, err := r.Execute(t.Context(), Request{Run: run, Dir: dir})
	if schema.KindOf(err) != schema.Unavailable || !strings.Contains(err.Error(), "launcher:podman") || w.prepared != nil {
		t.Errorf("a rerun: %v", err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Error("something was restored")
	}
	// A program of this machine is advice: what is looked for may be found by another PATH.
	run = original()
	m.down = map[string]error{"local": &schema.Error{Kind: schema.Gone, Err: errors.New("not found")}}
	var warned []string
	r.Warn = func(format string, _ ...any) { warned = append(warned, format) }
	result, err := r.Execute(t.Context(), Request{Run: run, Dir: dir})
	if a := row(result.Preflight, "launcher:local"); err != nil || a.State != schema.StateGone || !a.Advisory || len(warned) != 1 || m.asked[len(m.asked)-1] != "local python" {
		t.Errorf("%v %+v %q %q", err, a, warned, m.asked)
	}
}

func TestSecretsAreAskedFor(t *testing.T) {
	_, r := newWorld()
	run := original()
	run.Withheld = []schema.Withheld{{What: "argument", Name: "token", Subject: "argument 3"}, {What: "url", Name: "store_url"}, {What: "job-spec", Name: "job"}, {What: "variable", Name: "HF_TOKEN"}, {What: "param", Name: "token"}}
	run.Code[0].Excluded = []schema.Exclusion{{Path: "my key.pem", Why: schema.ExcludedSecret}, {Path: "out", Why: "output"}}
	run.Environments = []schema.Environment{{Reasons: []schema.Reason{{Code: "withheld", Subject: "AWS_SESSION_TOKEN"}, {Code: "other", Subject: "X"}}}}
	found := r.Preflight(t.Context(), run, PreflightOptions{Given: map[string]bool{"HF_TOKEN": true}})
	for pin, want := range map[string]string{"secret:token": "unknown give it to the rerun: --secret token=@FILE", "secret:my key.pem": `unknown give it to the rerun: --secret "my key.pem"=@FILE`,
		"secret:job": "unknown give it to the rerun: --secret job=@FILE", "secret:HF_TOKEN": "available ", "secret:AWS_SESSION_TOKEN": "unknown set it in the environment of the rerun, or give it with --env-file FILE; --without AWS_SESSION_TOKEN runs it without"} {
		if a := row(found, pin); string(a.State)+" "+a.Remedy != want || !a.Advisory {
			t.Errorf("%s: %+v", pin, a)
		}
	}
	if row(found, "secret:store_url").Pin != "" || Blocking(found, nil) != nil {
		t.Error("what can be given does not keep a run from being run again")
	}
}

func TestEnvFileReachesTheCommandAndNotTheRecord(t *testing.T) {
	w, r := newWorld()
	req := Request{Run: original(), Dir: filepath.Join(t.TempDir(), "again"), Environ: []string{"A=old", "HOME=/h"}, Env: map[string]string{"A": "new", "KEY": "hunter2"}}
	if _, err := r.Execute(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.prepared.Environ, " "); got != "A=new HOME=/h KEY=hunter2 OMP_NUM_THREADS=4" {
		t.Error(got)
	}
	text := ""
	for _, x := range w.prepared.Relaxed {
		text += x.Code + " " + string(x.Subject) + " " + x.Text + "; "
	}
	if !strings.Contains(text, "env-file env.A ") || !strings.Contains(text, "env-file env.KEY ") || strings.Contains(text, "hunter2") || len(w.prepared.Vars) != 1 {
		t.Errorf("%s %v", text, w.prepared.Vars)
	}
	for name := range map[string]bool{"OMP_NUM_THREADS": true, "OMP_STACKSIZE": true, "WANDB_RUN_ID": true, "RUNPIN_RUN_ID": true} {
		req.Env = map[string]string{name: "hunter2"}
		if _, err := r.plan(req); schema.KindOf(err) != schema.Invalid || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, jobs, job := jobWorld()
	if _, err := jobs.plan(Request{Run: job, Env: map[string]string{"A": "b"}}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("a job: %v", err)
	}
}

func TestOutputsAreNotWrittenOver(t *testing.T) {
	uri := func(at string, template ...string) func(*schema.Run) {
		return func(r *schema.Run) {
			r.DeclaredOutputs = []schema.Output{{Name: "m", URI: schema.Text(at)}}
			r.CommandTemplate = append(schema.Texts([]string{"python", "t.py"}), schema.Texts(template)...)
			r.Params = map[string]schema.Text{"run": "1"}
		}
	}
	for name, c := range map[string]struct {
		spoil   func(*schema.Run)
		set     []Setting
		environ []string
		over    bool
		want    string // where the output goes; "-" for dropped, "" for refused
	}{
		"as it was":              {uri("s3://b/x/m", "--out", "s3://b/x/m"), nil, nil, false, ""},
		"set":                    {uri("s3://b/x/m", "--out", "s3://b/x/m"), []Setting{{"arg.--out", "s3://b/y/m"}}, nil, false, "s3://b/y/m"},
		"set to what is beneath": {uri("s3://b/x/m", "--out", "s3://b/x/m"), []Setting{{"arg.--out", "s3://b/x/m/2"}}, nil, false, ""},
		"a sibling's name":       {uri("s3://b/x/m", "--out", "s3://b/x/m"), []Setting{{"arg.--out", "s3://b/x/m2"}}, nil, false, "s3://b/x/m2"},
		"one of two":             {uri("s3://b/x/m", "--out", "s3://b/x/m", "--log=s3://b/x/m/log"), []Setting{{"arg.--out", "s3://b/y"}}, nil, false, ""},
		"both, apart":            {uri("s3://b/x/m", "--out", "s3://b/x/m", "--log=s3://b/x/m/log"), []Setting{{"arg.--out", "s3://b/y"}, {"arg.--log", "s3://b/z/log"}}, nil, false, "-"},
		"both, together":         {uri("s3://b/x/m", "--out", "s3://b/x/m", "--log=s3://b/x/m/log"), []Setting{{"arg.--out", "s3://b/y"}, {"arg.--log", "s3://b/y/log"}}, nil, false, "s3://b/y"},
		"to a local path":        {uri("s3://b/x/m", "--out", "s3://b/x/m"), []Setting{{"arg.--out", "m.pt"}}, nil, false, "-"},
		"through a param":        {uri("s3://b/x1/m", "--out=s3://b/x{run}/m"), []Setting{{"run", "2"}}, nil, false, "s3://b/x2/m"},
		"its directory":          {uri("s3://b/x/m", "--dir=s3://b/x"), []Setting{{"arg.--dir", "s3://b/y/"}}, nil, false, "s3://b/y/m"},
		"its bucket alone":       {uri("s3://b/x/m", "--bucket=s3://b"), []Setting{{"arg.--bucket", "s3://c"}}, nil, false, ""},
		"nowhere":                {uri("s3://b/x/m"), []Setting{{"env.OUT", "s3://b/y/m"}}, nil, false, ""},
		"of the environment":     {uri("s3://b/x/m", "--out", "s3://b/x/m"), []Setting{{"arg.--out", "s3://b/y/m"}}, []string{"OUT=s3://b/x/m"}, false, ""},
		"beside it there":        {uri("s3://b/x/m", "--out", "s3://b/x/m"), []Setting{{"arg.--out", "s3://b/y/m"}}, []string{"OUT=s3://b/x"}, false, "s3://b/y/m"},
		"written over":           {uri("s3://b/x/m", "--out", "s3://b/x/m"), nil, nil, true, "s3://b/x/m"},
		"in a shell command":     {uri("s3://b/x/m", "-c", "cp m s3://b/x/m; true"), []Setting{{"arg.-c", "cp m s3://b/y/m; true"}}, nil, false, "s3://b/y/m"},
	} {
		_, r := newWorld()
		run := original()
		c.spoil(&run)
		p, err := r.plan(Request{Run: run, Set: c.set, Environ: c.environ, Overwrite: c.over})
		if c.want == "" {
			if schema.KindOf(err) != schema.Conflict || !strings.Contains(err.Error(), "s3://b/x") || !strings.Contains(schema.HintOf(err), "--overwrite-outputs") {
				t.Errorf("%s: not refused: %v", name, err)
			}
			continue
		}
		at := "-"
		if len(p.Outputs) > 0 {
			at = string(p.Outputs[0].URI)
		}
		if err != nil || at != c.want || len(p.Relaxed) == 0 {
			t.Errorf("%s: %v, goes to %s, %v", name, err, at, p.Relaxed)
		}
		if run.DeclaredOutputs[0].URI == "s3://b/y/m" {
			t.Errorf("%s: the original was changed", name)
		}
	}
}

func TestOutputsOfJobsAreNotWrittenOver(t *testing.T) {
	const text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: train}\nspec:\n  template:\n    spec:\n      containers:\n        - name: main\n          image: reg.example.org/team/train:1.4\n          args: [\"--out=s3:\\u002f/b\\u002fx/m\"]\n"
	for name, c := range map[string]struct {
		set  []Setting
		over bool
		want string
	}{
		"as it was":    {nil, false, ""},
		"set":          {[]Setting{{"arg.--out", "s3://b/y/m"}}, false, "s3://b/y/m"},
		"set a field":  {[]Setting{{"field.spec.template.spec.containers[0].args[0]", "--out=gs://c/m"}}, false, "gs://c/m"},
		"set another":  {[]Setting{{"field.metadata.name", "again"}}, false, ""},
		"written over": {nil, true, "s3://b/x/m"},
	} {
		w, s, r, run := jobWorld()
		blob := schema.NewBlob(schema.BlobJobSpec, []byte(text))
		r.Blobs.(keptBlobs)[blob.Ref.Digest] = []byte(text)
		run.Job.Blob = &blob.Ref
		run.DeclaredOutputs = []schema.Output{{Name: "m", URI: "s3://b/x/m"}}
		_, err := r.Execute(t.Context(), Request{Run: run, Set: c.set, Overwrite: c.over})
		if c.want == "" {
			if schema.KindOf(err) != schema.Conflict || len(s.calls) > 0 {
				t.Errorf("%s: not refused: %v, %v", name, err, s.calls)
			}
			continue
		}
		if err != nil || string(w.prepared.Outputs[0].URI) != c.want {
			t.Errorf("%s: %v %+v", name, err, w.prepared)
		}
	}
}

func TestTrackerRunsAreNotGoneOnWith(t *testing.T) {
	w, r := newWorld()
	r.Places = &machine{}
	run := original()
	run.Launcher = "podman"
	run.Images = []schema.ImagePin{{Name: "image", Repository: "r/x", PlatformDigest: digestA, ConfigDigest: digestB, Where: schema.Texts([]string{"argument 5"})}}
	run.CommandTemplate = schema.Texts([]string{"podman", "run", "-e", "WANDB_RUN_ID=abc", "--env=MLFLOW_RUN_ID=d", "-e", "WANDB_PROJECT=p", "{image}", "python", "-e", "x"})
	run.DeclaredOutputs, run.Datasets = nil, nil
	if _, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again")}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.prepared.Started, " "); got != "podman run -e WANDB_PROJECT=p {image} python -e x" || len(w.prepared.Template) != len(run.CommandTemplate) || len(w.prepared.Relaxed) != 2 {
		t.Errorf("%q %v", got, w.prepared.Relaxed)
	}
	for name, c := range map[string]struct {
		argv    []string
		set     []Setting
		refused bool
	}{
		"a flag":             {[]string{"python", "t.py", "--wandb_id", "abc"}, nil, true},
		"spelled otherwise":  {[]string{"python", "t.py", "--WandB-Run-ID=abc"}, nil, true},
		"an override":        {[]string{"python", "t.py", "logger.wandb.id=abc"}, nil, true},
		"a param":            {[]string{"python", "t.py", "--wandb_id={id}"}, nil, true},
		"set":                {[]string{"python", "t.py", "--wandb_id", "abc"}, []Setting{{"arg.--wandb_id", "def"}}, false},
		"a param, set":       {[]string{"python", "t.py", "--wandb_id={id}"}, []Setting{{"id", "8"}}, false},
		"none":               {[]string{"python", "t.py", "--wandb_id", "None"}, nil, false},
		"another flag":       {[]string{"python", "t.py", "--wandb_id", "--lr"}, nil, false},
		"a word":             {[]string{"python", "wandb_id", "abc"}, nil, false},
		"what can mean much": {[]string{"python", "t.py", "--run-id", "abc", "--resume=x"}, nil, false},
		"at the end":         {[]string{"python", "t.py", "--wandb_id"}, nil, false},
		"a variable":         {[]string{"python", "t.py", "-e", "WANDB_RUN_ID=abc"}, nil, true},
	} {
		run := original()
		run.CommandTemplate, run.Params, run.DeclaredOutputs = schema.Texts(c.argv), map[string]schema.Text{"id": "7"}, nil
		_, err := r.plan(Request{Run: run, Set: c.set})
		if (schema.KindOf(err) == schema.Conflict) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if p, err := r.plan(Request{Run: run, Set: c.set, Overwrite: true}); err != nil || p.Started != nil {
			t.Errorf("%s, allowed: %v %v", name, err, p.Started)
		}
	}
}

func TestJobBeginsATrackerRunOfItsOwn(t *testing.T) {
	text := strings.Replace(jobText, "1.4\n", "1.4\n          env: [{name: WANDB_RUN_ID, value: abc}, {name: A, value: b}]\n", 1)
	blob := schema.NewBlob(schema.BlobJobSpec, []byte(text))
	_, s, r, run := jobWorld()
	r.Blobs.(keptBlobs)[blob.Ref.Digest] = []byte(text)
	run.Job.Blob = &blob.Ref
	if _, err := r.Execute(t.Context(), Request{Run: run}); err != nil || strings.Contains(string(s.spec.Data), "WANDB") || !strings.Contains(string(s.spec.Data), "{name: A, value: b}") {
		t.Errorf("%v\n%s", err, s.spec.Data)
	}
	out, said, err := PinnedSpec(t.Context(), run, r.Blobs, SpecOptions{})
	if err != nil || !strings.Contains(string(out), "WANDB") || len(said) != 1 || !strings.Contains(said[0], "train.yaml:10:") || !strings.Contains(said[0], "--resubmit") {
		t.Errorf("%v %q", err, said)
	}
	out, said, err = PinnedSpec(t.Context(), run, r.Blobs, SpecOptions{Resubmit: true, Set: []Setting{{"env.WANDB_RUN_ID", "def"}}})
	if err != nil || !strings.Contains(string(out), "value: def") {
		t.Errorf("%v %q\n%s", err, said, out)
	}
}

func TestGPUsAreGivenAsTheyWere(t *testing.T) {
	gpu := []schema.Environment{{GPUs: []schema.GPU{{Model: "H100"}}}}
	for name, c := range map[string]struct {
		launcher, on, was, asked string
		can                      bool
		want                     string
		relaxed                  int
		kind                     schema.Kind
	}{
		"as recorded":           {"podman", "", "all", "", false, "all", 0, ""},
		"none then":             {"podman", "", "", "", true, "", 0, ""},
		"asked for":             {"podman", "", "", "2", true, "2", 1, ""},
		"asked for the same":    {"podman", "", "all", "all", true, "all", 0, ""},
		"none now":              {"podman", "", "all", "none", true, "none", 1, ""},
		"moved into an image":   {"local", "podman", "", "", true, "all", 1, ""},
		"moved, and it cannot":  {"local", "podman", "", "", false, "", 0, ""},
		"not in a container":    {"local", "", "", "all", true, "", 0, schema.Invalid},
		"a hostile record":      {"podman", "", "all --privileged", "", true, "", 0, schema.Invalid},
		"no choice":             {"podman", "", "", "many", true, "", 0, schema.Invalid},
		"devices, and the like": {"podman", "", "device=0,GPU-1", "", true, "device=0,GPU-1", 0, ""},
	} {
		_, r := newWorld()
		r.Places = &machine{can: c.can}
		run := original()
		run.Launcher, run.GPUs, run.Environments = c.launcher, c.was, gpu
		run.Images = []schema.ImagePin{{Name: "image", Repository: "r/x", PlatformDigest: digestA, ConfigDigest: digestB}}
		p, err := r.plan(Request{Run: run, On: c.on})
		if err != nil {
			t.Fatal(err)
		}
		before := len(p.Relaxed)
		err = r.chooseGPUs(t.Context(), &p, c.asked)
		if schema.KindOf(err) != c.kind || err == nil && (p.GPUs != c.want || len(p.Relaxed)-before != c.relaxed) {
			t.Errorf("%s: %v, %q, %v", name, err, p.GPUs, p.Relaxed)
		}
	}
}

// However an output and a command are written: where nothing was set, nothing may run.
func FuzzOutputsStayRefused(f *testing.F) {
	f.Add("s3://b/x/m", "--out=s3://b/x/m")
	f.Add("s3://b/x/m", "--dir=s3://b/x/")
	f.Add("", "")
	f.Add(strings.Repeat("s3://", 20)+strings.Repeat("/a", 200), "x")
	f.Fuzz(func(t *testing.T, uri, arg string) {
		_, r := newWorld()
		run := original()
		run.DeclaredOutputs = []schema.Output{{Name: "m", URI: schema.Text(uri)}}
		run.CommandTemplate = schema.Texts([]string{"python", arg})
		if _, err := r.plan(Request{Run: run}); schema.KindOf(err) != schema.Conflict {
			t.Errorf("%q by %q is not refused: %v", uri, arg, err)
		}
	})
}
