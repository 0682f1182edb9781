package jobspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func (w *writer) image() string {
	return w.one("x", "x:1", "registry.example.com:5000/a/b:c", "a/b@"+string(testDigest("old")))
}

func (w *writer) compose() (file, text string) {
	var b strings.Builder
	b.WriteString(w.one("", "# c\n", "name: p\n") + "services:\n")
	for i := range 1 + w.IntN(3) {
		fmt.Fprintf(&b, "  s%d:\n    image: %s%s\n", i, w.quoted(w.image()), w.one("", "  # why"))
		b.WriteString(w.one("", "    environment: {A: 'b'}\n", "    environment:\n    - A=b\n", "    environment:\n      A: b\n", "    environment:\n"))
		b.WriteString(w.one("", "    command: [image, \"no:1\"]\n", "    volumes: [a:/b]\n", "    volumes:\n    - {type: image, source: "+w.quoted("v:2")+", target: /v}\n"))
	}
	return "compose.yaml", b.String()
}

func (w *writer) rayJob() (file, text string) {
	inner := "working_dir: https://github.com/a/b/archive/main.zip\nimage_uri: " + w.quoted(w.image()) + "\nenv_vars: {A: \"it's\"}\n"
	if w.IntN(3) == 0 {
		inner = "{\"image_uri\": \"" + w.image() + "\", \"pip\": [\"git+https://github.com/a/b@v1\", \"torch\"], \"env_vars\": {\"A\": \"it's\"}}"
	}
	double, _ := json.Marshal(inner)
	var written string
	switch w.IntN(4) {
	case 0:
		written = string(double)
	case 1:
		written = "'" + strings.ReplaceAll(inner, "'", "''") + "'"
		if strings.Contains(inner, "\n") {
			written = string(double)
		}
	case 2:
		written = "|-\n      " + strings.ReplaceAll(strings.TrimRight(inner, "\n"), "\n", "\n      ")
	default:
		written = "|\n    " + strings.ReplaceAll(strings.TrimRight(inner, "\n"), "\n", "\n    ")
	}
	return "f", rayHead + "  runtimeEnvYAML: " + written + "\n  rayClusterSpec:\n    headGroupSpec:\n      template:\n        spec:\n          containers:\n          - name: h\n            image: " + w.quoted(w.image()) + "\n"
}

func (w *writer) argo() (file, text string) {
	manifest := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  template:\n    spec:\n      containers:\n      - name: m\n        image: " + w.quoted(w.image()) + "\n"
	quoted, _ := json.Marshal(manifest)
	written := w.one(string(quoted), "|\n        "+strings.ReplaceAll(strings.TrimRight(manifest, "\n"), "\n", "\n        "))
	return "f", argoHead + "    " + w.one("container", "script") + ": {image: " + w.quoted(w.image()) + ", command: [a]}\n  - name: r\n    resource:\n      action: create\n      manifest: " + written +
		"\n  - name: p\n    inputs: {parameters: [{name: i, value: " + w.quoted(w.image()) + "}]}\n    container:\n      image: '{{inputs.parameters.i}}'\n"
}

func (w *writer) kustomize() (file, text string) {
	var b strings.Builder
	b.WriteString("resources: [../base" + w.one("", ", 'https://github.com/a/b//c?ref=v1'") + "]\nimages:\n")
	for i := range 1 + w.IntN(3) {
		fmt.Fprintf(&b, "- name: n%d\n  %s\n", i, w.one("newTag: '1.5'", "newName: h.example/x\n  newTag: v1  # c", "digest: "+string(testDigest("d")), "newTag: \"2\"\n  newName: y"))
	}
	return "kustomization.yaml", b.String()
}

// For every format: pinning changes the references alone, however the file is written. What a reader that knows nothing of runpin sees is the
// same before and after, but for texts that hold a reference.
func TestPinPropertyOfKinds(t *testing.T) {
	for _, make := range []func(*writer) (string, string){(*writer).compose, (*writer).rayJob, (*writer).argo, (*writer).kustomize} {
		for seed := range uint64(400) {
			w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
			file, text := make(w)
			if w.IntN(3) == 0 {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			s, err := Read(file, []byte(text))
			if err != nil || s.Err() != nil {
				t.Fatalf("seed %d: %v %v\n%s", seed, err, s, text)
			}
			values := testPins(t, s)
			pinned, err := s.Pin(values, nil)
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, text)
			}
			stamped, err := s.Pin(values, &Stamp{RunID: testRun})
			if err != nil && !strings.Contains(err.Error(), "leaves no place for the run's id") {
				t.Fatalf("seed %d: %v\n%s", seed, err, text)
			}
			if err == nil {
				again(t, s, pinned, stamped)
			}
			var before, after any
			if yaml.Unmarshal([]byte(text), &before) != nil || yaml.Unmarshal(pinned, &after) != nil {
				t.Fatalf("seed %d\n%s", seed, pinned)
			}
			if !reflect.DeepEqual(without(before, s, values), without(after, s, values)) {
				t.Fatalf("seed %d: more than references changed\n%s\n%s", seed, text, pinned)
			}
			if bytes.Count(pinned, []byte("\r")) < strings.Count(text, "\r") {
				t.Fatalf("seed %d: line ends changed", seed)
			}
		}
	}
}

// without puts ? in place of the references, and takes digests beside tags out.
func without(v any, s *Spec, values map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if k != "digest" {
				out[k] = without(e, s, values)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, without(e, s, values))
		}
		return out
	case string:
		for _, r := range s.References {
			if r.Kind == KindCode {
				v = strings.ReplaceAll(v, values[r.Key()], "?")
				v = strings.NewReplacer("archive/main.zip", "archive/?.zip", "@v1", "@?", "ref=v1", "ref=?").Replace(v)
			}
		}
		for strings.Contains(v, "@sha256:") {
			at := strings.Index(v, "@sha256:")
			v = v[:at] + v[min(at+len("@sha256:")+64, len(v)):]
		}
		return v
	}
	return v
}
