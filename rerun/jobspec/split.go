package jobspec

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// helmKeys are those that charts commonly use; there is no standard.
var helmKeys = imageKeys{registry: "registry", repository: "repository", tag: "tag", digest: "digest"}

// split is a reference in several keys of a mapping. Its pin is the value of one of them, which is added where it is missing.
type split struct {
	mapping *value
	key     string // of the digest
}

// imageMap notes a reference that stands in several keys.
func (r *reader) imageMap(h hit, p part) {
	if !isMapping(h.value) {
		r.problem(h.value, h.field, ProblemShape, wrongKind(h.value, "a mapping"))
		return
	}
	part := func(key string) (*value, bool) {
		if key == "" {
			return nil, true
		}
		v := h.value.get(key)
		if v == nil || v.isNull() {
			return nil, true
		}
		at := join(h.field, key)
		switch {
		case v.template || v.node.Kind == yaml.ScalarNode && isTemplate(v.node.Value):
			r.problem(v, at, ProblemTemplate, templated)
		case key == p.keys.tag && v.node.Kind == yaml.ScalarNode && !v.isString():
			r.problem(v, at, ProblemShape, "is not text; readers differ in what tag it is: put it in quotes")
		case !v.isString():
			r.problem(v, at, ProblemShape, "is not text")
		case v.node.Value == "":
			return nil, true
		default:
			return v, true
		}
		return nil, false
	}
	registry, ok1 := part(p.keys.registry)
	repository, ok2 := part(p.keys.repository)
	tag, ok3 := part(p.keys.tag)
	digest, ok4 := part(p.keys.digest)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return
	}
	if repository == nil {
		repository, _ = part(p.keys.fallback)
	}
	if repository == nil {
		r.problem(h.value, h.field, ProblemShape, "has no "+p.keys.repository)
		return
	}
	ref := repository.node.Value
	if registry != nil {
		ref = registry.node.Value + "/" + ref
	}
	switch {
	case tag != nil:
		ref += ":" + tag.node.Value
	case digest == nil && p.keys.fallback != "":
		r.problem(h.value, h.field, ProblemFloating, fmt.Sprintf("has neither %s nor digest, so the tag is whatever the resources say; name one here", p.keys.tag))
		return
	}
	if digest != nil {
		ref += "@" + digest.node.Value
	}
	parts, reason := splitReference(ref)
	if reason != "" {
		r.problem(repository, h.field, codeOf(reason), reason)
		return
	}
	if _, again := r.place[h.value.node]; again {
		return
	}
	// Charts that know no digest join repository:tag, and take a tag with the digest behind it.
	inTag := p.keys.fallback == "" && h.value.get(p.keys.digest) == nil
	if inTag && tag == nil {
		r.problem(h.value, h.field, ProblemFloating, "has neither a tag nor a digest, so it follows latest or what the chart says; name one")
		return
	}
	at := repository
	if tag != nil {
		at = tag
	}
	t, reason := r.doc.of.source.locate(at.node)
	if reason != "" {
		r.problem(at, h.field, ProblemWritten, reason)
		return
	}
	named := h.named
	if named == "" {
		named = KindImage
	}
	for _, v := range []*value{registry, repository, tag, digest} {
		if v != nil {
			r.told[v.node] = true
		}
	}
	new := Reference{Name: named, Kind: KindImage, Value: ref, Pinned: parts.digest != "", Shape: TagAndDigest, Field: h.field, split: &split{mapping: h.value, key: p.keys.digest}, token: t, nodes: []*value{h.value}}
	if inTag {
		new.split, new.nodes = nil, []*value{tag}
		new.prefix = ref[:len(ref)-len(tag.node.Value)]
		new.inTag = true
	}
	r.add(new, h.value, t.start, t.end)
}

// put gives the edits that set the digest of a reference in several keys.
func (r Reference) put(st *stamper, digest string) error {
	item := entry{name: r.split.key, value: newText(digest, false)}
	have := r.split.mapping.entry(r.split.key)
	if have == nil {
		return st.addEntry(r.split.mapping, item, "newTag", "tag", "newName", "repository", "name")
	}
	if have.value.isNull() {
		return st.fill(have, item.value)
	}
	st.wanted = append(st.wanted, change{at: have.value, text: digest})
	t, reason := st.doc.of.source.locate(have.value.node)
	if reason != "" {
		return fmt.Errorf("%s", reason)
	}
	st.edits = append(st.edits, edit{t.start, t.end, t.render(digest)})
	return nil
}
