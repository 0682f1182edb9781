package spool

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

const (
	magic   = "runpin spool 1\n"
	suffix  = ".report"
	done    = "done"
	refused = "refused"
)

// Spool takes reports into a directory. It is safe for concurrent use, also by several processes and machines.
type Spool struct {
	dir string
}

// Open makes the directory, for nobody else to read, unless it exists.
func Open(dir string) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fail("spool.open", dir, err)
	}
	return &Spool{dir}, nil
}

// Dir is where the reports lie.
func (s *Spool) Dir() string { return s.dir }

// Save writes a report as one file. When it returns nil the file is durable and whole; otherwise there is none. Saving a report again changes nothing.
func (s *Spool) Save(ctx context.Context, report schema.Report) error {
	documents := make([][]byte, len(report.Documents))
	for i, d := range report.Documents {
		var err error
		if documents[i], err = d.Encode(); err != nil {
			return err
		}
	}
	return s.SaveEncoded(ctx, documents, report.Blobs)
}

// SaveEncoded is Save for documents as they were written, byte for byte.
func (s *Spool) SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error {
	const op = "spool.save"
	name, err := reportName(documents, blobs)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, name)
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	partial := filepath.Join(s.dir, "."+name+"."+rand.Text()[:8])
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail(op, s.dir, err)
	}
	err = write(ctx, f, documents, blobs)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		os.Remove(partial)
		return fail(op, s.dir, err)
	}
	return fail(op, s.dir, syncDir(s.dir))
}

// reportName gives the same name for the same report, so that it is written once.
func reportName(documents [][]byte, blobs []schema.Blob) (string, error) {
	if len(documents) == 0 {
		return "", &schema.Error{Op: "spool.save", Kind: schema.Invalid, Subject: "report", Err: errors.New("it holds no document")}
	}
	hash := sha256.New()
	for _, d := range documents {
		sum := sha256.Sum256(d)
		hash.Write(sum[:])
	}
	for _, b := range blobs {
		hash.Write([]byte(b.Ref.Digest))
	}
	first, err := schema.DecodeDocument(documents[0])
	if err != nil {
		return "", err
	}
	return string(first.ID) + "-" + hex.EncodeToString(hash.Sum(nil)[:8]) + suffix, nil
}

func write(ctx context.Context, f *os.File, documents [][]byte, blobs []schema.Blob) error {
	w := bufio.NewWriterSize(f, 64<<10)
	if _, err := w.WriteString(magic); err != nil {
		return err
	}
	frames := 0
	for _, d := range documents {
		if _, err := fmt.Fprintf(w, "document %s %d\n%s\n", schema.SHA256(d), len(d), d); err != nil {
			return err
		}
		frames++
	}
	seen := map[schema.Digest]bool{}
	for _, b := range blobs {
		if seen[b.Ref.Digest] {
			continue
		}
		seen[b.Ref.Digest] = true
		if err := store.CheckBlobRef(b.Ref); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if err := writeBlob(ctx, f, b); err != nil {
			return err
		}
		frames++
	}
	if _, err := fmt.Fprintf(w, "end %d\n", frames); err != nil {
		return err
	}
	return w.Flush()
}

// writeBlob compresses content on its way into the file, checks it against what was announced, and then fills in how long it became.
func writeBlob(ctx context.Context, f *os.File, b schema.Blob) error {
	start, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	header := func(stored int64) string {
		return fmt.Sprintf("blob %s %s %d %020d\n", b.Ref.Kind, b.Ref.Digest, b.Ref.Bytes, stored)
	}
	if _, err := f.WriteString(header(0)); err != nil {
		return err
	}
	content, err := b.Open()
	if err != nil {
		return fmt.Errorf("reading blob %s: %w", b.Ref.Digest.Short(), err)
	}
	defer content.Close()
	buffered := bufio.NewWriterSize(f, 256<<10)
	packer, err := zstd.NewWriter(buffered, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(packer, hash), contextReader{ctx, io.LimitReader(content, b.Ref.Bytes+1)})
	if closed := packer.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return err
	}
	if got := schema.SHA256Sum([32]byte(hash.Sum(nil))); n != b.Ref.Bytes || got != b.Ref.Digest {
		return &schema.Error{Op: "spool.save", Kind: schema.Invalid, Subject: "blob " + b.Ref.Digest.Short(),
			Err: errors.New("its content is not what was announced"), Hint: "what it was made from may have changed meanwhile; do it again"}
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(header(end-start-int64(len(header(0))))), start); err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	return err
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

// fail gives an error of the file system its kind.
func fail(op, dir string, err error) error {
	var own *schema.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	e := &schema.Error{Op: op, Kind: schema.Internal, Subject: fmt.Sprintf("spool %q", dir), Err: err}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Hint = schema.Interrupted, "nothing of it was stored; do it again"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Kind, e.Hint = schema.Unavailable, "the spool's directory cannot be written to: look at its permissions"
	case errors.Is(err, syscall.ENOSPC):
		e.Kind, e.Hint = schema.Unavailable, "free some space on the file system of the spool"
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Hint = schema.NotFound, "name the directory of a spool"
	}
	return e
}

func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
