package git

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// The modes that git gives to paths.
const (
	ModeTree      = 0o40000
	ModeFile      = 0o100644
	ModeExec      = 0o100755
	ModeLink      = 0o120000
	ModeSubmodule = 0o160000
)

// TreeEntry is one entry of a tree object, or one path of a whole tree.
type TreeEntry struct {
	Name string
	Mode uint32
	ID   schema.ObjectID
}

// ObjectReader reads objects by id. The kind is blob, tree, commit or tag. A missing object is an error for which errors.Is(err,
// ErrMissing) holds.
type ObjectReader interface {
	ReadObject(id schema.ObjectID) (kind string, content []byte, err error)
}

// ErrMissing says that an object is not there.
var ErrMissing = errors.New("object is missing")

// ParseTree reads a tree object.
func ParseTree(b []byte, idSize int) ([]TreeEntry, error) {
	var entries []TreeEntry
	for len(b) > 0 {
		sp, nul := bytes.IndexByte(b, ' '), bytes.IndexByte(b, 0)
		if sp < 1 || sp > 7 || nul < sp+2 || len(b) < nul+1+idSize {
			return nil, errors.New("a damaged tree object")
		}
		var mode uint32
		for _, c := range b[:sp] {
			if c < '0' || c > '7' {
				return nil, errors.New("a damaged tree object")
			}
			mode = mode<<3 | uint32(c-'0')
		}
		entries = append(entries, TreeEntry{string(b[sp+1 : nul]), mode, schema.ObjectID(hex.EncodeToString(b[nul+1 : nul+1+idSize]))})
		b = b[nul+1+idSize:]
	}
	return entries, nil
}

// FormatTree writes a tree object; entries need not be sorted.
func FormatTree(entries []TreeEntry) []byte {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b TreeEntry) int { return strings.Compare(treeSortName(a), treeSortName(b)) })
	var b []byte
	for _, e := range entries {
		b = fmt.Appendf(b, "%o %s\x00", e.Mode, e.Name)
		raw, _ := hex.DecodeString(string(e.ID))
		b = append(b, raw...)
	}
	return b
}

// treeSortName: a directory sorts as if its name ended in a slash.
func treeSortName(e TreeEntry) string {
	if e.Mode == ModeTree {
		return e.Name + "/"
	}
	return e.Name
}

// ReadTree reads one tree object; "" is the empty tree.
func ReadTree(objects ObjectReader, id schema.ObjectID) ([]TreeEntry, error) {
	if id == "" || id == EmptyTree(IDSize(id)) {
		return nil, nil
	}
	kind, content, err := objects.ReadObject(id)
	if err != nil {
		return nil, err
	}
	if kind != "tree" {
		return nil, fmt.Errorf("object %s is a %s, not a tree", id.Short(), kind)
	}
	return ParseTree(content, IDSize(id))
}

// EmptyTree gives the id of the tree without entries.
func EmptyTree(idSize int) schema.ObjectID { return HashObject("tree", nil, idSize) }

// CommitTree gives the tree of a commit and its parents.
func CommitTree(objects ObjectReader, commit schema.ObjectID) (tree schema.ObjectID, parents []schema.ObjectID, err error) {
	kind, content, err := objects.ReadObject(commit)
	if err != nil {
		return "", nil, err
	}
	if kind != "commit" {
		return "", nil, fmt.Errorf("object %s is a %s, not a commit", commit.Short(), kind)
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		switch key, value, _ := strings.Cut(line, " "); key {
		case "tree":
			tree, err = schema.ParseObjectID(value)
		case "parent":
			var p schema.ObjectID
			p, err = schema.ParseObjectID(value)
			parents = append(parents, p)
		case "":
			return tree, parents, err
		}
		if err != nil {
			return "", nil, fmt.Errorf("commit %s is damaged: %w", commit.Short(), err)
		}
	}
	return tree, parents, nil
}

// FlattenTree lists every path of a tree that is not a directory, sorted as git sorts trees. It stops with an error beyond limit paths.
func FlattenTree(objects ObjectReader, tree schema.ObjectID, limit int) ([]TreeEntry, error) {
	var all []TreeEntry
	var walk func(id schema.ObjectID, prefix string, depth int) error
	walk = func(id schema.ObjectID, prefix string, depth int) error {
		if depth > maxTreeDepth {
			return fmt.Errorf("%s: directories are nested more than %d deep", schema.Shorten(prefix, 80), maxTreeDepth)
		}
		entries, err := ReadTree(objects, id)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Mode == ModeTree {
				if err := walk(e.ID, prefix+e.Name+"/", depth+1); err != nil {
					return err
				}
				continue
			}
			if len(all) >= limit {
				return fmt.Errorf("the tree holds more than %d files", limit)
			}
			all = append(all, TreeEntry{prefix + e.Name, e.Mode, e.ID})
		}
		return nil
	}
	return all, walk(tree, "", 0)
}

const maxTreeDepth = 1000

// LookupTree finds one path in a tree.
func LookupTree(objects ObjectReader, tree schema.ObjectID, path string) (TreeEntry, bool, error) {
	for {
		name, rest, deeper := strings.Cut(path, "/")
		entries, err := ReadTree(objects, tree)
		if err != nil {
			return TreeEntry{}, false, err
		}
		i := slices.IndexFunc(entries, func(e TreeEntry) bool { return e.Name == name })
		switch {
		case i < 0:
			return TreeEntry{}, false, nil
		case !deeper:
			return entries[i], true, nil
		case entries[i].Mode != ModeTree:
			return TreeEntry{}, false, nil
		}
		tree, path = entries[i].ID, rest
	}
}

// Edit changes one path of a tree: it is removed when ID is "", else set.
type Edit struct {
	Path string
	Mode uint32
	ID   schema.ObjectID
}

// RewriteTree gives the id of the tree that base ("" for none) becomes by the edits, removals first. Only the directories on the way to an
// edited path are read, nothing is written.
func RewriteTree(objects ObjectReader, base schema.ObjectID, edits []Edit, idSize int) (schema.ObjectID, error) {
	root := &dirNode{id: base, mode: ModeTree}
	sorted := slices.Clone(edits)
	slices.SortStableFunc(sorted, func(a, b Edit) int { return boolOrder(a.ID != "", b.ID != "") })
	for _, e := range sorted {
		if err := root.apply(objects, e, idSize); err != nil {
			return "", fmt.Errorf("%q: %w", e.Path, err)
		}
	}
	_, err := root.hash(idSize)
	return root.id, err
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// dirNode is an entry of the tree being rewritten; children are loaded when an edit needs them.
type dirNode struct {
	id       schema.ObjectID
	mode     uint32
	children map[string]*dirNode
	loaded   bool
}

func (d *dirNode) load(objects ObjectReader, idSize int) error {
	if d.loaded {
		return nil
	}
	d.children, d.loaded = map[string]*dirNode{}, true
	if d.id == "" || d.id == EmptyTree(idSize) {
		return nil
	}
	entries, err := ReadTree(objects, d.id)
	for _, e := range entries {
		d.children[e.Name] = &dirNode{id: e.ID, mode: e.Mode}
	}
	return err
}

func (d *dirNode) apply(objects ObjectReader, e Edit, idSize int) error {
	parts := strings.Split(e.Path, "/")
	if len(parts) > maxTreeDepth {
		return errors.New("nested too deep")
	}
	for i, name := range parts {
		if name == "" || name == "." || name == ".." {
			return errors.New("not a path of a tree")
		}
		if err := d.load(objects, idSize); err != nil {
			return err
		}
		child := d.children[name]
		if i == len(parts)-1 {
			switch {
			case e.ID != "":
				d.children[name] = &dirNode{id: e.ID, mode: e.Mode}
			case child != nil && (child.mode != ModeTree || e.Mode == ModeTree):
				delete(d.children, name)
			}
			return nil
		}
		if child == nil || child.mode != ModeTree {
			if e.ID == "" {
				return nil
			}
			child = &dirNode{mode: ModeTree}
			d.children[name] = child
		}
		d = child
	}
	return nil
}

// hash gives the number of entries below d and sets its id.
func (d *dirNode) hash(idSize int) (int, error) {
	if !d.loaded {
		if d.id == "" {
			d.id = EmptyTree(idSize)
			return 0, nil
		}
		return 1, nil
	}
	var entries []TreeEntry
	for name, child := range d.children {
		if child.mode == ModeTree {
			n, err := child.hash(idSize)
			if err != nil {
				return 0, err
			}
			if n == 0 {
				continue // git keeps no empty directories
			}
		}
		entries = append(entries, TreeEntry{name, child.mode, child.id})
	}
	d.id = HashObject("tree", FormatTree(entries), idSize)
	return len(entries), nil
}
