package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Copied says what [Store.CopyTo] found and did. Digest is of all documents and blobs that the source holds, and the same for the destination: the SHA-256 over
// lines "<document id> <sha256>\n" in the order of ids, and then "<blob digest> <bytes>\n" in the order of digests.
type Copied struct {
	Documents    int64         `json:"documents"`
	NewDocuments int64         `json:"new_documents"` // that the destination did not have before
	Blobs        int64         `json:"blobs"`
	NewBlobs     int64         `json:"new_blobs"`
	Bytes        int64         `json:"bytes"` // of the blobs, before compression
	Digest       schema.Digest `json:"digest"`
}

const (
	copyDocuments = 512     // at once
	copyBytes     = 8 << 20 // of documents at once, about
)

// CopyTo copies every document, byte for byte, and every blob to another store, and then proves that nothing is missing there. What is there already is passed over, so a copy that
// was interrupted goes on where it stopped; what the other store holds besides stays. Leases and tokens are not copied. A document that the other store has with other content is
// of kind Conflict; something that is missing after the copy, of kind Internal, with its name.
func (s *Store) CopyTo(ctx context.Context, to *Store, progress schema.Progress) (Copied, error) {
	c := &copier{ctx: ctx, from: s, to: to, progress: progress}
	if err := c.count(); err != nil {
		return c.done, err
	}
	if err := c.blobs(); err != nil {
		return c.done, err
	}
	if err := c.documents(); err != nil {
		return c.done, err
	}
	return c.done, c.prove()
}

type copier struct {
	ctx      context.Context
	from, to *Store
	progress schema.Progress
	done     Copied
	total    int64
	sum      hash.Hash
}

func (c *copier) step(what string, done, total int64) {
	if c.progress != nil {
		c.progress.Step(what, done, total, "")
	}
}

func (c *copier) count() error {
	return c.from.read(c.ctx, "store.copy", "the store", func(r *snapshot) error {
		_, err := one(r, "SELECT count(*) FROM documents", nil, &c.total)
		return err
	})
}

// blobs goes before the documents that refer to them, so that the other store is never without what it names.
func (c *copier) blobs() error {
	last := []byte{}
	for {
		some, err := c.from.blobsAfter(c.ctx, last)
		if err != nil || len(some) == 0 {
			return err
		}
		last = some[len(some)-1].sum
		have, err := c.to.blobsAmong(c.ctx, some)
		if err != nil {
			return err
		}
		var batch []schema.Blob
		size := int64(0)
		for _, b := range some {
			c.done.Blobs++
			c.done.Bytes += b.ref.Bytes
			if have[string(b.sum)] {
				continue
			}
			c.done.NewBlobs++
			batch = append(batch, schema.Blob{Ref: b.ref, Open: func() (io.ReadCloser, error) { return c.from.OpenBlob(c.ctx, b.ref) }})
			if size += b.ref.Bytes; size > copyBytes {
				if err := c.to.save(c.ctx, nil, batch); err != nil {
					return err
				}
				batch, size = nil, 0
			}
		}
		if len(batch) > 0 {
			if err := c.to.save(c.ctx, nil, batch); err != nil {
				return err
			}
		}
		c.step("blobs", c.done.Blobs, 0)
	}
}

func (c *copier) documents() error {
	last := ""
	for {
		some, err := c.from.documentsAfter(c.ctx, last)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			c.step("documents", c.total, c.total)
			return nil
		}
		last = some[len(some)-1].id
		have, err := c.to.sumsAmong(c.ctx, some)
		if err != nil {
			return err
		}
		var records []record
		for _, d := range some {
			c.done.Documents++
			if sum, there := have[d.id]; there && bytes.Equal(sum, d.sum) {
				continue
			}
			c.done.NewDocuments++ // one that is there with other content is refused below, by name
			plain := d
			plain.plain = false // what only a newer version knows is kept as it is
			doc, err := plain.decode()
			if err != nil {
				return err
			}
			records = append(records, record{doc, d.bytes, [32]byte(d.sum)})
		}
		if len(records) > 0 {
			if err := c.to.save(c.ctx, records, nil); err != nil {
				return err
			}
		}
		c.step("documents", c.done.Documents, c.total)
	}
}

// prove walks both stores in the same order and names what the destination lacks.
func (c *copier) prove() error {
	c.sum = sha256.New()
	var missing []string
	seen := int64(0)
	for last := ""; ; {
		some, err := c.from.documentsAfter(c.ctx, last)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		last = some[len(some)-1].id
		have, err := c.to.sumsAmong(c.ctx, some)
		if err != nil {
			return err
		}
		for _, d := range some {
			seen++
			fmt.Fprintf(c.sum, "%s %s\n", d.id, hex.EncodeToString(d.sum))
			if !bytes.Equal(have[d.id], d.sum) {
				missing = append(missing, "document "+d.id)
			}
		}
		c.step("proof", seen, c.total)
	}
	for last := []byte{}; ; {
		some, err := c.from.blobsAfter(c.ctx, last)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		last = some[len(some)-1].sum
		have, err := c.to.blobsAmong(c.ctx, some)
		if err != nil {
			return err
		}
		for _, b := range some {
			fmt.Fprintf(c.sum, "%s %d\n", b.ref.Digest, b.ref.Bytes)
			if !have[string(b.sum)] {
				missing = append(missing, "blob "+string(b.ref.Digest))
			}
		}
	}
	c.step("proof", c.total, c.total)
	c.done.Digest = schema.SHA256Sum([32]byte(c.sum.Sum(nil)))
	if len(missing) == 0 {
		return nil
	}
	const shown = 20
	text := strings.Join(missing[:min(len(missing), shown)], ", ")
	if len(missing) > shown {
		text += fmt.Sprintf(" and %d more", len(missing)-shown)
	}
	return &schema.Error{Op: "store.copy", Kind: schema.Internal, Subject: "the copy", Err: errors.New("it lacks " + text), Hint: "run it again; if that does not help, `runpin store check` both"}
}

type copiedBlob struct {
	sum []byte
	ref schema.BlobRef
}

// documentsAfter gives the next documents in the order of their ids.
func (s *Store) documentsAfter(ctx context.Context, id string) (out []stored, err error) {
	err = s.read(ctx, "store.copy", "the store", func(r *snapshot) error {
		rows, err := r.query("SELECT id, run, plain, sha256, bytes FROM documents WHERE id > $1 ORDER BY id LIMIT $2", id, copyDocuments)
		if err != nil {
			return err
		}
		defer rows.Close()
		size := 0
		for size < copyBytes && rows.Next() {
			var d stored
			if err := rows.Scan(&d.id, &d.run, &d.plain, &d.sum, &d.bytes); err != nil {
				return err
			}
			if len(d.sum) != 32 {
				return internal("store.copy", "document "+schema.Shorten(d.id, 40), "it has no digest")
			}
			size += len(d.bytes)
			out = append(out, d)
		}
		return rows.Err()
	})
	return out, err
}

// sumsAmong gives the digests of those documents that the store has.
func (s *Store) sumsAmong(ctx context.Context, some []stored) (map[string][]byte, error) {
	out := make(map[string][]byte, len(some))
	args := make([]any, len(some))
	for i, d := range some {
		args[i] = d.id
	}
	err := s.read(ctx, "store.copy", "the copy", func(r *snapshot) error {
		rows, err := r.query("SELECT id, sha256 FROM documents WHERE id IN ("+placeholders(1, len(some))+")", args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var sum []byte
			if err := rows.Scan(&id, &sum); err != nil {
				return err
			}
			out[id] = sum
		}
		return rows.Err()
	})
	return out, err
}

func (s *Store) blobsAfter(ctx context.Context, last []byte) (out []copiedBlob, err error) {
	err = s.read(ctx, "store.copy", "the store", func(r *snapshot) error {
		rows, err := r.query("SELECT digest, kind, bytes FROM blobs WHERE digest > $1 ORDER BY digest LIMIT $2", last, copyDocuments)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b copiedBlob
			if err := rows.Scan(&b.sum, &b.ref.Kind, &b.ref.Bytes); err != nil {
				return err
			}
			if len(b.sum) != 32 {
				return internal("store.copy", "a blob", "it has no digest")
			}
			b.ref.Digest = schema.SHA256Sum([32]byte(b.sum))
			out = append(out, b)
		}
		return rows.Err()
	})
	return out, err
}

// blobsAmong says which of the blobs the store has, or has erased: those do not come back.
func (s *Store) blobsAmong(ctx context.Context, some []copiedBlob) (map[string]bool, error) {
	out := make(map[string]bool, len(some))
	args := make([]any, len(some))
	for i, b := range some {
		args[i] = b.sum
	}
	err := s.read(ctx, "store.copy", "the copy", func(r *snapshot) error {
		for _, table := range []string{"blobs", "erased"} {
			found, err := sums(r, "SELECT digest FROM "+table+" WHERE digest IN ("+placeholders(1, len(some))+")", args...)
			if err != nil {
				return err
			}
			for _, sum := range found {
				out[string(sum[:])] = true
			}
		}
		return nil
	})
	return out, err
}
