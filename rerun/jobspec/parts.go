package jobspec

import (
	"fmt"
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
	follows         int  // how many parameters may still be followed
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
	r.parts(pod{object: object.value, template: object.value, field: object.field, plain: k.format != "", shared: k.shared}, object, k.parts)
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
		r.parts(pod{object: in.object, template: h.value, field: h.field, shared: in.shared}, h, podParts)
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
