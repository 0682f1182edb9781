package rerun

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// aboutSecrets asks for what was kept out of the record because it holds a secret.
func aboutSecrets(run schema.Run, opts PreflightOptions) []Question {
	var questions []Question
	seen := map[string]bool{}
	add := func(name string, ref schema.Text, reason, remedy, how string) {
		if seen[name] {
			return
		}
		seen[name] = true
		a := schema.Availability{Pin: "secret:" + name, Ref: ref, State: schema.StateUnknown, Reason: reason, Remedy: remedy}
		if opts.Given[name] {
			how = "given"
		}
		if how != "" {
			a.State, a.How, a.Reason, a.Remedy = schema.StateAvailable, how, "", ""
		}
		questions = append(questions, told(a))
	}
	const withheld = " was withheld from the record because it holds a secret"
	for _, s := range withheldSecrets(run) {
		add(s.name, s.ref, s.what+withheld, "give it to the rerun: "+secretFlag(s.name), "")
	}
	variables := unheldVariables(run)
	if len(variables) == 0 {
		return questions
	}
	p := preparedOf(run)
	if run.Job == nil {
		_ = chooseLauncher(&p, opts.On)
	}
	remedy, sees := "set it in the environment of the rerun, or give it with --env-file FILE; --without NAME runs it without", run.Job == nil
	switch {
	case run.Job != nil:
		remedy = "a rerun of a job has it from where its spec says"
	case p.InContainer():
		remedy, sees = "a container sees none of this machine's variables: --env-file FILE; --without NAME runs it without", false
	}
	for _, v := range variables {
		reason, how := "the run had it from "+v.from+": its value is not in the record", ""
		switch {
		case opts.Without[v.name]:
			add(v.name, "", reason, "the rerun does without it, as asked for", "")
			continue
		case sees && opts.Here[v.name]:
			how = "set in this environment"
		}
		add(v.name, "", reason, strings.Replace(remedy, "NAME", shownName(v.name), 1), how)
	}
	return questions
}

// withheldSecret is something that --secret gives to a rerun.
type withheldSecret struct {
	name string
	ref  schema.Text
	what string // for a sentence
	job  bool   // the job spec, which a command does not have
}

// withheldSecrets lists them, as the record names them. What a rerun does without (the address of a remote, say) is not among them, and variables are given
// otherwise: [unheldVariables].
func withheldSecrets(run schema.Run) []withheldSecret {
	var all []withheldSecret
	for _, w := range run.Withheld {
		if what := map[string]string{"argument": "an argument", "param": "a param", "job-spec": "the job spec"}[w.What]; what != "" {
			all = append(all, withheldSecret{w.Name, w.Subject, what, w.What == "job-spec"})
		}
	}
	for _, c := range run.Code {
		for _, x := range c.Excluded {
			if x.Why == schema.ExcludedSecret {
				all = append(all, withheldSecret{string(x.Path), x.Path, "a file of the code", false})
			}
		}
	}
	return all
}

// secretFlag is how a secret is given.
func secretFlag(name string) string { return "--secret " + shownName(name) + "=@FILE" }

// takeSecrets asks for everything that was withheld: arguments and params by name, files of the code by path.
func (p *Prepared) takeSecrets(given map[string]string) error {
	needed := map[string]bool{}
	for _, s := range withheldSecrets(p.Of) {
		if !s.job {
			needed[s.name] = true
		}
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		value, ok := given[name]
		if !ok {
			missing = append(missing, secretFlag(name))
		}
		p.Secrets[name] = value
	}
	if len(missing) > 0 {
		return &schema.Error{Op: "rerun.secret", Kind: schema.Invalid, Subject: "run " + p.Of.ID.Short(), Err: fmt.Errorf("it used a secret that was withheld from the record"),
			Hint: "give it: " + strings.Join(missing, " ")}
	}
	for name := range given {
		if !needed[name] {
			return &schema.Error{Op: "rerun.secret", Kind: schema.Invalid, Subject: "--secret " + name, Err: fmt.Errorf("nothing of that name was withheld from run %s", p.Of.ID.Short())}
		}
	}
	return nil
}
