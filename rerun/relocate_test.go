package rerun

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/runpin/runpin/schema"
)

func table(t *testing.T, pairs ...string) (rs Relocations) {
	t.Helper()
	for _, p := range pairs {
		r, err := ParseRelocation(p)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return rs
}

func TestMoved(t *testing.T) {
	rs := table(t, "registry.old/team=registry.new/ml", "registry.old=mirror.new:5000", "https://git.old/=git@git.new:", "https://git.old/team/one=https://git.new/x/uno", "git@git.old:team=ssh://git@git.new/ml",
		"/mnt/old=/mnt/new/", "s3://a=s3://b/from-a", "/data/set=s3://b/set", "HTTPS://Git.Case/a=https://low/b")
	for place, want := range map[string]string{
		"registry.old/team/trainer":    "registry.new/ml/trainer",
		"registry.old/team":            "registry.new/ml",
		"registry.old/teams/x":         "mirror.new:5000/teams/x",
		"registry.older/team/x":        "",
		"x/registry.old/team":          "",
		"https://git.old/a/b.git":      "git@git.new:a/b.git",
		"https://git.old/team/one":     "https://git.new/x/uno",
		"https://GIT.OLD/team/two":     "git@git.new:team/two",
		"https://git.old:8443/a":       "",
		"http://git.old/a":             "",
		"git@git.old:team/code.git":    "ssh://git@git.new/ml/code.git",
		"git@git.old:teams/code.git":   "",
		"/mnt/old/x/y":                 "/mnt/new/x/y",
		"/mnt/old":                     "/mnt/new/",
		"/mnt/older/x":                 "",
		"/mnt/old/../secret":           "",
		"s3://a/key":                   "s3://b/from-a/key",
		"s3://ab/key":                  "",
		"/data/set/part":               "s3://b/set/part",
		"https://git.case/a/x":         "https://low/b/x",
		"":                             "",
		"https://git.old/team/one.git": "https://git.new/x/uno",
	} {
		got, ok := rs.Moved(place)
		if got != want || ok != (want != "") {
			t.Errorf("%q moved to %q (%v), want %q", place, got, ok, want)
		}
	}
	for repository, want := range map[string]string{"nginx": "mirror.hub/library/nginx", "team/x": "mirror.hub/team/x", "docker.io/team/x": "mirror.hub/team/x", "ghcr.io/team/x": "", "localhost/x": ""} {
		if got, _ := table(t, "docker.io=mirror.hub", "ghcr.io=https://elsewhere").movedRepository(repository); got != want {
			t.Errorf("%q moved to %q, want %q", repository, got, want)
		}
	}
}

func TestRelocationsThatAreNone(t *testing.T) {
	for _, s := range []string{"", "a", "=", "a=", "=b", "/=/x", "a=-b", "-a=b", "a=b\nc", "a\x00=b", "a=a", "https://a/?token=x=https://b", "https://a=https://b/#x", "a=" + strings.Repeat("b", maxPlace+1)} {
		if r, err := ParseRelocation(s); schema.KindOf(err) != schema.Invalid {
			t.Errorf("%q is taken for %v: %v", s, r, err)
		}
	}
}

func FuzzMoved(f *testing.F) {
	for _, s := range []string{"registry.old/team", "https://h/a", "git@h:a/b", "/mnt/x", "s3://a", "a@b:c", "::", "//"} {
		f.Add(s, "new/place", s+"/more")
	}
	f.Fuzz(func(t *testing.T, old, new, place string) {
		r, err := NewRelocation(old, new, true)
		if err != nil {
			return
		}
		if moved, ok := (Relocations{r}).Moved(place); ok && !strings.HasPrefix(moved, new) {
			t.Errorf("%q with %v moved to %q", place, r, moved)
		}
	})
}

// elsewhere answers by place.
type elsewhere struct {
	*world
	states map[string]schema.State
	mu     sync.Mutex
	asked  []string
}

func (e *elsewhere) answer(at string) schema.Availability {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, at)
	s := e.states[at]
	if s == "" {
		s = schema.StateGone
	}
	return schema.Availability{State: s, How: "ls-remote", Reason: map[bool]string{false: "because"}[s == schema.StateAvailable]}
}
func (e *elsewhere) CheckImage(_ context.Context, p schema.ImagePin) schema.Availability {
	return e.answer(p.Repository)
}
func (e *elsewhere) CheckCode(_ context.Context, p schema.CodePin, _ schema.BlobSource) schema.Availability {
	return e.answer(p.Remote)
}
func (e *elsewhere) CheckDataset(_ context.Context, p schema.DatasetPin, at string, _ bool) schema.Availability {
	if at == "" {
		at = string(p.Path.Located)
	}
	return e.answer(at)
}

func TestNewPlaceIsAskedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		old, new, want schema.State
		says           string
		asked          int
	}{
		"moved":                {schema.StateGone, schema.StateAvailable, schema.StateAvailable, "found at /new/data", 1},
		"not moved":            {schema.StateAvailable, schema.StateGone, schema.StateAvailable, "", 2},
		"nowhere":              {schema.StateGone, schema.StateGone, schema.StateGone, "because; nor is it at /new/data", 2},
		"wrong, and gone":      {schema.StateGone, schema.StateChanged, schema.StateChanged, "at /new/data: because", 2},
		"wrong, and there":     {schema.StateAvailable, schema.StateChanged, schema.StateAvailable, "", 2},
		"no answer":            {schema.StateGone, schema.StateUnknown, schema.StateUnknown, "at /new/data: because", 2},
		"no answer, and there": {schema.StateKept, schema.StateUnknown, schema.StateKept, "", 2},
		"gone, and no answer":  {schema.StateUnknown, schema.StateGone, schema.StateUnknown, "nor is it at", 2},
	} {
		w, r := newWorld()
		e := &elsewhere{world: w, states: map[string]schema.State{project + "/data": c.old, "/new/data": c.new}}
		r.Datasets = e
		run := original()
		run.Code, run.CommandTemplate = nil, nil
		found := r.Preflight(t.Context(), run, PreflightOptions{Relocate: table(t, project+"=/new")})
		if found[0].Pin != "dataset:train" || found[0].State != c.want || !strings.Contains(found[0].Reason, c.says) || len(e.asked) != c.asked {
			t.Errorf("%s: %+v after asking %q", name, found, e.asked)
		}
	}
}

func TestRelocatedRerun(t *testing.T) {
	w, r := newWorld()
	e := &elsewhere{world: w, states: map[string]schema.State{"registry.new/ml/trainer": schema.StateAvailable, "git@git.new:code": schema.StateAvailable, "/new/data": schema.StateAvailable}}
	r.Images, r.Code, r.Datasets = e, e, e
	run := original()
	run.Images = []schema.ImagePin{{Name: "image", Ref: "registry.old/team/trainer:1", Repository: "registry.old/team/trainer", PlatformDigest: digestA, ConfigDigest: digestB}}
	run.Code[0].Remote, run.Code[0].Remotes = "https://git.old/code", map[string]string{"origin": "https://git.old/code", "other": "https://other/code"}
	req := Request{Run: run, Dir: t.TempDir(), Relocate: table(t, "registry.old/team=registry.new/ml", "https://git.old=git@git.new:", project+"/data=/new/data")}
	if _, err := r.Execute(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	p := w.prepared
	if p.Images[0].Repository != "registry.new/ml/trainer" || p.Images[0].Ref != run.Images[0].Ref || p.Code[0].Remote != "git@git.new:code" || p.Sources["train"] != "/new/data" {
		t.Errorf("%+v %+v %v", p.Images, p.Code, p.Sources)
	}
	var said []string
	for _, x := range p.Relaxed {
		said = append(said, x.Code+" "+string(x.Subject)+" "+x.Text)
	}
	if got := strings.Join(said, "; "); got != "relocated image:image had from registry.new/ml/trainer; relocated code:code had from git@git.new:code; relocated dataset:train had from /new/data" {
		t.Error(got)
	}
	if run.Images[0].Repository != "registry.old/team/trainer" || run.Code[0].Remote != "https://git.old/code" || len(run.Code[0].Remotes) != 2 {
		t.Error("the original was changed")
	}
}

func TestRelocatedSpecNamesTheNewPlaces(t *testing.T) {
	const text = `apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  initContainers:
    - name: sync
      image: registry.old/team/git-sync:v4
      args: ["--repo=https://git.old/team/code", "--ref=main"]
  containers:
    - name: main
      image: registry.old/team/train:1.4
`
	run := originalJob(nil)
	blob := schema.NewBlob(schema.BlobJobSpec, []byte(text))
	run.Job.Blob = &blob.Ref
	run.Images[0].Repository = "registry.old/team/train"
	sync := run.Images[0]
	sync.Name, sync.Repository, sync.Tag = "sync", "registry.old/team/git-sync", "v4"
	run.Images = append(run.Images, sync)
	run.Code = []schema.CodePin{{Name: "sync_code", Remote: "https://git.old/team/code", Commit: "9fceb02d0ae598e95dc970b74767f19372d61af8"}}
	spec, err := recordedSpec(run, []byte(text), (&Rerunner{}).Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range spec.References {
		if ref.Kind == "code" {
			run.Code[0].Name = ref.Name
		}
	}
	out, said, err := PinnedSpec(t.Context(), run, keptBlobs{blob.Ref.Digest: []byte(text)}, SpecOptions{Relocate: table(t, "registry.old/team=registry.new/ml", "https://git.old/team=https://git.new/ml")})
	if err != nil || strings.Contains(string(out), ".old") || !strings.Contains(string(out), "--repo=https://git.new/ml/code") || !strings.Contains(string(out), "registry.new/ml/train:1.4@"+string(digestA)) ||
		!strings.Contains(string(out), "--ref=9fceb02d") || len(said) != 3 {
		t.Errorf("%v %q\n%s", err, said, out)
	}
}

// What a job is started with is what was found: the image at its new place, code that is not there at its old one.
func TestRelocatedJob(t *testing.T) {
	for place, want := range map[string]string{"reg.new/ml/train": "image: reg.new/ml/train:1.4@", "reg.example.org/team/train": "image: reg.example.org/team/train:1.4@"} {
		w, s, r, run := jobWorld()
		r.Images = &elsewhere{world: w, states: map[string]schema.State{place: schema.StateAvailable}}
		if _, err := r.Execute(t.Context(), Request{Run: run, Relocate: table(t, "reg.example.org/team=reg.new/ml")}); err != nil || !strings.Contains(string(s.spec.Data), want) {
			t.Errorf("%s: %v\n%s", place, err, s.spec.Data)
		}
		if moved := len(w.prepared.Relaxed) == 1 && w.prepared.Relaxed[0].Code == "relocated"; moved != (place == "reg.new/ml/train") {
			t.Errorf("%s: %v", place, w.prepared.Relaxed)
		}
	}
}
