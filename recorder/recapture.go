package recorder

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/runpin/runpin/schema"
)

// recaptureAfter is how old the capture of the code may be when it is relied on. Between a capture and the start (while a large data set is hashed, or an image is
// pulled), and while a command runs, somebody may edit the code; within this time that is taken not to happen, since looking costs a `git status`.
const recaptureAfter = time.Second

// recaptureBeforeStart looks at the code again when resolving the rest took long, so that what is recorded is what starts.
func (p *Planned) recaptureBeforeStart(ctx context.Context) error {
	if len(p.req.Command) == 0 || p.r.Now().Sub(p.captured) < recaptureAfter {
		return nil
	}
	for i, req := range p.codes {
		if i >= len(p.Run.Code) || p.Run.Code[i].Use != schema.Observed {
			continue
		}
		pin, err := p.r.Code.ResolveCode(ctx, req)
		if err != nil {
			if p.relax(err) {
				continue
			}
			return err
		}
		if !sameCode(pin, p.Run.Code[i]) {
			p.Run.Code[i] = pin
		}
	}
	return nil
}

// recaptureAtEnd says when the code was edited while the command ran. That is no drift: a program has usually read its code by then; but it may have read some later.
func (p *Planned) recaptureAtEnd(ctx context.Context) []schema.Reason {
	if p.req.Rerun != nil || p.r.Now().Sub(p.started) < recaptureAfter {
		return nil
	}
	var edited []schema.Reason
	for i, req := range p.codes {
		if i >= len(p.Run.Code) || p.Run.Code[i].Use != schema.Observed || p.Run.Code[i].Tree == "" && p.Run.Code[i].Script == nil {
			continue
		}
		req.Sink, req.AskRemote = discard{}, false
		pin, err := p.r.Code.ResolveCode(ctx, req)
		if err == nil && !sameCode(pin, p.Run.Code[i]) {
			edited = append(edited, schema.Reason{Code: "code-edited", Subject: schema.Text("code:" + req.Name),
				Text: "the code was edited while the command ran; what was recorded is how it stood when the command started"})
		}
	}
	return edited
}

func sameCode(a, b schema.CodePin) bool {
	script := func(c schema.CodePin) schema.Digest {
		if c.Script == nil {
			return ""
		}
		return c.Script.Blob.Digest
	}
	return a.Tree == b.Tree && a.Commit == b.Commit && script(a) == script(b) && slices.Equal(a.LFS, b.LFS) &&
		slices.EqualFunc(a.Submodules, b.Submodules, func(x, y schema.Submodule) bool { return x.Path == y.Path && x.Tree == y.Tree && x.Commit == y.Commit })
}

// discard is a sink for a look that is not kept.
type discard struct{}

// PutBlob implements schema.BlobSink.
func (discard) PutBlob(_ context.Context, kind schema.BlobKind, content io.Reader) (schema.BlobRef, error) {
	n, err := io.Copy(io.Discard, content)
	return schema.BlobRef{Kind: kind, Digest: schema.SHA256(nil), Bytes: n}, err
}
