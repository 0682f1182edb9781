package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func compared(t testing.TB, a, b Run, blobs BlobSource) Comparison {
	t.Helper()
	c, err := Compare(a, b, blobs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Canonical(c); err != nil {
		t.Fatalf("a comparison that cannot be printed: %v", err)
	}
	if c.Summary == "" || c.Schema != ComparisonV1 || c.Differences == nil {
		t.Errorf("incomplete: %+v", c)
	}
	for _, d := range c.Differences {
		if d.Text == "" || d.Subject == "" || d.Field == "" || d.Class == "" {
			t.Errorf("incomplete: %+v", d)
		}
	}
	return c
}

func lines(c Comparison) string {
	var b strings.Builder
	for _, d := range c.Differences {
		mark := ""
		if d.Input {
			mark = " input"
		}
		if d.Unproven {
			mark += " unproven"
		}
		fmt.Fprintf(&b, "%s%s | %s\n", d.Class, mark, d.Text)
	}
	return b.String()
}

func TestCompareSame(t *testing.T) {
	r := comparableFixture(t)
	r.Datasets[1].Use = Observed
	c := compared(t, r, cloneRun(t, r), nil)
	if len(c.Differences) != 0 || !c.SameInputs || c.Summary != "The inputs are the same, and so are the results." {
		t.Errorf("%s%s", lines(c), c.Summary)
	}
}

// Each change of one thing gives the differences of that thing, and the summary names it.
func TestCompareOne(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*Run)
		want    string // of all differences, one a line
		summary string // part of it
	}{
		"image": {func(r *Run) {
			r.Images[0].ConfigDigest, r.Images[0].IndexDigest, r.Images[0].PlatformDigest, r.Images[0].Ref, r.Images[0].Tag = fixedDigest("a"), fixedDigest("b"), fixedDigest("c"), "registry.example/team/trainer:1.5", "1.5"
		}, `must input | image:image: another image: registry.example/team/trainer:1.4 was sha256:333333333333 and registry.example/team/trainer:1.5 is sha256:aaaaaaaaaaaa
must | image:image: index digest was ` + string(fixedDigest("1")) + ` and is ` + string(fixedDigest("b")) + `
must | image:image: platform digest was ` + string(fixedDigest("2")) + ` and is ` + string(fixedDigest("c")) + `
noise | image:image: ref was registry.example/team/trainer:1.4 and is registry.example/team/trainer:1.5
noise | image:image: tag was 1.4 and is 1.5
`, "although image:image: another image"},
		"image pushed anew": {func(r *Run) { r.Images[0].PlatformDigest = fixedDigest("c") },
			"noise | image:image: platform digest was " + string(fixedDigest("2")) + " and is " + string(fixedDigest("c")) + "\n", "The inputs are the same, and so are the results"},
		"image platform": {func(r *Run) { r.Images[0].Platform = "linux/arm64" }, "must | image:image: platform was linux/amd64 and is linux/arm64\n", "although image:image: platform"},
		"image labels": {func(r *Run) { r.Images[0].Labels = map[string]string{"a": "b"} },
			"noise | image:image: 2 labels differ: a was added, org.opencontainers.image.revision was removed\n", ""},
		"image unknown": {func(r *Run) {
			r.Images[0] = ImagePin{Name: "image", Ref: "x", FileDigest: fixedDigest("9"), Use: Enforced}
		}, "must unproven | image:image: whether it is the same image cannot be told", ""},
		"image claimed": {func(r *Run) { r.Images[0].Use = Claimed }, "likely unproven | image:image: it is equal as claimed; nothing saw that the second run used it\n", ""},
		"no image":      {func(r *Run) { r.Images = nil }, "must input | image:image: only the first run has it: registry.example/team/trainer:1.4\n", ""},
		"image name":    {func(r *Run) { r.Images[0].Name = "other" }, "noise input | image:image: name was image and is other\n", ""},
		"code": {func(r *Run) { r.Code[0].Tree, r.Code[0].Commit = fixedObject("1"), fixedObject("2") },
			"must input | code:code: the files differ: commit aaaaaaaaaaaa of main with changes to 3 files and commit 222222222222 of main with changes to 3 files\n" +
				"must | code:code: commit was " + string(fixedObject("a")) + " and is " + string(fixedObject("2")) + "\n", "code:code: the files differ"},
		"code rebased": {func(r *Run) { r.Code[0].Commit = fixedObject("2") }, "noise | code:code: commit was " + string(fixedObject("a")) + " and is " + string(fixedObject("2")) + "\n", "The inputs are the same"},
		"code unknown": {func(r *Run) { r.Code[0].Tree = "" }, "must unproven | code:code: whether the files are the same cannot be told: the tree of the second run is not known\n", ""},
		"code kind":    {func(r *Run) { r.Code[0].Kind = CodeScript }, "must input | code:code: kind was git and is script\n", ""},
		"lfs":          {func(r *Run) { r.Code[0].LFS[0].PointerOnly = true }, "must input | code:code: 1 LFS object differs: weights/base.bin changed\n", ""},
		"submodule":    {func(r *Run) { r.Code[0].Submodules[0].Tree = fixedObject("1") }, "must input | code:code: 1 submodule differs: lib/aug changed\n", ""},
		"script":       {func(r *Run) { r.Code[1].Script.Blob.Digest = fixedDigest("f") }, "must input | code:prep: script was " + string(fixedDigest("6")) + " and is " + string(fixedDigest("f")) + "\n", ""},
		"dataset": {func(r *Run) { r.Datasets[0].ContentDigest, r.Datasets[0].Files = fixedDigest("f"), 4 },
			"must input | dataset:train: the data differ: ./data had 4.0 KiB in 3 files and ./data has 4.0 KiB in 4 files\n", "dataset:train: the data differ"},
		"dataset sidecar": {func(r *Run) { r.Datasets[0].SidecarDigest = "" }, "must input | dataset:train: the files are the same; links to directories, empty directories or executable bits differ\n", ""},
		"dataset moved":   {func(r *Run) { r.Datasets[0].URI = "/mnt/data" }, "noise | dataset:train: uri was ./data and is /mnt/data\n", "The inputs are the same"},
		"dataset version": {func(r *Run) { r.Datasets[1].VersionID = "models/base.pt@xyz" }, "must input | dataset:base: version id was models/base.pt@abc and is models/base.pt@xyz\n", ""},
		"dataset declared": {func(r *Run) { r.Datasets[1].Strength = StrengthDeclared },
			"likely unproven | dataset:base: it is equal as declared (declared); its content was not compared\nnoise input | dataset:base: strength was immutable-id and is declared\n", ""},
		"dataset etag content": {func(r *Run) { r.Datasets[0].Strength = StrengthETag },
			"likely unproven | dataset:train: it is equal as declared (etag); its content was not compared\nnoise input | dataset:train: strength was content and is etag\n", ""},
		"dataset of another kind of version": {func(r *Run) { r.Datasets[0].ContentDigest, r.Datasets[0].VersionKind = "", "etag" },
			"must input unproven | dataset:train: whether the data are the same cannot be told: their versions are not of the same kind\n", ""},
		"a dataset more": {func(r *Run) { r.Datasets = append(r.Datasets, DatasetPin{Name: "zz", URI: "z"}) }, "must input | dataset:zz: only the second run has it: z\n", ""},
		"role":           {func(r *Run) { r.Datasets[1].Role = RoleCheckpoint }, "likely input | dataset:base: role was model and is checkpoint\n", ""},
		"job":            {func(r *Run) { r.Job.TemplateDigest = fixedDigest("f") }, "must input | job: the specs differ in more than the references they name\n", ""},
		"job withheld":   {func(r *Run) { r.Job.TemplateDigest = "" }, "must unproven | job: whether the specs are the same cannot be told: that of the second run was withheld\n", ""},
		"no job":         {func(r *Run) { r.Job = nil }, "must input | job: only the first run has it: train.yaml\n", ""},
		"command":        {func(r *Run) { r.CommandTemplate[1] = "eval.py" }, "must input | command: 1 argument differs: argument 1 train.py → eval.py\n", "argument 1 train.py → eval.py"},
		"command longer": {func(r *Run) { r.CommandTemplate = []Text{"sh", "-c", "a b", ""} }, "must input | command: command was ", ""},
		"command elsewhere": {func(r *Run) { r.Command[3] = "/mnt/data" },
			"noise | command: as started was \"python train.py --data ./data --lr 0.1 --tag caf\\xe9\" and is \"python train.py --data /mnt/data --lr 0.1 --tag caf\\xe9\"\n", "The inputs are the same"},
		"workdir":  {func(r *Run) { r.WorkDir.Rel = "sub" }, "must input | workdir: rel is sub in the second run only\n", ""},
		"param":    {func(r *Run) { r.Params["lr"] = "0.2" }, "must input | params: lr was 0.1 and is 0.2\n", "params: lr was 0.1 and is 0.2"},
		"a number": {func(r *Run) { r.Params["lr"] = "1e-1" }, "noise input | params: lr was 0.1 and is 1e-1: the same number, written differently\n", ""},
		"variable": {func(r *Run) { r.Variables = nil }, "must input | variables: only the first run has PYTHONHASHSEED: 0\n", ""},
		"gpu": {func(r *Run) { r.Environments[0].GPUs[0].Model = "NVIDIA A100" }, "must | environment: gpu model was \"NVIDIA H100 80GB HBM3\" and is \"NVIDIA A100\"\n",
			"although environment: gpu model"},
		"driver":         {func(r *Run) { r.Environments[0].GPUDriver = "550.99" }, "likely | environment: gpu driver was 550.90.07 and is 550.99\n", ""},
		"driver new":     {func(r *Run) { r.Environments[0].GPUDriver = "560.1" }, "must | environment: gpu driver major was 550 and is 560\nlikely | environment: gpu driver was 550.90.07 and is 560.1\n", ""},
		"kernel":         {func(r *Run) { r.Environments[0].OS.Kernel = "6.2" }, "likely | environment: kernel was 6.1.0-25-amd64 and is 6.2\n", ""},
		"node":           {func(r *Run) { r.Environments[0].Node = "node-9" }, "noise | environment: node was node-1 and is node-9\n", "The inputs are the same"},
		"threads":        {func(r *Run) { r.Environments[0].Variables["OMP_NUM_THREADS"] = "4" }, "must | environment: variable OMP_NUM_THREADS was 8 and is 4\n", ""},
		"a fact":         {func(r *Run) { r.Environments[0].Facts["glibc"] = "2.40" }, "likely | environment: glibc was 2.36 and is 2.40\n", ""},
		"lock file":      {func(r *Run) { r.Environments[0].LockFiles[0].Digest = fixedDigest("f") }, "likely | environment: 1 lock file differs: uv.lock changed\n", ""},
		"packages":       {func(r *Run) { r.Environments[0].Interpreter.Packages.Digest = fixedDigest("f") }, "likely | packages: the installed packages differ (2 and 2)\n", ""},
		"ranks":          {func(r *Run) { r.Environments[0].Ranks = []int{0} }, "must | environment: ranks was 2 and is 1\n", ""},
		"no environment": {func(r *Run) { r.Environments = nil }, "likely unproven | environment: what the second run ran on is not known\n", ""},
		"launcher":       {func(r *Run) { r.Launcher = "local" }, "likely | run: launcher was podman and is local\n", ""},
		"gpus given":     {func(r *Run) { r.GPUs = "all" }, "likely | run: gpus is all in the second run only\n", ""},
		"withheld":       {func(r *Run) { r.Withheld = []Withheld{{What: "argument", Name: "key"}} }, "likely unproven | run: the argument key of the second run was withheld and cannot be compared\n", ""},
		"drift": {func(r *Run) { r.Drift = []Drifted{{Pin: "dataset:train", Text: "a file changed"}} },
			"must unproven | dataset:train: in the second run it was not what it was pinned to: a file changed\n", "although dataset:train: in the second run"},
		"output": {func(r *Run) { r.Outputs[0].FileDigest = fixedDigest("f") }, "outcome | outputs: model was " + string(fixedDigest("c")) + " and is " + string(fixedDigest("f")) + "\n",
			"nothing recorded explains the different results"},
		"output missing": {func(r *Run) { r.Outputs[0].Missing = true }, "outcome | outputs: model was " + string(fixedDigest("c")) + " and is missing\n", ""},
		"metric":         {func(r *Run) { r.Metrics["loss"] = "0.2" }, "outcome | metrics: loss was 0.25 and is 0.2 (-0.05 (-20%))\n", "nothing recorded explains"},
		"metric written": {func(r *Run) { r.Metrics["loss"] = "2.5e-1" }, "", "and so are the results"},
		"metric NaN":     {func(r *Run) { r.Metrics["loss"] = "NaN" }, "outcome | metrics: loss was 0.25 and is NaN\n", ""},
		"metric gone":    {func(r *Run) { delete(r.Metrics, "loss") }, "outcome | metrics: loss is 0.25 in the first run only\n", ""},
		"status":         {func(r *Run) { r.Status, r.ExitCode = Failed, ptr(1) }, "outcome | run: status was succeeded and is failed\noutcome | run: exit code was 0 and is 1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := comparableFixture(t)
			a.Datasets[1].Use = Observed
			a.Drift, a.Fingerprint = nil, ""
			b := cloneRun(t, a)
			test.change(&b)
			c := compared(t, a, b, nil)
			if got := lines(c); got != test.want && (test.want == "" || strings.HasSuffix(test.want, "\n") || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
			if !strings.Contains(c.Summary, test.summary) {
				t.Errorf("summary: %s", c.Summary)
			}
			if back := compared(t, b, a, nil); len(back.Differences) != len(c.Differences) || back.SameInputs != c.SameInputs {
				t.Errorf("the other way round there are %d differences, not %d", len(back.Differences), len(c.Differences))
			}
		})
	}
}

// The comparison and the fingerprint agree on what an input is, for every field of a run.
func TestCompareAgreesWithFingerprint(t *testing.T) {
	original := comparableFixture(t)
	original.Fingerprint, original.Drift = "", nil
	want, _ := original.Fingerprinted()
	for i, l := range leaves(reflect.ValueOf(ptr(cloneRun(t, original))).Elem(), "") {
		if strings.HasPrefix(l.path, "Fingerprint") || fieldClasses[l.path] && strings.HasSuffix(l.path, "[]") {
			continue // two pins of one name are refused anyway
		}
		r := cloneRun(t, original)
		leaves(reflect.ValueOf(&r).Elem(), "")[i].change()
		got, _ := r.Fingerprinted()
		c := compared(t, original, r, nil)
		input := slices.ContainsFunc(c.Differences, func(d Difference) bool { return d.Input })
		unproven := slices.ContainsFunc(c.Differences, func(d Difference) bool { return d.Unproven && d.Subject != "dataset:base" })
		switch {
		case got == want && (!c.SameInputs || input):
			t.Errorf("%s: the fingerprint is the same, the comparison says otherwise:\n%s", l.path, lines(c))
		case got != "" && got != want && (c.SameInputs || !input):
			t.Errorf("%s: the fingerprint differs, the comparison does not say why:\n%s", l.path, lines(c))
		case got == "" && (c.SameInputs || !input && !unproven):
			t.Errorf("%s: there is no fingerprint, the comparison does not say why:\n%s", l.path, lines(c))
		case got == "" && len(c.Reasons) == 0:
			t.Errorf("%s: there is no fingerprint and no reason", l.path)
		}
	}
}

// The most consequential difference comes first, and suspects stand between what is known to matter and what may.
func TestCompareOrder(t *testing.T) {
	a := comparableFixture(t)
	a.Fingerprint, a.Drift = "", nil
	b := cloneRun(t, a)
	b.Metrics["loss"] = "9"
	b.User = "bob"
	b.Environments[0].OS.Kernel = "6.2"
	b.Environments[0].CPU.Features = nil
	b.Params["lr"] = "9"
	b.Datasets[0].ContentDigest = fixedDigest("f")
	b.Code[0].Tree = fixedObject("f")
	b.Images[0].ConfigDigest = fixedDigest("f")
	b.Datasets[1].Strength = StrengthDeclared
	var got []string
	for _, d := range compared(t, a, b, nil).Differences {
		got = append(got, d.Subject+"."+d.Field)
	}
	want := strings.Fields(`image:image.config_digest code:code.tree dataset:train.content_digest params.lr environment.cpu_features dataset:base.strength environment.kernel
		dataset:base.strength run.user metrics.loss`)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestCompareSealed(t *testing.T) {
	a := comparableFixture(t)
	a.Fingerprint = Fingerprint("fp1:" + strings.Repeat("a", 64))
	b := cloneRun(t, a)
	b.Images[0].ConfigDigest = "" // forgotten since; the seal stands
	if !compared(t, a, b, nil).SameInputs {
		t.Error("the fingerprint that was fixed when the runs were sealed does not count")
	}
	b.Drift = []Drifted{{Pin: "image:image", Text: "x"}}
	if compared(t, a, b, nil).SameInputs {
		t.Error("inputs that drifted count as the same")
	}
	if c := compared(t, Run{}, Run{}, nil); len(c.Differences) != 0 {
		t.Errorf("two empty runs: %s", lines(c))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := CompareContext(ctx, a, b, nil); KindOf(err) != Interrupted {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDelta(t *testing.T) {
	for _, test := range []struct {
		a, b Text
		want string
	}{
		{"1", "2", "+1 (+100%)"}, {"0.1", "0.3", "+0.2 (+200%)"}, {"0", "5", "+5"}, {"-1", "-2", "-1 (-100%)"}, {"9007199254740993", "9007199254740992", "-1 (-1.11e-14%)"},
		{"1e-3", "0.002", "+0.001 (+100%)"}, {"NaN", "1", ""}, {"1", "+Inf", ""}, {"x", "1", ""}, {"", "1", ""}, {"1e999999999", "1", ""}, {"1e-999999999", "1", ""}, {"0x10", "1", ""}, {"1_0", "1", ""}, {"1/3", "1", ""},
	} {
		if got := Delta(test.a, test.b); got != test.want {
			t.Errorf("%s → %s: %q, want %q", test.a, test.b, got, test.want)
		}
	}
	if !sameNumber("1e-3", "0.0010") || sameNumber("NaN", "NaN") || sameNumber("9007199254740993", "9007199254740992") {
		t.Error("numbers are not compared exactly")
	}
}

func TestEnvironmentIdentity(t *testing.T) {
	a := fixtureEnvironment()
	b := a
	b.ID, b.Node, b.Ranks, b.GPUs = "", "other", []int{7}, []GPU{a.GPUs[0]}
	b.GPUs[0].UUID, b.GPUs[0].PCI = "GPU-2", "x"
	id, err := b.Identity()
	if err != nil || id != a.ID {
		t.Errorf("%s, %v, want %s", id, err, a.ID)
	}
	if a.GPUs[0].UUID == "" {
		t.Error("asking for the identity changed the environment")
	}
	b.CUDA = "12.5"
	if other, _ := b.Identity(); other == id {
		t.Error("another CUDA, the same environment")
	}
	blob, _ := Canonical(a)
	if !json.Valid(blob) {
		t.Error("not JSON")
	}
}
