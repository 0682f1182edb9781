package process

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

const work = "/srv/team/repo"

func names(pairs ...string) Names {
	n := Names{WorkDir: work, Paths: map[string]Place{}, Params: []string{"lr"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		at := pairs[i+1]
		if !filepath.IsAbs(at) {
			at = filepath.Join(work, at)
		}
		n.Paths[pairs[i]] = Place{Typed: pairs[i+1], Absolute: at}
	}
	return n
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		why      string
		names    Names
		in, want string
	}{
		{"as typed", names("data", "./data"), "train.py --data ./data", "train.py --data {data}"},
		{"after =", names("data", "./data"), "train.py --data=./data", "train.py --data={data}"},
		{"beneath", names("data", "./data"), "train.py ./data/train.csv", "train.py {data}/train.csv"},
		{"spelled otherwise", names("data", "data"), "train.py ./data/../data/./train.csv", "train.py {data}/train.csv"},
		{"absolute form", names("data", "./data"), "train.py /srv/team/repo/data/x", "train.py {data}/x"},
		{"typed absolute", names("data", "/mnt/data"), "train.py /mnt/data --x=/mnt/data/a/", "train.py {data} --x={data}/a/"},
		{"trailing slash", names("data", "./data/"), "train.py ./data/ ./data", "train.py {data}/ {data}"},
		{"leaves it", names("data", "./data"), "train.py ./data/../secret ./database ./data.csv /srv/team/repo", "train.py ./data/../secret ./database ./data.csv /srv/team/repo"},
		{"bare word as typed", names("data", "data"), "train.py --data data out", "train.py --data {data} out"},
		{"bare word is a sub-command", names("train", "./train"), "main.py train --mode=train ./train", "main.py train --mode=train {train}"},
		{"bare word is the program", names("train", "train"), "train train", "train {train}"},
		{"longest wins", names("all", "./d", "part", "./d/part"), "t ./d/part/x ./d/other", "t {part}/x {all}/other"},
		{"two names for one place", names("b", "./d", "a", "./d"), "t ./d", "t {a}"},
		{"file", names("model", "out/model.pt"), "t --output=out/model.pt -o out/model.pt.tmp", "t --output={model} -o out/model.pt.tmp"},
		{"hydra", names("data", "./data"), "t data.path=./data/x +a.b=/srv/team/repo/data", "t data.path={data}/x +a.b={data}"},
		{"mount", names("data", "./data"), "podman run -v ./data:/data:ro -v /srv/team/repo/data/x:/y img", "podman run -v {data}:/data:ro -v {data}/x:/y img"},
		{"mount by key", names("data", "./data"), "podman run --mount type=bind,source=./data,target=/data img", "podman run --mount type=bind,source={data},target=/data img"},
		{"list", names("data", "./data"), "t --files ./data/a.csv,./data/b.csv", "t --files {data}/a.csv,{data}/b.csv"},
		{"comma in a name", names("data", "./a,b"), "t ./a,b", "t {data}"},
		{"file URL", names("data", "./data"), "t file:///srv/team/repo/data/x s3:///srv/team/repo/data", "t file:///srv/team/repo/data/x s3:///srv/team/repo/data"},
		{"the working directory itself", names("all", "."), "t . ./ ./train.py a/b 10 /srv/team/repo", "t {all} {all}/ ./train.py a/b 10 {all}"},
		{"above the working directory", names("up", ".."), "t .. ../x ./y", "t {up} ../x ./y"},
		{"root", names("root", "/"), "t / /etc/passwd", "t {root} /etc/passwd"},
		{"placeholders stay", names("data", "./data"), "t {data} {data}/x {lr} {unknown} {{data}} ${data}", "t {data} {data}/x {lr} {unknown} {{data}} ${data}"},
		{"a withheld argument stays", names("data", "./data"), "t <withheld:token>", "t <withheld:token>"},
		{"no paths", Names{WorkDir: work}, "t ./data", "t ./data"},
		{"numbers", names("data", "10"), "t --epochs 10 --n=10", "t --epochs {data} --n={data}"},
	} {
		in := strings.Fields(c.in)
		if got := strings.Join(Template(in, c.names), " "); got != c.want {
			t.Errorf("%s: %s\n  gives %s\n  want  %s", c.why, c.in, got, c.want)
		}
		again := Template(strings.Fields(c.want), c.names)
		if got := strings.Join(again, " "); got != c.want {
			t.Errorf("%s: a second time gives %s", c.why, got)
		}
	}
}

func TestUnreplaced(t *testing.T) {
	n := names("data", "./data", "far", "/mnt/far", "all", ".")
	template := Template([]string{"sh", "-c", "train /mnt/far/x", "file:///srv/team/repo/data", "/mnt/farther", "/mnt/far", "./data", "data"}, n)
	var got []string
	for _, r := range Unreplaced(template, n) {
		got = append(got, r.Text[:10]+string(r.Subject))
	}
	if want := []string{"argument 2{far}", "argument 3{data}"}; !slices.Equal(got, want) {
		t.Fatalf("%q of %q", got, template)
	}
}

// What a template expands to must be what was templated: the same argument, or the same path spelled otherwise.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"./data/x", "--a=./data,./data/b", "-v ./data:/x:ro", "{data}", "file:///srv/team/repo/data/", "./data//x/../y", "data", "=,=,", "{{data}}", "out/m.pt"} {
		f.Add(s)
	}
	n := names("data", "./data", "out", "out/m.pt", "far", "/mnt/far")
	values := map[string]string{"data": "./data", "out": "out/m.pt", "far": "/mnt/far"}
	f.Fuzz(func(t *testing.T, s string) {
		argv := strings.Split(s, "\x01")
		template := Template(argv, n)
		if len(template) != len(argv) {
			t.Fatalf("%q became %q", argv, template)
		}
		if again := Template(template, n); !slices.Equal(again, template) {
			t.Fatalf("%q is not stable: %q", template, again)
		}
		if strings.Contains(s, "{") {
			return
		}
		back, reasons := Expand(template, values)
		if len(reasons) > 0 {
			t.Fatalf("%q: %+v", template, reasons)
		}
		for i := range argv {
			if a, b := normal(argv[i]), normal(back[i]); a != b {
				t.Fatalf("%q became %q became %q", argv[i], template[i], back[i])
			}
		}
	})
}

// normal spells every path in an argument in one way.
func normal(arg string) string {
	parts := strings.FieldsFunc(arg, func(r rune) bool { return r == '=' || r == ',' || r == ':' })
	for i, p := range parts {
		if strings.Contains(p, "/") {
			p = filepath.Clean(p)
			if !filepath.IsAbs(p) {
				p = filepath.Join(work, p)
			}
			parts[i] = p
		} else if p == "." || p == ".." {
			parts[i] = filepath.Join(work, p)
		}
	}
	return strings.Join(parts, "|")
}

func TestExpand(t *testing.T) {
	values := map[string]string{"data": "/d", "lr": "0.1", "model": "out/{lr}.pt", "train_set": "/t", "a.b": "1"}
	for in, want := range map[string]string{
		"{data}/x": "/d/x", "--lr={lr}": "--lr=0.1", "{model}": "out/{lr}.pt", "{data}{lr}": "/d0.1", "{{data}}": "{{data}}", "{{ data }}": "{{ data }}",
		"${data}": "${data}", "%{data}": "%{data}", "{unknown}": "{unknown}", "{}": "{}", "{": "{", "{data": "{data", "data}": "data}", `{"lr": 1}`: `{"lr": 1}`,
		"{{data}} {data}": "{{data}} /d", "{{data {data}": "{{data {data}"[:6] + " /d", "{a.b}": "1", "": "", "x{data}y}": "x/dy}", "{ data }": "{ data }",
	} {
		got, reasons := Expand([]string{in}, values)
		if got[0] != want {
			t.Errorf("%q gives %q, want %q", in, got[0], want)
		}
		if len(reasons) > 0 {
			t.Errorf("%q: %+v", in, reasons)
		}
	}
	for in, near := range map[string]string{"{dtaa}": "", "{dat}": "{data}", "{datas}": "{data}", "{train-set}": "{train_set}", "{trainset}": "{train_set}", "{Data}": "{data}", "{lrr}": "{lr}", "{xyz}": ""} {
		_, reasons := Expand([]string{"a", in, in}, values)
		switch {
		case near == "" && len(reasons) > 0:
			t.Errorf("%s: %+v", in, reasons)
		case near != "" && (len(reasons) != 1 || !strings.Contains(reasons[0].Text, "did you mean "+near) || reasons[0].Code != "unknown-placeholder" || string(reasons[0].Subject) != in):
			t.Errorf("%s: %+v", in, reasons)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"{a}", "{{a}}", "{{{a}}}", "${a}", "}{", "{a{b}c}"} {
		f.Add(s, "v")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		got, _ := Expand([]string{s}, map[string]string{"a": value, "bb": "x"})
		same, _ := Expand([]string{s}, map[string]string{"a": "{a}", "bb": "{bb}"})
		if same[0] != s {
			t.Fatalf("%q is not left as it is: %q", s, same[0])
		}
		if !strings.Contains(s, "{a}") && !strings.Contains(s, "{bb}") && got[0] != s {
			t.Fatalf("%q became %q", s, got[0])
		}
	})
}

func TestPathOf(t *testing.T) {
	for _, c := range []struct{ typed, root, base, rel, located string }{
		{"data", "/srv/team", schema.BaseCheckout, "repo/data", "/srv/team/repo/data"},
		{"./data/../x", work, schema.BaseCheckout, "x", "/srv/team/repo/x"},
		{".", work, schema.BaseCheckout, ".", work},
		{".", "/srv/team", schema.BaseCheckout, "repo", work},
		{"../x", work, schema.BaseWorkDir, "../x", "/srv/team/x"},
		{"data/", "", schema.BaseWorkDir, "data", "/srv/team/repo/data"},
		{"/srv/team/repo/data", work, schema.BaseCheckout, "data", "/srv/team/repo/data"},
		{"/srv/team/repository", work, schema.BaseAbsolute, "", "/srv/team/repository"},
		{"/mnt/x/", work, schema.BaseAbsolute, "", "/mnt/x"},
		{"/mnt/x", "/", schema.BaseCheckout, "mnt/x", "/mnt/x"},
		{"\xff", work, schema.BaseCheckout, "\xff", "/srv/team/repo/\xff"},
	} {
		got := PathOf(c.typed, work, c.root)
		want := schema.Path{Typed: schema.Text(c.typed), Base: c.base, Rel: schema.Text(c.rel), Located: schema.Text(c.located)}
		if got != want {
			t.Errorf("%q under %q\n  gives %+v\n  want  %+v", c.typed, c.root, got, want)
		}
	}
}

func TestChildEnv(t *testing.T) {
	base := []string{"PATH=/bin", "RUNPIN_RUN_ID=old", "RUNPIN_STORE=old", "RUNPIN_PIN_DATASET_OTHER=x", "RUNPIN_PATH_DATASET_DATA=old", "RUNPIN_PROJECT=p", "odd", "A=b=c"}
	got := ChildEnv(base, Child{Run: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Store: "postgres://u:hunter2@h/db", Pins: map[string]string{"IMAGE_image": "r@sha256:00", "DATASET_data": "sha256:11"},
		Paths: map[string]string{"DATASET_data": "/d", "OUTPUT_model": "/o", "OUTPUT_bad": "a\x00b"}})
	want := []string{"PATH=/bin", "RUNPIN_PROJECT=p", "odd", "A=b=c", "RUNPIN_PATH_DATASET_DATA=/d", "RUNPIN_PATH_OUTPUT_MODEL=/o", "RUNPIN_PIN_DATASET_DATA=sha256:11",
		"RUNPIN_PIN_IMAGE_IMAGE=r@sha256:00", "RUNPIN_RUN_ID=01ARZ3NDEKTSV4RRFFQ69G5FAV", "RUNPIN_STORE=postgres://u@h/db"}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	if base[1] != "RUNPIN_RUN_ID=old" {
		t.Fatal("the base was changed")
	}
	if got := ChildEnv([]string{"RUNPIN_STORE=keep"}, Child{}); !slices.Equal(got, []string{"RUNPIN_STORE=keep"}) {
		t.Fatalf("without a store of ours the user's stays: %q", got)
	}
}
