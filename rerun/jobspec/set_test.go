package jobspec

import (
	"errors"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestSet(t *testing.T) {
	for _, c := range []struct{ name, spec, key, value, want, was string }{
		{"plain", "a:\n  b: x # kept\r\nc: 1\r\n", "field.a.b", "w", "a:\n  b: w # kept\r\nc: 1\r\n", "x"},
		{"text that reads as a number", "a: x\n", "field.a", "5", "a: \"5\"\n", "x"},
		{"text that reads as a boolean to some", "a: x\n", "field.a", "yes", "a: \"yes\"\n", "x"},
		{"text that would end the value", "a: [x, y]\n", "field.a[0]", "p, q", "a: [\"p, q\", y]\n", "x"},
		{"text that would begin a comment", "a: x\n", "field.a", "p #q", "a: \"p #q\"\n", "x"},
		{"single quotes", "a: 'x'\n", "field.a", "it's", "a: 'it''s'\n", "x"},
		{"lines in single quotes", "a: 'x'\n", "field.a", "p\nq", "a: \"p\\nq\"\n", "x"},
		{"double quotes", `{"a": {"b": "x"}}`, "field.a.b", `<"\`, `{"a": {"b": "<\"\\"}}`, "x"},
		{"empty text", "a: x\n", "field.a", "", "a: \"\"\n", "x"},
		{"number", "a: 1\n", "field.a", "2.5", "a: 2.5\n", "1"},
		{"boolean", "a: true\n", "field.a", "false", "a: false\n", "true"},
		{"key with dots", "m: {a.b/c: x}\n", `field.m["a.b/c"]`, "w", "m: {a.b/c: w}\n", "x"},
		{"any item", "l: [{a: x}, {b: y}]\n", "field.l[].b", "z", "l: [{a: x}, {b: z}]\n", "y"},
		{"one of two documents", "a: x\n---\nb: y\n", "field.b", "z", "a: x\n---\nb: z\n", "y"},
		{"variable of a list", "env:\n- {name: N, value: \"1\"}\n", "env.N", "2", "env:\n- {name: N, value: \"2\"}\n", "1"},
		{"variable of a mapping", "environment: {N: 1}\n", "env.N", "many", "environment: {N: many}\n", "1"},
		{"variable with its name", "environment: [N=1]\n", "env.N", "2", "environment: [N=2]\n", "1"},
		{"option with =", "args: [--lr=0.1, --lr-end=0]\n", "arg.--lr", "0.2", "args: [--lr=0.2, --lr-end=0]\n", "0.1"},
		{"option and its value", "args: [--lr, \"0.1\"]\n", "arg.--lr", "-0.2", "args: [--lr, \"-0.2\"]\n", "0.1"},
	} {
		out, was, err := Set("job.yaml", []byte(c.spec), c.key, c.value)
		if err != nil || string(out) != c.want || was != c.was {
			t.Errorf("%s: %q was %q, %v; want %q was %q", c.name, out, was, err, c.want, c.was)
		}
	}
	for _, c := range []struct {
		name, spec, key, value string
		kind                   schema.Kind
		says                   string
	}{
		{"nowhere", "a: x\n", "field.b", "y", schema.Invalid, "no such place"},
		{"a mapping", "a: {b: x}\n", "field.a", "y", schema.Invalid, "no such place"},
		{"an odd path", "a: [x]\n", "field.a[", "y", schema.Invalid, "no such place"},
		{"two documents", "a: x\n---\na: y\n", "field.a", "z", schema.Invalid, "a (job.yaml:1:4), a (job.yaml:3:4)"},
		{"two containers", "a: {env: [{name: N, value: x}]}\nb: {env: [{name: N, value: x}]}\n", "env.N", "y", schema.Invalid, "more than one place"},
		{"a block", "a: |\n  x\n", "field.a", "y", schema.Unpinnable, "job.yaml:1:4: a is a block scalar"},
		{"an alias", "a: &x v\nb: *x\n", "field.b", "y", schema.Unpinnable, "job.yaml:2:4: b is shared through an anchor"},
		{"what an alias names", "a: &x v\nb: *x\n", "field.a", "y", schema.Unpinnable, "job.yaml:1:4: a is shared through an anchor"},
		{"below a merge", "a: &x {k: v}\nb: {<<: *x}\n", "field.b.k", "y", schema.Unpinnable, "is shared through an anchor"},
		{"another type", "a: 1\n", "field.a", "x", schema.Unpinnable, "not of that type"},
		{"nothing", "a:\n", "field.a", "x", schema.Unpinnable, "holds nothing"},
		{"a template", "a: {{ x }}\n", "field.a", "y", schema.Unpinnable, "is a template"},
		{"a variable from a secret", "env: [{name: N, valueFrom: {secretKeyRef: {name: s, key: k}}}]\n", "env.N", "y", schema.Unpinnable, "comes from elsewhere"},
		{"not UTF-8", "a: x\n", "field.a", "\xff", schema.Invalid, "not UTF-8"},
	} {
		out, _, err := Set("job.yaml", []byte(c.spec), c.key, c.value)
		var e *schema.Error
		if !errors.As(err, &e) || e.Kind != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v; want %s with %q", c.name, out, err, c.kind, c.says)
		}
	}
}

func TestSetInScript(t *testing.T) {
	const head = "#!/bin/bash\n#SBATCH -N 1\n"
	for _, c := range []struct{ script, key, value, want string }{
		{"export N=1 # kept\nsrun a\n", "env.N", "2", "export N=2 # kept\nsrun a\n"},
		{"N=\"a b\" srun a\n", "env.N", "$(x)", "N='$(x)' srun a\n"},
		{"srun a --lr=0.1 \\\n  --out \"o p\"\n", "arg.--lr", "1", "srun a --lr=1 \\\n  --out \"o p\"\n"},
		{"srun a --lr=0.1 \\\n  --out \"o p\"\n", "arg.--out", "q; r", "srun a --lr=0.1 \\\n  --out 'q; r'\n"},
	} {
		out, _, err := Set("a.sbatch", []byte(head+c.script), c.key, c.value)
		if err != nil || string(out) != head+c.want {
			t.Errorf("%q: %q, %v; want %q", c.script, out, err, c.want)
		}
	}
	for _, c := range []struct{ script, key, says string }{
		{"N=1\nN=2\n", "env.N", "more than one place: a.sbatch:3:3, a.sbatch:4:3"},
		{"N=$(date)\n", "env.N", "a.sbatch:3:3: the shell makes its value"},
		{"srun a --lr=$LR\n", "arg.--lr", "the shell makes its value"},
		{"srun a\n", "arg.--lr", "no such place"},
		{"srun a\n", "field.x", "a script has no fields"},
	} {
		if out, _, err := Set("a.sbatch", []byte(head+c.script), c.key, "1"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %q, %v; want %q", c.script, out, err, c.says)
		}
	}
}
