package schema

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestGoldenFingerprints(t *testing.T) {
	for name, r := range map[string]Run{
		"full":    comparableFixture(t),
		"minimal": {Plan: Plan{Command: []Text{"python", "train.py"}}},
		"host": {Plan: Plan{
			Code:            []CodePin{{Name: "code", Kind: CodeGit, Tree: fixedObject("c")}},
			Datasets:        []DatasetPin{{Name: "data", Role: RoleData, Strength: StrengthContent, ContentDigest: fixedDigest("7"), DigestKind: DirHash, Directory: true}},
			Command:         []Text{"python3", "train.py", "--data", "/mnt/digits", "--lr=0.1"},
			CommandTemplate: []Text{"python3", "train.py", "--data", "{data}", "--lr={lr}"},
			Params:          map[string]Text{"lr": "0.1"}, Variables: map[string]Text{"PYTHONHASHSEED": "0"},
		}},
	} {
		in, missing := r.FingerprintInput()
		if len(missing) > 0 {
			t.Fatalf("%s: %v", name, missing)
		}
		b, err := Canonical(in)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "fingerprint-"+name+".json", b)
		fp, _ := r.Fingerprinted()
		golden(t, "fingerprint-"+name+".txt", []byte(fp))
	}
}

// TestFingerprintIndependently computes the golden fingerprints from the kept bytes with nothing of this package.
func TestFingerprintIndependently(t *testing.T) {
	for _, name := range []string{"full", "minimal", "host"} {
		in, err := os.ReadFile("testdata/fingerprint-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/fingerprint-" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("fp1:%x", sha256.Sum256(in)); got != string(want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// fieldClasses says of every field of a run whether it is an input of the result. A new field fails TestFingerprintFields until it stands
// here: putting one into the fingerprint is a new rule (fp2), leaving one out is a decision. A path ends where all below it is one class.
var fieldClasses = func() map[string]bool {
	classes := map[string]bool{}
	for _, path := range strings.Fields(`
		Images[] Code[] Datasets[] Code.LFS[] Code.Submodules[] Images.Name Images.ConfigDigest Images.FileDigest
		Code.Name Code.Kind Code.Tree Code.Script.Blob.Digest Code.LFS.Path Code.LFS.OID Code.LFS.PointerOnly Code.Submodules.Path Code.Submodules.Tree
		Datasets.Name Datasets.Role Datasets.ContentDigest Datasets.DigestKind Datasets.SidecarDigest Datasets.Directory Datasets.Strength
		Datasets.Scheme Datasets.VersionKind Datasets.VersionID Datasets.Include Datasets.Exclude
		Job.Format Job.TemplateDigest CommandTemplate WorkDir.Rel Params Variables Withheld Drift.Pin`) {
		classes[path] = true
	}
	for _, path := range strings.Fields(`
		Schema ID Status Labels Notes Name Project Parent RerunOf Created User SubmittedFrom
		Images.Ref Images.Repository Images.Tag Images.IndexDigest Images.PlatformDigest Images.Platform Images.MediaType Images.Labels Images.Local Images.Engine Images.Where
		Images.Use Images.Origin Images.Reasons
		Code.Ref Code.Root Code.Remote Code.Remotes Code.Commit Code.CommitTree Code.RefName Code.Detached Code.Shallow Code.Sparse Code.Dirty Code.Changes Code.Summary
		Code.LFS.Bytes Code.Submodules.URL Code.Submodules.Commit Code.Submodules.Changes Code.Submodules.Bundle Code.OnRemote Code.Bundle
		Code.Script.Path Code.Script.Mode Code.Script.Blob.Kind Code.Script.Blob.Bytes Code.Excluded Code.Judge Code.Use Code.Origin Code.Reasons
		Datasets.URI Datasets.Path Datasets.ImmutableURI Datasets.FileDigest Datasets.Bytes Datasets.Files Datasets.Manifest Datasets.Sidecar
		Datasets.Use Datasets.Origin Datasets.Reasons
		Job.Path Job.Blob Job.Pinned Job.Fields Command Launcher LaunchPlace GPUs WorkDir.Typed WorkDir.Base WorkDir.Located DeclaredOutputs MetricsFile Tolerances Relaxed Reasons Recorder
		Started Finished ExitCode Signal Why Environments Attempts Observations Launched Drift.Expected Drift.Found Drift.Text Drift.At
		Outputs Metrics Fingerprint Verdict Keeps Releases Erased Lease RankLeases`) {
		classes[path] = false
	}
	return classes
}()

// leaf is one value of a run that can be changed: path is made of field names, change sets it to something else.
type leaf struct {
	path   string
	change func()
}

// leaves lists every value below v. Nothing is passed over: a nil pointer is filled and an empty list gets an element, so that fields below them count too.
func leaves(v reflect.Value, path string) []leaf {
	join := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch {
	case v.Type() == reflect.TypeFor[Time]():
		return []leaf{{path, func() { v.Set(reflect.ValueOf(fixedTime(987654))) }}}
	case v.Kind() == reflect.Struct:
		var all []leaf
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case f.Tag.Get("json") == "-":
			case f.Anonymous:
				all = append(all, leaves(v.Field(i), path)...)
			default:
				all = append(all, leaves(v.Field(i), join(f.Name))...)
			}
		}
		return all
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			below := leaves(fresh.Elem(), path)
			for i := range below {
				change := below[i].change
				below[i].change = func() { v.Set(fresh); change() }
			}
			return below
		}
		return leaves(v.Elem(), path)
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 {
			fresh := reflect.MakeSlice(v.Type(), 1, 1)
			below := leaves(fresh.Index(0), path)
			for i := range below {
				change := below[i].change
				below[i].change = func() { v.Set(fresh); change() }
			}
			return below
		}
		var all []leaf
		for i := range v.Len() {
			all = append(all, leaves(v.Index(i), path)...)
		}
		return append(all, leaf{path + "[]", func() { v.Set(reflect.AppendSlice(v, v.Slice(0, 1))) }})
	case v.Kind() == reflect.Map:
		return []leaf{{path, func() {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf("mutant"), reflect.ValueOf("mutant").Convert(v.Type().Elem()))
		}}}
	case v.Kind() == reflect.Bool:
		return []leaf{{path, func() { v.SetBool(!v.Bool()) }}}
	case v.Kind() == reflect.Int, v.Kind() == reflect.Int64:
		return []leaf{{path, func() { v.SetInt(v.Int() + 1) }}}
	case v.Kind() == reflect.String:
		return []leaf{{path, func() { v.SetString(mutant(v)) }}}
	}
	panic(path)
}

// mutant gives another well-formed value of a string's type.
func mutant(v reflect.Value) string {
	switch v.Interface().(type) {
	case Digest:
		return string(fixedDigest("f"))
	case ObjectID:
		return string(fixedObject("f"))
	case Role:
		return string(RoleCheckpoint)
	case Strength:
		return string(StrengthETag)
	case Fingerprint:
		return "fp1:" + strings.Repeat("f", 64)
	}
	return "mutant" + v.String()
}

// classOf finds the entry of fieldClasses that covers a path.
func classOf(path string) (entry string, input, ok bool) {
	if input, ok = fieldClasses[path]; ok {
		return path, input, true
	}
	for entry = strings.TrimSuffix(path, "[]"); entry != ""; {
		if input, ok = fieldClasses[entry]; ok {
			return entry, input, true
		}
		cut := strings.LastIndexByte(entry, '.')
		if cut < 0 {
			break
		}
		entry = entry[:cut]
	}
	return "", false, false
}

func cloneRun(t testing.TB, r Run) Run {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var c Run
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFingerprintFields changes every field of a run, one at a time: the fingerprint changes, or is no longer given, exactly for the inputs.
func TestFingerprintFields(t *testing.T) {
	original := comparableFixture(t)
	original.Drift = nil // one of an output would hide that one of an input counts
	want, missing := original.Fingerprinted()
	if want == "" {
		t.Fatal(missing)
	}
	changes, covered := map[string]bool{}, map[string]bool{}
	for i := range leaves(reflect.ValueOf(ptr(cloneRun(t, original))).Elem(), "") {
		r := cloneRun(t, original)
		l := leaves(reflect.ValueOf(&r).Elem(), "")[i]
		entry, input, ok := classOf(l.path)
		if !ok {
			t.Errorf("%s is neither an input nor not an input: decide, and list it in fieldClasses", l.path)
			continue
		}
		covered[entry] = true
		l.change()
		if strings.HasPrefix(l.path, "Drift.") && l.path != "Drift.Pin" {
			r.Drift[0].Pin = "output:model"
		} else if l.path == "Drift.Pin" {
			r.Drift[0].Pin = "dataset:train"
		}
		got, _ := r.Fingerprinted()
		if got != want {
			changes[entry] = true
			if !input {
				t.Errorf("%s is not an input, but the fingerprint changed with it", l.path)
			}
		}
	}
	for entry, input := range fieldClasses {
		if !covered[entry] {
			t.Errorf("%s is listed but no such field exists", entry)
		} else if input && !changes[entry] {
			t.Errorf("%s is an input, but the fingerprint did not change with it", entry)
		}
	}
}

func TestFingerprintOrder(t *testing.T) {
	r := comparableFixture(t)
	want, _ := r.Fingerprinted()
	r.Images = append(r.Images, ImagePin{Name: "aside", ConfigDigest: fixedDigest("9")})
	r.Code[0].LFS = append(r.Code[0].LFS, LFSObject{Path: "a.bin", OID: fixedDigest("9")})
	r.Code[0].Submodules = append(r.Code[0].Submodules, Submodule{Path: "a", Commit: fixedObject("2"), Tree: fixedObject("1")})
	other, _ := r.Fingerprinted()
	if other == want || other == "" {
		t.Fatalf("more inputs, the fingerprint is %q", other)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		s := cloneRun(t, r)
		rng.Shuffle(len(s.Images), reflect.Swapper(s.Images))
		rng.Shuffle(len(s.Code), reflect.Swapper(s.Code))
		rng.Shuffle(len(s.Datasets), reflect.Swapper(s.Datasets))
		for i := range s.Code {
			rng.Shuffle(len(s.Code[i].LFS), reflect.Swapper(s.Code[i].LFS))
			rng.Shuffle(len(s.Code[i].Submodules), reflect.Swapper(s.Code[i].Submodules))
		}
		if got, _ := s.Fingerprinted(); got != other {
			t.Fatal("the order of pins changes the fingerprint")
		}
	}
}

func TestFingerprintAbsent(t *testing.T) {
	for name, change := range map[string]func(*Run){
		"image":                func(r *Run) { r.Images[0].ConfigDigest = "" },
		"code":                 func(r *Run) { r.Code[0].Tree = "" },
		"script":               func(r *Run) { r.Code[1].Script = nil },
		"code of another kind": func(r *Run) { r.Code[0].Kind = "hg" },
		"lfs":                  func(r *Run) { r.Code[0].LFS[0].OID = "" },
		"submodule":            func(r *Run) { r.Code[0].Submodules[0].Tree = "" },
		"dataset":              func(r *Run) { r.Datasets[0].ContentDigest = "" },
		"etag":                 func(r *Run) { r.Datasets[1].Strength = StrengthETag },
		"declared version":     func(r *Run) { r.Datasets[1].Strength = StrengthDeclared },
		"declared digest":      func(r *Run) { r.Datasets[0].Strength = StrengthDeclared },
		"job":                  func(r *Run) { r.Job.TemplateDigest = "" },
		"withheld":             func(r *Run) { r.Withheld = []Withheld{{What: "argument", Name: "key"}} },
		"image drift":          func(r *Run) { r.Drift = []Drifted{{Pin: "image:image", Text: "x"}} },
		"dataset drift":        func(r *Run) { r.Drift = []Drifted{{Pin: "dataset:train", Text: "x"}} },
	} {
		r := comparableFixture(t)
		change(&r)
		if fp, reasons := r.Fingerprinted(); fp != "" || len(reasons) != 1 || reasons[0].Code != "unresolved-pin" || reasons[0].Subject == "" {
			t.Errorf("%s: %q, %v", name, fp, reasons)
		}
	}
}

// Inputs that differ must never be written the same way.
func TestFingerprintDistinguishes(t *testing.T) {
	base := func() Run { return Run{Plan: Plan{Command: []Text{"a"}}} }
	runs := map[string]Run{"plain": base()}
	for name, change := range map[string]func(*Run){
		"no command":        func(r *Run) { r.Command = nil },
		"one argument more": func(r *Run) { r.Command = append(r.Command, "") },
		"split differently": func(r *Run) { r.Command = []Text{"a b"} },
		"two arguments":     func(r *Run) { r.Command = []Text{"a", "b"} },
		"a job":             func(r *Run) { r.Job = &JobSpec{Format: "kubernetes", TemplateDigest: fixedDigest("1")} },
		"a job in words":    func(r *Run) { r.Command = append(r.Command, "job:kubernetes", Text(fixedDigest("1"))) },
		"a param":           func(r *Run) { r.Params = map[string]Text{"k": "v"} },
		"a variable":        func(r *Run) { r.Variables = map[string]Text{"k": "v"} },
		"bytes":             func(r *Run) { r.Command = []Text{"\xff"} },
		"bytes in words":    func(r *Run) { r.Command = []Text{`{"b64":"/w=="}`} },
		"data": func(r *Run) {
			r.Datasets = []DatasetPin{{Name: "d", Role: RoleData, Strength: StrengthContent, ContentDigest: fixedDigest("1")}}
		},
		"a model": func(r *Run) {
			r.Datasets = []DatasetPin{{Name: "d", Role: RoleModel, Strength: StrengthContent, ContentDigest: fixedDigest("1")}}
		},
		"a version": func(r *Run) {
			r.Datasets = []DatasetPin{{Name: "d", Role: RoleData, Strength: StrengthImmutableID, Scheme: "s3", VersionID: "1"}}
		},
		"another scheme": func(r *Run) {
			r.Datasets = []DatasetPin{{Name: "d", Role: RoleData, Strength: StrengthImmutableID, Scheme: "gs", VersionID: "1"}}
		},
		"part of a version": func(r *Run) {
			r.Datasets = []DatasetPin{{Name: "d", Role: RoleData, Strength: StrengthImmutableID, Scheme: "s3", VersionID: "1", Include: []Text{"a"}}}
		},
		"another part": func(r *Run) {
			r.Datasets = []DatasetPin{{Name: "d", Role: RoleData, Strength: StrengthImmutableID, Scheme: "s3", VersionID: "1", Exclude: []Text{"a"}}}
		},
		"an image":      func(r *Run) { r.Images = []ImagePin{{Name: "i", ConfigDigest: fixedDigest("1")}} },
		"an image file": func(r *Run) { r.Images = []ImagePin{{Name: "i", FileDigest: fixedDigest("1")}} },
		"a pointer in its place": func(r *Run) {
			r.Code = []CodePin{{Name: "c", Kind: CodeGit, Tree: fixedObject("1"), LFS: []LFSObject{{Path: "a", OID: fixedDigest("1"), PointerOnly: true}}}}
		},
		"the object itself": func(r *Run) {
			r.Code = []CodePin{{Name: "c", Kind: CodeGit, Tree: fixedObject("1"), LFS: []LFSObject{{Path: "a", OID: fixedDigest("1")}}}}
		},
	} {
		r := base()
		change(&r)
		runs[name] = r
	}
	seen := map[Fingerprint]string{}
	for name, r := range runs {
		fp, missing := r.Fingerprinted()
		if fp == "" {
			t.Fatalf("%s: %v", name, missing)
		}
		if other, taken := seen[fp]; taken {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[fp] = name
	}
	dot, none := base(), base()
	dot.WorkDir, none.WorkDir = &Path{Typed: "/w", Base: BaseCheckout, Rel: "."}, nil
	a, _ := dot.Fingerprinted()
	b, _ := none.Fingerprinted()
	if a != b {
		t.Error("the root of the checkout is told apart from no place at all")
	}
}

func FuzzFingerprintUnmarshal(f *testing.F) {
	f.Add([]byte(`"fp1:` + strings.Repeat("a", 64) + `"`))
	f.Add([]byte(`null`))
	f.Add([]byte(`"fp2:` + strings.Repeat("a", 64) + `"`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var fp Fingerprint
		if err := json.Unmarshal(in, &fp); err != nil || fp == "" {
			return
		}
		if _, err := ParseFingerprint(string(fp)); err != nil {
			t.Fatalf("%s became %q", in, fp)
		}
	})
}

func TestFingerprintInputIsSorted(t *testing.T) {
	in, _ := comparableFixture(t).FingerprintInput()
	if !slices.IsSortedFunc(in.Datasets, func(a, b fingerprintDataset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("data sets are not sorted by name")
	}
}
