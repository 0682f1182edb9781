package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/storetest"
)

// TestSpoolFileIsAReport: a file of a spool can be sent as it lies.
func TestSpoolFileIsAReport(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := storetest.NewSample(1)
	m := storetest.Manifest("m", 5)
	a.UseManifest(m, 5)
	if err := s.Save(ctx, schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{m}}); err != nil {
		t.Fatal(err)
	}
	files, err := spool.Reports(dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	body, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{Open: true})
	for range 2 {
		if status, answer := raw(t, "POST", url+"/v1/reports", "", bytes.NewReader(body)); status != 204 {
			t.Fatalf("%d: %s", status, answer)
		}
	}
	wantWhole(t, db, 1, 1)
}

// FuzzDecodeReport: what is read is within bounds, and sent again it is the same.
func FuzzDecodeReport(f *testing.F) {
	doc, err := storetest.NewSample(1).Base().Encode()
	if err != nil {
		f.Fatal(err)
	}
	ref := schema.NewBlob(schema.BlobFile, []byte("content")).Ref
	f.Add(encodeReport([][]byte{doc, doc}, []inlineBlob{{ref, []byte("content")}}, []schema.BlobRef{ref}))
	f.Add([]byte(wireMagic + "end 0\n"))
	f.Add([]byte(wireMagic + "blob file " + string(ref.Digest) + " 7 00000000000000000000\n\nend 1\n"))
	f.Add([]byte(wireMagic + "document x 9223372036854775807\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		report, err := decodeReport(body)
		if err != nil {
			if schema.KindOf(err) != schema.Invalid {
				t.Errorf("kind %q", schema.KindOf(err))
			}
			return
		}
		var inline []inlineBlob
		for _, b := range report.blobs {
			if err := store.CheckBlobRef(b.Ref); err != nil {
				t.Error(err)
			}
			r, err := b.Open()
			if err != nil {
				continue
			}
			content, err := io.ReadAll(io.LimitReader(r, b.Ref.Bytes))
			r.Close()
			if err == nil {
				inline = append(inline, inlineBlob{b.Ref, content})
			}
		}
		again, err := decodeReport(encodeReport(report.documents, inline, report.uploaded))
		if err != nil || len(again.documents) != len(report.documents) || len(again.uploaded) != len(report.uploaded) || len(again.blobs) != len(inline) {
			t.Fatalf("%+v became %+v, %v", report, again, err)
		}
		for i := range report.documents {
			if !bytes.Equal(report.documents[i], again.documents[i]) {
				t.Error("a document has changed")
			}
		}
	})
}

// TestEveryFieldOfAFilterTravels: one that did not would choose every run.
func TestEveryFieldOfAFilterTravels(t *testing.T) {
	var f store.Filter
	v := reflect.ValueOf(&f).Elem()
	for i := range v.NumField() {
		field := v.Field(i)
		if !field.CanSet() {
			continue
		}
		switch field.Interface().(type) {
		case schema.Time:
			field.Set(reflect.ValueOf(schema.At(time.UnixMilli(int64(1000 + i)))))
		case []string:
			field.Set(reflect.ValueOf([]string{fmt.Sprint("value", i)}))
		case bool:
			field.SetBool(true)
		case int:
			field.SetInt(int64(i + 1))
		default:
			field.SetString(fmt.Sprint("value", i))
		}
	}
	b, err := json.Marshal(queryOf(f))
	if err != nil {
		t.Fatal(err)
	}
	var q listQuery
	if err := json.Unmarshal(b, &q); err != nil {
		t.Fatal(err)
	}
	if got := q.filter(); !reflect.DeepEqual(got, f) {
		t.Errorf("%+v became %+v", f, got)
	}
}
