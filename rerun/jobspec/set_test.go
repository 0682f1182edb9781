package jobspec

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

const fieldsSpec = `# é comment
apiVersion: batch/v1
kind: Job
metadata: {name: train, labels: {"a": 'it''s'}}
spec:
  backoffLimit: 0 # tries
  suspend: false
  template:
    spec:
      nodeSelector: &sel {gpu: a100}
      containers:
        - name: "é main"
          image: team/trainer:1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          args: ["--lr=0.1", --seed, "7", é, x]
        - name: side
          image: team/side@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
          command: &c [a, b]
          args: *c
          env:
            - {name: A, value: &v b}
            - {name: B, value: plain text}
            - name: C
              value: |
                lines
`

// TestSetFields: one value changes and nothing else does.
func TestSetFields(t *testing.T) {
	for key, c := range map[string]struct{ value, old, new string }{
		"spec.backoffLimit": {"3", "backoffLimit: 0 #", "backoffLimit: 3 #"},
		"spec.suspend":      {"true", "suspend: false", "suspend: true"},
		"metadata.name":     {"again", "{name: train,", "{name: again,"},
		"metadata.labels.a": {"he's", "'it''s'", "'he''s'"},
		"spec.template.spec.containers[é main].args[0]":    {`--lr="0.2"\`, `"--lr=0.1"`, `"--lr=\"0.2\"\\"`},
		"spec.template.spec.containers[0].args[1]":         {"yes", "--seed", `"yes"`},
		"spec.template.spec.containers[0].args[4]":         {"1:30", ", x]", `, "1:30"]`},
		"spec.template.spec.containers[0].args[3]":         {"ü", ", é,", `, "ü",`},
		"spec.template.spec.containers[side].env[B].value": {"a: b #c", "plain text", `"a: b #c"`},
		"env.B":                               {"other", "value: plain text", "value: other"},
		"arg.--lr":                            {"0.2", `"--lr=0.1"`, `"--lr=0.2"`},
		"arg.--seed":                          {"8", `--seed, "7"`, `--seed, "8"`},
		"spec.template.spec.nodeSelector.gpu": {"h100", "gpu: a100", "gpu: h100"},
		"spec.template.spec.containers[side].image": {"x/y@sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "team/side@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "x/y@sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			spec := strings.ReplaceAll(fieldsSpec, "\n", eol)
			setting := key
			if !strings.HasPrefix(key, "env.") && !strings.HasPrefix(key, "arg.") {
				setting = "field." + key
			}
			got, said, err := new(Reader).Set("job.yaml", []byte(spec), []Setting{{setting, c.value}})
			if want := strings.Replace(spec, c.old, c.new, 1); err != nil || string(got) != want || len(said) != 1 {
				t.Errorf("%s: %v\n%s", key, err, got)
			}
		}
	}
}

func TestSetFieldsRefuses(t *testing.T) {
	for _, c := range []struct {
		key, value string
		kind       schema.Kind
		says       string
	}{
		{"lr", "1", schema.Invalid, "setting of a command"},
		{"field.spec.nosuch", "1", schema.Invalid, "matches 0"},
		{"field.spec.template.spec.containers[].name", "x", schema.Invalid, "matches 2"},
		{"field.spec.template", "x", schema.Invalid, "plain or quoted"},
		{"field.spec.template.spec.containers[side].args[0]", "x", schema.Invalid, "without changing another"},
		{"env.NONE", "x", schema.Invalid, "matches 0"},
		{"arg.--none", "x", schema.Invalid, "matches 0"},
		{"field.spec.template.spec.containers[side].env[A].value", "x", schema.Invalid, "anchor"},
		{"field.spec.template.spec.containers[side].env[C].value", "x", schema.Invalid, "plain or quoted"},
		{"field.spec.backoffLimit", "many", schema.Invalid, "int"},
		{"field.spec.suspend", "1", schema.Invalid, "bool"},
		{"field.metadata.name", "a\nb", schema.Invalid, "character"},
		{"field.spec.template.spec.containers[0].image", "team/trainer:2", schema.Unpinnable, "names neither a digest"},
		{"field.", "x", schema.Invalid, "plain or quoted"},
	} {
		got, _, err := new(Reader).Set("job.yaml", []byte(fieldsSpec), []Setting{{c.key, c.value}})
		if schema.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) || got != nil {
			t.Errorf("%s: %v (%s), want %s %q", c.key, err, schema.KindOf(err), c.kind, c.says)
		}
	}
	for _, spec := range []string{"#!/bin/bash\n#SBATCH -n 1\nsrun true\n", "\t", "a: &a [*a]\n"} {
		if got, _, err := new(Reader).Set("job.yaml", []byte(spec), []Setting{{"field.b", "y"}}); err == nil {
			t.Errorf("%q: %q", spec, got)
		}
	}
}
