package jobspec

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runpin/runpin/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

const testRun = schema.RunID("01JDABCDEFGHJKMNPQRSTVWXYZ")

// golds reads what the golden files hold.
var golds = Reader{ContainerImage: engineArgv}

// testDigest gives each image a digest of its own.
func testDigest(ref string) schema.Digest { return schema.SHA256([]byte(ref)) }

func testPins(t testing.TB, s *Spec) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, r := range s.References {
		if r.Soft {
			continue
		}
		if r.Kind == KindCode {
			values[r.Key()] = testDigest(r.URL + r.Value).Hex()[:40]
			continue
		}
		if r.Kind == KindDataset {
			values[r.Key()] = "1" + strings.Repeat("0", 39)
			continue
		}
		if r.File != "" {
			values[r.Key()] = string(testDigest(r.File))
			continue
		}
		pin, err := r.Pin(testDigest(r.Value))
		if err != nil {
			t.Fatal(err)
		}
		values[r.Key()] = pin
	}
	return values
}

// Each folder of testdata holds a spec, what is found in it, and the spec pinned without and with a stamp.
func TestGolden(t *testing.T) {
	specs, _ := filepath.Glob("testdata/*/spec.*")
	if len(specs) < 10 {
		t.Fatal("no test data")
	}
	for _, path := range specs {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			dir, ext := filepath.Dir(path), filepath.Ext(path)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file := "spec" + ext
			if name, err := os.ReadFile(dir + "/name.txt"); err == nil { // some formats are known by the file's name
				file = strings.TrimSpace(string(name))
			}
			s, err := golds.Read(file, data)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, dir+"/found.txt", []byte(found(s)))
			values := testPins(t, s)
			pinned, err := s.Pin(values, nil)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, dir+"/pinned"+ext, pinned)
			stamped, err := s.Pin(values, &Stamp{RunID: testRun})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, dir+"/stamped"+ext, stamped)
			again(t, s, pinned, stamped)
		})
	}
}

// again checks what holds for every spec: pinning what is pinned changes nothing, and neither does stamping what is stamped.
func again(t *testing.T, s *Spec, pinned, stamped []byte) {
	t.Helper()
	for _, out := range [][]byte{pinned, stamped} {
		p, err := golds.Read(s.File, out)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for i, r := range p.References {
			if !r.Pinned && !r.Soft || r.Name != s.References[i].Name || place(r) != place(s.References[i]) {
				t.Errorf("%+v is not the pinned %+v", r, s.References[i])
			}
			values[r.Key()] = r.Value
			if r.File != "" {
				values[r.Key()] = string(r.Digest())
			}
		}
		for _, v := range []map[string]string{values, nil} {
			same, err := p.Pin(v, nil)
			if err != nil || !bytes.Equal(same, out) {
				t.Errorf("pinning again changed the file: %v\n%s", err, cmp.Diff(string(out), string(same)))
			}
		}
		twice, err := p.Pin(nil, &Stamp{RunID: testRun})
		if err != nil || !bytes.Equal(twice, stamped) {
			t.Errorf("stamping again: %v\n%s", err, cmp.Diff(string(stamped), string(twice)))
		}
	}
	p, _ := golds.Read(s.File, pinned)
	if p.Template() != s.Template() {
		t.Error("the template depends on the tags")
	}
}

// place is the field without the place in the list of variables, which the stamp goes before.
func place(r Reference) string { return envIndex.ReplaceAllString(r.Field, "env") }

var envIndex = regexp.MustCompile(`\benv\[\d+\]`)

func found(s *Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s live %v template %s\n", s.Format, s.Live, s.Template())
	for _, r := range s.References {
		fmt.Fprintf(&b, "%d:%d %s %q document %d %s", r.Line, r.Column, r.Name, r.Value, r.Document, r.Field)
		if r.Kind != KindImage {
			fmt.Fprintf(&b, " %s of %s", r.Kind, r.URL)
		}
		if r.Soft {
			b.WriteString(" soft")
		}
		for _, also := range r.Also {
			fmt.Fprintf(&b, " = %s", also)
		}
		if r.Pinned {
			b.WriteString(" pinned")
		}
		b.WriteByte('\n')
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "%d:%d problem %s\n", p.Line, p.Column, p)
	}
	return b.String()
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s", path, cmp.Diff(string(want), string(got)))
	}
}
