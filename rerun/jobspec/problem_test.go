package jobspec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

const podHead = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"

// A reference that cannot be pinned is told with its place and reason, and nothing is printed.
func TestProblems(t *testing.T) {
	for _, tc := range []struct{ name, spec, want string }{
		{"helm", podHead + "  - image: \"{{ .Values.image }}\"\n", `f:5:12: spec.containers[0].image: "{{ .Values.image }}" is a template`},
		{"helm without quotes", podHead + "  - image: {{ .Values.image }}\n", `f:5:12: spec.containers[0].image: is a template`},
		{"helm elsewhere", podHead + "  - image: x:1\n    ttl: {{ .Values.ttl }}\n", `f:6:10: is a template`},
		{"argo", podHead + "  - image: '{{inputs.parameters.image}}'\n", `is a template`},
		{"tekton", podHead + "  - image: $(params.image)\n", `f:5:12: spec.containers[0].image: "$(params.image)" is a template`},
		{"envsubst", podHead + "  - image: trainer:${TAG}\n", `"trainer:${TAG}" is a template`},
		{"shell", podHead + "  - image: $IMAGE\n", `"$IMAGE" is a template`},
		{"empty", podHead + "  - image:\n", `f:5:11: spec.containers[0].image: is empty`},
		{"empty text", podHead + "  - image: \"\"\n", `spec.containers[0].image: is empty`},
		{"null", podHead + "  - image: ~\n", `is empty`},
		{"none", podHead + "  - name: a\n", `f:5:5: spec.containers[0]: has no image`},
		{"number", podHead + "  - image: 1.5\n", `"1.5" is not text`},
		{"tagged", podHead + "  - image: !secret x\n", `is not text`},
		{"mapping", podHead + "  - image: {repository: x}\n", `is not text`},
		{"upper case", podHead + "  - image: Foo/Bar:1\n", `is not an image reference`},
		{"blanks", podHead + "  - image: \" x:1\"\n", `is not an image reference`},
		{"empty tag", podHead + "  - image: \"x:\"\n", `its tag is empty`},
		{"bad digest", podHead + "  - image: x@sha256:abc\n", `malformed digest`},
		{"block scalar", podHead + "  - image: |\n      x:1\n", `is not an image reference`},
		{"stripped block scalar", podHead + "  - image: |-\n      x:1\n", `f:5:12: spec.containers[0].image: "x:1" is a block scalar`},
		{"folded", podHead + "  - image: >-\n      x:1\n", `is a block scalar`},
		{"several lines", podHead + "  - image: \"x:\\\n      1\"\n", `"x:1" is spread over several lines`},
		{"on the next line", podHead + "  - image:\n      x:1\n    name: a\n", ``},
		{"anchor before a line end", podHead + "  - image: &a\n      x:1\n    name: a\n", `spread over several lines`},
		{"not a list", "apiVersion: v1\nkind: Pod\nspec:\n  containers: {}\n", `f:4:15: spec.containers: is not a list`},
		{"a templated list", "apiVersion: v1\nkind: Pod\nspec:\n  containers: \"{{ toYaml . }}\"\n", `spec.containers: "{{ toYaml . }}" is a template`},
		{"a scalar for a spec", "apiVersion: v1\nkind: Pod\nspec: x\n", `f:3:7: spec: "x" is not a mapping`},
		{"shared with a variable", podHead + "  - image: &i x:1\n    env: [{name: I, value: *i}]\n", `shares its text through the anchor &i with a field that is not an image`},
		{"anchor elsewhere", "x: &i y:1\n" + podHead + "  - image: *i\n", `f:6:12: spec.containers[0].image: "y:1" shares its text through the anchor &i`},
		{"anchored mapping elsewhere", "x: &b {image: y:1}\n" + podHead + "  - <<: *b\n    name: n\n", `shares its text`},
		{"kind nobody knows", "apiVersion: ai.example/v1\nkind: Fit\n", `f:2:7: kind: "Fit" kind Fit of ai.example is not one that runpin knows, and has no list of containers`},
		{"job of another group", "apiVersion: batch.example/v1\nkind: Job\n", `kind Job of batch.example is not one`},
		{"unknown beside known", podHead + "  - image: x:1\n---\napiVersion: ai.example/v1\nkind: Fit\n", `f:8:7: kind: "Fit" kind Fit of ai.example`},
		{"no kind", "a: b\n", `has no kind`},
		{"a list of things", "- a\n", `f:1:1: is not an object`},
		{"text", "hello\n", `"hello" is not an object`},
		{"nothing", "", `names no image to run`},
		{"only comments", "# x\n---\n---\n", `names no image to run`},
		{"settings only", "apiVersion: v1\nkind: ConfigMap\n", `names no image to run`},
		{"not YAML", "apiVersion: v1\nkind: [\n", `is not YAML`},
		{"tabs", "apiVersion: v1\nkind: Pod\nspec:\n\tcontainers: []\n", `f:4: is not YAML`},
		{"helm control", "{{- if .Values.x }}\nkind: Pod\n{{- end }}\n", `perhaps it is a template`},
		{"duplicate key", podHead + "  - image: x:1\n    image: y:1\n", `f:6:5: "image" key "image" is given twice`},
		{"duplicate key elsewhere", podHead + "  - image: x:1\nmetadata: {a: 1, 'a': 2}\n", `key "a" is given twice`},
		{"merge below", podHead + "  - &a {image: x:1}\n  - image: y:1\n    <<: *a\n", `<< stands below the key "image"`},
		{"merge of text", podHead + "  - <<: x\n", `is merged with << and is not a mapping`},
		{"alias of another document", podHead + "  - image: &i x:1\n---\n" + podHead + "  - image: *i\n", `names an anchor of another document`},
		{"anchor in itself", podHead + "  - &a\n    image: x:1\n    b: *a\n", `contains itself`},
		{"key that is no text", podHead + "  - image: x:1\n    ? [a]\n    : b\n", `is a key that is not text`},
		{"not UTF-8", podHead + "  - image: x\xff:1\n", `f:5: is not text in UTF-8`},
		{"UTF-16", "\xff\xfek\x00", `is not text in UTF-8`},
		{"NUL", "kind: Pod\x00\n", `is not YAML`},
		{"deep", podHead + "  - image: x:1\n    a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", `nested more than 128 levels`},
		{"bomb", bomb(), `holds more than 500000 values`},
		{"large", podHead + strings.Repeat(" ", maxBytes), `a job spec has at most`},
		{"many", podHead + strings.Repeat("- ", maxMarks+1), `too many parts`},
		{"many containers", podHead + strings.Repeat("  - image: x:1\n", maxRefs+1), `names more than 10000 images`},
		{"many comments", podHead + "  - image: x:1\n" + strings.Repeat("#\n\n", 100_000), ``},
		{"a long text", podHead + "  - image: x:1\n    a: \"" + strings.Repeat(`\n`, 200_000) + `"`, ``},
		{"many keys", podHead + "  - image: x:1\n    a: {" + strings.Repeat("a: b, ", 20_000) + "}", `is given twice`},
		{"deep block", podHead + "  - image: x:1\n    a:\n      ? " + strings.Repeat("? ", 50_000), `exceeded max depth`},
		{"merges of merges", podHead + "  - &a0 {image: x:1}\n" + merges(), `holds more than 500000 values`},
		{"JSON escapes that YAML lacks", `{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "x\/y"}]}}`, `found unknown escape character`},
		{"lists in lists", strings.Repeat("{apiVersion: v1, kind: List, items: [", 6) + strings.Repeat("]}", 6), `is a list inside 4 lists`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Read("f", []byte(tc.spec))
			if err == nil {
				values := map[string]string{}
				for _, r := range s.References {
					values[r.Name], _ = r.Pin(testDigest(r.Value))
				}
				var out []byte
				if out, err = s.Pin(values, nil); err != nil && out != nil {
					t.Error("output beside an error")
				}
			}
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			for _, k := range schema.Kinds(err) {
				if k != schema.Unpinnable {
					t.Errorf("kind %s", k)
				}
			}
		})
	}
}

func merges() string {
	var b strings.Builder
	for i := 1; i < 100; i++ {
		fmt.Fprintf(&b, "  - &a%d {<<: [*a%d, *a%d], k%d: x}\n", i, i-1, i-1, i)
	}
	return b.String()
}

func bomb() string {
	var b strings.Builder
	b.WriteString(podHead + "  - image: x:1\n    a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "    a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	return b.String()
}

// Every problem is told, in the order of the file, and not only the first.
func TestAllProblemsAreTold(t *testing.T) {
	s, err := Read("job.yaml", []byte(podHead+"  - image: $A\n  - image: x:1\n  - image: $B\n---\n"+podHead+"  - image: Bad\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Err()
	if got := schema.Failures(err); len(got) != 3 || len(s.References) != 1 {
		t.Fatalf("%d failures: %v", len(got), err)
	}
	want := "job.yaml:5:12: spec.containers[0].image: \"$A\" is a template"
	if !strings.HasPrefix(err.Error(), want) || schema.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestPinRefuses(t *testing.T) {
	d := schema.SHA256(nil)
	s, err := Read("f", []byte(podHead+"  - {image: \"x:1\", name: a}\n  - {image: y:1@"+string(d)+", name: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		values map[string]string
		stamp  *Stamp
		want   string
		kind   schema.Kind
	}{
		{nil, nil, `f:5:13: spec.containers[0].image: "x:1" has no recorded digest`, schema.Unpinnable},
		{map[string]string{"a": "x:1"}, nil, `the pinned value "x:1" names no digest`, schema.Unpinnable},
		{map[string]string{"a": "x:1", "b": "y"}, nil, `"y" names no digest`, schema.Unpinnable},
		{map[string]string{"a": "x@sha256:1"}, nil, `malformed digest`, schema.Unpinnable},
		{map[string]string{"a": "x\", evil: \"y@" + string(d)}, nil, `is not an image reference`, schema.Unpinnable},
		{map[string]string{"a": "x@" + string(d), "c": "y@" + string(d)}, nil, `has no reference named "c"`, schema.Invalid},
		{map[string]string{"a": "x@" + string(d)}, &Stamp{RunID: "no"}, `not a run id`, schema.Invalid},
	} {
		out, err := s.Pin(tc.values, tc.stamp)
		if err == nil || out != nil || !strings.Contains(err.Error(), tc.want) || schema.KindOf(err) != tc.kind {
			t.Errorf("%v: got %v (%s)", tc.values, err, schema.KindOf(err))
		}
	}
	if out, err := s.Pin(map[string]string{"a": "x@" + string(d)}, nil); err != nil || !bytes.Contains(out, []byte(`"x@sha256:`)) {
		t.Errorf("%v %s", err, out)
	}
}

// Where the stamp does not fit, that is said with its place, and pinning without it still works.
func TestStampRefuses(t *testing.T) {
	for _, tc := range []struct{ spec, want string }{
		{podHead + "  - image: x:1\n    env: {A: b}\n", `f:5:5: spec.containers[0].env: is not a list`},
		{podHead + "  - image: x:1\n    env: [{name: RUNPIN_RUN_ID, valueFrom: {}}]\n", `has no value of its own`},
		{podHead + "  - image: x:1\nmetadata: []\n", `metadata: is not a mapping`},
		{podHead + "  - image: x:1\nmetadata: {annotations: x}\n", `annotations are not a mapping`},
		{podHead + "  - image: x:1\n    env: &e [{name: A, value: b}]\n    other: *e\n", `where anchors share`},
		{podHead + "  - ? image\n    : x:1\n    ? name\n    : n\n", `leaves no place for the run's id`},
	} {
		s, err := Read("f", []byte(tc.spec))
		if err != nil {
			t.Fatal(err)
		}
		values := testPins(t, s)
		if _, err := s.Pin(values, nil); err != nil {
			t.Errorf("%s: %v", tc.spec, err)
		}
		out, err := s.Pin(values, &Stamp{RunID: testRun})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || out != nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v\n%s", tc.spec, err, out)
		}
		if err != nil && schema.KindOf(err) != schema.Unpinnable {
			t.Errorf("kind %s", schema.KindOf(err))
		}
	}
}

// A service of a compose file that is nothing but what it merges takes the run's id, too.
func TestStampOfWhatOnlyMerges(t *testing.T) {
	for service, want := range map[string]string{
		"  a:\n    <<: *b\n":   "  a:\n    environment:\n      RUNPIN_RUN_ID: \"" + string(testRun) + "\"\n    <<: *b\n",
		"  a: {<<: *b}\n":      "  a: {environment: {RUNPIN_RUN_ID: \"" + string(testRun) + "\"}, <<: *b}\n",
		"  a:\n    <<: [*b]\n": "  a:\n    environment:\n      RUNPIN_RUN_ID: \"" + string(testRun) + "\"\n    <<: [*b]\n",
	} {
		s, err := Read("compose.yaml", []byte("x-base: &b\n  image: x:1\nservices:\n"+service))
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Pin(testPins(t, s), &Stamp{RunID: testRun})
		if err != nil || !strings.HasSuffix(string(out), "services:\n"+want) {
			t.Errorf("%s: %v\n%s", service, err, out)
		}
	}
}

// What a pipeline of GitLab takes from elsewhere can move, unless it is taken at a commit.
func TestIncludesOfGitLab(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for include, want := range map[string]string{
		"https://x.example/a.yml":                               "from a URL",
		"{remote: 'https://x.example/a.yml'}":                   "from a URL",
		"[a.yml, 'https://x.example/a.yml']":                    "from a URL",
		"[{remote: 'https://x.example/a.yml'}]":                 "from a URL",
		"{project: a/b, ref: main, file: x.yml}":                "from another project",
		"[{project: a/b, file: x.yml}]":                         "from another project",
		"[{component: gitlab.example/a/b/c@1.0}]":               "from another project",
		"[{project: a/b, ref: " + commit + ", file: x.yml}]":    "",
		"{component: gitlab.example/a/b/c@" + commit + "}":      "",
		"[remote-jobs.yml, {local: project.yml}, a/remote.yml]": "",
		"project/remote.yml":                                    "",
	} {
		s, err := Read(".gitlab-ci.yml", []byte("include: "+include+"\nt: {image: 'x:1', script: [x]}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(s.Problems); got != min(len(want), 1) || got == 1 && !strings.Contains(s.Problems[0].Reason, want) {
			t.Errorf("%s: %v", include, s.Problems)
		}
	}
}

// What the parser tells without a line has one.
func TestSyntaxErrorsHaveTheirLine(t *testing.T) {
	for data, want := range map[string]string{
		podHead + "  - image: x:1\n# \x01\n":                              "f:6: is not YAML: control characters",
		podHead + "  - image: *x\n":                                       "f:5: is not YAML: unknown anchor 'x'",
		`{"kind":"Pod","spec":{"containers":[{"image":"r.example\/a"}]}}`: `f:1: is not YAML: found unknown escape character; JSON has \/ for /`,
	} {
		if _, err := Read("f", []byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// A caller that cleared the problems of a text has the rest pinned.
func TestPinOfATextWithClearedProblems(t *testing.T) {
	for file, data := range map[string]string{
		"Dockerfile":   "ARG V=1\nFROM x:${V}\nFROM y:1\n",
		"a.def":        "Bootstrap: docker\nFrom: y:1\n\nBootstrap: yum\nFrom: z\n",
		"train.sbatch": "#!/bin/sh\n#SBATCH -n 1\nsrun --container-image=\"$X\" true\nsrun --container-image=y:1 true\n",
	} {
		s, err := Read(file, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Problems) == 0 || len(s.References) == 0 {
			t.Fatalf("%s: %v %v", file, s.Problems, s.References)
		}
		s.Problems = nil
		out, err := s.Pin(testPins(t, s), nil)
		if err != nil || !strings.Contains(string(out), "@sha256:") {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}
