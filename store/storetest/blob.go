package storetest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// noise gives bytes that do not compress and depend on seed alone.
func noise(seed uint64, n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(out)
	return out
}

func saveBlobs(t testing.TB, s Store, blobs ...schema.Blob) {
	t.Helper()
	if err := s.Save(context.Background(), schema.Report{Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t testing.TB, s Store, ref schema.BlobRef, want []byte) {
	t.Helper()
	r, err := s.OpenBlob(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes instead of %d, %v", len(got), len(want), err)
	}
}

var blobTests = map[string]func(*testing.T, Opener){
	"come back": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		for _, content := range [][]byte{{}, []byte("x"), noise(1, 1<<20), noise(2, 1<<20+1), noise(3, 5<<20), bytes.Repeat([]byte{0}, 9<<20)} {
			b := schema.NewBlob(schema.BlobFile, content)
			saveBlobs(t, s, b)
			wantContent(t, s, b.Ref, content)
		}
		wantSound(t, s)
	},
	"versions of a large one share their pieces": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		content := noise(4, 8<<20)
		saveBlobs(t, s, schema.NewBlob(schema.BlobBundle, content))
		before, err := s.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Join([][]byte{content[:3<<20], []byte("a line more\n"), content[3<<20:]}, nil)
		b := schema.NewBlob(schema.BlobBundle, changed)
		saveBlobs(t, s, b)
		wantContent(t, s, b.Ref, changed)
		after, err := s.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if grown := after.StoredBytes - before.StoredBytes; grown > 2<<20 {
			t.Errorf("12 bytes more take %d bytes more", grown)
		}
		wantSound(t, s)
	},
	"are verified": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		for _, size := range []int{100, 3 << 20} {
			content := noise(5, size)
			good := schema.NewBlob(schema.BlobFile, content)
			for what, change := range map[string]func(*schema.Blob){
				"digest":         func(b *schema.Blob) { b.Ref.Digest = Digest("another") },
				"too short":      func(b *schema.Blob) { b.Ref.Bytes++ },
				"too long":       func(b *schema.Blob) { b.Ref.Bytes-- },
				"negative":       func(b *schema.Blob) { b.Ref.Bytes = -1 },
				"kind":           func(b *schema.Blob) { b.Ref.Kind = "film" },
				"no digest":      func(b *schema.Blob) { b.Ref.Digest = "" },
				"sha512":         func(b *schema.Blob) { b.Ref.Digest = schema.Digest("sha512:" + strings.Repeat("0", 128)) },
				"no content":     func(b *schema.Blob) { b.Open = nil },
				"not a digest":   func(b *schema.Blob) { b.Ref.Digest = "sha256:x" },
				"larger by far":  func(b *schema.Blob) { b.Ref.Bytes = 50 << 20 },
				"smaller by far": func(b *schema.Blob) { b.Ref.Bytes = 1 },
			} {
				b := good
				change(&b)
				err := s.Save(context.Background(), schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{b}})
				if schema.KindOf(err) != schema.Invalid {
					t.Errorf("%s, %d bytes: %v", what, size, err)
				}
			}
		}
		wantEmpty(t, s)
	},
	"have a cap for each kind": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		for kind, most := range store.MaxBlobBytes {
			b := schema.Blob{Ref: schema.BlobRef{Kind: kind, Digest: Digest("x"), Bytes: most + 1}, Open: func() (io.ReadCloser, error) {
				t.Errorf("a %s that is too large was opened", kind)
				return nil, io.ErrUnexpectedEOF
			}}
			err := s.Save(context.Background(), schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{b}})
			if schema.KindOf(err) != schema.Invalid || schema.HintOf(err) == "" || !strings.Contains(err.Error(), string(kind)) {
				t.Errorf("%s: %v", kind, err)
			}
		}
		wantEmpty(t, s)
	},
	"that are not there": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		_, err := s.OpenBlob(context.Background(), schema.BlobRef{Kind: schema.BlobFile, Digest: Digest("x")})
		wantKind(t, err, schema.Gone)
		_, err = s.OpenBlob(context.Background(), schema.BlobRef{})
		wantKind(t, err, schema.Invalid)
	},
	"are read while others write": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		content := noise(6, 4<<20)
		b := schema.NewBlob(schema.BlobFile, content)
		saveBlobs(t, s, b)
		r, err := s.OpenBlob(context.Background(), b.Ref)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		save(t, s, NewSample(1).Base())
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(append(got, rest...), content) {
			t.Error(err)
		}
		r.Close()
		if _, err := r.Read(got); err == nil {
			t.Error("it can be read after it was closed")
		}
	},
	"that were erased leave a tombstone": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		shared := noise(7, 2<<20)
		secret := schema.NewBlob(schema.BlobFile, bytes.Join([][]byte{shared, noise(8, 2<<20)}, nil))
		other := schema.NewBlob(schema.BlobFile, bytes.Join([][]byte{shared, noise(9, 2<<20)}, nil))
		small := schema.NewBlob(schema.BlobFile, []byte("a secret"))
		a := NewSample(1)
		report := schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{secret, other, small}}
		if err := s.Save(context.Background(), report); err != nil {
			t.Fatal(err)
		}
		erasure := a.Doc(schema.KindErasure, time.Hour)
		erasure.Erasure = &schema.Erasure{Blobs: []schema.Digest{secret.Ref.Digest, small.Ref.Digest}, Reason: "personal data", Ticket: "LEGAL-7"}
		save(t, s, erasure)
		for range 2 {
			for _, b := range []schema.Blob{secret, small} {
				_, err := s.OpenBlob(context.Background(), b.Ref)
				wantKind(t, err, schema.Gone)
				for _, text := range []string{"erased", "personal data", "LEGAL-7"} {
					if !strings.Contains(err.Error(), text) {
						t.Errorf("%v does not say %q", err, text)
					}
				}
			}
			r, err := s.OpenBlob(context.Background(), other.Ref)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || schema.SHA256(got) != other.Ref.Digest {
				t.Error("what another blob shares with an erased one is gone", err)
			}
			// A late copy of the report does not bring it back.
			if err := s.Save(context.Background(), report); err != nil {
				t.Fatal(err)
			}
			wantSound(t, s)
			if !reindex(t, s) {
				break
			}
		}
	},
	"that are erased before they arrive": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		b := schema.NewBlob(schema.BlobFile, []byte("late"))
		erasure := a.Doc(schema.KindErasure, time.Hour)
		erasure.Erasure = &schema.Erasure{Blobs: []schema.Digest{b.Ref.Digest}, Reason: "personal data"}
		if err := s.Save(context.Background(), schema.Report{Documents: []schema.Document{erasure}, Blobs: []schema.Blob{b}}); err != nil {
			t.Fatal(err)
		}
		_, err := s.OpenBlob(context.Background(), b.Ref)
		wantKind(t, err, schema.Gone)
	},
}
