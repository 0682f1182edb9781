package jobspec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/runpin/runpin/schema"
)

// trackerVariables are the variables that make an experiment tracker go on with a run that exists.
var trackerVariables = []string{"WANDB_RUN_ID", "WANDB_RESUME", "MLFLOW_RUN_ID", "CLEARML_TASK_ID", "TRAINS_TASK_ID", "COMET_EXPERIMENT_KEY", "COMET_START_EXPERIMENT_KEY",
	"NEPTUNE_CUSTOM_RUN_ID", "NEPTUNE_RUN_ID", "AIM_RUN_HASH", "SWANLAB_RUN_ID", "SWANLAB_RESUME"}

// IsTrackerVariable reports a variable that makes an experiment tracker go on with a run that exists.
func IsTrackerVariable(name string) bool { return slices.Contains(trackerVariables, name) }

// TrackerRun is a variable of a job spec that names a run of a tracker by a literal.
type TrackerRun struct {
	Name  string
	Place string // file:line:column
}

// TrackerRuns finds them. What is made anew for each run, such as $SLURM_JOB_ID or a field of the pod, is none.
func TrackerRuns(file string, data []byte) (found []TrackerRun, err error) {
	if !slices.ContainsFunc(trackerVariables, func(name string) bool { return bytes.Contains(data, []byte(name)) }) {
		return nil, nil // most specs have none, and need not be read again to know it
	}
	if isScript(file, data) {
		if f := textFormatOf(file, data); f != &slurmFormat && f != &shellFormat {
			return nil, nil
		}
		assigns, src, err := trackerAssigns(file, data)
		for _, a := range assigns {
			line, column := src.position(a.at)
			found = append(found, TrackerRun{a.name, fmt.Sprintf("%s:%d:%d", file, line, column)})
		}
		return found, err
	}
	s, err := Reader{}.parse(file, data)
	if err != nil {
		return nil, err
	}
	for _, d := range s.texts[0].docs {
		d.eachTrackerRun(d.value, func(_ hit, _ int, _, name string, at *value) {
			n := at.at()
			line, column := d.of.place(n)
			found = append(found, TrackerRun{name, fmt.Sprintf("%s:%d:%d", file, line, column)})
		})
	}
	return found, nil
}

// WithoutTrackerRuns takes these variables out, except those in keep, so that what is submitted begins runs of its own. Everything else stays byte for byte. said
// tells what was taken out. An error has kind Unpinnable where one cannot be taken out, because of how it is written or because something else in the spec uses it.
func WithoutTrackerRuns(file string, data []byte, keep []string) (out []byte, said []string, err error) {
	for range maxPasses {
		found, err := TrackerRuns(file, data)
		if err != nil {
			return nil, nil, err
		}
		found = slices.DeleteFunc(found, func(t TrackerRun) bool { return slices.Contains(keep, t.Name) })
		if len(found) == 0 {
			return data, said, nil
		}
		next, err := withoutTrackerRun(file, data, found[0])
		if err != nil {
			return nil, nil, &schema.Error{Op: "jobspec.tracker", Kind: schema.Unpinnable, Subject: found[0].Place,
				Err:  fmt.Errorf("%s names the original's run of a tracker and cannot be taken out: %w", found[0].Name, err),
				Hint: "name another run: --set env." + found[0].Name + "=ID"}
		}
		data = next
		said = append(said, "took out "+found[0].Name+", which names the original's run of a tracker")
	}
	return nil, nil, &schema.Error{Op: "jobspec.tracker", Kind: schema.Unpinnable, Subject: file, Err: fmt.Errorf("more than %d variables name runs of trackers", maxPasses)}
}

func withoutTrackerRun(file string, data []byte, gone TrackerRun) ([]byte, error) {
	for _, use := range []string{"$(" + gone.Name + ")", "${" + gone.Name, "$" + gone.Name} {
		if bytes.Contains(data, []byte(use)) {
			return nil, fmt.Errorf("%s stands elsewhere in the spec", use)
		}
	}
	if isScript(file, data) {
		return withoutAssign(file, data, gone.Name)
	}
	s, err := Reader{}.parse(file, data)
	if err != nil {
		return nil, err
	}
	for _, d := range s.texts[0].docs {
		r := &resubmitter{spec: s, doc: d, parents: map[*value]bool{}}
		first := true
		d.eachTrackerRun(d.value, func(holder hit, i int, key, name string, at *value) {
			if !first || name != gone.Name {
				return
			}
			first = false
			if key != "" {
				r.takeEntry(holder, key)
				return
			}
			if len(holder.value.items) == 1 { // nothing would be left of the list
				if above, ok := r.holder(holder.value); ok {
					r.takeEntry(hit{field: holder.field, value: above.of}, above.key)
					return
				}
			}
			r.takeItem(holder, i)
		})
		if r.failed != nil {
			return nil, r.failed
		}
		if len(r.edits) == 0 {
			continue
		}
		next, err := s.source.apply(r.edits)
		if err == nil {
			err = s.texts[0].verify(next, r.wanted)
		}
		return next, err
	}
	return nil, errRemove
}

// eachTrackerRun visits the variables below env and the like: in a list (i says where) or a mapping (by key).
func (d *document) eachTrackerRun(v *value, visit func(holder hit, i int, key, name string, at *value)) {
	f := finder{doc: d}
	f.walk(v, "", func(e entry, at string) bool {
		if !envKeys[e.name] || e.value.node.Kind == yaml.ScalarNode {
			return false
		}
		holder := hit{field: at, value: e.value}
		for _, variable := range e.value.entries {
			if IsTrackerVariable(variable.name) && literal(variable.value) {
				visit(holder, -1, variable.name, variable.name, variable.value)
			}
		}
		for i, item := range e.value.items {
			name, text, plain := strings.Cut(item.text(), "=")
			if !plain {
				name = item.get("name").text()
			}
			if IsTrackerVariable(name) && (plain && text != "" && !isTemplate(text) || !plain && item.get("valueFrom").get2("fieldRef") == nil && (item.get("value") == nil || literal(item.get("value")))) {
				visit(holder, i, "", name, item)
			}
		}
		return true
	})
}

// get2 is get of what may be absent.
func (v *value) get2(name string) *value {
	if v == nil {
		return nil
	}
	return v.get(name)
}

// literal reports a value that is written out.
func literal(v *value) bool {
	return v.node.Kind == yaml.ScalarNode && !v.isNull() && v.node.Value != "" && !isTemplate(v.node.Value)
}

// trackerAssign is an assignment of a script that gives such a variable a text, and the edit that takes it out.
type trackerAssign struct {
	name string
	at   int
	gone edit
}

// trackerAssigns finds them. An assignment that stands alone becomes an unset, for a variable of the environment of whoever submits would show through.
func trackerAssigns(file string, data []byte) (found []trackerAssign, src *source, err error) {
	s := &Spec{File: file, source: newSource(data)}
	tree, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(data), file)
	if err != nil {
		return nil, nil, s.shellError(err)
	}
	r := &scriptReader{textReader: textReader{spec: s}}
	offset := func(p syntax.Pos) int { return int(p.Offset()) }
	look := func(statement syntax.Node, assigns []*syntax.Assign, behind int, alone bool) {
		for i, a := range assigns {
			if a.Name == nil || a.Value == nil || !IsTrackerVariable(a.Name.Value) {
				continue
			}
			if w := r.wordOf(a.Value); w.expands || w.text == "" {
				continue
			}
			t := trackerAssign{name: a.Name.Value, at: offset(a.Pos())}
			switch {
			case alone && len(assigns) == 1:
				t.gone = edit{offset(statement.Pos()), offset(statement.End()), "unset " + a.Name.Value}
			case i+1 < len(assigns):
				t.gone = edit{t.at, offset(assigns[i+1].Pos()), ""}
			case behind >= 0:
				t.gone = edit{t.at, behind, ""}
			default:
				t.gone = edit{offset(assigns[i-1].End()), offset(a.End()), ""}
			}
			found = append(found, t)
		}
	}
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			behind := -1
			if len(n.Args) > 0 {
				behind = offset(n.Args[0].Pos())
			}
			look(n, n.Assigns, behind, len(n.Args) == 0)
		case *syntax.DeclClause:
			var assigns []*syntax.Assign
			for _, a := range n.Args {
				if a.Name != nil {
					assigns = append(assigns, a)
				}
			}
			look(n, assigns, -1, true)
		}
		return true
	})
	return found, s.source, nil
}

// withoutAssign takes the first of them that has the name out, and proves that every other word is as it was.
func withoutAssign(file string, data []byte, name string) ([]byte, error) {
	found, src, err := trackerAssigns(file, data)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(found, func(t trackerAssign) bool { return t.name == name })
	if at < 0 {
		return nil, errRemove
	}
	out, err := src.apply([]edit{found[at].gone})
	if err != nil {
		return nil, err
	}
	others := func(data []byte) ([]string, error) {
		all, err := wordsOf(file, data)
		var words []string
		if err == nil {
			for i, w := range all.words {
				if !slices.Contains(all.named[name], i) && w.text != "unset" && w.text != name {
					words = append(words, w.text)
				}
			}
		}
		return words, err
	}
	before, err := others(data)
	if err != nil {
		return nil, err
	}
	if after, err := others(out); err != nil || !slices.Equal(before, after) {
		return nil, errRemove
	}
	return out, nil
}
