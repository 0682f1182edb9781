package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// reading is what the readers of all documents of a file share.
type reading struct {
	Reader
	spec            *Spec
	file            string
	left            int      // values
	taken, datasets pinNames // names of pins
	used            map[Field]bool
	settled         bool // something that needs no pin was found
}

// reader collects the references of one document.
type reader struct {
	*reading
	doc   *document
	x     *expander
	kind  *kind                   // of the object that is read
	top   hit                     // the object that is read
	place map[*yaml.Node]int      // scalar → index of its reference
	texts map[*yaml.Node]int      // string that was read as a document → how often
	told  map[*yaml.Node]bool     // nodes whose problem was told
	homes map[*yaml.Node][]*value // scalars that stand where only anchors are kept
	once  map[Problem]bool
	loose bool // {{ … }} that stands elsewhere than in a reference is filled in by the controller, and no problem
}

// open expands a document.
func (rd *reading) open(doc *document) (*reader, error) {
	v, x, err := expand(doc.root, rd.left)
	if err != nil {
		return nil, err
	}
	rd.left = x.left
	doc.value, doc.shared = v, x.shared
	return &reader{reading: rd, doc: doc, x: x, place: map[*yaml.Node]int{}, texts: map[*yaml.Node]int{}, told: map[*yaml.Node]bool{}, homes: map[*yaml.Node][]*value{}, once: map[Problem]bool{}}, nil
}

// document reads a document of the file, and says whether it is of a kind that starts something.
func (r *reader) document() (known bool) {
	v := r.doc.value
	_, object := v.get("kind"), v.get("apiVersion") != nil && v.get("kind") != nil
	var format *kind
	if !object && isMapping(v) {
		format = formatOf(r.file, v)
	}
	switch {
	case format != nil:
		r.spec.Format = format.format
		r.keepHomes(v)
		r.read(format, hit{value: v})
		known = true
		r.settled = true
	case object || len(r.Fields) == 0 && !r.AnyImage:
		known = r.object(v, "", 0)
	}
	known = r.declared(v) || known
	if r.AnyImage {
		known = r.anyImage(hit{value: v}) || known
	}
	if !known && !object && format == nil && r.spec.Format == "" && len(r.Fields)+map[bool]int{true: 1}[r.AnyImage] > 0 {
		r.problem(v, "", ProblemKind, "is not a job spec that runpin knows, and nothing that was declared is in it")
	}
	r.finish()
	return known
}

// object reads one object of Kubernetes at field, and says whether its kind is one that starts something.
func (r *reader) object(v *value, field string, depth int) (known bool) {
	if !isMapping(v) {
		r.problem(v, field, ProblemShape, wrongKind(v, "an object with apiVersion and kind"))
		return false
	}
	name, group := v.get("kind").text(), groupOf(v.get("apiVersion").text())
	if name == "" {
		r.problem(v, field, ProblemKind, "has no kind")
		return false
	}
	if imageless[group+"/"+name] {
		return false
	}
	k := kindOf(group, name)
	if k == nil {
		if r.anyContainers(hit{field: field, value: v}) {
			return true
		}
		if len(r.Fields) > 0 || r.AnyImage {
			return false
		}
		shown := name
		if group != "" {
			shown += " of " + group
		}
		r.problem(v.get("kind"), join(field, "kind"), ProblemKind, fmt.Sprintf("kind %s is not one that runpin knows, and has no list of containers; it may name an image", shown))
		return false
	}
	if r.spec.Format == "" {
		r.spec.Format = FormatKubernetes
	}
	r.spec.Live = r.spec.Live || isLive(v)
	if k.parts[0].what == anObject {
		walk(v, field, k.parts[0].path, func(h hit) {
			switch {
			case h.wrong != "":
				r.problem(h.value, h.field, ProblemShape, h.wrong)
				return
			case h.missing != "":
				return // an empty list
			case depth == maxLists:
				r.problem(h.value, h.field, ProblemShape, fmt.Sprintf("is a list inside %d lists", maxLists))
				return
			}
			known = r.object(h.value, h.field, depth+1) || known
		})
		return known
	}
	r.read(k, hit{field: field, value: v})
	return true
}

// read notes every part of an object.
func (r *reader) read(k *kind, object hit) {
	was := r.kind
	defer func(top hit) { r.kind, r.top = was, top }(r.top)
	r.kind, r.top = k, object
	r.parts(pod{object: object.value, template: object.value, field: object.field, plain: k.format != ""}, object, k.parts)
	if k.needs == nil {
		return
	}
	for _, path := range k.needs.paths {
		found := false
		walk(object.value, object.field, path, func(h hit) { found = found || h.missing == "" && h.wrong == "" })
		if found {
			return
		}
	}
	r.problem(object.value, object.field, ProblemElsewhere, k.needs.reason)
}

// parts notes the parts below a place; the containers among them get their run id with in.
func (r *reader) parts(in pod, below hit, parts []part) {
	for _, p := range parts {
		walk(below.value, below.field, p.path, func(h hit) {
			if h.named == "" {
				h.named = below.named
			}
			switch {
			case h.wrong != "" && !p.loose:
				r.problem(h.value, h.field, ProblemShape, h.wrong)
			case h.wrong != "" || h.missing != "" && (p.optional || p.what == elsewhere):
			case h.missing != "":
				r.problem(h.value, h.field, ProblemShape, "has no "+h.missing)
			default:
				r.part(&in, h, p)
			}
		})
	}
	if len(in.containers) > 0 || in.template != in.object {
		r.doc.pods = append(r.doc.pods, in)
	}
}

func (r *reader) part(in *pod, h hit, p part) {
	switch p.what {
	case aPod:
		if h.value.isNull() {
			return
		}
		if !isMapping(h.value) {
			r.problem(h.value, h.field, ProblemShape, wrongKind(h.value, "a mapping"))
			return
		}
		r.parts(pod{object: in.object, template: h.value, field: h.field}, h, podParts)
	case aContainer:
		r.container(in, h, p)
	case anImage:
		if p.key != "" && isMapping(h.value) {
			r.parts(pod{object: in.object, template: in.object}, h, []part{{path: p.key, what: anImage, optional: p.optional, shape: p.shape, prefix: p.prefix}})
			return
		}
		r.image(h, p)
	case anImageVolume:
		if h.value.get("type").text() == "image" {
			r.parts(pod{object: in.object, template: in.object}, h, []part{{path: "source", what: anImage}})
		}
	case anImageMap:
		r.imageMap(h, p)
	case aGitArtifact:
		r.gitArtifact(h)
	case aGitParam:
		r.gitParams(h)
	case aURL:
		r.url(h)
	case aUses:
		r.uses(h)
	case aDataset:
		r.dataset(h, p)
	case aText:
		r.text(h, p)
	case elsewhere:
		if !h.value.isNull() && r.stands(h, p) {
			r.problem(h.value, h.field, ProblemElsewhere, p.reason)
		}
	}
}

// stands says whether a place that starts work elsewhere really does.
func (r *reader) stands(h hit, p part) bool {
	if p.word != "" {
		return strings.Contains(h.value.text(), p.word)
	}
	if p.has != "" {
		at := h.value.get(p.commit).text()
		_, err := schema.ParseObjectID(at[strings.LastIndexByte(at, '@')+1:])
		return h.value.get(p.has) != nil && (p.commit == "" || err != nil)
	}
	if r.kind.group == "tekton.dev" { // a resolver's params and a bundle were noted as what they are
		resolver := h.value.get("resolver").text()
		return resolver != "git" && resolver != "bundles" && h.value.get("bundle") == nil
	}
	return true
}

// container notes what a container runs and fetches. An image that is missing may be given by what the container is made from.
func (r *reader) container(in *pod, h hit, p part) {
	if h.value.isNull() {
		return
	}
	if !isMapping(h.value) {
		r.problem(h.value, h.field, ProblemShape, wrongKind(h.value, "a mapping"))
		return
	}
	image := h.value.get("image")
	switch {
	case image != nil && h.value.get("build") != nil && r.kind.format == FormatCompose:
		r.problem(h.value.get("build"), join(h.field, "build"), ProblemElsewhere, "is built here, so it has no digest yet; build and push it, and take build out")
	case image != nil:
		r.image(hit{field: join(h.field, "image"), value: image, named: h.named}, p)
	case p.bare || r.inherits(h):
	case h.value.get("build") != nil && r.kind.format == FormatCompose:
		r.problem(h.value.get("build"), join(h.field, "build"), ProblemElsewhere, "is built here, so it has no digest yet; build and push it, and name the image")
	default:
		r.problem(h.value, h.field, ProblemShape, "has no image")
	}
	env := p.env
	if env == "" {
		env = "env"
	}
	in.containers = append(in.containers, container{h, env})
	r.gitSync(h)
	r.variables(h, env)
}

// inherits says whether a container without an image gets one from elsewhere in the same object.
func (r *reader) inherits(h hit) bool {
	switch {
	case r.kind.group == "argoproj.io":
		spec := r.top.value.get("spec")
		if inner := spec.get("workflowSpec"); inner != nil {
			spec = inner
		}
		defaults := spec.get("templateDefaults")
		for _, key := range []string{"container", "script"} {
			if strings.HasSuffix(h.field, "."+key) && defaults != nil && defaults.get(key) != nil {
				return defaults.get(key).get("image") != nil
			}
		}
	case r.kind.group == "tekton.dev":
		if h.value.get("ref") != nil {
			return true // told, or pinned, by itself
		}
		if i := strings.LastIndex(h.field, ".steps["); i >= 0 {
			task := valueAt(r.doc.value, "", h.field[:i])
			return task != nil && task.get("stepTemplate") != nil && task.get("stepTemplate").get("image") != nil
		}
	}
	return false
}

// text reads a string that holds documents.
func (r *reader) text(h hit, p part) {
	if h.value.isNull() || h.value.node.Kind == yaml.ScalarNode && strings.TrimSpace(h.value.node.Value) == "" {
		return
	}
	if isMapping(h.value) { // some controllers take the object itself as well
		r.parts(pod{object: h.value, template: h.value, field: h.field, plain: true}, h, p.parts)
		return
	}
	if !h.value.isString() {
		r.problem(h.value, h.field, ProblemShape, "is not text")
		return
	}
	r.texts[h.value.node]++
	if r.texts[h.value.node] > 1 {
		return // an alias of what was read
	}
	depth := 0
	for t := r.doc.of; t.outer != nil; t = t.outer.of {
		depth++
	}
	t, reason := r.doc.stringText(h.value)
	if depth == maxTexts {
		reason = fmt.Sprintf("is a text inside %d texts", maxTexts)
	}
	if reason != "" {
		r.problem(h.value, h.field, ProblemWritten, reason)
		return
	}
	t.field = h.field
	if marks(t.source.data) > maxMarks {
		r.problem(h.value, h.field, ProblemShape, "has too many parts for a job spec")
		return
	}
	roots, err := nodes(t.source.data)
	if err != nil {
		reason := "is not YAML: " + strings.TrimPrefix(oneLine(err.Error()), "yaml: ")
		if isTemplate(h.value.node.Value) {
			reason += "; it holds parameters, so perhaps it " + templated
		}
		r.problem(h.value, h.field, ProblemShape, reason)
		return
	}
	r.spec.texts = append(r.spec.texts, t)
	for i, root := range roots {
		doc := &document{index: r.doc.index, root: root, of: t}
		t.docs = append(t.docs, doc)
		inner, err := r.reading.open(doc)
		if err != nil {
			reason := err.Error()
			r.problem(h.value, h.field, ProblemShape, "cannot be read: "+reason)
			return
		}
		if doc.value.isNull() {
			continue
		}
		inner.loose = true
		field := h.field + "|"
		if len(roots) > 1 {
			field = fmt.Sprintf("%s|%d|", h.field, i)
		}
		if len(p.parts) > 0 {
			inner.kind, inner.top = r.kind, hit{field: field, value: doc.value}
			inner.parts(pod{object: doc.value, template: doc.value, field: field, plain: true}, inner.top, p.parts)
		} else {
			inner.object(doc.value, field, 0)
		}
		inner.finish()
	}
}

// image notes the reference at h, or what is wrong with it.
func (r *reader) image(h hit, p part) {
	v := h.value
	if v.isNull() && p.optional {
		return
	}
	if r.badText(h) {
		return
	}
	written := v.node.Value
	if isTemplate(written) {
		places := r.follow(r.top.value, r.top.field, h.field, written)
		if len(places) == 0 {
			r.problem(v, h.field, ProblemTemplate, templated)
			return
		}
		r.told[v.node] = true
		for _, at := range places {
			if at.value.isString() && isTemplate(at.value.node.Value) {
				r.problem(at.value, at.field, ProblemTemplate, templated)
				continue
			}
			if h.named != "" {
				at.named = h.named
			}
			r.image(at, p)
		}
		return
	}
	if version, ok := strings.CutPrefix(written, "azureml:"); ok || strings.HasPrefix(written, "azureml://") {
		r.azureAsset(h, version)
		return
	}
	ref, rest := written, ""
	if p.prefix != "" {
		var ok bool
		if ref, ok = strings.CutPrefix(written, p.prefix); !ok {
			if p.prefix == "docker:" || !strings.HasPrefix(p.prefix, "docker") {
				return // an image of the cloud's own
			}
			if r.kind.format == FormatActions { // action.yml: a Dockerfile of the action
				r.problem(v, h.field, ProblemElsewhere, "is built from a Dockerfile; pin that, or name an image with "+p.prefix)
				return
			}
		}
		rest = written[:len(written)-len(ref)]
	}
	parts, reason := splitReference(ref)
	if reason != "" {
		r.problem(v, h.field, codeOf(reason), reason)
		return
	}
	named := h.named
	switch named {
	case "":
		named = KindImage
	case ref: // its name is what it is called by
		named = parts.repository[strings.LastIndexByte(parts.repository, '/')+1:]
	}
	shape := p.shape
	if shape == "" {
		shape = TagAndDigest
	}
	r.note(Reference{Name: named, Kind: KindImage, Value: ref, Pinned: parts.digest != "", Shape: shape, Field: h.field, prefix: rest}, v)
}

// badText tells what is wrong with a value that has to be text.
func (r *reader) badText(h hit) bool {
	switch v := h.value; {
	case v.template:
		r.problem(v, h.field, ProblemTemplate, templated)
	case v.isNull():
		r.problem(v, h.field, ProblemShape, "is empty")
	case !v.isString():
		r.problem(v, h.field, ProblemShape, "is not text")
	default:
		return false
	}
	return true
}

// codeOf gives the code of a reason of splitReference.
func codeOf(reason string) string {
	if reason == templated {
		return ProblemTemplate
	}
	return ProblemReference
}

// note adds a reference that stands at v, or one more field to the reference whose place v shares.
func (r *reader) note(ref Reference, v *value) {
	if i, ok := r.place[v.node]; ok { // the anchor's place serves this field too
		have := &r.spec.References[i]
		if ref.Field == have.Field || slices.Contains(have.Also, ref.Field) {
			return // several paths lead there
		}
		if have.Kind != ref.Kind || have.URL != ref.URL || have.prefix != ref.prefix || have.suffix != ref.suffix {
			r.problem(v, ref.Field, ProblemWritten, "shares its text"+anchorOf(v)+" with "+have.Field+", which means something else; give each its own")
			have.nodes = append(have.nodes, v) // told once
			return
		}
		have.Also = append(have.Also, ref.Field)
		have.nodes = append(have.nodes, v)
		return
	}
	t, reason := r.doc.of.source.locate(v.node)
	if reason != "" {
		r.problem(v, ref.Field, ProblemWritten, reason)
		return
	}
	ref.token, ref.nodes = t, []*value{v}
	r.add(ref, v, t.start, t.end)
}

// add adds a reference that stands between two offsets of the document's text, at the node of v.
func (r *reader) add(ref Reference, v *value, start, end int) {
	switch ref.Kind {
	case KindImage:
		ref.Name = r.taken.next(ref.Name) // code is named when all images are, so that it takes no name from them
	case KindDataset:
		ref.Name = r.datasets.next(ref.Name)
	}
	ref.doc, ref.Document = r.doc, r.doc.index
	ref.Offset, ref.End = r.doc.of.inFile(start), r.doc.of.inFile(end)
	ref.Line, ref.Column = r.doc.of.position(start)
	r.place[v.node] = len(r.spec.References)
	r.spec.References = append(r.spec.References, ref)
}

// finish looks at what can be judged only when the whole document was read.
func (r *reader) finish() {
	for _, n := range r.x.templates {
		if !r.told[n] && !r.loose {
			r.problem(&value{node: n}, "", ProblemTemplate, templated)
		}
	}
	if !r.x.shared {
		return
	}
	shares := func(v *value, field, what string) {
		r.problem(v, field, ProblemWritten, "shares its text"+anchorOf(v)+" with a field that is not "+what+"; give each its own")
	}
	for node, i := range r.place {
		ref := &r.spec.References[i]
		ref.nodes = append(ref.nodes, r.homes[node]...)
		if used := r.x.visits[node]; used != len(ref.nodes) {
			shares(ref.nodes[0], ref.Field, map[string]string{KindImage: "an image", KindCode: "a revision", KindDataset: "a dataset"}[ref.Kind])
		}
	}
	for _, t := range r.spec.texts {
		if t.outer == r.doc && r.x.visits[t.at.node] != 1 {
			shares(t.at, t.field, "read like it")
		}
	}
}

// keepHomes notes the scalars below keys that only keep anchors: x-… of compose.
func (r *reader) keepHomes(v *value) {
	if !r.x.shared {
		return
	}
	var keep func(v *value)
	keep = func(v *value) {
		if v.node.Kind == yaml.ScalarNode {
			r.homes[v.node] = append(r.homes[v.node], v)
		}
		for _, e := range v.entries {
			keep(e.value)
		}
		for _, i := range v.items {
			keep(i)
		}
	}
	for _, e := range v.entries {
		if strings.HasPrefix(e.name, "x-") {
			keep(e.value)
		}
	}
}

func anchorOf(v *value) string {
	switch {
	case v.via != nil:
		return " through the anchor &" + v.via.Value
	case v.node.Anchor != "":
		return " through the anchor &" + v.node.Anchor
	default:
		return " through an anchor"
	}
}

func (r *reader) problem(v *value, field, code, reason string) {
	r.told[v.node] = true
	p := Problem{Code: code, Document: r.doc.index, Field: field, Reason: reason}
	if strings.HasSuffix(reason, templated) {
		p.Code = ProblemTemplate
	}
	if v.node.Kind == yaml.ScalarNode {
		p.Value = Shown(v.node.Value)
	}
	p.Line, p.Column = r.doc.of.place(v.at())
	if r.once[p] {
		return // several paths lead there
	}
	r.once[p] = true
	r.spec.Problems = append(r.spec.Problems, p)
}

// isLive reports whether an API server has seen the object.
func isLive(v *value) bool {
	meta := v.get("metadata")
	return meta != nil && (meta.get("uid") != nil || meta.get("resourceVersion") != nil)
}
