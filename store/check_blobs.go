package store

import (
	"context"
	"io"
	"reflect"

	"github.com/runpin/runpin/schema"
)

func (c *checker) blobs() error {
	digests, err := sums(c.r, "SELECT digest FROM blobs ORDER BY digest")
	if err := c.failed("blobs", err); err != nil {
		return err
	}
	for i, sum := range digests {
		subject := "blob " + string(schema.SHA256Sum(sum))
		if c.erased[sum] != "" {
			c.problem(subject, remedyReindex, "it was erased, and its bytes are still here")
		}
		delete(c.referred, sum)
		c.report.Blobs++
		n, err := c.s.verifyBlob(c.ctx, sum)
		c.report.Bytes += n
		if err := c.failed(subject, err); err != nil {
			return err
		}
		c.step("blobs", int64(i+1), int64(len(digests)))
	}
	for sum, run := range c.referred {
		if c.erased[sum] == "" {
			c.problem("run "+run, "import the spool that holds it, or "+remedyBackup, "blob %s is missing", schema.SHA256Sum(sum))
		}
	}
	return nil
}

// verifyBlob reads a blob to its end.
func (s *Store) verifyBlob(ctx context.Context, sum [32]byte) (int64, error) {
	r, err := s.openSum(ctx, sum)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

var blobRefType = reflect.TypeFor[schema.BlobRef]()

// BlobRefs gives every blob that a document refers to, wherever in it that stands.
func BlobRefs(d *schema.Document) []schema.BlobRef {
	var out []schema.BlobRef
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Struct {
				for i := range v.Len() {
					walk(v.Index(i))
				}
			}
		case reflect.Struct:
			if v.Type() == blobRefType {
				out = append(out, v.Interface().(schema.BlobRef))
				return
			}
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		}
	}
	walk(reflect.ValueOf(d))
	return out
}
