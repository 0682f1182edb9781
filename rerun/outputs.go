package rerun

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// metricsName is how the metrics file is called beside the outputs.
const metricsName = "metrics"

// threat is an output, or the metrics, of the original that a rerun would write over unless it is told to write elsewhere.
type threat struct {
	output schema.Output
	at     string // its URI, or its absolute path
	path   bool
}

// endangered lists them: everything that is no local path, and paths outside the code that the command does not take as an argument: those that it takes are
// given to it anew.
func (p *Prepared) endangered() []threat {
	outputs := slices.Clone(p.Outputs)
	if p.Metrics != nil {
		outputs = append(outputs, schema.Output{Name: metricsName, Path: p.Metrics})
	}
	var threats []threat
	for _, o := range outputs {
		if o.Path == nil {
			threats = append(threats, threat{o, strings.TrimRight(string(o.URI), "/"), false})
			continue
		}
		inCode := o.Path.Base == schema.BaseCheckout || (o.Path.Base == schema.BaseWorkDir && !strings.HasPrefix(string(o.Path.Rel), ".."))
		named := slices.ContainsFunc(p.Template, func(arg string) bool { return strings.Contains(arg, "{"+o.Name+"}") })
		if !inCode && !named && !p.InContainer() {
			at := string(o.Path.Located)
			if at == "" {
				at = string(o.Path.Typed)
			}
			threats = append(threats, threat{o, filepath.Clean(at), true})
		}
	}
	return threats
}

// saidPlace is a text that can tell the rerun where to write: as the original had it, and as the rerun has it.
type saidPlace struct {
	key     string // what --set calls it, "" where it has no name
	was, is string
}

// places lists them. What the original got by a name in braces is looked at as it was put in.
func (p *Prepared) places(spec []saidPlace) []saidPlace {
	places := slices.Clone(spec)
	for i, arg := range p.Of.CommandTemplate {
		if i >= len(p.Template) {
			break
		}
		s := saidPlace{was: putIn(string(arg), p.Of.Params), is: putIn(p.Template[i], p.Params)}
		flag, _, given := strings.Cut(string(arg), "=")
		switch param := strings.TrimSuffix(strings.TrimPrefix(string(arg), "{"), "}"); {
		case p.Of.Params[param] != "" && string(arg) == "{"+param+"}":
			s.key = param
		case given && strings.HasPrefix(flag, "-"):
			s.key = "arg." + flag
		case i > 0 && strings.HasPrefix(string(p.Of.CommandTemplate[i-1]), "-") && !strings.Contains(string(p.Of.CommandTemplate[i-1]), "="):
			s.key = "arg." + string(p.Of.CommandTemplate[i-1])
		}
		places = append(places, s)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Of.Variables)) {
		places = append(places, saidPlace{"env." + name, string(p.Of.Variables[name]), string(p.Vars[name])})
	}
	for _, value := range p.Secrets { // an argument that was withheld is the same again
		places = append(places, saidPlace{"", value, value})
	}
	return places
}

func putIn(arg string, params map[string]schema.Text) string {
	if !strings.Contains(arg, "{") {
		return arg
	}
	for name, value := range params {
		if strings.Contains(arg, "{"+name+"}") {
			arg = strings.ReplaceAll(arg, "{"+name+"}", string(value))
		}
	}
	return arg
}

// leads finds what in a text leads to the place of an output: the place, something beneath it, or a directory that holds it. A bucket or the first directory of
// a path alone says too little. from and to bound what was found, and rest is what the place has behind it.
func (t threat) leads(text string) (from, to int, rest string, ok bool) {
	if len(t.at) > maxPlace {
		return 0, 0, "", false
	}
	for at, depth := t.at, 0; depth < maxAbove; depth++ {
		if from, to, ok = mention(text, at, at == t.at); ok {
			return from, to, t.at[len(at):], true
		}
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			return 0, 0, "", false
		}
		at = at[:cut]
		_, inside, _ := strings.Cut(at, "://")
		if t.path {
			inside = strings.TrimPrefix(at, "/")
		}
		if !strings.Contains(inside, "/") {
			return 0, 0, "", false
		}
	}
	return 0, 0, "", false
}

// maxAbove bounds how many directories above a place are looked for: a record can come from anywhere.
const maxAbove = 64

// mention finds place in text where it is not part of a longer name; with beneath also what lies beneath it.
func mention(text, place string, beneath bool) (from, to int, ok bool) {
	for at := 0; place != ""; {
		i := strings.Index(text[at:], place)
		if i < 0 {
			break
		}
		from, to = at+i, at+i+len(place)
		at = from + 1
		end := to
		for end < len(text) && text[end] == '/' {
			end++
		}
		begins := from == 0 || !inName(text[from-1]) && text[from-1] != '/'
		if begins && (beneath && end > to || end == len(text) || !inName(text[end])) {
			return from, to, true
		}
	}
	return 0, 0, false
}

func inName(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '%' || c >= 0x80
}

// checkOutputs refuses a rerun that would write over an output, or the metrics, of the original. It may run where the settings changed every text that led there,
// or where the user says that it may be written over; the record of the new run then says which.
func (p *Prepared) checkOutputs(overwrite bool, spec []saidPlace) error {
	p.chosen = map[string]bool{}
	for _, t := range p.endangered() {
		name := t.output.Name
		if overwrite {
			p.chosen[name] = true
			p.Relaxed = append(p.Relaxed, schema.Reason{Code: "overwrite-outputs", Subject: schema.Text("output:" + name), Text: "what the original wrote to " + t.at + " may be written over"})
			continue
		}
		now, stood, free := t.settled(p.places(spec), p.ownEnviron())
		if !free {
			why := "the command does not take its path as an argument"
			if stood {
				why = "what the rerun is given still names it"
			} else if !t.path {
				why = "nothing in the record says where the program has that place from"
			}
			return &schema.Error{Op: "rerun", Kind: schema.Conflict, Subject: "output " + name, Err: fmt.Errorf("%s would be written over: %s", t.at, why), Hint: t.remedy(p.places(spec))}
		}
		p.moveOutput(t, now)
	}
	return nil
}

// settled reports whether a text of the original led to the place, and whether none does now. now is the place that stands there instead, "" where that cannot be told.
func (t threat) settled(places []saidPlace, environ []string) (now string, stood, free bool) {
	free = true
	told := true
	for _, s := range places {
		from, to, rest, led := t.leads(s.was)
		if _, _, _, leads := t.leads(s.is); leads {
			stood, free = true, false
		}
		if !led {
			continue
		}
		stood = true
		head, tail := s.was[:from], s.was[to:]
		if strings.Trim(tail, "/") == "" {
			tail = ""
		}
		if !strings.HasPrefix(s.is, head) || !strings.HasSuffix(s.is, tail) || len(s.is) <= len(head)+len(tail) {
			told = false
			continue
		}
		place := strings.TrimRight(s.is[len(head):len(s.is)-len(tail)], "/") + rest
		if now != "" && now != place {
			told = false
		}
		now = place
	}
	for _, kv := range environ {
		if _, value, _ := strings.Cut(kv, "="); free {
			_, _, named := mention(value, t.at, true)
			free = !named
		}
	}
	if !told {
		now = ""
	}
	return now, stood, free && stood
}

// ownEnviron is what a command sees of this machine's variables.
func (p *Prepared) ownEnviron() []string {
	if p.InContainer() || p.Job != nil {
		return p.Env
	}
	return p.Environ
}

// moveOutput declares the output where the rerun writes it, or drops it where that cannot be told.
func (p *Prepared) moveOutput(t threat, now string) {
	name := t.output.Name
	reason := schema.Reason{Code: "output-elsewhere", Subject: schema.Text("output:" + name), Text: "written to " + now + "; the original wrote " + t.at}
	moved := t.output
	switch {
	case now == "" || t.path != !strings.Contains(now, "://"):
		reason.Code, reason.Text = droppedCode, "where the rerun writes what the original wrote to "+t.at+" cannot be told"
		p.Outputs = slices.DeleteFunc(p.Outputs, func(o schema.Output) bool { return o.Name == name })
		if name == metricsName {
			p.Metrics = nil
		}
	case t.path && filepath.IsAbs(now):
		moved.URI, moved.Path = schema.Text(now), &schema.Path{Typed: schema.Text(now), Base: schema.BaseAbsolute, Located: schema.Text(filepath.Clean(now))}
		p.chosen[name] = true
	case t.path:
		moved.URI, moved.Path = schema.Text(now), &schema.Path{Typed: schema.Text(now), Base: schema.BaseWorkDir, Rel: schema.Text(filepath.ToSlash(filepath.Clean(now)))}
	default:
		moved.URI = schema.Text(now)
	}
	p.Relaxed = append(p.Relaxed, reason)
	for i := range p.Outputs {
		if p.Outputs[i].Name == name {
			p.Outputs[i] = moved
		}
	}
	if name == metricsName && p.Metrics != nil && moved.Path != nil {
		p.Metrics = moved.Path
	}
}

// droppedCode is the code of the reason that names an output which the rerun could not declare.
const droppedCode = "output-dropped"

func dropped(run schema.Run, name string) bool {
	return slices.ContainsFunc(run.Relaxed, func(r schema.Reason) bool { return r.Code == droppedCode && string(r.Subject) == "output:"+name })
}

// remedy tells which settings would lead the rerun elsewhere.
func (t threat) remedy(places []saidPlace) string {
	var keys []string
	for _, s := range places {
		if _, _, _, leads := t.leads(s.is); leads && s.key != "" && len(keys) < 8 && !slices.Contains(keys, s.key) {
			keys = append(keys, s.key)
		}
	}
	const over = "--overwrite-outputs lets it be written over"
	switch {
	case len(keys) > 0:
		return "give it another place: --set " + strings.Join(keys, "=… --set ") + "=…; " + over
	case t.path:
		return "name the output in the command when recording, as {" + t.output.Name + "}; " + over
	}
	return over
}

// checkJobOutputs is checkOutputs for a job: the texts of its spec say where it writes.
func (r *Rerunner) checkJobOutputs(ctx context.Context, req Request, p *Prepared) error {
	if len(p.endangered()) == 0 {
		return nil
	}
	if req.Overwrite {
		return p.checkOutputs(true, nil)
	}
	options := SpecOptions{Withheld: req.Secrets["job"], Reader: r.Reader}
	before, _, err := PinnedSpec(ctx, req.Run, r.Blobs, options)
	if err != nil {
		return err
	}
	options.Set = req.Set
	after, _, err := PinnedSpec(ctx, req.Run, r.Blobs, options)
	if err != nil {
		return err
	}
	places, err := spokenPlaces(string(p.Of.Job.Path.Typed), before, after)
	if err != nil {
		return err
	}
	return p.checkOutputs(false, places)
}

// spokenPlaces pairs the texts of a spec before and after the settings, which change values only.
func spokenPlaces(file string, before, after []byte) ([]saidPlace, error) {
	was, err := jobspec.Texts(file, before)
	if err != nil {
		return nil, err
	}
	is, err := jobspec.Texts(file, after)
	if err != nil {
		return nil, err
	}
	var places []saidPlace
	for i := range max(len(was), len(is)) {
		var s saidPlace
		if i < len(was) {
			s.was, s.key = was[i].Text, was[i].Key
		}
		if i < len(is) {
			s.is = is[i].Text
		}
		places = append(places, s)
	}
	return places, nil
}
