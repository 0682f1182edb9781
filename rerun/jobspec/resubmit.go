package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

const (
	maxPasses    = 100
	maxJobName   = 50 // so that controllers can add -worker-0 and the like within 63
	maxNameGiven = 63
)

// Resubmit makes objects of Kubernetes fit to be submitted again: what the server set is taken out, and what starts a job gets a new name: name, or
// without one a generateName made from the old name, which `kubectl create` completes. Everything else stays byte for byte. said tells what was changed.
// Files of other formats are fit as they are. An error has kind Unpinnable when something cannot be taken out of the text, Invalid for a bad name.
func Resubmit(file string, data []byte, name string) (out []byte, said []string, err error) {
	if name != "" && !isObjectName(name) {
		return nil, nil, &schema.Error{Op: "jobspec.resubmit", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(name, 100)), Err: fmt.Errorf("is not the name of an object"),
			Hint: "a name has lower-case letters, digits, - and ., begins and ends with a letter or digit, and has at most 63 characters"}
	}
	if isScript(file, data) {
		return data, nil, nil
	}
	told := map[string]bool{}
	for range maxPasses {
		s, err := Reader{AnyImage: true}.parse(file, data)
		if err != nil {
			return nil, nil, err
		}
		r := &resubmitter{spec: s, name: name, parents: map[*value]bool{}}
		for _, d := range s.texts[0].docs {
			r.doc, r.holders = d, nil
			r.object(d.value, "")
		}
		if r.failed != nil {
			return nil, nil, r.failed
		}
		if len(r.edits) == 0 {
			return data, said, nil
		}
		next, err := s.source.apply(r.edits)
		if err == nil {
			err = s.texts[0].verify(next, r.wanted)
		}
		if err != nil {
			return nil, nil, &schema.Error{Op: "jobspec.resubmit", Kind: schema.Unpinnable, Subject: file, Err: err}
		}
		for _, line := range r.said {
			if !told[line] {
				said = append(said, line)
			}
			told[line] = true
		}
		data = next
	}
	return nil, nil, &schema.Error{Op: "jobspec.resubmit", Kind: schema.Internal, Subject: file, Err: fmt.Errorf("the object does not come to rest")}
}

// parse reads the documents of a file without looking for references.
func (Reader) parse(file string, data []byte) (*Spec, error) {
	s := &Spec{File: file}
	roots, src, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	s.source = src
	whole := &text{source: src}
	s.texts = append(s.texts, whole)
	left := maxValues
	for i, root := range roots {
		v, x, err := expand(root, left)
		if err != nil {
			return nil, s.nodeError(err)
		}
		left = x.left
		whole.docs = append(whole.docs, &document{index: i, root: root, of: whole, value: v, shared: x.shared})
	}
	return s, nil
}

// resubmitter collects the changes of one pass. A pass changes each mapping once, because changes beside each other would overlap.
type resubmitter struct {
	spec    *Spec
	doc     *document
	name    string
	edits   []edit
	wanted  []change
	said    []string
	parents map[*value]bool // mappings and lists that this pass has changed, or that lie in what it takes out
	holders map[*value]holder
	failed  error
}

func (r *resubmitter) object(v *value, field string) {
	if !isMapping(v) || r.failed != nil {
		return
	}
	name, group := v.get("kind").text(), groupOf(v.get("apiVersion").text())
	if name == "" {
		return
	}
	k := kindOf(group, name)
	if k != nil && k.parts[0].what == anObject {
		walk(v, field, k.parts[0].path, func(h hit) {
			if h.wrong == "" && h.missing == "" {
				r.object(h.value, h.field)
			}
		})
		r.drop(v, field, []string{"metadata.resourceVersion", "metadata.selfLink"})
		return
	}
	if group == "kustomize.config.k8s.io" {
		return
	}
	r.drop(v, field, serverSet)
	manual := v.get("spec") != nil && v.get("spec").get("manualSelector") != nil && v.get("spec").get("manualSelector").node.Value == "true"
	for _, path := range kindSet[group+"/"+name] {
		if path != "spec.selector" || !manual {
			r.drop(v, field, []string{path})
		}
	}
	if k == nil {
		return
	}
	if meta := v.get("metadata"); meta == nil || meta.get("labels") == nil || meta.get("labels").get(queueLabel) == nil {
		r.drop(v, field, suspended)
	}
	for _, p := range k.parts {
		if p.what != aPod {
			continue
		}
		walk(v, field, p.path, func(h hit) {
			if h.wrong != "" || h.missing != "" || !isMapping(h.value) {
				return
			}
			r.drop(h.value, h.field, templateSet)
			if name == "Pod" && group == "" {
				r.drop(h.value, h.field, podSet)
			}
			r.tokens(h)
		})
	}
	if isJob(group, name) {
		r.rename(v, field)
	}
}

// drop takes keys out of the mappings that they stand in. A mapping of which nothing would be left goes as a whole.
func (r *resubmitter) drop(v *value, field string, paths []string) {
	last := func(path string) (parent, key string) {
		if i := strings.LastIndex(path, `["`); i >= 0 {
			return path[:i], strings.TrimSuffix(path[i+2:], `"]`)
		}
		i := strings.LastIndexByte(path, '.')
		return path[:max(i, 0)], path[i+1:]
	}
	gone := map[string]map[string]bool{} // parent path → keys
	for _, path := range paths {
		parent, key := last(path)
		if gone[parent] == nil {
			gone[parent] = map[string]bool{}
		}
		gone[parent][key] = true
	}
	for _, path := range paths {
		parent, key := last(path)
		walk(v, field, parent, func(h hit) {
			if h.wrong != "" || h.missing != "" || !isMapping(h.value) || h.value.entry(key) == nil {
				return
			}
			if i := strings.LastIndexByte(parent, '.'); i >= 0 && !slices.ContainsFunc(h.value.entries, func(e entry) bool { return !gone[parent][e.name] }) {
				walk(v, field, parent[:i], func(above hit) { r.takeEntry(above, parent[i+1:]) })
				return
			}
			r.takeEntry(h, key)
		})
	}
}

// tokens takes the service account's token out of a pod, which the server adds again.
func (r *resubmitter) tokens(pod hit) {
	isToken := func(v *value) bool { return strings.HasPrefix(v.get("name").text(), tokenVolume) }
	for _, list := range []string{"spec.volumes", "spec.initContainers[].volumeMounts", "spec.containers[].volumeMounts"} {
		cut := strings.LastIndexByte(list, '.')
		walk(pod.value, pod.field, list[:cut], func(h hit) {
			if h.wrong != "" || h.missing != "" || !isMapping(h.value) {
				return
			}
			key := list[cut+1:]
			items := h.value.get(key)
			if items == nil || items.node.Kind != yaml.SequenceNode || !slices.ContainsFunc(items.items, isToken) {
				return
			}
			if !slices.ContainsFunc(items.items, func(v *value) bool { return !isToken(v) }) {
				r.takeEntry(h, key)
				return
			}
			r.takeItem(hit{field: join(h.field, key), value: items}, slices.IndexFunc(items.items, isToken))
		})
	}
}

// free reports a place that this pass has not changed yet, and marks it and what lies in gone as changed.
func (r *resubmitter) free(at *value, gone *value) bool {
	if r.failed != nil || r.parents[at] {
		return false
	}
	r.parents[at] = true
	var mark func(v *value)
	mark = func(v *value) {
		r.parents[v] = true
		for _, e := range v.entries {
			mark(e.value)
		}
		for _, i := range v.items {
			mark(i)
		}
	}
	if gone != nil {
		mark(gone)
	}
	return true
}

func (r *resubmitter) takeEntry(h hit, key string) {
	e := h.value.entry(key)
	if e == nil || r.touched(e.value) {
		return
	}
	if above, ok := r.holder(h.value); ok && len(h.value.entries) == 1 { // nothing would be left of it
		r.takeEntry(hit{field: strings.TrimSuffix(strings.TrimSuffix(h.field, above.key), "."), value: above.of}, above.key)
		return
	}
	if !r.free(h.value, e.value) {
		return
	}
	gone, err := r.doc.removeEntry(h.value, key)
	if err != nil {
		r.fail(e.value, join(h.field, key), err)
		return
	}
	r.edits, r.wanted = append(r.edits, gone), append(r.wanted, change{at: h.value, drop: key})
	r.said = append(r.said, "took out "+join(h.field, key))
}

type holder struct {
	of  *value
	key string
}

// holder finds the mapping that holds a value, and under which key.
func (r *resubmitter) holder(v *value) (holder, bool) {
	if r.holders == nil {
		r.holders = map[*value]holder{}
		var note func(v *value)
		note = func(v *value) {
			for _, e := range v.entries {
				r.holders[e.value] = holder{v, e.name}
				note(e.value)
			}
			for _, i := range v.items {
				note(i)
			}
		}
		note(r.doc.value)
	}
	h, ok := r.holders[v]
	return h, ok
}

func (r *resubmitter) takeItem(list hit, i int) {
	if r.touched(list.value.items[i]) || !r.free(list.value, list.value.items[i]) {
		return
	}
	gone, err := r.doc.removeItem(list.value, i)
	if err != nil {
		r.fail(list.value.items[i], indexed(list.field, i), err)
		return
	}
	r.edits, r.wanted = append(r.edits, gone), append(r.wanted, change{at: list.value, without: i + 1})
	r.said = append(r.said, "took out the service account's token from "+list.field)
}

// touched reports a value in which this pass has changed something already.
func (r *resubmitter) touched(v *value) bool {
	if r.parents[v] {
		return true
	}
	for _, e := range v.entries {
		if r.touched(e.value) {
			return true
		}
	}
	for _, i := range v.items {
		if r.touched(i) {
			return true
		}
	}
	return false
}

func (r *resubmitter) fail(v *value, field string, err error) {
	line, column := r.doc.of.place(v.at())
	r.failed = &schema.Error{Op: "jobspec.resubmit", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%s:%d:%d", r.spec.File, line, column), Err: fmt.Errorf("%s: %w", field, err)}
}

// rename gives the object a name of its own.
func (r *resubmitter) rename(v *value, field string) {
	meta := v.get("metadata")
	if meta == nil || !isMapping(meta) {
		return
	}
	name, generate := meta.entry("name"), meta.entry("generateName")
	at := hit{field: join(field, "metadata"), value: meta}
	switch {
	case r.name != "" && name != nil && name.value.text() == r.name:
		if generate != nil {
			r.takeEntry(at, "generateName")
		}
	case r.name != "" && name != nil:
		r.respell(at, name, "name", r.name)
	case r.name != "" && generate != nil:
		r.respell(at, generate, "name", r.name)
	case name != nil && generate != nil:
		r.takeEntry(at, "name")
	case name != nil && name.value.isString():
		base := name.value.node.Value
		r.respell(at, name, "generateName", strings.TrimRight(base[:min(len(base), maxJobName)], "-.")+"-")
	}
}

// respell gives an entry another key and another value.
func (r *resubmitter) respell(at hit, e *entry, key, text string) {
	if !r.free(at.value, nil) {
		return
	}
	k, reason1 := r.doc.of.source.locate(e.key)
	t, reason2 := r.doc.of.source.locate(e.value.node)
	if reason1+reason2 != "" || e.value.via != nil || e.merged || e.value.node.Anchor != "" {
		r.fail(e.value, join(at.field, e.name), errRemove)
		return
	}
	was := e.value.node.Value
	if e.name != key {
		r.edits = append(r.edits, edit{k.start, k.end, k.render(key)})
		r.wanted = append(r.wanted, change{at: at.value, drop: e.name}, change{at: at.value, entry: &entry{name: key, value: newText(text, false)}})
	} else {
		r.wanted = append(r.wanted, change{at: e.value, text: text})
	}
	r.edits = append(r.edits, edit{t.start, t.end, t.render(text)})
	r.said = append(r.said, fmt.Sprintf("%s is %s: %s (it was %s)", join(at.field, e.name), key, text, was))
}

func isObjectName(s string) bool {
	if len(s) > maxNameGiven || !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}
