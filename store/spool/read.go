package spool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

const (
	maxHeader        = 256
	maxFrames        = 1 << 20
	maxDocumentsSize = 256 << 20 // of all documents of one report together
	maxWindow        = 32 << 20  // memory for unpacking a blob
)

// Report is what a file of a spool holds.
type Report struct {
	Documents [][]byte      // each as it was written; their form is not checked yet
	Blobs     []schema.Blob // each reads from the file when it is opened
}

// Read reads a file of a spool. Memory is bounded whatever the file holds; contents of blobs are not read yet. A file that is not whole or not a
// report is of kind Invalid.
func Read(path string) (Report, error) {
	f, err := openRegular(path)
	if err != nil {
		return Report{}, fail("spool.read", path, err)
	}
	defer f.Close()
	report, err := read(f, path)
	if err != nil {
		return Report{}, &schema.Error{Op: "spool.read", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", path), Err: err,
			Hint: "look at the file, and remove it if it is not wanted; `runpin import` tries it again when you name its directory"}
	}
	return report, nil
}

// openRegular opens a file that is not a link and not a device: a spool can lie where others write.
func openRegular(path string) (*os.File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &schema.Error{Op: "spool.read", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", path), Err: errors.New("it is not a regular file"), Hint: "a spool holds no links: remove it"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = errors.New("it was replaced meanwhile")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// buffers are used again: a spool can hold very many small files.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

func read(f *os.File, path string) (Report, error) {
	var report Report
	buffer := buffers.Get().(*bufio.Reader)
	defer func() {
		buffer.Reset(nil)
		buffers.Put(buffer)
	}()
	buffer.Reset(f)
	in := &counter{r: buffer}
	if line, err := in.line(len(magic)); err != nil || line+"\n" != magic {
		return report, errors.New("it is not a report of a spool, or one of a newer version")
	}
	room := int64(maxDocumentsSize)
	for frames := 0; frames < maxFrames; frames++ {
		line, err := in.line(maxHeader)
		if err != nil {
			return report, fmt.Errorf("it is not whole: %w", err)
		}
		fields := strings.Split(line, " ")
		switch {
		case fields[0] == "end" && len(fields) == 2:
			if _, err := in.r.ReadByte(); fields[1] != strconv.Itoa(frames) || err != io.EOF {
				return report, errors.New("it does not end where it says")
			}
			return report, nil
		case fields[0] == "document" && len(fields) == 3:
			size, err := strconv.ParseInt(fields[2], 10, 64)
			if err != nil || size < 0 || size > schema.MaxDocumentBytes || size > room {
				return report, fmt.Errorf("a document of %s bytes is too large", schema.Shorten(fields[2], 20))
			}
			room -= size
			var content bytes.Buffer
			content.Grow(int(min(size, 32<<10))) // no more than that on the word of a file
			if _, err := io.CopyN(&content, in, size); err != nil {
				return report, fmt.Errorf("it is not whole: %w", err)
			}
			if got := schema.SHA256(content.Bytes()); string(got) != fields[1] {
				return report, errors.New("a document is not what was written")
			}
			report.Documents = append(report.Documents, content.Bytes())
		case fields[0] == "blob" && len(fields) == 5:
			ref, stored, err := parseBlob(fields)
			if err != nil {
				return report, err
			}
			report.Blobs = append(report.Blobs, blobAt(path, ref, in.at, stored))
			if err := in.skip(f, stored); err != nil {
				return report, fmt.Errorf("it is not whole: %w", err)
			}
		default:
			return report, fmt.Errorf("a frame is not known: %q", schema.Shorten(line, 40))
		}
		if b, err := in.ReadByte(); err != nil || b != '\n' {
			return report, errors.New("a frame does not end where it says")
		}
	}
	return report, errors.New("it has too many frames")
}

func parseBlob(fields []string) (ref schema.BlobRef, stored int64, err error) {
	if ref.Digest, err = schema.ParseDigest(fields[2]); err != nil {
		return ref, 0, err
	}
	ref.Kind = schema.BlobKind(fields[1])
	if ref.Bytes, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
		return ref, 0, err
	}
	if err := store.CheckBlobRef(ref); err != nil {
		return ref, 0, err
	}
	stored, err = strconv.ParseInt(fields[4], 10, 64)
	if err == nil && stored < 0 {
		err = errors.New("a blob of negative size")
	}
	return ref, stored, err
}

// blobAt is a blob whose compressed content lies in a file. Whoever opens it verifies it.
func blobAt(path string, ref schema.BlobRef, at, stored int64) schema.Blob {
	return schema.Blob{Ref: ref, Open: func() (io.ReadCloser, error) {
		f, err := openRegular(path)
		if err != nil {
			return nil, err
		}
		unpack, err := zstd.NewReader(io.NewSectionReader(f, at, stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			f.Close()
			return nil, err
		}
		return &unpacking{unpack, f}, nil
	}}
}

type unpacking struct {
	*zstd.Decoder
	f *os.File
}

func (u *unpacking) Close() error {
	u.Decoder.Close()
	return u.f.Close()
}

// counter knows where in the file it is.
type counter struct {
	r  *bufio.Reader
	at int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.at += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.at++
	}
	return b, err
}

// line reads up to a newline, which is not part of what it gives, within limit bytes.
func (c *counter) line(limit int) (string, error) {
	var out []byte
	for len(out) < limit {
		b, err := c.ReadByte()
		if err != nil {
			return "", io.ErrUnexpectedEOF
		}
		if b == '\n' {
			return string(out), nil
		}
		out = append(out, b)
	}
	return "", errors.New("a line is too long")
}

// skip passes over n bytes without reading them.
func (c *counter) skip(f *os.File, n int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if n > info.Size()-c.at {
		return io.ErrUnexpectedEOF
	}
	c.at += n
	if _, err := f.Seek(c.at, io.SeekStart); err != nil {
		return err
	}
	c.r.Reset(f)
	return nil
}
