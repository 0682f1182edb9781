package file

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// kind is what a name in a directory is.
type kind uint8

const (
	kindNone     kind = iota // not part of the data set
	kindUnknown              // the directory does not say
	kindFile                 // a regular file, or a link to one: its content stands in the manifest
	kindDir                  //
	kindLink                 // a link that has not been looked at yet
	kindDirLink              // a link to a directory: its text stands in the sidecar
	kindEmptyDir             // a directory with nothing in it that is part of the data set
	kindSpecial              // a socket, fifo or device
)

// listed is one name as a directory lists it.
type listed struct {
	name string
	kind kind
}

// stamp is what stays the same while a file is not changed; times in nanoseconds since 1970.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64
}

// meta is what stat says.
type meta struct {
	kind  kind
	exec  bool // the owner's execute bit
	stamp stamp
}

// node is one directory of the data set.
type node struct {
	path     string // slash-separated, relative to the root; "" for the root
	selected bool   // the patterns select it, and so all below it that is not excluded
	entries  []entry
}

// entry is one name in a directory.
type entry struct {
	name  string
	sub   *node // for a directory
	sum   [32]byte
	stamp stamp
	kind  kind
	link  bool // it is a link, followed
	exec  bool
	racy  bool // it was written so shortly before it was read that another write could leave the same stamp
	// A link to a directory keeps its text in target.
	target string
}

// tree is a data set as it was read.
type tree struct {
	root    *node
	single  bool // a file: root has one entry
	files   int64
	bytes   int64
	read    int64 // files whose content was read, and not known from the stat cache
	racy    bool  // some entry is
	escaped bool
	digest  schema.Digest // content digest
	sidecar schema.Digest // "" when there is nothing to say
	key     string        // of the stat cache
	before  *snapshot     // what the stat cache knew
}

func (n *node) below(name string) string {
	if n.path == "" {
		return name
	}
	return n.path + "/" + name
}

// byPath orders the names of a directory so that walking it in order gives paths in bytewise order: a directory sorts as if it ended with /.
func byPath(a, b *entry) int {
	return comparePaths(a.name, a.kind == kindDir, b.name, b.kind == kindDir)
}

func comparePaths(a string, aDir bool, b string, bDir bool) int {
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	next := func(s string, dir bool) int {
		switch {
		case len(s) > n:
			return int(s[n])
		case dir:
			return '/'
		default:
			return -1
		}
	}
	return cmp.Compare(next(a, aDir), next(b, bDir))
}

func (n *node) sort() {
	slices.SortFunc(n.entries, func(a, b entry) int { return byPath(&a, &b) })
}

// finish settles which directories are empty, counts, and computes the digests.
func (t *tree) finish() error {
	t.settle(t.root)
	manifest := sha256.New()
	if err := t.writeManifest(manifest); err != nil {
		return err
	}
	t.digest = schema.SHA256Sum([32]byte(manifest.Sum(nil)))
	side := sha256.New()
	n, err := t.writeSidecar(side)
	if n > 0 {
		t.sidecar = schema.SHA256Sum([32]byte(side.Sum(nil)))
	}
	return err
}

// settle reports whether anything below n is part of the data set. A directory that has become a leaf sorts by its bare name from then on.
func (t *tree) settle(n *node) bool {
	odd := dataset.NeedsEscape(n.path)
	there, leaves := false, false
	for i := range n.entries {
		e := &n.entries[i]
		if e.kind == kindDir && !t.settle(e.sub) {
			leaves = true
			if e.kind = kindNone; e.sub.selected {
				e.kind = kindEmptyDir
			}
		}
		if e.kind == kindFile {
			t.files++
			t.bytes += e.stamp.size
			t.escaped = t.escaped || odd || dataset.NeedsEscape(e.name)
			t.racy = t.racy || e.racy
		}
		there = there || e.kind != kindNone
	}
	if leaves {
		n.sort()
	}
	return there
}

// digestKind names the kind of manifest.
func (t *tree) digestKind() string {
	if t.escaped {
		return schema.DirHashEscaped
	}
	return schema.DirHash
}

// writeManifest writes the manifest (dataset/manifest.go has its form).
func (t *tree) writeManifest(w io.Writer) error {
	out := blocks{w: w}
	path := []byte{}
	var walk func(n *node) error
	walk = func(n *node) error {
		start := len(path)
		for _, i := range t.order(n) {
			e := &n.entries[i]
			if e.kind != kindFile && e.kind != kindDir {
				continue
			}
			if start > 0 {
				path = append(path, '/')
			}
			if t.escaped {
				path = append(path, dataset.EscapePath(e.name)...)
			} else {
				path = append(path, e.name...)
			}
			if e.kind == kindDir {
				if err := walk(e.sub); err != nil {
					return err
				}
			} else {
				out.b = dataset.AppendManifestLine(out.b, &e.sum, string(path))
				if err := out.flush(false); err != nil {
					return err
				}
			}
			path = path[:start]
		}
		return nil
	}
	if err := walk(t.root); err != nil {
		return err
	}
	return out.flush(true)
}

// order gives the indices of a directory's entries in the order of the manifest: escaped names sort as they are written.
func (t *tree) order(n *node) []int {
	order := make([]int, len(n.entries))
	for i := range order {
		order[i] = i
	}
	if t.escaped {
		slices.SortFunc(order, func(i, j int) int {
			a, b := &n.entries[i], &n.entries[j]
			return comparePaths(dataset.EscapePath(a.name), a.kind == kindDir, dataset.EscapePath(b.name), b.kind == kindDir)
		})
	}
	return order
}

// writeSidecar writes the sidecar, and gives the number of its entries; nothing is written for none.
func (t *tree) writeSidecar(w io.Writer) (int, error) {
	out, n := blocks{w: w}, 0
	err := t.each(func(dir *node, e *entry) error {
		side := dataset.SidecarEntry{Path: dir.below(e.name), Target: e.target}
		switch {
		case e.kind == kindEmptyDir:
			side.Kind = dataset.SidecarEmptyDir
		case e.kind == kindDirLink:
			side.Kind = dataset.SidecarDirLink
		case e.exec:
			side.Kind = dataset.SidecarExecutable
		}
		if n == 0 {
			out.b = append(out.b, dataset.SidecarHeader...)
		}
		n++
		out.b = dataset.AppendSidecarEntry(out.b, side)
		return out.flush(false)
	}, func(e *entry) bool {
		return e.kind == kindEmptyDir || e.kind == kindDirLink || e.kind == kindFile && e.exec
	})
	if err != nil {
		return n, err
	}
	return n, out.flush(true)
}

// each calls f for the entries that are wanted, in bytewise order of their paths.
func (t *tree) each(f func(*node, *entry) error, wanted func(*entry) bool) error {
	var walk func(n *node) error
	walk = func(n *node) error {
		for i := range n.entries {
			e := &n.entries[i]
			if e.kind == kindDir {
				if err := walk(e.sub); err != nil {
					return err
				}
			} else if e.kind != kindNone && wanted(e) {
				if err := f(n, e); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk(t.root)
}

// blocks gathers small writes.
type blocks struct {
	w io.Writer
	b []byte
}

func (o *blocks) flush(all bool) error {
	if len(o.b) < 64<<10 && !all {
		return nil
	}
	_, err := o.w.Write(o.b)
	o.b = o.b[:0]
	return err
}

// put hands manifest and sidecar to the sink, as streams. No sink, no blobs.
func (t *tree) put(ctx context.Context, sink schema.BlobSink, withSidecar bool) (manifest, sidecar *schema.BlobRef, err error) {
	if sink == nil {
		return nil, nil, nil
	}
	if manifest, err = putStream(ctx, sink, schema.BlobManifest, t.digest, t.writeManifest); err != nil {
		return nil, nil, err
	}
	if t.sidecar != "" && withSidecar {
		sidecar, err = putStream(ctx, sink, schema.BlobSidecar, t.sidecar, func(w io.Writer) error { _, err := t.writeSidecar(w); return err })
	}
	return manifest, sidecar, err
}

func putStream(ctx context.Context, sink schema.BlobSink, kind schema.BlobKind, want schema.Digest, write func(io.Writer) error) (*schema.BlobRef, error) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(write(w))
	}()
	ref, err := sink.PutBlob(ctx, kind, r)
	r.CloseWithError(io.ErrClosedPipe) // a sink that stopped early must not leave the writer waiting
	<-done
	if err != nil {
		return nil, err
	}
	if ref.Digest != want {
		return nil, &schema.Error{Op: "dataset.blob", Kind: schema.Internal, Subject: string(kind), Err: errSinkDigest}
	}
	return &ref, nil
}
