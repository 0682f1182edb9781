package store

import (
	"context"
	"testing"

	"github.com/runpin/runpin/schema"
)

// TestStageKeepsLittle: what is small when packed does not lie unpacked in memory until the write lock is free.
func TestStageKeepsLittle(t *testing.T) {
	short, long := make([]byte, shortListing), make([]byte, shortListing+1)
	staged, err := (&Store{}).stage(context.Background(), []schema.Blob{schema.NewBlob(schema.BlobManifest, short), schema.NewBlob(schema.BlobManifest, long),
		schema.NewBlob(schema.BlobFile, short[1:]), schema.NewBlob(schema.BlobFile, make([]byte, inlineBytes))})
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range staged {
		if kept := st.plain != nil; kept != (i == 0) {
			t.Errorf("blob %d is kept unpacked: %v", i, kept)
		}
	}
}
