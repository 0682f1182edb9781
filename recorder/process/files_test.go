package process

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

func show(m map[string]schema.Text) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+string(m[k]))
	}
	return strings.Join(out, " ")
}

func TestParseMetrics(t *testing.T) {
	for _, c := range []struct{ why, name, file, want, fails string }{
		{"json", "m.json", `{"acc": 0.910, "loss": 1e-3, "n": 12345678901234567890}`, "acc=0.910 loss=1e-3 n=12345678901234567890", ""},
		{"nested", "m.json", `{"val": {"acc": 0.9, "by_class": {"cat": 1}}, "ok": true}`, "ok=true val.acc=0.9 val.by_class.cat=1", ""},
		{"python", "m.json", "{\"a\": NaN, \"b\": Infinity, \"c\": -Infinity}", "a=NaN b=Infinity c=-Infinity", ""},
		{"no numbers are passed over", "m.json", `{"a": 1, "name": "x", "n": null, "s": "0.50", "list": [1, 2, {"b": 3}], "e": {}}`, "a=1 s=0.50", ""},
		{"no ending", "metrics", " \n{\"a\":1}\n", "a=1", ""},
		{"bom", "m.json", "\ufeff{\"a\":1}", "a=1", ""},
		{"escaped key", "m.json", `{"a\u00e9\"": 1}`, "aé\"=1", ""},
		{"half written", "m.json", "{\"a\": 1,\n\"b\": 0.", "", "line 2"},
		{"cut string", "m.json", "{\n\"a", "", "line 2: a string has no end"},
		{"twice", "m.json", "{\"a\": 1,\n\"a\": 2}", "", `line 2: "a" is given twice`},
		{"twice by flattening", "m.json", `{"a.b": 1, "a": {"b": 2}}`, "", `"a.b" is given twice`},
		{"list", "m.json", `[1]`, "", "not a JSON object"},
		{"trailing", "m.json", `{"a":1} x`, "", "data after"},
		{"deep", "m.json", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "", "nested more than 64"},
		{"word", "m.json", "{\"a\": 1,\n \"b\": maybe}", "", `line 2: "maybe" is not a JSON value`},
		{"empty key", "m.json", `{"": 1}`, "", "a key is empty"},
		{"nothing in it", "m.json", `{"a": "x"}`, "", "holds no number"},
		{"empty", "m.json", " \n", "", "the file is empty"},
		{"json lines", "log.jsonl", "{\"step\": 1, \"loss\": 0.5}\n\n{\"step\": 2, \"val\": 0.25}\n", "loss=0.5 step=2 val=0.25", ""},
		{"json lines unnamed", "log", "{\"step\": 1}\n{\"step\": 2}\n", "step=2", ""},
		{"json lines cut", "log.jsonl", "{\"step\": 1}\n{\"st", "", "line 2: the last line is not whole"},
		{"pairs", "m.txt", "# final\nacc=0.90\nloss: 0.1\n\n t/x = 3 \nname=resnet\n", "acc=0.90 loss=0.1 t/x=3", ""},
		{"pairs again", "m", "loss=2\nloss=1\n", "loss=1", ""},
		{"several pairs", "m", "epoch=3 loss=0.10, acc=nan\n", "acc=nan epoch=3 loss=0.10", ""},
		{"no pair", "m", "acc=1\nhello\n", "", `line 2: "hello" is not k=v`},
		{"csv", "m.csv", "epoch,loss\n1,0.5\n2,0.25\n", "epoch=2 loss=0.25", ""},
		{"csv with gaps", "m.csv", "epoch,train,val\n1,0.5,\n1,,0.7\n2,0.4,\n", "epoch=2 train=0.4 val=0.7", ""},
		{"csv unnamed", "metrics", "a,b\n1,2\n", "a=1 b=2", ""},
		{"tsv", "m.tsv", "a\tb\n1\t2\n", "a=1 b=2", ""},
		{"csv cut", "m.csv", "a,b\n1,2\n3\n", "", "line 3: wrong number of fields"},
		{"csv twice", "m.csv", "a,a\n1,2\n", "", `line 1: the column "a" stands twice`},
		{"csv quotes", "m.csv", "a\n\"1\n", "", "line 2"},
		{"yaml", "m.yaml", "acc: 0.90\nval:\n  loss: .nan\nname: x\n", "acc=0.90 val.loss=.nan", ""},
		{"not utf-8", "m", "\xff=1\n", "", "not valid UTF-8"},
		{"binary", "m", "\x00\x01\x02", "", "line 1"},
	} {
		got, err := ParseMetrics([]byte(c.file), c.name)
		check(t, c.why, got, err, c.want, c.fails)
	}
	if _, err := ParseMetrics(make([]byte, MaxFileBytes+1), "m"); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("too large: %v", err)
	}
	var many strings.Builder
	for i := range MaxEntries + 1 {
		fmt.Fprintf(&many, "m%d=1\n", i)
	}
	if _, err := ParseMetrics([]byte(many.String()), "m"); err == nil || !strings.Contains(err.Error(), "line 10001: more than 10000 values") {
		t.Errorf("too many: %v", err)
	}
}

func check(t *testing.T, why string, got map[string]schema.Text, err error, want, fails string) {
	t.Helper()
	switch {
	case fails == "" && (err != nil || show(got) != want):
		t.Errorf("%s: got %s, %v\n  want %s", why, show(got), err, want)
	case fails != "" && (err == nil || !strings.Contains(err.Error(), fails) || schema.KindOf(err) != schema.Invalid || got != nil):
		t.Errorf("%s: got %s, error %v, want %q", why, show(got), err, fails)
	}
}

func TestParseParams(t *testing.T) {
	bomb := "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for _, c := range []struct{ why, name, file, want, fails string }{
		{"yaml", "p.yaml", "lr: 0.10\nopt:\n  name: adam\n  betas: [0.9, 0.999]\nbig: 123456789012345678901234567890\n", "big=123456789012345678901234567890 lr=0.10 opt.betas.0=0.9 opt.betas.1=0.999 opt.name=adam", ""},
		{"text as it is written", "p.yaml", "a: 1e-4\nb: 0x1F\nc: yes\nd: '0.10'\ne: ~\nf:\ng: 2026-01-01\nh: 1_000\n", "a=1e-4 b=0x1F c=yes d=0.10 e=null f=null g=2026-01-01 h=1_000", ""},
		{"empty", "p.yaml", "a: []\nb: {}\n", "a=[] b={}", ""},
		{"no file content", "p.yaml", "# nothing\n", "", ""},
		{"anchors", "p.yaml", "base: &b {lr: 1, wd: 2}\nrun:\n  <<: *b\n  lr: 3\ncopy: *b\n", "base.lr=1 base.wd=2 copy.lr=1 copy.wd=2 run.lr=3 run.wd=2", ""},
		{"block text", "p.yaml", "a: |\n  x\n  y\n", "a=x\ny\n", ""},
		{"json", "p.json", `{"lr": 0.10, "a": [1, {"b": "x"}], "n": null, "e": [], "o": {}, "t": true}`, "a.0=1 a.1.b=x e=[] lr=0.10 n=null o={} t=true", ""},
		{"json in flow", "p", `{"a": "\ud83d\ude00"}`, "a=😀", ""},
		{"yaml flow", "p.yml", "{a: 1, b: {c: 2}}", "a=1 b.c=2", ""},
		{"bomb", "p.yaml", bomb, "", "more than"},
		{"cycle", "p.yaml", "a: &a\n  b: *a\n", "", "nested more than"},
		{"merge cycle", "p.yaml", "a: &a\n  <<: *a\n", "", "too much"},
		{"twice", "p.yaml", "a: 1\nb: 2\na: 3\n", "", `line 3: "a" is given twice`},
		{"not yaml", "p.yaml", "a: 1\nb: [1,\nc: }\n", "", "not valid YAML"},
		{"a list", "p.yaml", "- a\n", "", "not a map"},
		{"two documents", "p.yaml", "a: 1\n---\nb: 2\n", "", "more than one document"},
		{"a key that is a list", "p.yaml", "? [a, b]\n: 1\n", "", "a key is not a plain value"},
	} {
		got, err := ParseParams([]byte(c.file), c.name)
		if c.fails == "" && c.want == "" {
			if err != nil || len(got) != 0 {
				t.Errorf("%s: %v, %v", c.why, got, err)
			}
			continue
		}
		check(t, c.why, got, err, c.want, c.fails)
	}
}

func FuzzParseMetrics(f *testing.F) {
	for _, s := range []string{`{"a": 1}`, "a=1\n", "a,b\n1,2\n", "a: 1\n", "{\"a\":NaN}\n{\"a\":2}\n", "a=1 b=2, c=3", "\"a\n"} {
		for i := range uint8(5) {
			f.Add([]byte(s), i)
		}
	}
	endings := []string{"m", "m.json", "m.csv", "m.jsonl", "m.yaml"}
	f.Fuzz(func(t *testing.T, b []byte, ending uint8) {
		got, err := ParseMetrics(b, endings[int(ending)%len(endings)])
		sane(t, got, err)
	})
}

func FuzzParseParams(f *testing.F) {
	for _, s := range []string{`{"a": [1, {"b": null}]}`, "a: 1\nb: &x [1]\nc: *x\n", "<<: {a: 1}\n", "a: |\n  x\n"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, asJSON bool) {
		name := "p.yaml"
		if asJSON {
			name = "p.json"
		}
		got, err := ParseParams(b, name)
		sane(t, got, err)
		if asJSON && err == nil {
			var v map[string]any
			if json.Unmarshal(b, &v) == nil && len(v) > 0 && len(got) == 0 {
				t.Fatalf("nothing came of %q", b)
			}
		}
	})
}

func sane(t *testing.T, got map[string]schema.Text, err error) {
	if (err == nil) == (got == nil) {
		t.Fatalf("%v and %v", got, err)
	}
	if len(got) > MaxEntries {
		t.Fatalf("%d values", len(got))
	}
	for k := range got {
		if k == "" || len(k) > maxNameBytes || !utf8.ValidString(k) {
			t.Fatalf("the name %q", k)
		}
	}
	if err != nil && (len(err.Error()) > 1000 || schema.KindOf(err) != schema.Invalid) {
		t.Fatalf("%v", err)
	}
}
