package schema

import (
	"cmp"
	"fmt"
	"strings"
)

func (c *comparing) code() {
	for _, p := range pairs(c.a.Code, c.b.Code, func(p CodePin) string { return p.Name }) {
		subject := "code:" + p.name
		if p.a == nil || p.b == nil {
			c.only(subject, p.a != nil, p.b != nil, firstOf(p.a, p.b).Ref)
			continue
		}
		c.codePin(subject, *p.a, *p.b)
	}
}

func (c *comparing) codePin(subject string, a, b CodePin) {
	c.differ(subject, "name", ClassNoise, true, Text(a.Name), Text(b.Name))
	if c.differ(subject, "kind", ClassMust, true, Text(a.Kind), Text(b.Kind)) {
		return
	}
	if a.Kind == CodeScript {
		c.script(subject, a, b)
		return
	}
	class := ClassNoise // of what explains a difference, or does not
	switch {
	case a.Tree == "" || b.Tree == "":
		c.unproven(subject, "tree", ClassMust, Text(a.Tree), Text(b.Tree), subject+": whether the files are the same cannot be told: the tree of "+either(a.Tree == "", b.Tree == "")+" is not known")
	case a.Tree != b.Tree:
		class = ClassMust
		c.add(Difference{Subject: subject, Field: "tree", Class: ClassMust, Input: true, A: Text(a.Tree), B: Text(b.Tree),
			Text: fmt.Sprintf("%s: the files differ: %s and %s", subject, a.state(), b.state())})
	default:
		c.claimed(subject, a.Use, b.Use)
	}
	c.differ(subject, "commit", class, false, Text(a.Commit), Text(b.Commit))
	c.changes(subject, class, a.Commit == b.Commit, a.Changes, b.Changes)
	c.items(subject, "lfs", ClassMust, true, "LFS object", mapItems(lfsOf(a), lfsOf(b)), 0)
	c.submodules(subject, a, b)
	c.differ(subject, "sparse", ClassLikely, false, yes(a.Sparse), yes(b.Sparse))
	c.differ(subject, "dirty", ClassNoise, false, yes(a.Dirty), yes(b.Dirty))
	c.differ(subject, "ref_name", ClassNoise, false, a.RefName, b.RefName)
	c.differ(subject, "remote", ClassNoise, false, Text(a.Remote), Text(b.Remote))
	c.items(subject, "excluded", ClassNoise, false, "path that is not code", mapItems(excludedOf(a), excludedOf(b)), 0)
}

// state says which commit, and whether it was changed.
func (p CodePin) state() string {
	name := "no commit"
	if p.Commit != "" {
		name = "commit " + p.Commit.Short()
	}
	if ref, ok := strings.CutPrefix(string(p.RefName), "refs/heads/"); ok {
		name += " of " + ref
	}
	if !p.Dirty {
		return name
	}
	if s := p.Summary; s != nil {
		return fmt.Sprintf("%s with changes to %d files", name, s.Added+s.Modified+s.Deleted)
	}
	return name + " with changes"
}

func (c *comparing) script(subject string, a, b CodePin) {
	var digests [2]Text
	for i, p := range []CodePin{a, b} {
		if p.Script != nil {
			digests[i] = Text(p.Script.Blob.Digest)
		}
	}
	switch {
	case digests[0] == "" || digests[1] == "":
		c.unproven(subject, "script", ClassMust, digests[0], digests[1], subject+": whether the scripts are the same cannot be told: the content of one is not known")
	case !c.differ(subject, "script", ClassMust, true, digests[0], digests[1]):
		c.claimed(subject, a.Use, b.Use)
	}
	c.differ(subject, "ref", ClassNoise, false, a.Ref, b.Ref)
}

func (c *comparing) submodules(subject string, a, b CodePin) {
	trees := func(p CodePin) map[string]ObjectID {
		out := map[string]ObjectID{}
		for _, s := range p.Submodules {
			out[string(s.Path)] = s.Tree
		}
		return out
	}
	c.items(subject, "submodules", ClassMust, true, "submodule", mapItems(trees(a), trees(b)), 0)
	blobs := func(p CodePin) map[string]Submodule {
		out := map[string]Submodule{}
		for _, s := range p.Submodules {
			out[string(s.Path)] = s
		}
		return out
	}
	inA, inB := blobs(a), blobs(b)
	for _, path := range keysOf(inA, inB) {
		if x, y := inA[path], inB[path]; x.Tree != y.Tree && x.Tree != "" && y.Tree != "" {
			c.changes(subject, ClassMust, x.Commit == y.Commit, x.Changes, y.Changes)
		}
	}
}

func lfsOf(p CodePin) map[string]Text {
	out := map[string]Text{}
	for _, o := range p.LFS {
		out[string(o.Path)] = Text(o.OID)
		if o.PointerOnly {
			out[string(o.Path)] = "pointer to " + Text(o.OID)
		}
	}
	return out
}

func excludedOf(p CodePin) map[string]string {
	out := map[string]string{}
	for _, e := range p.Excluded {
		out[string(e.Path)] = e.Why
	}
	return out
}

func yes(b bool) Text {
	if b {
		return "yes"
	}
	return "no"
}

// changes compares the working changes of two checkouts, file by file. On one commit they are the whole difference.
func (c *comparing) changes(subject string, class Class, sameCommit bool, a, b *BlobRef) {
	if a == nil && b == nil || a != nil && b != nil && a.Digest == b.Digest || c.blobs == nil {
		return
	}
	filesA, okA := c.readChanges(subject, a)
	filesB, okB := c.readChanges(subject, b)
	if !okA || !okB {
		return
	}
	noun := "changed file"
	if !sameCommit {
		noun = "file changed since the commit"
	}
	var items []DifferenceItem
	for _, path := range keysOf(filesA, filesB) {
		inA, inB := cmp.Or(filesA[path], asCommitted), cmp.Or(filesB[path], asCommitted)
		if inA != inB {
			items = append(items, DifferenceItem{Name: Text(path), Change: "changed", A: inA, B: inB})
		}
	}
	c.items(subject, "files", class, false, noun, items, 0)
}

// asCommitted is the state of a file that a checkout did not change; whether the commit has it is not recorded.
const asCommitted = "as committed"

// state says what a change makes of its file.
func (f Change) state() Text {
	switch {
	case f.Deleted:
		return "deleted"
	case f.Mode == "120000":
		return "link to " + f.Target
	case f.Object != "":
		return Text(f.Mode + " " + string(f.Object))
	default:
		return Text(f.Mode + " " + string(f.Digest))
	}
}
