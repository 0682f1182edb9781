package schema

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Bounds on what is read to say how two runs differ. What is larger is said to differ, without saying in what.
const (
	maxChangesBytes  = 64 << 20
	maxPackagesBytes = 16 << 20
	maxManifestBytes = 1 << 30
	maxManifestLine  = 1 << 20
)

// open opens a blob; a failure is a reason.
func (c *comparing) open(subject string, ref *BlobRef, most int64) io.ReadCloser {
	if ref == nil || c.blobs == nil {
		return nil
	}
	if ref.Bytes > most {
		c.reason("too-large", subject, fmt.Sprintf("the %s of %s was not looked into: %d bytes, at most %d are read", ref.Kind, subject, ref.Bytes, most))
		return nil
	}
	r, err := c.blobs.OpenBlob(c.ctx, *ref)
	if err != nil {
		c.reason("blob-unread", subject, fmt.Sprintf("the %s of %s could not be read: %v", ref.Kind, subject, err))
		return nil
	}
	return r
}

func (c *comparing) readAll(subject string, ref *BlobRef, most int64) ([]byte, bool) {
	r := c.open(subject, ref, most)
	if r == nil {
		return nil, false
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("it is larger than it says")
	}
	if err != nil {
		c.reason("blob-unread", subject, fmt.Sprintf("the %s of %s could not be read: %v", ref.Kind, subject, err))
		return nil, false
	}
	return b, true
}

// readChanges gives the state of each file that a checkout changed. No blob means no changes.
func (c *comparing) readChanges(subject string, ref *BlobRef) (map[string]Text, bool) {
	if ref == nil {
		return nil, true
	}
	b, ok := c.readAll(subject, ref, maxChangesBytes)
	if !ok {
		return nil, false
	}
	changes, err := DecodeChanges(b)
	if err != nil {
		c.reason("blob-unread", subject, fmt.Sprintf("the changes of %s cannot be read: %v", subject, err))
		return nil, false
	}
	states := make(map[string]Text, len(changes.Files))
	for _, f := range changes.Files {
		states[string(f.Path)] = f.state()
	}
	return states, true
}

// DecodeChanges reads a [Changes] blob and checks it. Paths are checked by whoever writes files from them.
func DecodeChanges(b []byte) (Changes, error) {
	var ch Changes
	err := json.Unmarshal(b, &ch)
	if err == nil && ch.Schema != ChangesV1 {
		err = fmt.Errorf("schema is %q, not %s", Shorten(ch.Schema, 80), ChangesV1)
	}
	for i := 0; err == nil && i < len(ch.Files); i++ {
		if i > 0 && ch.Files[i-1].Path >= ch.Files[i].Path {
			err = fmt.Errorf("files[%d]: paths are not sorted", i)
		} else if f := ch.Files[i]; f.Deleted && (f.Mode != "" || f.Object != "" || f.Digest != "" || f.Target != "") || !f.Deleted && f.Mode == "" {
			err = fmt.Errorf("files[%d]: neither a deletion nor a file", i)
		}
	}
	if err == nil {
		err = checkFull(&checking{lenient: true}, ch)
	}
	if err != nil {
		return Changes{}, &Error{Op: "schema.changes", Kind: Invalid, Subject: "changes", Err: err}
	}
	return ch, nil
}

// manifestReader reads the lines of a manifest: "<sha256 hex>  <path>", sorted by path.
type manifestReader struct {
	r          *bufio.Reader
	digest     []byte
	path, last []byte
	started    bool
}

// next reads a line; false at the end.
func (m *manifestReader) next() (bool, error) {
	line, err := m.r.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("a line of the manifest is not complete: %w", err)
	}
	digest, path, ok := bytes.Cut(line[:len(line)-1], []byte("  "))
	if !ok || len(digest) != 64 || len(path) == 0 {
		return false, fmt.Errorf("a line of the manifest is not a digest and a path")
	}
	m.last = append(m.last[:0], m.path...)
	m.digest, m.path = append(m.digest[:0], digest...), append(m.path[:0], path...)
	if m.started && bytes.Compare(m.last, m.path) >= 0 {
		return false, fmt.Errorf("the manifest is not sorted")
	}
	m.started = true
	return true, nil
}

// manifestRef is a manifest and how it is written.
type manifestRef struct {
	blob *BlobRef
	kind string
}

// manifests lists the files in which two data sets, or two outputs, differ. Both manifests are read once, side by side; memory does not grow with them.
func (c *comparing) manifests(subject, field string, class Class, input bool, of [2]manifestRef) {
	a, b := of[0], of[1]
	if c.blobs == nil || a.blob == nil || b.blob == nil {
		return
	}
	if a.kind != b.kind {
		c.reason("not-compared", subject, "the manifests of "+subject+" are written differently and were not compared file by file")
		return
	}
	ra := c.open(subject, a.blob, maxManifestBytes)
	if ra == nil {
		return
	}
	defer ra.Close()
	rb := c.open(subject, b.blob, maxManifestBytes)
	if rb == nil {
		return
	}
	defer rb.Close()
	items, more, err := mergeManifests(io.LimitReader(ra, maxManifestBytes), io.LimitReader(rb, maxManifestBytes), a.kind == DirHashEscaped)
	if err != nil {
		c.reason("blob-unread", subject, fmt.Sprintf("the manifests of %s cannot be compared: %v", subject, err))
		return
	}
	c.items(subject, field, class, input, "file", items, more)
}

// DifferentFiles lists the files in which two directories differ, by their manifests, which are read once, side by side. digestKind is of both. A manifest that
// cannot be read is an error.
func DifferentFiles(ctx context.Context, a, b BlobRef, digestKind string, blobs BlobSource) (items []DifferenceItem, more int, err error) {
	var open [2]io.Reader
	for i, ref := range []BlobRef{a, b} {
		if ref.Bytes > maxManifestBytes {
			return nil, 0, fmt.Errorf("a manifest has %d bytes, at most %d are read", ref.Bytes, maxManifestBytes)
		}
		r, err := blobs.OpenBlob(ctx, ref)
		if err != nil {
			return nil, 0, fmt.Errorf("a manifest could not be read: %w", err)
		}
		defer r.Close()
		open[i] = io.LimitReader(r, maxManifestBytes)
	}
	return mergeManifests(open[0], open[1], digestKind == DirHashEscaped)
}

func mergeManifests(a, b io.Reader, escaped bool) (items []DifferenceItem, more int, err error) {
	x, y := &manifestReader{r: bufio.NewReaderSize(a, maxManifestLine)}, &manifestReader{r: bufio.NewReaderSize(b, maxManifestLine)}
	moreX, err := x.next()
	if err != nil {
		return nil, 0, err
	}
	moreY, err := y.next()
	if err != nil {
		return nil, 0, err
	}
	add := func(path []byte, i DifferenceItem) {
		if len(items) == maxItems {
			more++
			return
		}
		name := string(path)
		if escaped {
			name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
		}
		i.Name = Text(name)
		items = append(items, i)
	}
	for moreX || moreY {
		order := 0
		switch {
		case !moreX:
			order = 1
		case !moreY:
			order = -1
		default:
			order = bytes.Compare(x.path, y.path)
		}
		switch {
		case order < 0:
			add(x.path, DifferenceItem{Change: "removed", A: Text("sha256:" + string(x.digest))})
		case order > 0:
			add(y.path, DifferenceItem{Change: "added", B: Text("sha256:" + string(y.digest))})
		case !bytes.Equal(x.digest, y.digest):
			add(x.path, DifferenceItem{Change: "changed", A: Text("sha256:" + string(x.digest)), B: Text("sha256:" + string(y.digest))})
		}
		if order <= 0 {
			if moreX, err = x.next(); err != nil {
				return nil, 0, err
			}
		}
		if order >= 0 {
			if moreY, err = y.next(); err != nil {
				return nil, 0, err
			}
		}
	}
	return items, more, nil
}

// readPackages gives the version (and source) of each package of a list, lines "<kind> <name> <version> [<source>]", by "<kind> <name>".
// A package that is installed twice has both versions.
func readPackages(b []byte) (map[string]Text, error) {
	packages := map[string]Text{}
	for line := range strings.Lines(string(b)) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		name, version, ok := strings.Cut(rest, " ")
		if !ok || kind == "" || name == "" {
			return nil, fmt.Errorf("a line is not a kind, a name and a version")
		}
		key := kind + " " + name
		if had, twice := packages[key]; twice {
			version = string(had) + ", " + version
		}
		packages[key] = Text(version)
	}
	return packages, nil
}
