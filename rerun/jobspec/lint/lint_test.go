package lint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

type fakeRegistry struct {
	mu    sync.Mutex
	asked map[string]int
	tags  map[string]schema.Digest
	index map[schema.Digest][]schema.Digest
	err   error
}

func (r *fakeRegistry) Digest(_ context.Context, ref string) (schema.Digest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[ref]++
	if r.err != nil {
		return "", r.err
	}
	if d, ok := r.tags[ref]; ok {
		return d, nil
	}
	return "", &schema.Error{Op: "fake", Kind: schema.Unpinnable, Subject: ref, Err: errors.New("is not there")}
}

func (r *fakeRegistry) Children(_ context.Context, ref string) ([]schema.Digest, error) {
	_, digest, _ := strings.Cut(ref, "@")
	return r.index[schema.Digest(digest)], nil
}

func d(c string) schema.Digest { return schema.Digest("sha256:" + strings.Repeat(c, 64)) }

func pod(images ...string) []byte {
	text := "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"
	for i, image := range images {
		text += fmt.Sprintf("  - {name: c%d, image: %q}\n", i, image)
	}
	return []byte(text)
}

func rules(findings []Finding) (out []string) {
	for _, f := range findings {
		if f.Ignored == "" {
			out = append(out, fmt.Sprintf("%d %s %s", f.Line, f.Severity, f.Rule))
		}
	}
	return out
}

func TestRegistryRules(t *testing.T) {
	reg := &fakeRegistry{asked: map[string]int{}, tags: map[string]schema.Digest{
		"x:1": d("1"), "x@" + string(d("1")): d("1"), "x:2": d("2"), "x:3": d("3"), "x@" + string(d("a")): d("a"), "x@" + string(d("4")): d("4")},
		index: map[schema.Digest][]schema.Digest{d("3"): {d("a"), d("b")}}}
	l := &Linter{Registry: reg, Jobs: 4}
	r := l.Lint(t.Context(), []File{{Name: "f", Data: pod("x:1@"+string(d("1")), "x:2@"+string(d("1")), "x:3@"+string(d("a")), "x:none@"+string(d("4")), "x@"+string(d("9")), "x:1@"+string(d("1")))}})
	want := []string{"6 warning tag-moved", "7 warning platform-child", "8 warning tag-moved", "9 error digest-exists"}
	if diff := cmp.Diff(want, rules(r.Findings)); diff != "" || r.Err != nil {
		t.Error(r.Err, diff)
	}
	for ref, n := range reg.asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", ref, n)
		}
	}
	reg.err = &schema.Error{Op: "fake", Kind: schema.Unavailable, Subject: "registry", Err: errors.New("is away")}
	if r = l.Lint(t.Context(), []File{{Name: "f", Data: pod("x:1@" + string(d("1")))}}); schema.KindOf(r.Err) != schema.Unavailable || len(r.Findings) > 0 {
		t.Errorf("%v %v", r.Err, r.Findings)
	}
}

func TestLatest(t *testing.T) {
	r := (&Linter{}).Lint(t.Context(), []File{{Name: "f", Data: pod("x", "x:latest", "x:latest@"+string(d("1")), "x@"+string(d("1")), "h:5000/x")}})
	var said []string
	for _, f := range r.Findings {
		if f.Rule == ruleLatest {
			said = append(said, fmt.Sprintf("%d %s", f.Line, f.Message))
		}
	}
	want := []string{`5 "x" names no tag, so it means latest`, `6 "x:latest" is pulled by the tag latest, which is whatever was pushed last`,
		`7 "x:latest" is pinned, and its tag latest tells nobody which version that is`, `9 "h:5000/x" names no tag, so it means latest`}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func TestIgnore(t *testing.T) {
	spec := string(pod("x:1", "x:2", "x:3", "x:4")) + "# runpin:ignore no-latest at the end\n"
	spec = strings.Replace(spec, "\"x:1\"}", "\"x:1\"} # runpin:ignore digest-required because", 1)
	spec = strings.Replace(spec, "  - {name: c1", "  # runpin:ignore digest-required,no-latest because of it\n\n  # more\n  - {name: c1", 1)
	spec = strings.Replace(spec, "\"x:3\"}", "\"x:3\", args: ['# runpin:ignore digest-required in a text']}", 1)
	l := &Linter{Config: Config{Ignore: []Ignore{{Rule: "tag-moved", Reason: "never"}, {Rule: ruleDigest, Path: "other/**", Reason: "elsewhere"}}}}
	r := l.Lint(t.Context(), []File{{Name: "f", Data: []byte(spec)}})
	// c0 and c1 are ignored; c2's text only looks like a comment; nobody gives c3 a reason.
	got := strings.Join(rules(r.Findings), "\n")
	if !strings.Contains(got, "note ignore-unused") {
		t.Error(got)
	}
	if strings.Contains(got, "5 warning") || strings.Contains(got, "9 warning") || !strings.Contains(got, "11 warning digest-required") {
		t.Error(got)
	}
	l.Config.Ignore[1].Path = "f"
	if r = l.Lint(t.Context(), []File{{Name: "./f", Data: []byte(spec)}}); strings.Contains(strings.Join(rules(r.Findings), "\n"), "digest-required") {
		t.Error(rules(r.Findings))
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{{Preset: "x"}, {Rules: map[string]Severity{"x": Error}}, {Rules: map[string]Severity{ruleLatest: "fatal"}}, {Ignore: []Ignore{{Rule: "x", Reason: "r"}}}, {Ignore: []Ignore{{Rule: ruleLatest, Reason: " "}}}} {
		if schema.KindOf(bad.Check()) != schema.Invalid {
			t.Errorf("%+v", bad)
		}
	}
	seen := map[string]bool{}
	for _, r := range Rules {
		if seen[r.ID] || r.Says == "" || r.Remedy == "" || weights[r.Training] == 0 || weights[r.Production] < weights[r.Training] {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
}

// What SARIF 2.1.0 requires of the parts that are written: the members, the levels, and that positions and indexes are right.
func TestSARIF(t *testing.T) {
	l := &Linter{Secret: func(_, v string) bool { return v == "hunter2" }}
	spec := string(pod("x", "${A}", "X")) + "    env: [{name: P, value: hunter2}] # runpin:ignore secret-in-variable only a test\n"
	spec = strings.Replace(spec, "  - {name: c2, image: \"X\"}\n", "  - name: c2\n    image: X\n", 1)
	r := l.Lint(t.Context(), []File{{Name: "a dir/f.yaml", Data: []byte(spec)}, {Name: "/abs/f", Data: []byte("kind: [")}})
	text, err := json.Marshal(SARIF(r, l.Config, "1"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Error("a secret is printed")
	}
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn, EndColumn int }
					}
				}
				Suppressions []struct{ Kind, Justification string }
			}
		}
	}
	if err := json.Unmarshal(text, &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("%v %s", err, text)
	}
	suppressed := 0
	for _, res := range log.Runs[0].Results {
		at := res.Locations[0].PhysicalLocation
		if log.Runs[0].Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID || res.Message.Text == "" || at.Region.StartLine < 1 ||
			at.Region.EndColumn != 0 && at.Region.EndColumn <= at.Region.StartColumn || !strings.Contains("error warning note", res.Level) {
			t.Errorf("%+v", res)
		}
		if at.ArtifactLocation.URI != "a%20dir/f.yaml" && at.ArtifactLocation.URI != "file:///abs/f" {
			t.Error(at.ArtifactLocation.URI)
		}
		suppressed += len(res.Suppressions)
	}
	if len(log.Runs[0].Results) < 5 || suppressed != 1 {
		t.Errorf("%d results, %d suppressed: %s", len(log.Runs[0].Results), suppressed, text)
	}
}

func TestGitHub(t *testing.T) {
	got := GitHub(Finding{Rule: "r", Severity: Note, File: "a,b:c.yaml", Line: 0, Column: 3, EndColumn: 9, Message: "100% \"x\"\nof it", Remedy: "do"})
	if want := `::notice file=a%2Cb%3Ac.yaml,line=1,col=3,endColumn=9,title=runpin r::100%25 "x"%0Aof it%0Ado`; got != want {
		t.Errorf("%s\n%s", got, want)
	}
}
