package rerun

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// Codes of the reasons that name a variable which the run had, or did without, and whose value is in no record.
const (
	envFileCode = "env-file" // a file gave it to the command
	envHereCode = "env-here" // the environment of the machine gave it
	withoutCode = "without"  // the user said that the rerun does without it
)

// Where a run had a variable from whose value is in no record.
const (
	fromFile   = "a file of variables"
	fromHere   = "the environment of its machine"
	fromSecret = "its environment, where it held a secret"
)

// maxNamed bounds the names that one sentence lists.
const maxNamed = 20

// unheld is a variable that a run had and whose value is in no record.
type unheld struct{ name, from string }

// unheldVariables lists them, each once. Those that a rerun never hands on, because they name the original's run of a tracker or are runpin's own, are left out.
func unheldVariables(run schema.Run) []unheld {
	var all []unheld
	seen := map[string]bool{}
	add := func(name, from string) {
		if name == "" || seen[name] || jobspec.IsTrackerVariable(name) || setsItself(name) {
			return
		}
		seen[name] = true
		all = append(all, unheld{name, from})
	}
	for _, w := range run.Withheld {
		if w.What == "variable" {
			add(cmp.Or(string(w.Subject), w.Name), fromSecret)
		}
	}
	for _, reason := range slices.Concat(run.Reasons, run.Relaxed) {
		from := map[string]string{envFileCode: fromFile, envHereCode: fromHere}[reason.Code]
		if name, ok := strings.CutPrefix(string(reason.Subject), "env."); ok && from != "" {
			add(name, from)
		}
	}
	for _, e := range run.Environments {
		for _, reason := range e.Reasons {
			if reason.Code == "withheld" {
				add(string(reason.Subject), fromSecret)
			}
		}
	}
	return all
}

// takeVariables refuses a rerun that would not get a variable which the original had and whose value is in no record: its result could be another, and nothing would
// say why. The environment of this machine gives it to a command that sees it; the user may say that the rerun does without it, which its record then says.
func (p *Prepared) takeVariables(without []string, warn func(string, ...any)) error {
	needed := unheldVariables(p.Of)
	for _, name := range without {
		if !slices.ContainsFunc(needed, func(v unheld) bool { return v.name == name }) {
			warn("--without %s: run %s had no such variable whose value is not in its record", shownName(name), p.Of.ID.Short())
		}
	}
	file, environ := namesOf(p.Env), namesOf(p.ownEnviron())
	var missing []unheld
	for _, v := range needed {
		_, set := p.Vars[v.name]
		say := func(code, text string) {
			p.Relaxed = append(p.Relaxed, schema.Reason{Code: code, Subject: schema.Text("env." + v.name), Text: text})
		}
		switch {
		case slices.Contains(without, v.name) && (set || file[v.name]):
			return &schema.Error{Op: "rerun.without", Kind: schema.Invalid, Subject: "--without " + shownName(v.name), Err: fmt.Errorf("the rerun is given the variable, too"), Hint: "leave out one of the two"}
		case slices.Contains(without, v.name):
			p.Environ = slices.DeleteFunc(p.Environ, func(kv string) bool { return strings.HasPrefix(kv, v.name+"=") })
			say(withoutCode, "left out, as asked for; the original had it from "+v.from)
		case set || file[v.name]:
		case environ[v.name]:
			say(envHereCode, "taken from the environment of this machine; its value is not recorded")
		default:
			missing = append(missing, v)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	what := "it had a variable whose value is not in its record: "
	if len(missing) > 1 {
		what = "it had variables whose values are not in its record: "
	}
	give, leave := "give it: ", ""
	if !p.InContainer() {
		give = "set it in this environment, or give it: "
	}
	for _, v := range missing[:min(len(missing), maxNamed)] {
		leave += " --without " + shownName(v.name)
	}
	return &schema.Error{Op: "rerun.variables", Kind: schema.Invalid, Subject: "run " + p.Of.ID.Short(), Err: fmt.Errorf("%s%s", what, listed(missing, true)),
		Hint: give + "--env-file FILE with lines NAME=value for " + listed(missing, false) + "; or run it without:" + leave}
}

// listed names variables in a sentence, with from also where the run had each from.
func listed(all []unheld, from bool) string {
	var names []string
	for _, v := range all[:min(len(all), maxNamed)] {
		name := shownName(v.name)
		if from {
			name += " (from " + v.from + ")"
		}
		names = append(names, name)
	}
	text := strings.Join(names, ", ")
	if more := len(all) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func namesOf(environ []string) map[string]bool {
	names := map[string]bool{}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		names[name] = true
	}
	return names
}

// shownName is a name from a record as a sentence and a command line hold it; one that a shell would read otherwise is quoted.
func shownName(name string) string {
	name = schema.Shorten(name, 200)
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./+,:", r))
	}) {
		return strconv.Quote(name)
	}
	return name
}

// Here names the variables that a command which is started on this machine finds set: not those that a rerun takes from the record, leaves out or sets anew.
func (r *Rerunner) Here(environ []string) map[string]bool {
	return namesOf(r.environment(environ, nil, nil))
}

// Unheld says which variables the run had whose values are in no record, for a form of it that is written down and does not hold them; "" where there are none.
func Unheld(run schema.Run) string {
	all := slices.DeleteFunc(unheldVariables(run), func(v unheld) bool { _, set := run.Variables[v.name]; return set })
	if len(all) == 0 {
		return ""
	}
	return "the run had " + listed(all, true) + ", and no value of that is in its record: what is written here does not set it"
}

// absent says which variable the original had without a record of its value, where nothing shows that the rerun had it.
func (j *judging) absent() string {
	said := map[string]bool{} // the user wanted it so
	for _, r := range j.new.Relaxed {
		if r.Code == withoutCode {
			said[string(r.Subject)] = true
		}
	}
	lacks := slices.DeleteFunc(lacking(j.old, j.new), func(v unheld) bool { return said["env."+v.name] })
	if len(lacks) == 0 {
		return ""
	}
	return "the original had " + listed(lacks, true) + ", and nothing shows that the rerun had it"
}

// added is the other way round.
func (j *judging) added() string {
	lacks := lacking(j.new, j.old)
	if len(lacks) == 0 {
		return ""
	}
	return "the rerun had " + listed(lacks, true) + ", and nothing shows that the original had it"
}

// lacking lists the variables of a run whose values are in no record and of which the other run's record shows nothing.
func lacking(run, other schema.Run) []unheld {
	shown := map[string]bool{}
	for _, v := range unheldVariables(other) {
		shown[v.name] = true
	}
	for name := range other.Variables {
		shown[name] = true
	}
	for _, e := range other.Environments {
		for name := range e.Variables {
			shown[name] = true
		}
	}
	return slices.DeleteFunc(unheldVariables(run), func(v unheld) bool {
		return shown[v.name] || v.from == fromSecret && len(other.Environments) == 0 // nobody looked at the other's environment
	})
}

// unheldByBoth names what both runs had with values that nobody can compare.
func (j *judging) unheldByBoth() string {
	if both := unheldVariables(j.new); len(both) > 0 {
		return "the value of " + listed(both, false) + ", "
	}
	return ""
}
