package process

import (
	"path"
	"strings"
	"testing"
)

const codeRoot = "{code_root}"

func TestPlaceRoot(t *testing.T) {
	const root = "/home/u/p"
	for in, want := range map[string]string{
		"/home/u/p":                                "{code_root}",
		"/home/u/p/":                               "{code_root}/",
		"/home/u/p/t.py":                           "{code_root}/t.py",
		"/home/u/p//../x":                          "{code_root}//../x",
		"-v=/home/u/p:/w":                          "-v={code_root}:/w",
		"/home/u/p:/w:ro":                          "{code_root}:/w:ro",
		"type=bind,src=/home/u/p,dst=/w":           "type=bind,src={code_root},dst=/w",
		"PYTHONPATH=/home/u/p/lib:/x":              "PYTHONPATH={code_root}/lib:/x",
		"/x:/home/u/p:/home/u/p/lib":               "/x:{code_root}:{code_root}/lib",
		"cd /home/u/p && ls":                       "cd {code_root} && ls",
		"cd /home/u/p&&ls;(cd /home/u/p)":          "cd {code_root}&&ls;(cd {code_root})",
		"cat</home/u/p/a>/home/u/p/b|/home/u/p/c":  "cat<{code_root}/a>{code_root}/b|{code_root}/c",
		`x "/home/u/p" '/home/u/p' `:               `x "{code_root}" '{code_root}' `,
		"`/home/u/p/x`\n/home/u/p\t":               "`{code_root}/x`\n{code_root}\t",
		"@/home/u/p/list":                          "@{code_root}/list",
		"git+file:///home/u/p@main":                "git+file://{code_root}@main",
		"file:/home/u/p":                           "file:{code_root}",
		"sqlite:////home/u/p/x.db":                 "sqlite:///{code_root}/x.db",
		"-I/home/u/p/include":                      "-I{code_root}/include",
		"gcc -L/home/u/p/lib -I/home/u/p":          "gcc -L{code_root}/lib -I{code_root}",
		"-Wl,-rpath,/home/u/p/lib":                 "-Wl,-rpath,{code_root}/lib",
		`{"a": "/home/u/p", "b": ["/home/u/p/x"]}`: `{"a": "{code_root}", "b": ["{code_root}/x"]}`,
		`"{\"a\": \"/home/u/p\"}"`:                 `"{\"a\": \"{code_root}\"}"`,
		"[/home/u/p,/x]":                           "[{code_root},/x]",
		"{/x,/home/u/p}":                           "{/x,{code_root}}",
		"/home/u/p2 /home/u/p":                     "/home/u/p2 {code_root}",
		"x=/home/u/p2,y=/home/u/p/home/u/p":        "x=/home/u/p2,y={code_root}/home/u/p",
		"/home/u/p2":                               "",
		"/home/u/p.bak":                            "",
		"/home/u/p-x":                              "",
		"/home/u/p_x":                              "",
		"/home/u/pä":                               "",
		"/home/u/p*":                               "",
		"/home/u/p?":                               "",
		"/home/u/p[12]":                            "",
		"/home/u/p{1,2}":                           "",
		"/home/u/p(1)":                             "",
		"/home/u/p$X":                              "",
		`/home/u/p\ 2`:                             "",
		"/x/home/u/p":                              "",
		"x/home/u/p":                               "",
		"//home/u/p":                               "",
		"./home/u/p":                               "",
		"~/home/u/p":                               "",
		"$X/home/u/p":                              "",
		"${x}/home/u/p":                            "",
		"$(x)/home/u/p":                            "",
		"{/home/u/p}":                              "", // {{…}} is another template language
		"--x/home/u/p":                             "",
		"a-I/home/u/p":                             "",
		"hdfs:///home/u/p":                         "",
		"https://home/u/p":                         "",
		"s3://b/home/u/p":                          "",
		"home/u/p":                                 "",
		"/home/u":                                  "",
		"":                                         "",
		"/HOME/U/P":                                "",
		"{code_root}/x":                            "",
		"\x00/home/u/p\x00":                        "\x00{code_root}\x00",
		"/home/u/p " + strings.Repeat("/home/u/p2 ", 3): "{code_root} " + strings.Repeat("/home/u/p2 ", 3),
	} {
		found := want != ""
		if !found {
			want = in
		}
		for _, r := range []string{root, root + "/"} {
			if got, ok := PlaceRoot(in, r, codeRoot); got != want || ok != found {
				t.Errorf("%q gives %q, %v, want %q", in, got, ok, want)
			}
		}
		back, _ := Expand([]string{want}, map[string]string{"code_root": root})
		if !strings.Contains(in, codeRoot) && back[0] != in {
			t.Errorf("%q comes back as %q", in, back[0])
		}
		if got := ReplaceRoot(in, root, "/new/q/"); got != strings.ReplaceAll(want, codeRoot, "/new/q") && !strings.Contains(in, codeRoot) {
			t.Errorf("%q: %q", in, got)
		}
	}
	for _, r := range []string{"", "/", "//", "home", ".", "home/u/p"} {
		if got, ok := PlaceRoot("/home/u/p:home/u/p", r, codeRoot); ok || got != "/home/u/p:home/u/p" {
			t.Errorf("root %q: %q", r, got)
		}
		if got := ReplaceRoot("/home:home", r, "/x"); got != "/home:home" {
			t.Errorf("root %q: %q", r, got)
		}
	}
	if got, ok := PlaceRoot(root, root, ""); ok || got != root {
		t.Errorf("an empty placeholder: %q", got)
	}
	if got, ok := PlaceRoot("/my dir/a b/x", "/my dir/a b", codeRoot); !ok || got != "{code_root}/x" {
		t.Errorf("a root with spaces: %q", got)
	}
	for in, want := range map[string]string{"/a/b/c:/a/b": "/c:/", "x=/a/b": "x=/", "/a/bc": "/a/bc"} {
		if got := ReplaceRoot(in, "/a/b", "/"); got != want {
			t.Errorf("%q to /: %q", in, got)
		}
	}
	for _, to := range []string{"", "rel"} {
		if got := ReplaceRoot(root, root, to); got != root {
			t.Errorf("to %q: %q", to, got)
		}
	}
	if got := ReplaceRoot("/a:/a/a", "/a", "/a/a"); got != "/a/a:/a/a/a" {
		t.Errorf("the new root is not replaced again: %q", got)
	}
}

func FuzzPlaceRoot(f *testing.F) {
	for _, s := range []string{"/a/b", "-v=/a/b:/w", "cd /a/b && x", "/a/bc", "/x/a/b", "file:///a/b", "-I/a/b", `\"/a/b\"`, "{/a/b}", "/a/b/a/b", "${/a/b,/a/b}", "{x{/a/b,"} {
		f.Add(s, "/a/b")
	}
	f.Add("/a/a/a=/a/a", "/a/a")
	f.Add("/a /a /a", "/a /a")
	f.Fuzz(func(t *testing.T, arg, root string) {
		clean := path.Clean(root)
		placed, ok := PlaceRoot(arg, clean, codeRoot)
		if ok == (placed == arg) && clean != codeRoot {
			t.Fatalf("%q: %q, %v", arg, placed, ok)
		}
		if strings.Contains(arg, codeRoot) || strings.Contains(clean, "{") {
			return
		}
		if back := strings.ReplaceAll(placed, codeRoot, clean); back != arg {
			t.Fatalf("%q by %q gives %q and comes back as %q", arg, clean, placed, back)
		}
		if back, _ := Expand([]string{placed}, map[string]string{"code_root": clean}); back[0] != arg && !strings.Contains(arg, "{") {
			t.Fatalf("%q by %q gives %q and expands to %q", arg, clean, placed, back[0])
		}
		if again, ok := PlaceRoot(placed, clean, codeRoot); ok && again == placed {
			t.Fatalf("%q: %q", placed, again)
		}
		if same := ReplaceRoot(arg, clean, clean); same != arg {
			t.Fatalf("%q: %q", arg, same)
		}
		if want := strings.ReplaceAll(placed, codeRoot, "/new"); ReplaceRoot(arg, clean, "/new") != want {
			t.Fatalf("%q: %q, want %q", arg, ReplaceRoot(arg, clean, "/new"), want)
		}
	})
}

func BenchmarkPlaceRoot(b *testing.B) {
	arg := "sh -c cd /home/u/p && " + strings.Repeat("python /home/u/p/t.py --x=/home/u/p2 ", 20)
	b.SetBytes(int64(len(arg)))
	for b.Loop() {
		PlaceRoot(arg, "/home/u/p", codeRoot)
	}
}
