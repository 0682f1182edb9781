package http

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// Find gives the id of the run that query names: see store.Store.
func (c *Client) Find(ctx context.Context, query string, scope store.Scope) (schema.RunID, error) {
	var found foundRun
	if len(query) > maxQueryBytes/8 {
		query = query[:maxQueryBytes/8] // no run has such a name
	}
	err := c.json(ctx, request{method: http.MethodPost, path: "/v1/find"}, findQuery{schema.Text(query), schema.Text(scope.User), schema.Text(scope.Project)}, &found)
	if err != nil {
		return "", err
	}
	return schema.ParseRunID(string(found.Run))
}

// Run gives a run, folded and judged by the server.
func (c *Client) Run(ctx context.Context, id schema.RunID) (schema.Run, error) {
	var run schema.Run
	body, err := c.whole(ctx, request{method: http.MethodGet, path: "/v1/runs/" + url.PathEscape(string(id))})
	if err != nil {
		return run, err
	}
	if err := json.Unmarshal(body, &run); err != nil {
		return run, unavailable("run "+string(id), fmt.Errorf("the answer makes no sense: %w", err))
	}
	c.remember(id, body)
	return run, nil
}

// Encoded gives the documents of a run byte for byte.
func (c *Client) Encoded(ctx context.Context, id schema.RunID) ([][]byte, error) {
	body, err := c.whole(ctx, request{method: http.MethodGet, path: "/v1/runs/" + url.PathEscape(string(id)) + "/documents"})
	if err != nil {
		return nil, err
	}
	report, err := parseReport(body)
	if err != nil {
		return nil, unavailable("run "+string(id), fmt.Errorf("the answer makes no sense: %w", err))
	}
	c.remember(id, body)
	return report.documents, nil
}

// Documents gives the documents of a run, in the order of their ids.
func (c *Client) Documents(ctx context.Context, id schema.RunID) ([]schema.Document, error) {
	encoded, err := c.Encoded(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]schema.Document, len(encoded))
	for i, b := range encoded {
		if out[i], err = schema.DecodeDocument(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// List gives the runs that a filter chooses. Up to ten thousand are as of one moment; more come page by page.
func (c *Client) List(ctx context.Context, f store.Filter) ([]schema.Run, error) {
	var out []schema.Run
	seen := map[schema.RunID]bool{}
	wanted := f.Limit
	for {
		page := f
		if wanted == 0 || wanted-len(out) > maxPage {
			page.Limit = maxPage
		} else {
			page.Limit = wanted - len(out)
		}
		var raw []json.RawMessage
		if err := c.json(ctx, request{method: http.MethodPost, path: "/v1/list"}, queryOf(page), &raw); err != nil {
			return nil, err
		}
		for _, b := range raw {
			var run schema.Run
			if err := json.Unmarshal(b, &run); err != nil {
				return nil, unavailable("list", fmt.Errorf("the answer makes no sense: %w", err))
			}
			if !seen[run.ID] {
				seen[run.ID] = true
				out = append(out, run)
				c.remember(run.ID, b)
			}
		}
		if f.Limit < 0 || len(raw) < page.Limit || len(raw) < maxPage || wanted > 0 && len(out) >= wanted {
			return out, nil
		}
		f.Offset += len(raw)
	}
}

var digestForm = regexp.MustCompile(`"sha256:[0-9a-f]{64}"`)

// maxRemembered bounds the memory for which run refers to what.
const maxRemembered = 200_000

// remember notes which run refers to which digests: a token of one project reads a blob by naming a run.
func (c *Client) remember(id schema.RunID, body []byte) {
	if c.options.Token == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.runs) > maxRemembered {
		clear(c.runs)
	}
	for _, m := range digestForm.FindAll(body, -1) {
		c.runs[schema.Digest(m[1:len(m)-1])] = id
	}
}

// OpenBlob gives the bytes of a stored blob, verified while they are read: what is damaged or cut short ends in an error, never in EOF. Where the
// connection breaks, reading goes on where it broke off.
func (c *Client) OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	if !ref.Digest.Valid() || len(ref.Digest.Hex()) != 64 {
		return nil, invalid(fmt.Sprintf("blob %q", schema.Shorten(string(ref.Digest), 160)), "", fmt.Errorf("a blob is named by its SHA-256"))
	}
	b := &blobReader{c: c, ctx: ctx, digest: ref.Digest, hash: sha256.New()}
	return b, b.open()
}

type blobReader struct {
	c      *Client
	ctx    context.Context
	digest schema.Digest
	hash   hash.Hash
	at     int64
	broken int // times the connection broke without a byte in between
	body   io.ReadCloser
	err    error
}

func (b *blobReader) open() error {
	q := request{method: http.MethodGet, path: "/v1/blobs/" + string(b.digest)}
	b.c.mu.Lock()
	if run := b.c.runs[b.digest]; run != "" {
		q.path += "?run=" + string(run)
	}
	b.c.mu.Unlock()
	if b.at > 0 {
		q.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-", b.at)}
	}
	resp, err := b.c.do(b.ctx, q)
	if err != nil {
		return err
	}
	if b.at > 0 && resp.Header.Get(offsetHeader) != fmt.Sprint(b.at) {
		resp.Body.Close()
		return unavailable("blob "+b.digest.Short(), fmt.Errorf("the server does not go on where it broke off"))
	}
	b.body = resp.Body
	return nil
}

func (b *blobReader) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.body.Read(p)
		b.at += int64(n)
		b.hash.Write(p[:n])
		if n > 0 {
			b.broken = 0
			return n, nil
		}
		switch {
		case err == io.EOF:
			b.err = io.EOF
			if got := schema.SHA256Sum([32]byte(b.hash.Sum(nil))); got != b.digest {
				b.err = unavailable("blob "+b.digest.Short(), fmt.Errorf("what arrived is %s", got))
			}
		case err != nil:
			b.body.Close()
			if b.broken++; b.broken > 5 || b.ctx.Err() != nil {
				b.err = b.c.unreachable(err)
			} else {
				b.err = b.open()
			}
		}
	}
	return 0, b.err
}

func (b *blobReader) Close() error {
	b.err = io.ErrClosedPipe
	if b.body != nil {
		return b.body.Close()
	}
	return nil
}

// Stats counts. The token needs the scope admin.
func (c *Client) Stats(ctx context.Context) (store.Stats, error) {
	var out store.Stats
	err := c.json(ctx, request{method: http.MethodGet, path: "/v1/stats"}, nil, &out)
	return out, err
}

// Check verifies the store at the server; what the options ask for is not told. The token needs the scope admin.
func (c *Client) Check(ctx context.Context, _ ...store.CheckOptions) (store.CheckReport, error) {
	var out store.CheckReport
	err := c.json(ctx, request{method: http.MethodGet, path: "/v1/check"}, nil, &out)
	return out, err
}

// Whoami says what the token may do.
func (c *Client) Whoami(ctx context.Context) (Whoami, error) {
	var out Whoami
	err := c.json(ctx, request{method: http.MethodGet, path: "/v1/whoami"}, nil, &out)
	return out, err
}
