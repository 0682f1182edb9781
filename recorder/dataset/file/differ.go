package file

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// change is one path in which a data set differs from what it was.
type change struct {
	path string
	what string // "changed", "added", "removed", "mode changed"
}

// shownChanges is how many are named.
const shownChanges = 5

// changesSince lists how t differs from s, sorted by path.
func (t *tree) changesSince(s *snapshot) []change {
	var out []change
	seen := map[string]bool{}
	var walk func(n *node, empty bool)
	walk = func(n *node, empty bool) {
		seen[n.path] = true
		if empty && !s.empty[n.path] {
			out = append(out, change{n.path + "/", "empty"})
		}
		old := s.block(n.path)
		for i := range n.entries {
			e := &n.entries[i]
			switch e.kind {
			case kindDir, kindEmptyDir:
				walk(e.sub, e.kind == kindEmptyDir)
			case kindFile, kindDirLink:
				out = append(out, old.passed(n, e.name)...)
				if what := old.compare(e); what != "" {
					out = append(out, change{n.below(e.name), what})
				}
			}
		}
		out = append(out, old.passed(n, "")...)
	}
	walk(t.root, false)
	for dir := range maps.Keys(s.dirs) {
		if seen[dir] {
			continue
		}
		if s.empty[dir] {
			out = append(out, change{dir + "/", "removed"})
		}
		old := s.block(dir)
		out = append(out, old.passed(&node{path: dir}, "")...)
	}
	slices.SortFunc(out, func(a, b change) int { return strings.Compare(a.path, b.path) })
	return out
}

// passed takes the entries before name ("" for all): they are no longer there.
func (b *block) passed(n *node, name string) []change {
	var out []change
	for {
		_, at, size, ok := b.peek()
		if !ok || name != "" && string(at) >= name {
			return out
		}
		out = append(out, change{n.below(string(at)), "removed"})
		b.rest = b.rest[size:]
	}
}

// compare takes the entry for e and says what is different, or "".
func (b *block) compare(e *entry) string {
	k, at, size, ok := b.peek()
	if !ok || string(at) != e.name {
		return "added"
	}
	b.rest = b.rest[size:]
	sum, was := e.sum, [32]byte{}
	if e.kind == kindDirLink {
		sum = sha256.Sum256([]byte(e.target))
	}
	k.sum(&was)
	switch {
	case was != sum || (k.b[0]&flagDirLink != 0) != (e.kind == kindDirLink):
		return "changed"
	case e.kind == kindFile && (k.b[0]&flagExec != 0) != e.exec:
		return "mode changed"
	}
	return ""
}

// describe says how t differs from pin, naming paths where the stat cache still holds the manifest that pin was made of.
func (t *tree) describe(pin schema.DatasetPin) string {
	if t.before != nil && t.before.digest == pin.ContentDigest && t.before.sidecar == pin.SidecarDigest && t.before.kind == pin.DigestKind {
		if changes := t.changesSince(t.before); len(changes) > 0 {
			var names []string
			for i, c := range changes {
				if i == shownChanges {
					names = append(names, fmt.Sprintf("and %d more", len(changes)-i))
					break
				}
				names = append(names, c.what+" "+shown(c.path))
			}
			return fmt.Sprintf("it differs from what was recorded in %s: %s", count(int64(len(changes)), "path"), strings.Join(names, ", "))
		}
	}
	switch {
	case t.digest == pin.ContentDigest && t.digestKind() == pin.DigestKind:
		return "the contents are the same, but executable bits, empty directories or links to directories differ from what was recorded"
	case t.files != pin.Files:
		return fmt.Sprintf("it has %s where %d were recorded", count(t.files, "file"), pin.Files)
	case t.bytes != pin.Bytes:
		return fmt.Sprintf("it has %d bytes where %d were recorded", t.bytes, pin.Bytes)
	default:
		return fmt.Sprintf("it has as many files and bytes as recorded, but its content digest is %s", t.digest.Short())
	}
}

func count(n int64, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
