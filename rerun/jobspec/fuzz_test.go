package jobspec

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Whatever the file holds, nothing panics; what is printed reads back with the same references, each with its value, and pinning it again
// changes no byte.
func FuzzPin(f *testing.F) {
	specs, _ := filepath.Glob("testdata/*/spec.*")
	for _, path := range specs {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(podHead + "  - ? image\n    : &a !!str 'x:1'\n    env: &e\n    # c\n    - name: A\n"))
	f.Add([]byte("--- {apiVersion: v1, kind: Pod, spec: {containers: [{image: x:1},], }}\n"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzed(t, "f", data) })
}

// The same for formats that are known by the name of the file.
func FuzzPinNamed(f *testing.F) {
	names := []string{"f", "compose.yaml", "kustomization.yaml", ".gitlab-ci.yml", "MLproject", "x.dstack.yml"}
	specs, _ := filepath.Glob("testdata/*/spec.*")
	for _, path := range specs {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for i := range names {
			f.Add(uint8(i), data)
		}
	}
	f.Fuzz(func(t *testing.T, name uint8, data []byte) { fuzzed(t, names[int(name)%len(names)], data) })
}

func fuzzed(t *testing.T, file string, data []byte) {
	if len(data) > 16<<10 {
		return
	}
	s, err := Read(file, data)
	if err != nil {
		return
	}
	for _, r := range s.References {
		if r.Offset < 0 || r.End > len(data) || r.Offset >= r.End || r.Line < 1 || r.Column < 1 {
			t.Fatalf("%+v", r)
		}
	}
	if s.Err() != nil {
		if _, err := s.Pin(nil, nil); err == nil {
			t.Fatal("pinned in spite of problems")
		}
		return
	}
	values := testPins(t, s)
	pinned, err := s.Pin(values, nil)
	if err != nil {
		t.Fatalf("%v\n%q", err, data)
	}
	check(t, s, values, pinned)
	stamped, err := s.Pin(values, &Stamp{RunID: testRun})
	if err == nil {
		check(t, s, values, stamped)
	}
}

func check(t *testing.T, s *Spec, values map[string]string, out []byte) {
	p, err := Read(s.File, out)
	if err != nil || p.Err() != nil || len(p.References) != len(s.References) {
		t.Fatalf("%v %v\n%q", err, p, out)
	}
	for i, r := range p.References {
		if r.Name != s.References[i].Name || (r.File == "" && r.Value != values[r.Key()] || r.File != "" && string(r.Digest()) != values[r.Key()]) && !r.Soft || !r.Pinned && !r.Soft {
			t.Fatalf("%+v", r)
		}
	}
	same, err := p.Pin(values, nil)
	if err != nil || !bytes.Equal(same, out) {
		t.Fatalf("%v\n%q", err, same)
	}
}

// Cutting out what Read found and putting it back is the identity: positions are right whatever is around them.
func FuzzLocate(f *testing.F) {
	f.Add("a b", "x:1", "\u2028", uint8(0))
	f.Add("\r\n", "é", "\u0085", uint8(1))
	f.Add("# \u65e5\r", "x", "\t", uint8(2))
	f.Fuzz(func(t *testing.T, before, value, comment string, style uint8) {
		quote := []string{"", "'", `"`}[int(style)%3]
		data := []byte("apiVersion: v1\nkind: Pod # " + comment + "\nspec:\n  containers:\n  - {name: \"" + before + "\", image: " + quote + value + quote + "}\n")
		s, err := Read("f", data)
		if err != nil {
			return
		}
		for _, r := range s.References {
			if got := string(data[r.Offset:r.End]); r.Value != got && quote+r.Value+quote != got && !bytes.ContainsAny([]byte(got), `\`) {
				t.Fatalf("%q is not %q", got, r.Value)
			}
		}
	})
}
