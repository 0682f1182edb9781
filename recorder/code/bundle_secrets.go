package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// What the search for secrets in a bundle reads: of a file that git calls binary (a NUL among its first bytes, as in git's own
// buffer_is_binary) only the beginning, of one beyond maxScannedFile nothing, and no more than maxScanned in all.
const (
	maxScannedFile   = 1 << 20
	maxScannedBinary = 64 << 10
	maxScanned       = 2 << 30
	binaryWithin     = 8000
)

// packed is a commit or a file that a bundle would carry. path is where the file lies in one of the commits that have it; bytes is -1
// where it is not known beforehand.
type packed struct {
	id    schema.ObjectID
	kind  string // "commit" or "blob"
	path  string
	bytes int64
}

var errScanLimit = errors.New("more than can be searched for secrets")

// searchPacked refuses commits of which any version of a file, or the message, holds a secret: a bundle keeps them whole. With errScanLimit
// there was too much to read.
func (s *session) searchPacked(ctx context.Context, j judge, p packer, commit schema.ObjectID, tips []schema.ObjectID, alone bool, prefix string) error {
	objects, err := j.objects(ctx)
	if err != nil {
		return err
	}
	left := s.r.opts.maxScanned
	return p.eachPacked(ctx, commit, tips, alone, func(o packed) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if o.bytes > maxScannedFile {
			return nil
		}
		_, content, err := objects.ReadObject(o.id)
		if err != nil {
			return err
		}
		if len(content) > maxScannedFile {
			return nil
		}
		subject, where := prefix+o.path, "a version of this file"
		if o.kind == "commit" {
			subject, where = "commit "+string(o.id), "its message"
			_, content, _ = bytes.Cut(content, []byte("\n\n"))
		} else if bytes.IndexByte(content[:min(len(content), binaryWithin)], 0) >= 0 {
			content = content[:min(len(content), maxScannedBinary)]
		}
		if left -= int64(len(content)); left < 0 {
			return errScanLimit
		}
		if finding, found := redact.Content(content); found {
			return unpinnable(subject, fmt.Errorf("%s in a commit that no remote has holds a secret (%s), which a record does not keep", where, finding),
				"rewrite the commit without it, or push it first (then no bundle is kept)")
		}
		return nil
	})
}

// eachPacked lists what Pack of recorder/git packs. The names come from rev-list, their kinds and sizes from cat-file, one line at a time.
func (j *programJudge) eachPacked(ctx context.Context, commit schema.ObjectID, tips []schema.ObjectID, alone bool, visit func(packed) error) error {
	var revs strings.Builder
	revs.WriteString(string(commit) + "\n")
	if !alone { // for the commit alone its history was cut off when it was packed
		for _, t := range tips {
			revs.WriteString("^" + string(t) + "\n")
		}
	}
	pr, pw := io.Pipe()
	listed := make(chan error, 1)
	go func() {
		err := j.scratch.Stream(ctx, strings.NewReader(revs.String()), pw, "rev-list", "--objects", "--ignore-missing", "--stdin")
		pw.CloseWithError(err)
		listed <- err
	}()
	lines := &packedLines{visit: visit}
	err := j.scratch.Stream(ctx, pr, lines, "cat-file", "--buffer", "--batch-check=%(objectname) %(objecttype) %(objectsize) %(rest)")
	pr.CloseWithError(io.ErrClosedPipe)
	listErr := <-listed
	switch {
	case lines.err != nil:
		return lines.err
	case listErr != nil:
		return listErr
	case err != nil:
		return err
	case len(lines.rest) > 0:
		return errors.New("git cat-file stopped in the middle of a line")
	}
	return nil
}

// packedLines reads the lines of cat-file as they come, and fails as soon as visit does.
type packedLines struct {
	visit func(packed) error
	rest  []byte
	err   error
}

func (l *packedLines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for l.err == nil {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			l.rest = append([]byte(nil), l.rest...)
			return len(p), nil
		}
		l.rest = rest
		l.err = l.line(string(line))
	}
	return 0, l.err
}

func (l *packedLines) line(line string) error {
	fields := strings.SplitN(line, " ", 4)
	id, err := schema.ParseObjectID(fields[0])
	if err != nil || len(fields) < 3 {
		return fmt.Errorf("git cat-file says %q", schema.Shorten(line, 80))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file says %q", schema.Shorten(line, 80))
	}
	if fields[1] != "commit" && fields[1] != "blob" {
		return nil
	}
	o := packed{id: id, kind: fields[1], bytes: size}
	if len(fields) == 4 {
		o.path = fields[3]
	}
	return l.visit(o)
}

func (j *libraryJudge) eachPacked(_ context.Context, commit schema.ObjectID, tips []schema.ObjectID, alone bool, visit func(packed) error) error {
	_, list, err := j.packedObjects(commit, tips, alone)
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.kind == "tree" {
			continue
		}
		o.bytes = -1
		if n, err := j.lib.Storage.EncodedObjectSize(plumbing.NewHash(string(o.id))); err == nil {
			o.bytes = n
		}
		if err := visit(o); err != nil {
			return err
		}
	}
	return nil
}
