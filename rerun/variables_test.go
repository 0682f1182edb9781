package rerun

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// hadFromFile makes a run one that had variables from a file.
func hadFromFile(run *schema.Run, names ...string) {
	for _, name := range names {
		run.Reasons = append(run.Reasons, schema.Reason{Code: envFileCode, Subject: schema.Text("env." + name), Text: "given by a file; its value is not recorded"})
	}
}

func withheldFrom(names ...string) schema.Environment {
	var e schema.Environment
	for _, name := range names {
		e.Reasons = append(e.Reasons, schema.Reason{Code: "withheld", Subject: schema.Text(name)})
	}
	return e
}

func TestARerunGetsTheVariablesWhoseValuesAreInNoRecord(t *testing.T) {
	container := func(run *schema.Run) {
		run.Launcher = "podman"
		run.Images = []schema.ImagePin{{Name: "image", Repository: "r/x", PlatformDigest: digestA, ConfigDigest: digestB}}
	}
	file := func(names ...string) func(*schema.Run) {
		return func(run *schema.Run) { hadFromFile(run, names...) }
	}
	for name, c := range map[string]struct {
		change  func(*schema.Run)
		on      string
		env     map[string]string
		environ []string
		set     []Setting
		without []string
		says    []string // of the refusal, in the error or its hint; none: it goes on
		relaxed string   // code and subject of what the record says of it
	}{
		"missing": {change: file("TOK"), environ: []string{"OTHER=1"}, says: []string{"it had a variable whose value is not in its record: TOK (from a file of variables)",
			"set it in this environment, or give it: --env-file FILE with lines NAME=value for TOK; or run it without: --without TOK"}},
		"two, one given":          {change: file("TOK", "KEY"), env: map[string]string{"KEY": "hunter2"}, says: []string{"TOK (from a file", "--without TOK"}},
		"both missing":            {change: file("TOK", "A B"), says: []string{`variables whose values are not in its record: TOK (from a file of variables), "A B"`, `--without TOK --without "A B"`}},
		"given":                   {change: file("TOK"), env: map[string]string{"TOK": "hunter2"}, relaxed: "env-file env.TOK"},
		"set":                     {change: file("TOK"), set: []Setting{{"env.TOK", "x"}}, relaxed: "set env.TOK"},
		"of this machine":         {change: file("TOK"), environ: []string{"TOK=hunter2"}, relaxed: "env-here env.TOK"},
		"done without":            {change: file("TOK"), without: []string{"TOK"}, relaxed: "without env.TOK"},
		"done without, though":    {change: file("TOK"), without: []string{"TOK"}, environ: []string{"TOK=hunter2"}, relaxed: "without env.TOK"},
		"without, and given":      {change: file("TOK"), without: []string{"TOK"}, env: map[string]string{"TOK": "hunter2"}, says: []string{"--without TOK: the rerun is given the variable, too"}},
		"without, and set":        {change: file("TOK"), without: []string{"TOK"}, set: []Setting{{"env.TOK", "x"}}, says: []string{"given the variable, too"}},
		"without nothing":         {change: file(), without: []string{"HOME"}, environ: []string{"HOME=/h"}},
		"withheld":                {change: func(r *schema.Run) { r.Environments = []schema.Environment{{}, withheldFrom("TOK")} }, says: []string{"TOK (from its environment, where it held a secret)"}},
		"withheld, by a report":   {change: func(r *schema.Run) { r.Withheld = []schema.Withheld{{What: "variable", Name: "tok", Subject: "TOK"}} }, says: []string{"--without TOK"}},
		"of a rerun":              {change: func(r *schema.Run) { r.Relaxed = []schema.Reason{{Code: envHereCode, Subject: "env.TOK"}} }, says: []string{"TOK (from the environment of its machine)"}},
		"of one that had not":     {change: func(r *schema.Run) { r.Relaxed = []schema.Reason{{Code: withoutCode, Subject: "env.TOK"}} }},
		"a tracker's, and ours":   {change: file("WANDB_RUN_ID", "RUNPIN_STORE", "")},
		"another reason":          {change: func(r *schema.Run) { r.Reasons = []schema.Reason{{Code: "x", Subject: "env.TOK"}} }},
		"in a container":          {change: func(r *schema.Run) { container(r); hadFromFile(r, "TOK") }, environ: []string{"TOK=hunter2"}, says: []string{"TOK (from a file", "give it: --env-file FILE"}},
		"in a container, given":   {change: func(r *schema.Run) { container(r); hadFromFile(r, "TOK") }, env: map[string]string{"TOK": "hunter2"}, relaxed: "env-file env.TOK"},
		"in a container, without": {change: func(r *schema.Run) { container(r); hadFromFile(r, "TOK") }, environ: []string{"TOK=hunter2"}, without: []string{"TOK"}, relaxed: "without env.TOK"},
		"moved into one": {change: func(r *schema.Run) {
			container(r)
			r.Launcher, r.Environments = "local", []schema.Environment{withheldFrom("TOK")}
		}, on: "podman", environ: []string{"TOK=hunter2"}, says: []string{"TOK (from its environment"}},
		"beside an argument": {change: func(r *schema.Run) {
			hadFromFile(r, "TOK")
			r.Withheld = []schema.Withheld{{What: "argument", Name: "api_key"}}
		}, says: []string{"--secret api_key=@FILE", "TOK (from a file"}},
	} {
		_, r := newWorld()
		run := original()
		c.change(&run)
		p, err := r.plan(Request{Run: run, On: c.on, Env: c.env, Environ: c.environ, Set: c.set, Without: c.without})
		text, relaxed := "", ""
		if err != nil {
			for _, failure := range schema.Failures(err) {
				text += failure.Error() + "\n" + schema.HintOf(failure) + "\n"
			}
		}
		for _, x := range p.Relaxed {
			if x.Code != "moved-into-image" {
				relaxed += x.Code + " " + string(x.Subject) + ";"
				text += x.Text
			}
		}
		for _, part := range c.says {
			if !strings.Contains(text, part) {
				t.Errorf("%s: it does not say %q:\n%s", name, part, text)
			}
		}
		if (err != nil) != (len(c.says) > 0) || err != nil && schema.KindOf(err) != schema.Invalid || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && strings.TrimSuffix(relaxed, ";") != c.relaxed {
			t.Errorf("%s: the record says %q", name, relaxed)
		}
		if all := strings.Join(p.Environ, " "); err == nil && strings.HasPrefix(name, "done without") && strings.Contains(all, "TOK") {
			t.Errorf("%s: %s", name, all)
		}
	}
}

func TestNothingIsWrittenWithoutTheVariables(t *testing.T) {
	w, r := newWorld()
	run := original()
	hadFromFile(&run, "TOK")
	dir := filepath.Join(t.TempDir(), "again")
	if _, err := r.Execute(t.Context(), Request{Run: run, Dir: dir}); schema.KindOf(err) != schema.Invalid || w.prepared != nil || len(w.saved) > 0 {
		t.Errorf("%v, %+v", err, w.prepared)
	}
	if _, err := r.Foresee(t.Context(), Request{Run: run, Dir: dir}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("a dry run: %v", err)
	}
	f, err := r.Foresee(t.Context(), Request{Run: run, Dir: dir, Without: []string{"TOK"}, Environ: []string{"TOK=hunter2"}})
	steps := ""
	for _, s := range f.Steps {
		steps += s.About + " " + s.Text + "\n"
	}
	if err != nil || !strings.Contains(steps, "variable TOK is left out") || !strings.Contains(steps, "relaxed env.TOK: left out, as asked for") || strings.Contains(steps, "hunter2") {
		t.Errorf("%v\n%s", err, steps)
	}
	_, _, jobs, job := jobWorld()
	job.Environments = []schema.Environment{withheldFrom("TOK")}
	if _, err := jobs.plan(Request{Run: job}); err != nil {
		t.Errorf("a job has its variables from its spec: %v", err)
	}
	if _, err := jobs.plan(Request{Run: job, Without: []string{"TOK"}}); schema.KindOf(err) != schema.Invalid {
		t.Errorf("a job takes --without: %v", err)
	}
}

func TestCheckSaysWhatGivesAVariable(t *testing.T) {
	_, r := newWorld()
	run := original()
	hadFromFile(&run, "TOK", "OMP_KEY")
	opts := PreflightOptions{Here: r.Here([]string{"TOK=hunter2", "OMP_KEY=1", "WANDB_RUN_ID=x"})}
	if len(opts.Here) != 1 {
		t.Errorf("a command would find %v", opts.Here)
	}
	found := r.Preflight(t.Context(), run, opts)
	if a := row(found, "secret:TOK"); a.State != schema.StateAvailable || a.How != "set in this environment" || !a.Advisory {
		t.Errorf("%+v", a)
	}
	if a := row(found, "secret:OMP_KEY"); a.State != schema.StateUnknown || !strings.Contains(a.Remedy, "--without OMP_KEY") {
		t.Errorf("%+v", a)
	}
	run.Launcher = "podman"
	if a := row(r.Preflight(t.Context(), run, opts), "secret:TOK"); a.State != schema.StateUnknown || !strings.Contains(a.Remedy, "a container sees none") {
		t.Errorf("in a container: %+v", a)
	}
	_, _, jobs, job := jobWorld()
	job.Environments = []schema.Environment{withheldFrom("TOK")}
	if a := row(jobs.Preflight(t.Context(), job, opts), "secret:TOK"); a.State != schema.StateUnknown || strings.Contains(a.Remedy, "--env-file") {
		t.Errorf("of a job: %+v", a)
	}
}

func TestVerdictNamesTheVariableBeforeItSaysSameInputs(t *testing.T) {
	const same = "same inputs, different outputs"
	relaxed := func(code, text string) func(o, n *schema.Run) {
		return func(_, n *schema.Run) {
			n.Relaxed = append(n.Relaxed, schema.Reason{Code: code, Subject: "env.TOK", Text: text})
		}
	}
	old := func(o, _ *schema.Run) { hadFromFile(o, "TOK") }
	for name, c := range map[string]struct {
		change func(o, n *schema.Run)
		says   string
		same   bool
	}{
		"missing":      {old, "; the original had TOK (from a file of variables), and nothing shows that the rerun had it", false},
		"done without": {and(old, relaxed(withoutCode, "left out, as asked for")), "; env.TOK was left out, as asked for", false},
		"given again":  {and(old, relaxed(envFileCode, "given by a file")), "not deterministic, or it depends on what is not recorded: the value of TOK, the time", true},
		"given now":    {relaxed(envFileCode, "given by a file"), "; env.TOK was given by a file", false},
		"here now": {func(o, n *schema.Run) {
			o.Environments, n.Environments = []schema.Environment{{}}, []schema.Environment{withheldFrom("TOK")}
		},
			"; the rerun had TOK (from its environment, where it held a secret), and nothing shows that the original had it", false},
		"recorded now": {and(old, func(_, n *schema.Run) {
			n.Environments = []schema.Environment{{Variables: map[string]schema.Text{"TOK": "x"}}}
		}), "", false},
		"withheld, not seen": {func(o, n *schema.Run) {
			o.Environments, n.Environments = []schema.Environment{withheldFrom("TOK")}, nil
		}, "what the rerun ran on is not known", false},
		"withheld": {func(o, n *schema.Run) {
			o.Environments, n.Environments = []schema.Environment{withheldFrom("TOK")}, []schema.Environment{{}}
		}, "; the original had TOK (from its environment, where it held a secret), and nothing shows that the rerun had it", false},
		"neither": {func(_, _ *schema.Run) {}, same + ": not deterministic, or it depends on what is not recorded: the time", true},
	} {
		o, n := pairOfRuns()
		and(otherContent, c.change)(&o, &n)
		v := Judge(o, n, Tolerances{})
		if v.Result != schema.Differs || !strings.Contains(v.Cause, c.says) || strings.Contains(v.Cause, same) != c.same || strings.Contains(v.Cause, "nothing shows") != strings.Contains(c.says, "nothing shows") {
			t.Errorf("%s: %s: %s", name, v.Result, v.Cause)
		}
	}
}

// A record can come from anywhere: what is said of it stays readable.
func TestManyVariablesAreNotAllNamed(t *testing.T) {
	_, r := newWorld()
	run := original()
	for i := range 5000 {
		hadFromFile(&run, "V"+strconv.Itoa(i), "V"+strconv.Itoa(i))
	}
	hadFromFile(&run, strings.Repeat("x", 10_000), "a\x1b[31m")
	_, err := r.plan(Request{Run: run})
	if text := err.Error() + schema.HintOf(err); len(text) > 3000 || !strings.Contains(text, "and 4982 more") || strings.Contains(text, "\x1b") {
		t.Errorf("%d bytes: %s", len(text), schema.Shorten(text, 400))
	}
}
