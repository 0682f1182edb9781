package code

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// restorePlan is a pin taken apart and held to its own rules: what it says comes from a store that others write to.
type restorePlan struct {
	parts []*restorePart // the checkout itself, then its submodules, outer before inner
	lfs   map[string]schema.LFSObject
}

// restorePart is one repository of a checkout. path is where it lies within, "" for the outermost.
type restorePart struct {
	path       string
	subject    string
	source     source
	commitTree schema.ObjectID // "" where the record does not say
	tree       schema.ObjectID
	changes    []schema.Change
	links      map[string]schema.ObjectID // submodules directly within, by path relative to this part
	idSize     int
	want       map[string]git.TreeEntry // every file that it must have, once that is known
}

func (p *restorePlan) changed(path string) bool {
	for _, part := range p.parts {
		rel, ok := strings.CutPrefix(path, part.prefix())
		if !ok {
			continue
		}
		for _, c := range part.changes {
			if string(c.Path) == rel && !c.Deleted {
				return true
			}
		}
	}
	return false
}

func (p *restorePart) prefix() string {
	if p.path == "" {
		return ""
	}
	return p.path + "/"
}

// edits turns the part's changes into what they do to the commit's tree.
func (p *restorePart) edits() []git.Edit {
	var edits []git.Edit
	for _, c := range p.changes {
		if c.Deleted {
			edits = append(edits, git.Edit{Path: string(c.Path)})
		} else {
			edits = append(edits, git.Edit{Path: string(c.Path), Mode: parseMode(c.Mode), ID: c.Object})
		}
	}
	for path, id := range p.links {
		edits = append(edits, git.Edit{Path: path, Mode: git.ModeSubmodule, ID: id})
	}
	return edits
}

func invalidPin(subject, format string, args ...any) error {
	return &schema.Error{Op: "code.restore", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(subject, 300)), Err: fmt.Errorf(format, args...),
		Hint: "the record is damaged or hostile; nothing was restored"}
}

// planRestore reads and checks all that a restore goes by.
func planRestore(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) (*restorePlan, error) {
	if pin.Kind != schema.CodeGit || pin.Tree == "" {
		return nil, &schema.Error{Op: "code.restore", Kind: schema.Gone, Subject: "code:" + pin.Name, Err: fmt.Errorf("the record does not say which code ran")}
	}
	plan := &restorePlan{lfs: map[string]schema.LFSObject{}}
	top := &restorePart{subject: "commit " + string(pin.Commit), source: sourceOf(pin), commitTree: pin.CommitTree, tree: pin.Tree, idSize: git.IDSize(pin.Tree)}
	plan.parts = append(plan.parts, top)
	if err := top.read(ctx, pin.Changes, pin.Commit, blobs); err != nil {
		return nil, err
	}
	subs := append([]schema.Submodule{}, pin.Submodules...)
	sort.Slice(subs, func(i, j int) bool { return subs[i].Path < subs[j].Path })
	for i, sub := range subs {
		path := string(sub.Path)
		if err := git.CheckPath(path); err != nil {
			return nil, invalidPin(path, "submodule: %w", err)
		}
		if i > 0 && subs[i-1].Path == sub.Path {
			return nil, invalidPin(path, "the submodule is listed twice")
		}
		if sub.Commit == "" || sub.Tree == "" {
			return nil, invalidPin(path, "the submodule has no commit")
		}
		part := &restorePart{path: path, subject: "submodule " + path, source: sourceOfSubmodule(pin, sub), tree: sub.Tree, idSize: git.IDSize(sub.Tree)}
		if err := part.read(ctx, sub.Changes, sub.Commit, blobs); err != nil {
			return nil, err
		}
		parent := top
		for _, p := range plan.parts {
			if strings.HasPrefix(path, p.prefix()) && len(p.path) >= len(parent.path) {
				parent = p
			}
		}
		if parent.links == nil {
			parent.links = map[string]schema.ObjectID{}
		}
		parent.links[strings.TrimPrefix(path, parent.prefix())] = sub.Commit
		plan.parts = append(plan.parts, part)
	}
	for _, o := range pin.LFS {
		if err := git.CheckPath(string(o.Path)); err != nil {
			return nil, invalidPin(string(o.Path), "LFS object: %w", err)
		}
		if o.Bytes < 0 || len(o.OID.Hex()) != 64 {
			return nil, invalidPin(string(o.Path), "LFS object: not a SHA-256 or a negative size")
		}
		plan.lfs[string(o.Path)] = o
	}
	return plan, nil
}

// maxChangesBlob bounds the list of changes; maxRestored what they may write in all.
const (
	maxChangesBlob = 256 << 20
	maxRestored    = 64 << 30
)

// read loads the part's changes and checks them.
func (p *restorePart) read(ctx context.Context, ref *schema.BlobRef, commit schema.ObjectID, blobs schema.BlobSource) error {
	if ref == nil {
		if commit == "" {
			return invalidPin(p.subject, "the record names neither a commit nor changes")
		}
		return nil
	}
	var content bytes.Buffer
	if _, err := readBlob(ctx, blobs, *ref, &content, maxChangesBlob+1); err != nil {
		return err
	}
	b := content.Bytes()
	if len(b) > maxChangesBlob || schema.SHA256(b) != ref.Digest {
		return invalidPin(p.subject, "the list of its changes is not what the record names")
	}
	var list schema.Changes
	if err := json.Unmarshal(b, &list); err != nil {
		return invalidPin(p.subject, "the list of its changes: %w", err)
	}
	if list.Schema != schema.ChangesV1 {
		return invalidPin(p.subject, "the list of its changes has the unknown schema %q", schema.Shorten(list.Schema, 80))
	}
	if list.Commit != commit || list.Tree != p.tree {
		return invalidPin(p.subject, "the list of its changes belongs to another checkout")
	}
	p.changes = list.Files
	return checkChanges(p.changes)
}

// checkChanges refuses a list that no capture makes.
func checkChanges(list []schema.Change) error {
	present := map[string]bool{}
	seen := map[string]bool{}
	var total int64
	for _, c := range list {
		path := string(c.Path)
		if err := git.CheckPath(path); err != nil {
			return invalidPin(path, "%w", err)
		}
		if seen[path] {
			return invalidPin(path, "listed twice")
		}
		seen[path] = true
		if c.Deleted {
			if c.Mode != "" || c.Object != "" || c.Digest != "" || c.Target != "" || c.Bytes != 0 {
				return invalidPin(path, "deleted, and yet it has content")
			}
			continue
		}
		present[path] = true
		if c.Object == "" {
			return invalidPin(path, "no object id")
		}
		switch c.Mode {
		case "100644", "100755":
			if !c.Digest.Valid() || c.Bytes < 0 || c.Target != "" {
				return invalidPin(path, "a file without a digest, or with a link's target")
			}
		case "120000":
			if c.Digest != "" || c.Target == "" || len(c.Target) > 4096 || strings.IndexByte(string(c.Target), 0) >= 0 {
				return invalidPin(path, "a link without a target that can be made")
			}
		default:
			return invalidPin(path, "mode %q is none that a change can have", schema.Shorten(c.Mode, 20))
		}
		if total += c.Bytes; total > maxRestored || total < 0 {
			return invalidPin(path, "the changes hold more than %s", humanBytes(maxRestored))
		}
	}
	for path := range present {
		for i := strings.IndexByte(path, '/'); i >= 0; {
			if present[path[:i]] {
				return invalidPin(path, "%q is a file in the same list", path[:i])
			}
			next := strings.IndexByte(path[i+1:], '/')
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	return nil
}

func parseMode(mode string) uint32 {
	switch mode {
	case "100755":
		return git.ModeExec
	case "120000":
		return git.ModeLink
	}
	return git.ModeFile
}
