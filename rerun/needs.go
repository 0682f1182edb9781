package rerun

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// probeTime bounds how long a place to run may take to answer.
const probeTime = 15 * time.Second

// aboutNeeds lists what has to be found out beside the pins: what was withheld and has to be given, what would be written over, the GPUs, the place to run,
// whether there is something to compare with.
// The answers are advice: they never keep a run from counting as one that can be run again. Where a rerun is about to start, the place has to answer.
func (r *Rerunner) aboutNeeds(run schema.Run, opts PreflightOptions) []Question {
	questions := slices.Concat(aboutSecrets(run, opts), aboutOutputs(run, opts), r.aboutStart(run, opts))
	if q, ask := r.aboutGPUs(run); ask {
		questions = append(questions, q)
	}
	if q, ask := r.aboutPlace(run, opts); ask {
		questions = append(questions, q)
	}
	if q, ask := aboutVerdict(run, opts.compared); ask && (run.Job != nil || len(run.CommandTemplate) > 0) {
		questions = append(questions, q)
	}
	return questions
}

// told is a question whose answer stands in the record.
func told(a schema.Availability) Question {
	a.Advisory = true
	if a.How == "" {
		a.How = "record"
	}
	return Question{Pin: a.Pin, Ref: a.Ref, Key: keyOf("told", a.Pin, string(a.State), a.How, a.Reason, a.Remedy), Ask: func(context.Context) schema.Availability { return a }}
}

// aboutOutputs names the outputs that a rerun without settings would write over.
func aboutOutputs(run schema.Run, opts PreflightOptions) []Question {
	if opts.Outputs {
		return nil
	}
	var questions []Question
	p := preparedOf(run)
	if run.Job == nil {
		_ = chooseLauncher(&p, opts.On)
	}
	if isJob(run) && run.Launcher == "slurm" && len(p.Outputs) == 0 {
		p.Outputs = run.Outputs // named when it was finished
	}
	for _, t := range p.endangered() {
		remedy := t.remedy(p.places(nil))
		if run.Job != nil {
			remedy = "give it another place in its spec: --set field.PATH=V, env.NAME=V or arg.--FLAG=V; " + remedy
		}
		questions = append(questions, told(schema.Availability{Pin: "output:" + t.output.Name, Ref: schema.Text(t.at), State: schema.StateUnknown,
			Reason: "a rerun would write over it", Remedy: remedy}))
	}
	return questions
}

// aboutGPUs compares the GPUs of this machine with those that were recorded. A job runs on other machines than this one.
func (r *Rerunner) aboutGPUs(run schema.Run) (Question, bool) {
	at := slices.IndexFunc(run.Environments, func(e schema.Environment) bool { return len(e.GPUs) > 0 })
	if r.Hardware == nil || at < 0 || run.Job != nil || run.Launcher == "slurm" || run.Launcher == "kubernetes" {
		return Question{}, false
	}
	env := run.Environments[at]
	was := describeGPUs(env.GPUs, env.GPUDriver)
	q := Question{Pin: "gpu", Ref: schema.Text(was), Key: keyOf("gpu", was)}
	q.Ask = func(ctx context.Context) schema.Availability {
		a := schema.Availability{State: schema.StateAvailable, How: "this machine", Value: schema.Text(was), Advisory: true}
		gpus, driver := r.Hardware.GPUs(ctx)
		is := describeGPUs(gpus, driver)
		switch {
		case is == was:
			return a
		case len(gpus) == 0:
			a.State, a.Reason = schema.StateGone, "this machine shows no GPU; the run had "+was
			a.Remedy = "rerun it on a machine that has them"
			return a
		}
		a.State, a.Found, a.Reason = schema.StateChanged, schema.Text(is), "this machine has "+is+"; the run had "+was
		a.Remedy = "its result may differ: rerun it on a machine that has the same"
		return a
	}
	return q, true
}

// LookOnce gives hardware that is looked at once, however often it is asked for.
func LookOnce(h Hardware) Hardware { return &seenOnce{hardware: h} }

type seenOnce struct {
	hardware Hardware
	mu       sync.Mutex
	looked   bool
	gpus     []schema.GPU
	driver   string
}

// GPUs implements Hardware.
func (s *seenOnce) GPUs(ctx context.Context) ([]schema.GPU, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.looked && ctx.Err() == nil {
		s.gpus, s.driver = s.hardware.GPUs(ctx)
		s.looked = ctx.Err() == nil
	}
	return s.gpus, s.driver
}

// describeGPUs tells GPUs by number and model, which is what a result can depend on, and the driver.
func describeGPUs(gpus []schema.GPU, driver string) string {
	count := map[string]int{}
	for _, g := range gpus {
		model := g.Model
		if model == "" {
			model = "GPU of no known model"
		}
		count[schema.Shorten(model, 100)]++
	}
	var parts []string
	for _, model := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d × %s", count[model], model))
	}
	text := strings.Join(parts, " and ")
	if driver != "" && text != "" {
		text += ", driver " + schema.Shorten(driver, 40)
	}
	return text
}

// aboutPlace asks whether the place where the run ran, or is about to be run again, answers.
func (r *Rerunner) aboutPlace(run schema.Run, opts PreflightOptions) (Question, bool) {
	where := opts.On
	if where == "" {
		where = run.Launcher
	}
	if where == "" && run.Job == nil {
		where = "local"
	}
	if where == "" || run.Job != nil && opts.On != "" || r.Places == nil { // a job is about to be handed over: the scheduler is asked there
		return Question{}, false
	}
	program := ""
	if where == "local" {
		if len(run.CommandTemplate) == 0 {
			return Question{}, false
		}
		program = string(run.CommandTemplate[0])
		if strings.ContainsAny(program, "{<") || strings.Contains(program, "/") && !filepath.IsAbs(program) {
			return Question{}, false // it comes with the code, or is not told
		}
	}
	q := Question{Pin: "launcher:" + where, Ref: schema.Text(program), Key: keyOf("launcher", where, program, opts.On)}
	q.Ask = func(ctx context.Context) schema.Availability {
		ctx, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		a := schema.Availability{State: schema.StateAvailable, How: "probed", Advisory: opts.On == "" || where == "local"}
		if err := r.Places.ProbePlace(ctx, where, program); err != nil {
			a.State, a.Reason, a.Remedy = stateOf(err), err.Error(), schema.HintOf(err)
		}
		return a
	}
	return q, true
}

// advise tells what was found that does not keep the run from being run again but may make its result another.
func (r *Rerunner) advise(found []schema.Availability) {
	for _, a := range found {
		if a.Advisory && a.State != schema.StateAvailable && (a.Pin == "gpu" || a.Pin == verdictPin || strings.HasPrefix(a.Pin, "launcher:")) {
			r.Warn("%s: %s", a.Pin, a.Reason)
		}
	}
}

// asking gives what a preflight has to know of the rerun that is about to start.
func (p *Prepared) asking(req Request, found *moves) PreflightOptions {
	opts := PreflightOptions{At: req.At, Deep: req.Deep, Relocate: req.Relocate, Given: map[string]bool{}, Without: map[string]bool{}, Here: namesOf(p.Environ), Outputs: true, On: p.Launcher, moves: found}
	for name := range req.Secrets {
		opts.Given[name] = true
	}
	for name := range req.Env {
		opts.Given[name] = true
	}
	for name := range p.Vars {
		opts.Given[name] = true
	}
	for _, name := range req.Without {
		opts.Without[name] = true
	}
	return opts
}
