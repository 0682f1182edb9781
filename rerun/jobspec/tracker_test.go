package jobspec

import (
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestWithoutTrackerRuns(t *testing.T) {
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: main # ours\n      image: x\n"
	for name, c := range map[string]struct {
		file, spec, want string
		said             int
	}{
		"among others":    {"f.yaml", head + "      env:\n        - {name: A, value: b}\n        - name: WANDB_RUN_ID\n          value: abc # old\n        - name: C\n          value: d\n", head + "      env:\n        - {name: A, value: b}\n        - name: C\n          value: d\n", 1},
		"alone":           {"f.yaml", head + "      env:\n        - name: WANDB_RUN_ID\n          value: abc\n      args: [x]\n", head + "      args: [x]\n", 1},
		"two":             {"f.yaml", head + "      env:\n        - {name: MLFLOW_RUN_ID, value: \"0\"}\n        - {name: A, value: b}\n        - {name: WANDB_RESUME, value: must}\n", head + "      env:\n        - {name: A, value: b}\n", 2},
		"in flow":         {"f.yaml", "kind: Pod\nspec: {containers: [{name: m, env: [{name: A, value: b}, {name: AIM_RUN_HASH, value: c}]}]}\n", "kind: Pod\nspec: {containers: [{name: m, env: [{name: A, value: b}]}]}\n", 1},
		"from a secret":   {"f.yaml", head + "      env:\n        - name: A\n          value: b\n        - name: WANDB_RUN_ID\n          valueFrom: {configMapKeyRef: {name: x, key: y}}\n", head + "      env:\n        - name: A\n          value: b\n", 1},
		"made anew":       {"f.yaml", head + "      env:\n        - name: WANDB_RUN_ID\n          valueFrom: {fieldRef: {fieldPath: metadata.uid}}\n", "", 0},
		"a template":      {"f.yaml", head + "      env:\n        - name: WANDB_RUN_ID\n          value: $(POD_NAME)\n", "", 0},
		"nothing":         {"f.yaml", head + "      env:\n        - name: WANDB_PROJECT\n          value: x\n        - {name: WANDB_RUN_ID, value: ''}\n", "", 0},
		"compose":         {"compose.yaml", "services:\n  a:\n    image: x\n    environment:\n      A: b\n      WANDB_RUN_ID: abc\n", "services:\n  a:\n    image: x\n    environment:\n      A: b\n", 1},
		"compose, a list": {"compose.yaml", "services:\n  a:\n    image: x\n    environment:\n      - A=b\n      - WANDB_RUN_ID=abc\n", "services:\n  a:\n    image: x\n    environment:\n      - A=b\n", 1},
		"JSON":            {"f.json", `{"kind":"Pod","spec":{"containers":[{"name":"m","env":[{"name":"WANDB_RUN_ID","value":"a"},{"name":"A","value":"b"}]}]}}`, `{"kind":"Pod","spec":{"containers":[{"name":"m","env":[{"name":"A","value":"b"}]}]}}`, 1},

		"script, export":       {"f.sh", "#!/bin/bash\n#SBATCH -n 1\nexport WANDB_RUN_ID=abc # old\nsrun x\n", "#!/bin/bash\n#SBATCH -n 1\nunset WANDB_RUN_ID # old\nsrun x\n", 1},
		"script, several":      {"f.sh", "#!/bin/bash\n#SBATCH -n 1\nexport A=1 WANDB_RUN_ID='abc' B=2\nsrun x\n", "#!/bin/bash\n#SBATCH -n 1\nexport A=1 B=2\nsrun x\n", 1},
		"script, last":         {"f.sh", "#!/bin/bash\n#SBATCH -n 1\nexport A=1 WANDB_RUN_ID=abc\n", "#!/bin/bash\n#SBATCH -n 1\nexport A=1\n", 1},
		"script, of a command": {"f.sh", "#!/bin/bash\n#SBATCH -n 1\nA=1 WANDB_RUN_ID=abc WANDB_RESUME=allow python t.py --x\n", "#!/bin/bash\n#SBATCH -n 1\nA=1 python t.py --x\n", 2},
		"script, plain":        {"f.sh", "#!/bin/bash\n#SBATCH -n 1\nif true; then WANDB_RUN_ID=abc; fi\n", "#!/bin/bash\n#SBATCH -n 1\nif true; then unset WANDB_RUN_ID; fi\n", 1},
		"script, made anew":    {"f.sh", "#!/bin/bash\n#SBATCH -n 1\nexport WANDB_RUN_ID=run-$SLURM_JOB_ID MLFLOW_RUN_ID=$(uuidgen)\n", "", 0},
	} {
		out, said, err := WithoutTrackerRuns(c.file, []byte(c.spec), nil)
		want := c.want
		if want == "" {
			want = c.spec
		}
		if err != nil || string(out) != want || len(said) != c.said {
			t.Errorf("%s: %v %q\n%s", name, err, said, out)
		}
		if runs, err := TrackerRuns(c.file, out); err != nil || len(runs) > 0 {
			t.Errorf("%s: %v, left %v", name, err, runs)
		}
		if kept, said, err := WithoutTrackerRuns(c.file, []byte(c.spec), trackerVariables); err != nil || string(kept) != c.spec || len(said) > 0 {
			t.Errorf("%s: what is to be kept was not: %v %q", name, err, said)
		}
	}
}

func TestTrackerRunsThatCannotBeTakenOut(t *testing.T) {
	for file, spec := range map[string]string{
		"used.yaml":   "kind: Pod\nspec: {containers: [{name: m, env: [{name: WANDB_RUN_ID, value: a}], args: [$(WANDB_RUN_ID)]}]}\n",
		"used.sh":     "#!/bin/bash\n#SBATCH -n 1\nWANDB_RUN_ID=a\necho ${WANDB_RUN_ID}\n",
		"shared.yaml": "kind: List\nitems:\n- {kind: Pod, spec: {containers: [{name: a, env: &e [{name: WANDB_RUN_ID, value: a}, {name: B, value: c}]}]}}\n- {kind: Pod, spec: {containers: [{name: a, env: *e}]}}\n",
	} {
		out, _, err := WithoutTrackerRuns(file, []byte(spec), nil)
		if schema.KindOf(err) != schema.Unpinnable || !strings.Contains(schema.HintOf(err), "--set env.WANDB_RUN_ID=") || out != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

func FuzzWithoutTrackerRuns(f *testing.F) {
	f.Add("f.yaml", "spec: {env: [{name: WANDB_RUN_ID, value: a}]}")
	f.Add("f.sh", "#!/bin/bash\n#SBATCH -n 1\nexport WANDB_RUN_ID=a B=c\n")
	f.Add("f.yaml", "a: &x {env: {WANDB_RUN_ID: a}}\nb: {<<: *x}\n")
	f.Fuzz(func(t *testing.T, file, spec string) {
		out, said, err := WithoutTrackerRuns(file, []byte(spec), nil)
		if err != nil {
			return
		}
		if (string(out) == spec) != (len(said) == 0) {
			t.Errorf("%q becomes %q, said %q", spec, out, said)
		}
		if left, err := TrackerRuns(file, out); err != nil || len(left) > 0 {
			t.Errorf("%q becomes %q: %v %v", spec, out, left, err)
		}
	})
}

func TestRewrite(t *testing.T) {
	const old, new = "https://git.old/team/code", "git@git.new:ml/code"
	for name, c := range map[string]struct{ file, spec, want string }{
		"a value":      {"f.yaml", "repo: https://git.old/team/code\nother: https://git.old/team/code2\n", "repo: git@git.new:ml/code\nother: https://git.old/team/code2\n"},
		"an option":    {"f.yaml", "args: ['--repo=https://git.old/team/code', \"--x\"]\n", "args: ['--repo=git@git.new:ml/code', \"--x\"]\n"},
		"with more":    {"f.yaml", "a: git+https://git.old/team/code@main # c\nb: https://git.old/team/code?ref=x\n", "a: git+git@git.new:ml/code@main # c\nb: git@git.new:ml/code?ref=x\n"},
		"twice":        {"f.yaml", "a: https://git.old/team/code\nb: [https://git.old/team/code]\n", "a: git@git.new:ml/code\nb: [git@git.new:ml/code]\n"},
		"a longer":     {"f.yaml", "a: xhttps://git.old/team/code\nb: https://git.old/team/code.git\n", "a: xhttps://git.old/team/code\nb: https://git.old/team/code.git\n"},
		"a script":     {"f.sh", "#!/bin/bash\n#SBATCH -n 1\ngit clone https://git.old/team/code x\n", "#!/bin/bash\n#SBATCH -n 1\ngit clone git@git.new:ml/code x\n"},
		"not a string": {"f.yaml", "a: 1\nb: [true, null]\n", "a: 1\nb: [true, null]\n"},
	} {
		if out, err := Rewrite(c.file, []byte(c.spec), old, new); err != nil || string(out) != c.want {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, bad := range []string{"a b", "a\nb: c", `"`} {
		if _, err := Rewrite("f.yaml", []byte("a: b"), "b", bad); schema.KindOf(err) != schema.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if out, err := Rewrite("f.yaml", []byte("a: b"), "b", "b/c"); err != nil || string(out) != "a: b/c" { // what was put in is not replaced again
		t.Errorf("%v %s", err, out)
	}
}

func TestTexts(t *testing.T) {
	all, err := Texts("f.yaml", []byte("a: {b: [x, \"y\\u002fz\"]}\nc: &d 1\ne: *d\n---\nf: g\n"))
	var got []string
	for _, s := range all {
		got = append(got, s.Key+"="+s.Text)
	}
	if want := []string{"field.a.b[0]=x", "field.a.b[1]=y/z", "field.c=1", "field.e=1", "field.f=g"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %q", err, got)
	}
}
