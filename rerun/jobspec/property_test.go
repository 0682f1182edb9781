package jobspec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// writer makes a pod in one of the many ways in which the same can be written.
type writer struct {
	*rand.Rand
	b bytes.Buffer
}

func (w *writer) one(of ...string) string { return of[w.IntN(len(of))] }

func (w *writer) quoted(s string) string {
	return w.one(s, "'"+s+"'", `"`+s+`"`)
}

func (w *writer) line(indent int, text string) {
	if w.IntN(8) == 0 {
		fmt.Fprintf(&w.b, "%s# %s\n", strings.Repeat(" ", indent), w.one("note", "日本語", "image: no:1", "a\u2028# b"))
	}
	if w.IntN(12) == 0 {
		w.b.WriteString("\n")
	}
	w.b.WriteString(strings.Repeat(" ", indent) + text + w.one("", "", "", "  # why", " ") + "\n")
}

func (w *writer) env(indent int) {
	switch w.IntN(8) {
	case 0:
	case 1:
		w.line(indent, "env: []")
	case 2:
		w.line(indent, "env:")
	case 3:
		w.line(indent, "env: null")
	case 4:
		w.line(indent, "env: ["+w.one("", " ")+"{name: A, "+w.quoted("value")+": "+w.quoted("x")+"}"+w.one("", ",", " ")+"]")
	default:
		w.line(indent, "env:"+w.one("", " &e", " !!seq"))
		in := indent + w.IntN(2)*2
		for i := range 1 + w.IntN(2) {
			gap := 1 + 2*w.IntN(2)
			w.line(in, fmt.Sprintf("-%sname: V%d", strings.Repeat(" ", gap), i))
			w.line(in+1+gap, "value: "+w.quoted("x"))
		}
	}
}

func (w *writer) container(indent, n int) {
	image := w.quoted(w.one("x", "x:1", "registry.example.com:5000/a/b:c", "a/b@"+string(testDigest("old"))))
	if w.IntN(4) == 0 {
		w.line(indent, fmt.Sprintf("- {%s: %s, name: c%d%s}", w.quoted("image"), image, n, w.one("", ", env: []", ", args: [a, 'b]', \"c}\"]", ", env: [{name: B, value: \"1\"}]")))
		return
	}
	keys := []func(){
		func() { w.line(indent+2, "image: "+image) },
		func() { w.env(indent + 2) },
		func() { w.line(indent+2, "command: [sh, -c]") },
		func() {
			w.line(indent+2, "args:")
			w.b.WriteString(strings.Repeat(" ", indent+2) + "- |\n" + strings.Repeat(" ", indent+6) + "image: no:1\n\n" + strings.Repeat(" ", indent+6) + "# not a comment\n")
		},
	}
	w.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	w.b.WriteString(fmt.Sprintf("%s- name: c%d\n", strings.Repeat(" ", indent), n))
	for _, k := range keys {
		k()
	}
}

func (w *writer) job() []byte {
	if w.IntN(3) == 0 {
		w.b.WriteString("---\n")
	}
	w.b.WriteString("apiVersion: batch/v1\nkind: Job\n")
	switch w.IntN(5) {
	case 0:
	case 1:
		w.line(0, "metadata: {name: n"+w.one("", ", annotations: {a: b}", ", annotations: {}", ", annotations: ")+"}")
	case 2:
		w.line(0, "metadata:")
		w.line(2, "annotations:"+w.one("", " # c"))
		w.line(4, "a: "+w.quoted("b"))
	default:
		w.line(0, "metadata:")
		w.line(4, "labels: {a: b}")
		w.line(4, w.one("name: n", "generateName: 'n-'", "annotations: ~"))
	}
	w.line(0, "spec:")
	w.line(2, "template:")
	w.line(4, "spec:")
	w.line(6, "containers:")
	in := 6 + w.IntN(2)*2
	for i := range 1 + w.IntN(3) {
		w.container(in, i)
	}
	out := w.b.Bytes()
	if w.IntN(3) == 0 {
		out = bytes.ReplaceAll(out, []byte("\n"), []byte("\r\n"))
	}
	if w.IntN(4) == 0 {
		out = bytes.TrimRight(out, "\r\n")
	}
	if w.IntN(4) == 0 {
		out = append([]byte("\xEF\xBB\xBF"), out...)
	}
	return out
}

// However a job is written, every image is found, pinning changes the images' bytes alone, and the stamp finds its place.
func TestPinProperty(t *testing.T) {
	for seed := range uint64(2000) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 0))}
		data := w.job()
		s, err := Read("f", data)
		if err != nil || s.Err() != nil {
			t.Fatalf("seed %d: %v %v\n%s", seed, err, s, data)
		}
		values := testPins(t, s)
		pinned, err := s.Pin(values, nil)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, data)
		}
		p, err := Read("f", pinned)
		if err != nil || len(p.References) != len(s.References) {
			t.Fatalf("seed %d: %v\n%s", seed, err, pinned)
		}
		var back []edit
		for i, r := range p.References {
			old := s.References[i]
			back = append(back, edit{r.Offset, r.End, string(data[old.Offset:old.End])})
		}
		restored, err := p.apply(back)
		if err != nil || !bytes.Equal(restored, data) {
			t.Fatalf("seed %d: other bytes changed: %v\n%s\n%s", seed, err, data, pinned)
		}
		stamped, err := s.Pin(values, &Stamp{RunID: testRun})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, data)
		}
		if q, err := Read("f", stamped); err != nil {
			t.Fatal(err)
		} else if twice, err := q.Pin(nil, &Stamp{RunID: testRun}); err != nil || !bytes.Equal(twice, stamped) {
			t.Fatalf("seed %d: stamping twice: %v\n%s\n%s", seed, err, stamped, twice)
		}
		if removed := bytes.Count(data, []byte("\n")) - bytes.Count(stamped, []byte("\n")); removed > 0 {
			t.Fatalf("seed %d: lines are lost", seed)
		}
	}
}
