package http

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Save keeps a report: see store.Store.
func (c *Client) Save(ctx context.Context, report schema.Report) error {
	documents := make([][]byte, len(report.Documents))
	for i, d := range report.Documents {
		var err error
		if documents[i], err = d.Encode(); err != nil {
			return err
		}
	}
	return c.SaveEncoded(ctx, documents, report.Blobs)
}

// SaveEncoded is Save for documents as they were written, byte for byte. Small blobs go with the documents; large ones are uploaded before, those that the
// server has already left out, and from where an earlier try broke off. Whatever happens, the server keeps the whole report or nothing that can be seen.
func (c *Client) SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error {
	inline, large, err := sortBlobs(ctx, blobs)
	if err != nil {
		return err
	}
	var refs []schema.BlobRef
	for _, b := range large {
		refs = append(refs, b.Ref)
	}
	body := encodeReport(documents, inline, refs)
	if len(body) > maxReportBytes {
		// In several pieces it would not be kept whole or not at all.
		return invalid("the report", "import fewer reports at a time", fmt.Errorf("%d documents of %d bytes together, a server takes %d at a time", len(documents), len(body), maxReportBytes))
	}
	// An upload can be lost between the two requests (a server that moved, a day that passed): then the second round sends it again.
	for try := 1; ; try++ {
		if err := c.upload(ctx, large); err != nil {
			return err
		}
		resp, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/reports", body: body, header: map[string]string{"Content-Type": ReportType}, once: try == 1 && len(large) > 0})
		if err == nil {
			return resp.Body.Close()
		}
		if try == 3 || len(large) == 0 || schema.KindOf(err) != schema.Unavailable {
			return err
		}
	}
}

// sortBlobs reads the small blobs into memory and checks all of them, each digest once.
func sortBlobs(ctx context.Context, blobs []schema.Blob) (inline []inlineBlob, large []schema.Blob, err error) {
	for _, b := range blobs {
		if err := store.CheckBlobRef(b.Ref); err != nil {
			return nil, nil, err
		}
		if b.Open == nil {
			return nil, nil, invalid("blob "+b.Ref.Digest.Short(), "", errors.New("it comes without content"))
		}
	}
	seen := map[schema.Digest]int64{}
	room := int64(maxInlineAll)
	for _, b := range blobs {
		if size, again := seen[b.Ref.Digest]; again {
			if size != b.Ref.Bytes {
				return nil, nil, invalid("blob "+b.Ref.Digest.Short(), "", errors.New("it is announced with two sizes"))
			}
			continue
		}
		seen[b.Ref.Digest] = b.Ref.Bytes
		if b.Ref.Bytes > min(maxInlineBlob, room) {
			if err := readBlob(ctx, b, io.Discard); err != nil {
				return nil, nil, err
			}
			large = append(large, b)
			continue
		}
		content := &sliceWriter{make([]byte, 0, b.Ref.Bytes)}
		if err := readBlob(ctx, b, content); err != nil {
			return nil, nil, err
		}
		room -= b.Ref.Bytes
		inline = append(inline, inlineBlob{b.Ref, content.b})
	}
	return inline, large, nil
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// readBlob copies the content of a blob and verifies it.
func readBlob(ctx context.Context, b schema.Blob, into io.Writer) error {
	r, err := b.Open()
	if err != nil {
		return fmt.Errorf("reading blob %s: %w", b.Ref.Digest.Short(), err)
	}
	defer r.Close()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(into, hash), &whileWanted{ctx, io.LimitReader(r, b.Ref.Bytes+1)})
	if ctx.Err() != nil {
		return &schema.Error{Op: "store.http", Kind: schema.Interrupted, Subject: "blob " + b.Ref.Digest.Short(), Err: ctx.Err(), Hint: "nothing of it was stored; do it again"}
	}
	if err != nil {
		return fmt.Errorf("reading blob %s: %w", b.Ref.Digest.Short(), err)
	}
	if got := schema.SHA256Sum([32]byte(hash.Sum(nil))); n != b.Ref.Bytes || got != b.Ref.Digest {
		return invalid("blob "+b.Ref.Digest.Short(), "what it was made from may have changed meanwhile; do it again", errors.New("its content is not what was announced"))
	}
	return nil
}

// whileWanted stops reading once the context is done.
type whileWanted struct {
	ctx context.Context
	r   io.Reader
}

func (w *whileWanted) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(p)
}

// upload sends the blobs that the server lacks.
func (c *Client) upload(ctx context.Context, blobs []schema.Blob) error {
	for len(blobs) > 0 {
		some := blobs[:min(len(blobs), maxAsked)]
		blobs = blobs[len(some):]
		var q missingQuery
		byDigest := map[schema.Digest]schema.Blob{}
		for _, b := range some {
			q.Blobs = append(q.Blobs, askedBlob{b.Ref.Digest, b.Ref.Kind, b.Ref.Bytes})
			byDigest[b.Ref.Digest] = b
		}
		var answer missingBlobs
		if err := c.json(ctx, request{method: http.MethodPost, path: "/v1/blobs/missing"}, q, &answer); err != nil {
			return err
		}
		for _, digest := range answer.Missing {
			if b, ok := byDigest[digest]; ok {
				if err := c.uploadOne(ctx, b); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// uploadOne sends a blob part by part, from where the server says that the upload stands, also after a part that broke off.
func (c *Client) uploadOne(ctx context.Context, b schema.Blob) error {
	path := "/v1/uploads/" + string(b.Ref.Digest)
	offset, err := c.uploadStands(ctx, path, b.Ref)
	if err != nil {
		return err
	}
	source := &rewinding{ctx: ctx, blob: b}
	defer source.close()
	// The budget is of no progress, not of the whole: others with the same token may be sending the same blob, and what they send counts.
	pause, until := firstPause, time.Now().Add(c.options.Budget)
	for offset < b.Ref.Bytes {
		n := min(partBytes, b.Ref.Bytes-offset)
		part := make([]byte, n) // a new one each time: after an early answer the last may still be on its way
		if err := source.readAt(part, offset); err != nil {
			return err
		}
		resp, err := c.do(ctx, request{method: http.MethodPut, path: path + "?kind=" + url.QueryEscape(string(b.Ref.Kind)), body: part, once: true,
			header: map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", offset, offset+n-1, b.Ref.Bytes)}})
		before := offset
		failed := unavailable("upload of "+b.Ref.Digest.Short(), errors.New("it makes no progress"))
		switch {
		case err == nil:
			resp.Body.Close()
			offset, err = uploadOffset(resp, b.Ref)
		case schema.KindOf(err) == schema.Unavailable:
			failed = err
			offset, err = c.uploadStands(ctx, path, b.Ref)
		}
		if err != nil {
			return err
		}
		if offset > before {
			pause, until = firstPause, time.Now().Add(c.options.Budget)
			continue
		}
		if time.Now().Add(pause).After(until) {
			return failed
		}
		select {
		case <-ctx.Done(): // the next request says so
		case <-time.After(pause):
		}
		pause = nextPause(pause)
	}
	return nil
}

// uploadStands asks how much of an upload the server has.
func (c *Client) uploadStands(ctx context.Context, path string, ref schema.BlobRef) (int64, error) {
	resp, err := c.do(ctx, request{method: http.MethodHead, path: path})
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return uploadOffset(resp, ref)
}

// rewinding reads a blob from anywhere: on from where it is, or anew from its beginning.
type rewinding struct {
	ctx  context.Context
	blob schema.Blob
	r    io.ReadCloser
	at   int64
}

func (r *rewinding) readAt(p []byte, offset int64) error {
	unreadable := func(err error) error { return fmt.Errorf("reading blob %s: %w", r.blob.Ref.Digest.Short(), err) }
	if r.r == nil || r.at > offset {
		r.close()
		var err error
		if r.r, err = r.blob.Open(); err != nil {
			return unreadable(err)
		}
		r.at = 0
	}
	n, err := io.CopyN(io.Discard, &whileWanted{r.ctx, r.r}, offset-r.at)
	r.at += n
	if err == nil {
		var m int
		m, err = io.ReadFull(r.r, p)
		r.at += int64(m)
	}
	if err != nil {
		return unreadable(err)
	}
	return nil
}

func (r *rewinding) close() {
	if r.r != nil {
		r.r.Close()
		r.r = nil
	}
}

func uploadOffset(resp *http.Response, ref schema.BlobRef) (int64, error) {
	offset, err := strconv.ParseInt(resp.Header.Get(offsetHeader), 10, 64)
	if offset > ref.Bytes && err == nil { // left of an announcement that was wrong: the server drops it when the blob begins anew
		return 0, nil
	}
	if err != nil || offset < 0 {
		return 0, unavailable("upload of "+ref.Digest.Short(), errors.New("the server does not say how much of it has arrived"))
	}
	return offset, nil
}

// beatTimeout bounds a beat: the next one comes soon enough.
const beatTimeout = 10 * time.Second

// Beat renews the lease of a running run.
func (c *Client) Beat(ctx context.Context, run schema.RunID, at schema.Time) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	return c.json(ctx, request{method: http.MethodPost, path: "/v1/runs/" + url.PathEscape(string(run)) + "/beat", once: true}, beatQuery{at}, nil)
}
