package rerun

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// pairOfRuns gives an original with one output, and a rerun of it with the same.
func pairOfRuns() (old, new schema.Run) {
	old, new = original(), original()
	old.Fingerprint, new.Fingerprint = schema.Fingerprint("fp1:"+strings.Repeat("a", 64)), schema.Fingerprint("fp1:"+strings.Repeat("a", 64))
	new.ID, new.RerunOf = schema.NewRunID(time.Now()), old.ID
	for _, r := range []*schema.Run{&old, &new} {
		r.Datasets[0].Use, r.Datasets[0].Strength, r.Code[0].Use = schema.Observed, schema.StrengthContent, schema.Observed
	}
	return old, new
}

func metrics(old, new schema.Text) func(o, n *schema.Run) {
	return func(o, n *schema.Run) {
		if old != "" {
			o.Metrics = map[string]schema.Text{"loss": old}
		}
		if new != "" {
			n.Metrics = map[string]schema.Text{"loss": new}
		}
	}
}

func and(changes ...func(o, n *schema.Run)) func(o, n *schema.Run) {
	return func(o, n *schema.Run) {
		for _, change := range changes {
			change(o, n)
		}
	}
}

func otherContent(_, n *schema.Run) { n.Outputs[0].FileDigest = digestB }

func stored(tolerance schema.Text) func(o, n *schema.Run) {
	return func(o, _ *schema.Run) { o.Tolerances = map[string]schema.Text{"loss": tolerance} }
}

func mode(m string) func(o, n *schema.Run) {
	return func(o, _ *schema.Run) { o.DeclaredOutputs[0].Compare = m }
}

func of(rank int, digest schema.Digest) schema.Output {
	return schema.Output{Name: "shard", Rank: &rank, FileDigest: digest}
}

// TestJudge goes every way to a verdict: what was spoilt, the tolerance of loss that is given, the result and what the cause says.
func TestJudge(t *testing.T) {
	zero, one := 0, 1
	for name, c := range map[string]struct {
		spoil func(old, new *schema.Run)
		tol   string
		want  schema.Result
		cause string
	}{
		"equal":           {and(), "", schema.Identical, ""},
		"other content":   {otherContent, "", schema.Differs, "output model: its content differs; same inputs, different outputs: not deterministic"},
		"other sidecar":   {func(_, n *schema.Run) { n.Outputs[0].SidecarDigest = digestB }, "", schema.Differs, "executable bits differ"},
		"a directory now": {func(_, n *schema.Run) { n.Outputs[0].Directory, n.Outputs[0].ContentDigest = true, digestA }, "", schema.Differs, "it is a directory; the original's is a file"},
		"missing":         {func(_, n *schema.Run) { n.Outputs[0] = schema.Output{Name: "model", Missing: true} }, "", schema.Differs, "the rerun did not write it"},
		"missing then":    {func(o, _ *schema.Run) { o.Outputs[0] = schema.Output{Name: "model", Missing: true} }, "", schema.Differs, "the original did not write it"},
		"missing then and now": {func(o, n *schema.Run) {
			o.Outputs[0] = schema.Output{Name: "model", Missing: true}
			n.Outputs[0] = o.Outputs[0]
		}, "", schema.CannotBeCompared, "neither run wrote it"},
		"one more":                {func(_, n *schema.Run) { n.Outputs = append(n.Outputs, schema.Output{Name: "x", FileDigest: digestA}) }, "", schema.Differs, "output x: the original has no such output"},
		"one less":                {func(o, _ *schema.Run) { o.Outputs = append(o.Outputs, schema.Output{Name: "x", FileDigest: digestA}) }, "", schema.Differs, "output x: the rerun has no such output"},
		"not reported":            {func(_, n *schema.Run) { n.Outputs = nil }, "", schema.CannotBeCompared, "nobody reported what the rerun wrote"},
		"not reported then":       {func(o, _ *schema.Run) { o.Outputs = nil }, "", schema.CannotBeCompared, "nobody reported what the original wrote"},
		"stale then":              {func(o, _ *schema.Run) { o.Outputs[0].Stale = true }, "", schema.CannotBeCompared, "the original did not write it: it was there before"},
		"stale now":               {func(_, n *schema.Run) { n.Outputs[0].Stale = true }, "", schema.CannotBeCompared, "the rerun did not write it: it was there before"},
		"no digest":               {func(_, n *schema.Run) { n.Outputs[0].FileDigest = "" }, "", schema.CannotBeCompared, "the rerun's digest is not known; if it need not be compared, say --compare model=ignore"},
		"ignored":                 {and(mode("ignore"), otherContent), "", schema.CannotBeCompared, "output model is not to be compared, and there are no metrics"},
		"ignored, metrics equal":  {and(mode("ignore"), otherContent, metrics("1", "1")), "", schema.Identical, ""},
		"ignored, metrics differ": {and(mode("ignore"), metrics("1", "2")), "", schema.Differs, "metric loss: 2 instead of 1"},
		"exact, metrics fine":     {and(mode("exact"), otherContent, metrics("0.5", "0.501")), "1%", schema.Differs, "output model: its content differs"},
		"unknown way":             {and(mode("telepathy"), otherContent), "", schema.CannotBeCompared, `by "telepathy", which this version`},
		"unknown way, equal":      {mode("telepathy"), "", schema.Identical, ""},
		"numbers, no files":       {and(mode("tolerance"), otherContent), "", schema.CannotBeCompared, "the files were not looked at; keep the outputs, or record their numbers with --metrics"},
		"command, not run":        {and(mode("command"), func(o, _ *schema.Run) { o.DeclaredOutputs[0].CompareCommand = []schema.Text{"x"} }, otherContent), "", schema.CannotBeCompared, "--run-compare-commands"},
		"command, none":           {and(mode("command"), otherContent), "", schema.CannotBeCompared, "no command is recorded"},
		"other exit code":         {func(_, n *schema.Run) { n.ExitCode, n.Status = &one, schema.Failed }, "", schema.Differs, "the rerun ended with exit code 1; the original ended with exit code 0; same inputs"},
		"not started":             {func(_, n *schema.Run) { n.ExitCode, n.Status, n.Why = nil, schema.Failed, "no such command" }, "", schema.Differs, "the rerun failed: no such command"},
		"failed without a code":   {func(_, n *schema.Run) { n.ExitCode, n.Status = &zero, schema.Failed }, "", schema.Differs, "the rerun failed; the original ended with exit code 0"},
		"both failed": {func(o, n *schema.Run) {
			o.ExitCode, o.Status, n.ExitCode, n.Status = &one, schema.Failed, &one, schema.Failed
		}, "", schema.Identical, ""},
		"still running": {func(_, n *schema.Run) { n.Status = schema.Running }, "", schema.CannotBeCompared, "the rerun did not end: it is running"},
		"planned then":  {func(o, _ *schema.Run) { o.Status = schema.Planned }, "", schema.CannotBeCompared, "the original did not end: it is planned"},
		"lost":          {func(_, n *schema.Run) { n.Status = schema.Lost }, "", schema.CannotBeCompared, "the rerun did not end: it is lost"},
		"nothing to compare": {func(o, n *schema.Run) {
			o.Outputs, n.Outputs, o.DeclaredOutputs, n.DeclaredOutputs = nil, nil, nil, nil
		}, "", schema.CannotBeCompared, "neither run recorded an output or a metric"},
		"drift in the rerun":        {func(_, n *schema.Run) { n.Drift = []schema.Drifted{{Pin: "dataset:train", Text: "b.csv changed"}} }, "", schema.CannotBeCompared, "dataset:train changed while the rerun used it: b.csv changed"},
		"drift in the original":     {func(o, _ *schema.Run) { o.Drift = []schema.Drifted{{Pin: "dataset:train"}} }, "", schema.CannotBeCompared, "dataset:train changed while the original used it"},
		"metric equal":              {metrics("0.5", "0.5"), "", schema.Identical, ""},
		"metric equal, tolerance":   {metrics("0.5", "0.5"), "1%", schema.Identical, ""},
		"metric spelled otherwise":  {metrics("0.5", "0.50"), "", schema.Differs, "the same number, written differently; with a tolerance of 0 that is equivalent"},
		"metric spelled, tolerance": {metrics("0.5", "0.50"), "0", schema.Equivalent, "within the tolerance 0"},
		"metric within":             {metrics("0.5", "0.504"), "1%", schema.Equivalent, "metric loss: 0.504 instead of 0.5, within the tolerance 1%"},
		"metric beyond":             {metrics("0.5", "0.506"), "1%", schema.Differs, "metric loss: 0.506 instead of 0.5, beyond the tolerance 1%"},
		"metric within, absolute":   {metrics("100", "100.001"), "1e-2", schema.Equivalent, "within the tolerance 0.01"},
		"metric within, stored":     {and(metrics("0.5", "0.504"), stored("1%")), "", schema.Equivalent, "within the tolerance 1%"},
		"given over stored":         {and(metrics("0.5", "0.504"), stored("1%")), "0.1%", schema.Differs, "beyond the tolerance 0.1%"},
		"stored, not understood":    {and(metrics("0.5", "0.504"), stored("3 ulp")), "", schema.CannotBeCompared, "its tolerance is not one that this version"},
		"stored in the rerun": {and(metrics("0.5", "0.504"), stored("1%"), func(_, n *schema.Run) { n.Tolerances = map[string]schema.Text{"loss": "0.1%"} }), "", schema.Differs,
			"beyond the tolerance 0.1%"},
		"NaN":              {metrics("NaN", "nan"), "1%", schema.Equivalent, ""},
		"NaN and a number": {metrics("NaN", "0"), "1%", schema.Differs, ""},
		"2^53":             {metrics("9007199254740993", "9007199254740992"), "0.5", schema.Differs, ""},
		"no number":        {metrics("good", "better"), "1%", schema.Differs, "better instead of good"},
		"metric gone":      {metrics("0.5", ""), "1%", schema.Differs, "the rerun has no such metric"},
		"metric gone, known why": {and(metrics("0.5", ""), func(_, n *schema.Run) {
			n.Reasons = []schema.Reason{{Code: "metrics-stale", Subject: "m.json", Text: "it was there before"}}
		}), "", schema.Differs, "no such metric: m.json: it was there before"},
		"metric new":                  {metrics("", "0.5"), "1%", schema.Differs, "the original has no such metric"},
		"outputs differ":              {and(metrics("0.5", "0.501"), otherContent), "1%", schema.Equivalent, "the metrics speak for what differs: output model: its content differs"},
		"outputs differ, metric same": {and(metrics("0.5", "0.5"), otherContent), "1%", schema.Equivalent, "the metrics are the same, and have a tolerance"},
		"outputs differ, no tolerance": {and(metrics("0.5", "0.5"), otherContent), "", schema.Differs,
			"output model: its content differs"},
		"output missing, metrics fine": {and(metrics("0.5", "0.501"), func(_, n *schema.Run) { n.Outputs[0] = schema.Output{Name: "model", Missing: true} }), "1%", schema.Differs, ""},
		"output stale, metrics fine":   {and(metrics("0.5", "0.501"), func(_, n *schema.Run) { n.Outputs[0].Stale = true }), "1%", schema.CannotBeCompared, "output model: the rerun did not write it"},
		"ranks": {func(o, n *schema.Run) {
			o.Outputs, n.Outputs = append(o.Outputs, of(1, digestA), of(2, digestA)), append(n.Outputs, of(2, digestA), of(1, digestA))
		}, "", schema.Identical, ""},
		"a rank differs": {func(o, n *schema.Run) {
			o.Outputs, n.Outputs = append(o.Outputs, of(1, digestA), of(2, digestA)), append(n.Outputs, of(1, digestA), of(2, digestB))
		}, "", schema.Differs, "output shard of rank 2: its content differs"},
		"a mix": {and(metrics("1", "2"), otherContent, func(o, n *schema.Run) {
			o.Outputs = append(o.Outputs, schema.Output{Name: "log", Compare: "ignore", FileDigest: digestA}, schema.Output{Name: "gone", FileDigest: digestA})
			n.Outputs = append(n.Outputs, schema.Output{Name: "extra", FileDigest: digestA})
		}), "", schema.Differs, "output model: its content differs (and 3 more)"},
		"different beats unknown": {and(metrics("1", "2"), func(_, n *schema.Run) { n.Outputs[0].Stale = true }), "", schema.Differs, "metric loss"},
	} {
		t.Run(name, func(t *testing.T) {
			old, new := pairOfRuns()
			c.spoil(&old, &new)
			given := Tolerances{Metrics: map[string]Tolerance{}}
			if c.tol != "" {
				parsed, err := ParseTolerance(c.tol)
				if err != nil {
					t.Fatal(err)
				}
				given.Metrics["loss"] = parsed
			}
			v := Judge(old, new, given)
			if v.Result != c.want || !strings.Contains(v.Cause, c.cause) || (v.Result != schema.Identical) != (v.Cause != "") {
				t.Errorf("%s (%q), want %s (%q)", v.Result, v.Cause, c.want, c.cause)
			}
			for _, o := range v.Outputs {
				if (o.Result == schema.Identical) != (o.Reason == "") {
					t.Errorf("output %s is %s: %q", o.Name, o.Result, o.Reason)
				}
			}
			b, err := schema.Canonical(v)
			if err != nil || len(b) == 0 {
				t.Errorf("the verdict cannot be stored: %v", err)
			}
		})
	}
}

// TestJudgeCauses: each kind of difference between the runs is what the cause names first, and stands among the suspects.
func TestJudgeCauses(t *testing.T) {
	environment := func(change func(*schema.Environment)) func(o, n *schema.Run) {
		return func(o, n *schema.Run) {
			for i, r := range []*schema.Run{o, n} {
				e := schema.Environment{OS: schema.OS{Name: "debian", Version: "12", Kernel: "6.1", Arch: "amd64"}, CPU: schema.CPU{Vendor: "v", Model: "m", Features: []string{"avx2"}}, GPUDriver: "550.1", CUDA: "12.4",
					GPUs: []schema.GPU{{Model: "NVIDIA H100"}}, Variables: map[string]schema.Text{"OMP_NUM_THREADS": "4"}, Interpreter: &schema.Interpreter{Version: "3.11.2", Kind: "python", Packages: packagesA.ref(), Count: 2}}
				if i == 1 {
					change(&e)
				}
				r.Environments = []schema.Environment{e}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(o, n *schema.Run)
		cause  string
	}{
		"a setting": {func(_, n *schema.Run) {
			n.Params = map[string]schema.Text{"lr": "0.2"}
			n.Relaxed = []schema.Reason{{Code: "dataset-elsewhere", Subject: "dataset:train", Text: "x"}, {Code: "set", Subject: "lr", Text: `set to "0.2"; the original had "0.1"`}}
		}, `; lr was set to "0.2"; the original had "0.1"`},
		"in an image": {func(_, n *schema.Run) {
			n.Relaxed = []schema.Reason{{Code: "moved-into-image", Subject: "image:image", Text: "the original ran on a machine"}}
		}, "; the original ran on a machine"},
		"a param":  {func(_, n *schema.Run) { n.Params = map[string]schema.Text{"lr": "0.2"} }, "params: lr was 0.1 and is 0.2"},
		"the code": {func(_, n *schema.Run) { n.Code[0].Tree = schema.ObjectID(strings.Repeat("1", 40)) }, "code:code: the files differ"},
		"the data": {func(_, n *schema.Run) { n.Datasets[0].ContentDigest = digestB }, "dataset:train: the data differ"},
		"an image": {func(o, n *schema.Run) {
			o.Images, n.Images = []schema.ImagePin{{Name: "i", ConfigDigest: digestA, Use: schema.Enforced}}, []schema.ImagePin{{Name: "i", ConfigDigest: digestB, Use: schema.Enforced}}
		}, "image:i: "},
		"the command": {func(_, n *schema.Run) { n.CommandTemplate = append(n.CommandTemplate, "-v") }, "command: command was"},
		"a variable":  {func(_, n *schema.Run) { n.Variables = map[string]schema.Text{"OMP_NUM_THREADS": "8"} }, "variables: OMP_NUM_THREADS was 4 and is 8"},
		"the GPU":     {environment(func(e *schema.Environment) { e.GPUs = []schema.GPU{{Model: "NVIDIA A100"}} }), `gpu model was "NVIDIA H100" and is "NVIDIA A100"`},
		"the GPU first": {environment(func(e *schema.Environment) {
			e.GPUs, e.OS.Kernel, e.CUDA = []schema.GPU{{Model: "NVIDIA A100"}}, "6.2", "12.5"
		}), `gpu model was "NVIDIA H100" and is "NVIDIA A100" (and 2 more)`},
		"the driver":     {environment(func(e *schema.Environment) { e.GPUDriver = "550.2" }), "gpu driver was 550.1 and is 550.2"},
		"CUDA":           {environment(func(e *schema.Environment) { e.CUDA = "12.5" }), "cuda was 12.4 and is 12.5"},
		"the CPU":        {environment(func(e *schema.Environment) { e.CPU.Model = "z" }), "cpu model was m and is z"},
		"CPU features":   {environment(func(e *schema.Environment) { e.CPU.Features = nil }), "cpu features is avx2 in the original only"},
		"the kernel":     {environment(func(e *schema.Environment) { e.OS.Kernel = "6.2" }), "kernel was 6.1 and is 6.2"},
		"the system":     {environment(func(e *schema.Environment) { e.OS.Version = "13" }), `os was "debian 12" and is "debian 13"`},
		"threads":        {environment(func(e *schema.Environment) { e.Variables = map[string]schema.Text{"OMP_NUM_THREADS": "8"} }), "variable OMP_NUM_THREADS was 4 and is 8"},
		"a package":      {environment(func(e *schema.Environment) { e.Interpreter.Packages = packagesB.ref() }), "packages: 1 package differs: python numpy 1.26.4 → 2.0.0"},
		"the program":    {environment(func(e *schema.Environment) { e.Interpreter.Version = "3.12.0" }), "interpreter version was 3.11.2 and is 3.12.0"},
		"the node":       {environment(func(e *schema.Environment) { e.Node = "other" }), "; same inputs, different outputs: not deterministic, or it depends on what is not recorded: the time"},
		"nothing":        {and(), "; same inputs, different outputs: not deterministic, or it depends on what is not recorded: the time"},
		"existed before": {func(o, _ *schema.Run) { o.Outputs[0].Reasons = []schema.Reason{{Code: "existed-before", Text: "x"}} }, "not deterministic, or it depends on what is not recorded: the time, random numbers without a seed, the network, a file that is no declared data set; or else output model existed before the original ran, which may have read it"},
		"stdin": {func(o, _ *schema.Run) {
			o.Reasons = []schema.Reason{{Code: "stdin-unrecorded", Text: "the command reads a file"}}
		}, "of the original it is known that the command reads a file"},
		"withheld": {func(o, n *schema.Run) {
			o.Withheld = []schema.Withheld{{What: "argument", Name: "key"}}
			o.Fingerprint = ""
		}, "this is not proved equal: run: the argument key of the original was withheld"},
		"not proved": {func(o, n *schema.Run) {
			o.Fingerprint, n.Fingerprint = "", ""
			o.Datasets, n.Datasets = nil, nil
			o.Code[0].Tree, n.Code[0].Tree = "", ""
		}, "whether the files are the same cannot be told: the tree of either run is not known"},
		"a claimed image": {func(o, n *schema.Run) {
			o.Images = []schema.ImagePin{{Name: "i", ConfigDigest: digestA, Use: schema.Claimed}}
			n.Images = o.Images
		}, "image:i: it is equal as claimed"},
		"another launcher": {func(_, n *schema.Run) { n.Launcher = "podman" }, "run: launcher was local and is podman"},
	} {
		t.Run(name, func(t *testing.T) {
			old, new := pairOfRuns()
			otherContent(&old, &new)
			c.change(&old, &new)
			v, err := JudgeWith(t.Context(), old, new, Tolerances{}, Evidence{Blobs: blobs{packagesA, packagesB}})
			if err != nil || v.Result != schema.Differs || !strings.HasPrefix(v.Cause, "output model: its content differs; ") || !strings.Contains(v.Cause, c.cause) {
				t.Fatalf("%s: %q, want %q (%v)", v.Result, v.Cause, c.cause, err)
			}
			if !strings.Contains(v.Cause, "not deterministic") && !strings.Contains(v.Cause, "known that") && name != "in an image" && name != "not proved" && len(v.Suspects) == 0 {
				t.Error("there are no suspects")
			}
		})
	}
}

func TestSuspectsAreBounded(t *testing.T) {
	old, new := pairOfRuns()
	otherContent(&old, &new)
	new.Params = map[string]schema.Text{}
	for i := range 100 {
		new.Params[strings.Repeat("p", i+1)] = schema.Text(strings.Repeat("\xff", 10_000))
	}
	v := Judge(old, new, Tolerances{})
	b, err := schema.Canonical(v)
	if err != nil || len(v.Suspects) != maxSuspects || v.More != 101-maxSuspects || len(b) > 100_000 {
		t.Errorf("%d suspects, %d more, %d bytes, %v", len(v.Suspects), v.More, len(b), err)
	}
}

func TestManyMetrics(t *testing.T) {
	old, new := pairOfRuns()
	old.Metrics, new.Metrics = map[string]schema.Text{}, map[string]schema.Text{}
	for i := range 2 * maxMetrics {
		name := "m" + strconv.Itoa(i)
		old.Metrics[name], new.Metrics[name] = "1", schema.Text(strconv.Itoa(1+i%2))
	}
	new.Metrics["m0"] = "2"
	v := Judge(old, new, Tolerances{})
	if len(v.Metrics) != maxMetrics || v.Unlisted != maxMetrics || v.Metrics[0].Result != schema.Differs || !strings.HasPrefix(v.Cause, "metric m0: 2 instead of 1 (and 5000 more)") {
		t.Errorf("%d listed, %d not: %s", len(v.Metrics), v.Unlisted, v.Cause)
	}
}

func TestJudgeInterrupted(t *testing.T) {
	old, new := pairOfRuns()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := JudgeWith(ctx, old, new, Tolerances{}, Evidence{}); schema.KindOf(err) != schema.Interrupted {
		t.Errorf("%v", err)
	}
}

// TestJudgeProperties: a run is never different from itself, and two runs are as different one way round as the other, whatever they hold.
func TestJudgeProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	random := func() schema.Run {
		code := rng.IntN(2)
		r := schema.Run{ID: schema.NewRunID(time.Now()), Status: []schema.Status{schema.Running, schema.Lost, schema.Failed, schema.Succeeded}[min(rng.IntN(20), 3)], ExitCode: &code}
		r.Tolerances = map[string]schema.Text{"loss": "0.001"} // the same for all: what a run says counts first for its own reruns
		r.DeclaredOutputs = []schema.Output{{Name: "a", Compare: "ignore"}, {Name: "b", Compare: "exact"}, {Name: "c"}, {Name: "d", Compare: "tolerance"}}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			if rng.IntN(4) > 0 {
				r.Outputs = append(r.Outputs, schema.Output{Name: name, FileDigest: schema.Digest(pick(string(digestA), string(digestA), string(digestA), string(digestA), string(digestB), "")), Missing: rng.IntN(12) == 0, Stale: rng.IntN(12) == 0})
			}
		}
		if rng.IntN(2) == 0 {
			r.Metrics = map[string]schema.Text{"loss": schema.Text(pick("1", "1.0", "1.0005", "2", "NaN", "x")), pick("f1", "acc"): "1"}
		}
		if rng.IntN(12) == 0 {
			r.Drift = []schema.Drifted{{Pin: "dataset:x"}}
		}
		return r
	}
	results := map[schema.Result]int{}
	for range 2000 {
		a, b := random(), random()
		if rng.IntN(2) == 0 {
			b.Status, b.ExitCode, b.Drift = a.Status, a.ExitCode, nil
			b.Outputs = append([]schema.Output{}, a.Outputs...)
			b.Metrics, a.Metrics = map[string]schema.Text{"loss": schema.Text(pick("1", "1.0", "1.0005"))}, map[string]schema.Text{"loss": "1.0"}
		}
		if v := Judge(a, a, Tolerances{}); v.Result != schema.Identical && v.Result != schema.CannotBeCompared {
			t.Fatalf("a run is %s to itself: %+v", v.Result, v)
		}
		v, back := Judge(a, b, Tolerances{}), Judge(b, a, Tolerances{})
		if v.Result != back.Result {
			t.Fatalf("%s one way, %s the other:\n%+v\n%+v", v.Result, back.Result, v, back)
		}
		results[v.Result]++
	}
	if len(results) != 4 {
		t.Errorf("not every result came up: %v", results)
	}
}

func TestTolerancesCheck(t *testing.T) {
	old, new := pairOfRuns()
	metrics("1", "1")(&old, &new)
	zero := Tolerance{}
	for name, c := range map[string]struct {
		given Tolerances
		kinds int
		hint  string
	}{
		"known":   {Tolerances{Metrics: map[string]Tolerance{"loss": zero}, Outputs: map[string]schema.CompareRule{"model": {}}}, 0, ""},
		"unknown": {Tolerances{Metrics: map[string]Tolerance{"los": zero}, Outputs: map[string]schema.CompareRule{"modl": {}}}, 2, "metrics: loss"},
	} {
		err := c.given.Check(old, new)
		if kinds := schema.Kinds(err); len(kinds) != c.kinds || c.hint != "" && schema.HintOf(schema.Failures(err)[0]) != c.hint {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A rerun's plan holds how it is to be compared: what the original said, and what the user says now over it.
func TestExecuteCarriesTolerances(t *testing.T) {
	w, r := newWorld()
	run := original()
	run.Metrics = map[string]schema.Text{"loss": "1", "acc": "1"}
	run.Tolerances = map[string]schema.Text{"loss": "0.1", "acc": "0.2"}
	run.DeclaredOutputs[0].Compare = "ignore"
	half, err := ParseTolerance("0.5")
	if err != nil {
		t.Fatal(err)
	}
	given := Tolerances{Metrics: map[string]Tolerance{"loss": half}, Outputs: map[string]schema.CompareRule{"model": {Mode: "exact"}}}
	if _, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again"), Tolerances: given}); err != nil {
		t.Fatal(err)
	}
	if p := w.prepared; p.Tolerances["loss"] != "0.5" || p.Tolerances["acc"] != "0.2" || p.Outputs[0].Compare != "exact" {
		t.Errorf("%v, %+v", p.Tolerances, p.Outputs)
	}
	if run.Tolerances["loss"] != "0.1" || run.DeclaredOutputs[0].Compare != "ignore" {
		t.Error("the original was changed")
	}
	given.Metrics["lost"] = half
	if _, err := r.Execute(t.Context(), Request{Run: run, Dir: filepath.Join(t.TempDir(), "again"), Tolerances: given}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("an unknown metric: %v", err)
	}
}

// TestMetricsSpeakForContentAlone: an output that is there in another shape is another result, whatever the metrics say.
func TestMetricsSpeakForContentAlone(t *testing.T) {
	zero := 0
	base := func(o schema.Output) schema.Run {
		o.Name = "o"
		r := schema.Run{ID: schema.NewRunID(time.Now()), Status: schema.Succeeded, ExitCode: &zero, Outputs: []schema.Output{o}, Metrics: map[string]schema.Text{"loss": "0.5"}}
		r.Tolerances = map[string]schema.Text{"loss": "1e-3"}
		return r
	}
	file := func(d schema.Digest) schema.Output { return schema.Output{FileDigest: d, ContentDigest: d, Files: 1} }
	dir := func(d schema.Digest, files int64) schema.Output {
		return schema.Output{ContentDigest: d, Directory: true, Files: files}
	}
	for name, c := range map[string]struct {
		old, new schema.Output
		want     schema.Result
	}{
		"content of a file":      {file(digestA), file(digestB), schema.Equivalent},
		"content of a directory": {dir(digestA, 2), dir(digestB, 2), schema.Equivalent},
		"an empty directory":     {dir(digestA, 2), dir(digestB, 0), schema.Differs},
		"another kind":           {dir(digestA, 1), file(digestB), schema.Differs},
	} {
		if v := Judge(base(c.old), base(c.new), Tolerances{}); v.Result != c.want {
			t.Errorf("%s: %s: %s", name, v.Result, v.Cause)
		}
	}
}
