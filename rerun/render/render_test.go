package render

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// TestNames pins the list: whoever adds a format adds a golden file, and help and docs change.
func TestNames(t *testing.T) {
	if got, want := strings.Join(Names(), " "), "argo compose docker job podman pytorchjob sbatch-apptainer sbatch-pyxis shell"; got != want {
		t.Errorf("formats %q, want %q", got, want)
	}
}

// TestGoldens renders a run that was recorded on a machine and one that ran in podman; the same record gives the same bytes.
func TestGoldens(t *testing.T) {
	for _, name := range Names() {
		for _, launcher := range []string{"local", "podman"} {
			if name == "shell" && launcher == "podman" {
				continue
			}
			run, b := training(launcher)
			got := rendered(t, name, run, b, optionsFor(name))
			golden(t, name+"/"+launcher, got)
			if again := rendered(t, name, run, b, optionsFor(name)); again != got {
				t.Errorf("%s: a second time it is different", name)
			}
			if formats[name].Traits().Image && strings.Contains(strings.ReplaceAll(got, "@sha256:", ""), "trainer:1.4\n") {
				t.Errorf("%s names an image without its digest", name)
			}
		}
		bare := schema.Run{ID: runID}
		bare.CommandTemplate = schema.Texts([]string{"true"})
		if formats[name].Traits().Image {
			full, _ := training("")
			bare.Images = full.Images
		}
		o := options()
		o.NoStamp = true
		got := rendered(t, name, bare, blobs{}, o)
		golden(t, name+"/bare", got)
		if strings.Contains(got, jobspec.StampVariable) {
			t.Errorf("%s has a stamp that nobody wants", name)
		}
	}
}

// TestReadBack: the reader that pins job specs finds the images, all pinned, and the stamp.
func TestReadBack(t *testing.T) {
	for name, file := range proven {
		run, b := training("local")
		got := rendered(t, name, run, b, optionsFor(name))
		spec, err := jobspec.Read(file, []byte(got))
		if err != nil || spec.Err() != nil {
			t.Fatalf("%s: %v %v", name, err, spec.Err())
		}
		want := 2
		if strings.HasPrefix(name, "sbatch") {
			want = 1
		}
		if len(spec.References) != want {
			t.Errorf("%s: %d references, want %d", name, len(spec.References), want)
		}
		for _, ref := range spec.References {
			if !ref.Pinned {
				t.Errorf("%s: %s is not pinned", name, ref.Value)
			}
		}
		if again, err := spec.Pin(nil, &jobspec.Stamp{RunID: runID}); err != nil || string(again) != got {
			t.Errorf("%s: it is stamped otherwise than a pinned spec: %v\n%s", name, err, again)
		}
	}
}

var nasty = []string{"", " ", "'", "''", `"`, `\`, "$", "$$", "$(id)", "${x}", "`id`", "$(A)$$(B)", "*", "?", "~", "#x", "a=b", "=x", "-n", "!", "&&", ";", "|", "a\nb", "\n", "\t", "\r\n", "é", "\u2028", "\ufeff", "\x7f", "\x01", "EOF", "END",
	"%s", "null", "true", "0x10", "1e3", "- a", "a: b", "{x", "[x", "|", ">", "@x", "2026-01-01", "<<", "\u0085x", "trailing ", "😀"}

// TestQuote: what the shell makes of a quoted word is the word.
func TestQuote(t *testing.T) {
	words := slices.Clone(nasty)
	words = append(words, "\xff\xfe", "a\x80'")
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := r.IntN(12)
		w := make([]byte, n)
		for i := range w {
			w[i] = byte(1 + r.IntN(255))
		}
		words = append(words, string(w))
	}
	for _, sh := range []string{"sh", "bash"} {
		var want bytes.Buffer
		for _, w := range words {
			want.WriteString(w + "\x00")
		}
		script := `printf '%s\000' ` + quoteAll(words)
		got, err := exec.Command(sh, "-c", script).Output()
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s: %v\n got %q\nwant %q", sh, err, got, want.Bytes())
		}
		got, err = exec.Command(sh, "-c", `root='a  *"b'; printf '%s\000' `+quoteMarked("-x="+rootMark+"/it's")+" "+quoteMarked(rootMark)+" "+quoteMarked("")).Output()
		if err != nil || string(got) != "-x=a  *\"b/it's\x00a  *\"b\x00\x00" {
			t.Errorf("%s: rooted: %v %q", sh, err, got)
		}
	}
}

// expandKubernetes fills in $(NAME) as the kubelet does (k8s.io/kubernetes/third_party/forked/golang/expansion): no name is known here.
func expandKubernetes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			return "filled in: " + s
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// TestHostileText: whatever an argument, a variable or a path of a record holds arrives as it is, in YAML and behind what the place itself fills in.
func TestHostileText(t *testing.T) {
	for _, name := range []string{"job", "pytorchjob", "compose", "argo"} {
		run, _ := training("podman")
		run.Code, run.Datasets, run.DeclaredOutputs = nil, nil, nil
		run.CommandTemplate = append(schema.Texts([]string{"echo"}), schema.Texts(nasty)...)
		run.Variables = map[string]schema.Text{}
		for i, w := range nasty {
			run.Variables[fmt.Sprintf("V%02d", i)] = schema.Text(w)
		}
		o := options()
		o.Expand = func(template []string, _ map[string]string) []string { return template }
		got := rendered(t, name, run, blobs{}, o)
		var doc any
		if err := yaml.Unmarshal([]byte(got), &doc); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, got)
		}
		find := func(key string) (found any) {
			var walk func(any)
			walk = func(v any) {
				switch v := v.(type) {
				case map[string]any:
					if x, ok := v[key]; ok {
						found = x
					}
					for _, x := range v {
						walk(x)
					}
				case []any:
					for _, x := range v {
						walk(x)
					}
				}
			}
			walk(doc)
			return found
		}
		key, undo := "args", expandKubernetes
		if name == "compose" {
			key, undo = "command", func(s string) string { return strings.ReplaceAll(s, "$$", "$") }
		}
		args, _ := find(key).([]any)
		if len(args) != len(nasty)+1 {
			t.Fatalf("%s: %d arguments in\n%s", name, len(args), got)
		}
		for i, w := range nasty {
			if text, ok := args[i+1].(string); !ok || undo(text) != w {
				t.Errorf("%s: argument %q arrives as %#v", name, w, args[i+1])
			}
		}
		values := map[string]any{}
		if list, ok := find("env").([]any); ok {
			for _, e := range list {
				values[e.(map[string]any)["name"].(string)] = e.(map[string]any)["value"]
			}
		} else {
			values, _ = find("environment").(map[string]any)
		}
		for i, w := range nasty {
			if text, ok := values[fmt.Sprintf("V%02d", i)].(string); !ok || undo(text) != w {
				t.Errorf("%s: variable %q arrives as %#v", name, w, values[fmt.Sprintf("V%02d", i)])
			}
		}
	}
}

// TestRefusals: what a form cannot keep is refused by name, with what to do.
func TestRefusals(t *testing.T) {
	noise := make([]byte, 200<<10)
	for i := range noise {
		noise[i] = byte(i * 7)
	}
	for name, c := range map[string]struct {
		format string
		edit   func(*schema.Run, blobs, *Options)
		kind   schema.Kind
		says   string
		hint   string
	}{
		"format":             {"nosuch", func(*schema.Run, blobs, *Options) {}, schema.Invalid, "no such format", "argo"},
		"no command":         {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.CommandTemplate = nil }, schema.Gone, "no command", ""},
		"no image":           {"job", func(r *schema.Run, _ blobs, _ *Options) { r.Images = nil }, schema.Invalid, "names 0 images", "--image"},
		"local image":        {"podman", func(r *schema.Run, _ blobs, _ *Options) { r.Images[0].Local = true }, schema.Unpinnable, "no digest in a registry", "push"},
		"no init image":      {"job", func(_ *schema.Run, _ blobs, o *Options) { o.InitImage = "" }, schema.Invalid, "--init-image", "runpin pin"},
		"init image by tag":  {"compose", func(_ *schema.Run, _ blobs, o *Options) { o.InitImage = "team/git:2" }, schema.Unpinnable, "must name a digest", "runpin pin"},
		"init image for one": {"shell", func(_ *schema.Run, _ blobs, o *Options) { o.InitImage = initRef }, schema.Invalid, "no init step", ""},
		"no volume":          {"argo", func(_ *schema.Run, _ blobs, o *Options) { delete(o.Volumes, "vocab") }, schema.Unpinnable, "dataset:vocab", "--volume vocab="},
		"unknown volume":     {"job", func(_ *schema.Run, _ blobs, o *Options) { o.Volumes["nosuch"] = Volume{Claim: "x"} }, schema.Invalid, "--volume nosuch", ""},
		"unknown at":         {"shell", func(_ *schema.Run, _ blobs, o *Options) { o.At = map[string]string{"x": "/y"} }, schema.Invalid, "--at x", ""},
		"at a scheme":        {"shell", func(_ *schema.Run, _ blobs, o *Options) { o.At = map[string]string{"train": "s3://b/k"} }, schema.Invalid, "--at train", ""},
		"claim for podman":   {"podman", func(_ *schema.Run, _ blobs, o *Options) { o.Volumes = map[string]Volume{"train": {Claim: "x"}} }, schema.Invalid, "--volume train", "--at"},
		"namespace":          {"shell", func(_ *schema.Run, _ blobs, o *Options) { o.Namespace = "x" }, schema.Invalid, "--namespace", ""},
		"bad namespace":      {"job", func(_ *schema.Run, _ blobs, o *Options) { o.Namespace = "a b" }, schema.Invalid, "not the name", ""},
		"patterns":           {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Datasets[0].Include = []schema.Text{"*.txt"} }, schema.Unpinnable, "dataset:train", "--execute"},
		"other scheme":       {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Datasets[0].Path, r.Datasets[0].Scheme = nil, "s3" }, schema.Unpinnable, `scheme "s3"`, ""},
		"name of data":       {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Datasets[0].Name = "../x" }, schema.Invalid, "../x", ""},
		"name of output":     {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.DeclaredOutputs[0].Name = "../x" }, schema.Invalid, "../x", ""},
		"id":                 {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.ID = "x\nrm -rf ~" }, schema.Invalid, "", ""},
		"colon":              {"job", func(r *schema.Run, _ blobs, _ *Options) { r.Datasets[0].Path.Typed = "/a:b" }, schema.Unpinnable, "colon", "--as shell"},
		"lfs": {"shell", func(r *schema.Run, _ blobs, _ *Options) {
			r.Code[0].LFS = []schema.LFSObject{{Path: "w.bin", OID: digestA}}
		}, schema.Unpinnable, "w.bin", "--execute"},
		"on no remote":     {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Code[0].OnRemote = &schema.OnRemote{State: "no"} }, schema.Unpinnable, "on no remote", "push"},
		"remote is a path": {"job", func(r *schema.Run, _ blobs, _ *Options) { r.Code[0].Remote = "file:///home/u/x.git" }, schema.Unpinnable, "no remote that can be reached", "push"},
		"remote executes":  {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Code[0].Remote = "ext::sh -c id" }, schema.Unpinnable, "no remote", "push"},
		"remote is option": {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Code[0].Remote = "--upload-pack=id" }, schema.Unpinnable, "no remote", "push"},
		"large changes": {"shell", func(r *schema.Run, b blobs, _ *Options) {
			r.Code[0].Changes = b.changes(id("1"), id("2"), b.change("a", "100644", string(noise)), b.change("b", "100644", "x"+string(noise)))
		}, schema.Unpinnable, `"b"`, "commit and push"},
		"path leaves": {"shell", func(r *schema.Run, b blobs, _ *Options) {
			r.Code[0].Changes = b.changes(id("1"), id("2"), b.change("../x", "100644", "x"))
		}, schema.Invalid, "leaves the code", "hostile"},
		"path in .git": {"shell", func(r *schema.Run, b blobs, _ *Options) {
			r.Code[0].Changes = b.changes(id("1"), id("2"), b.change(".GIT/hooks/x", "100644", "x"))
		}, schema.Invalid, "inside .git", "hostile"},
		"other changes": {"shell", func(r *schema.Run, b blobs, _ *Options) { r.Code[0].Changes = b.changes(id("1"), id("9")) }, schema.Invalid, "another checkout", "hostile"},
		"commit":        {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Code[0].Commit = "$(id)" }, schema.Invalid, "", ""},
		"secret in a cluster": {"job", func(r *schema.Run, _ blobs, _ *Options) {
			r.Withheld = []schema.Withheld{{What: "argument", Name: "token"}}
		}, schema.Invalid, "argument token", "--secret token=secret:OBJECT/KEY"},
		"secret nobody needs": {"job", func(_ *schema.Run, _ blobs, o *Options) { o.Secrets = map[string]string{"x": "a/b"} }, schema.Invalid, "--secret x", ""},
		"secret with a name": {"shell", func(r *schema.Run, _ blobs, _ *Options) {
			r.Withheld = []schema.Withheld{{What: "param", Name: "a;id"}}
		}, schema.Unpinnable, "a;id", "--execute"},
		"secret file": {"job", func(r *schema.Run, _ blobs, _ *Options) {
			r.Code[0].Excluded = []schema.Exclusion{{Path: ".env", Why: schema.ExcludedSecret}}
		}, schema.Unpinnable, ".env", "--execute"},
		"bytes in YAML":    {"job", func(r *schema.Run, _ blobs, _ *Options) { r.CommandTemplate[1] = "\xff" }, schema.Unpinnable, "argument 1", "--as shell"},
		"NUL":              {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.CommandTemplate[1] = "a\x00b" }, schema.Invalid, "argument 1", "hostile"},
		"for Argo":         {"argo", func(r *schema.Run, _ blobs, _ *Options) { r.CommandTemplate[1] = "{{x}}" }, schema.Unpinnable, "argument 1", "--as job"},
		"mount marks":      {"podman", func(_ *schema.Run, _ blobs, o *Options) { o.At = map[string]string{"train": "/a:b"} }, schema.Unpinnable, "dataset:train", "--as shell"},
		"hard output":      {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.CommandTemplate = schema.Texts([]string{"x"}) }, schema.Conflict, "output log", "{log}"},
		"output in data":   {"job", func(r *schema.Run, _ blobs, _ *Options) { r.DeclaredOutputs[1].Path.Typed = "/data/train/x" }, schema.Conflict, "output log", ""},
		"ran in image":     {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Launcher = "podman" }, schema.Invalid, "something else", "--as podman"},
		"starts itself":    {"job", func(r *schema.Run, _ blobs, _ *Options) { r.Images[0].Where = []schema.Text{"argument 2"} }, schema.Invalid, "starts a container itself", "--as shell"},
		"variable":         {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.Variables["A;id"] = "x" }, schema.Invalid, "variable", ""},
		"directory leaves": {"shell", func(r *schema.Run, _ blobs, _ *Options) { r.WorkDir.Rel = "../.." }, schema.Invalid, "leaves the code", "hostile"},
	} {
		t.Run(name, func(t *testing.T) {
			run, b := training("local")
			o := options()
			if formats[c.format] != nil {
				o = optionsFor(c.format)
			}
			c.edit(&run, b, &o)
			var out bytes.Buffer
			_, err := Render(t.Context(), &out, c.format, run, b, o)
			if schema.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(schema.HintOf(err), c.hint) {
				t.Errorf("%v (%s)\nhint: %s\nwant %s, %q, hint %q", err, schema.KindOf(err), schema.HintOf(err), c.kind, c.says, c.hint)
			}
			if out.Len() > 0 {
				t.Error("something was written")
			}
		})
	}
}

// TestSecrets: what was withheld is asked for by a variable where the result runs.
func TestSecrets(t *testing.T) {
	for _, name := range Names() {
		run, _ := training("local")
		run.Code, run.Datasets, run.DeclaredOutputs = nil, nil, nil
		run.Withheld = []schema.Withheld{{What: "argument", Name: "token"}, {What: "param", Name: "key"}, {What: "variable", Name: "OTHER"}}
		run.CommandTemplate = schema.Texts([]string{"printf", "%s,", "--api-token", "<withheld:token>", "--key=${key}", "$x"})
		o := options()
		if formats[name].Traits().Cluster {
			o.Secrets = map[string]string{"token": "api/token", "key": "api/KEY"}
		}
		got := rendered(t, name, run, nil, o)
		golden(t, name+"/secrets", got)
		if strings.Contains(got, "withheld:") || strings.Contains(got, "\x00") {
			t.Errorf("%s: %s", name, got)
		}
		if name != "shell" {
			continue
		}
		cmd := exec.Command("sh", "-s")
		cmd.Stdin, cmd.Dir = strings.NewReader(got), t.TempDir()
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "RUNPIN_SECRET_TOKEN: set it") {
			t.Errorf("without the secret: %v %s", err, out)
		}
		cmd = exec.Command("sh", "-s")
		cmd.Stdin, cmd.Dir, cmd.Env = strings.NewReader(got), t.TempDir(), append(cmd.Environ(), "RUNPIN_SECRET_TOKEN=it's $1", "RUNPIN_SECRET_KEY=*")
		if out, err := cmd.Output(); err != nil || string(out) != "--api-token,it's $1,--key=$*,$x," {
			t.Errorf("with it: %v %q", err, out)
		}
	}
}

// TestEverythingAtOnce: all that is missing is said together.
func TestEverythingAtOnce(t *testing.T) {
	run, b := training("local")
	_, err := Render(t.Context(), &bytes.Buffer{}, "job", run, b, options())
	for _, want := range []string{"dataset:train", "dataset:vocab", "--init-image"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// TestLongScript: no argument is longer than Linux takes, and put together again they are the script.
func TestLongScript(t *testing.T) {
	script := strings.Repeat("echo 'a $x'\n", 20<<10) + "echo last\n"
	command := shellCommand(script, func(s string) string { return s })
	argv := make([]string, len(command))
	for i, c := range command {
		switch c := c.(type) {
		case string:
			argv[i] = c
		case literal:
			argv[i] = string(c)
		}
		if len(argv[i]) > maxArgument {
			t.Errorf("argument %d has %d bytes", i, len(argv[i]))
		}
	}
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); err != nil || len(lines) != 20<<10+1 || lines[0] != "a $x" || lines[len(lines)-1] != "last" {
		t.Errorf("%v, %d bytes", err, len(out))
	}
}

func TestParseVolume(t *testing.T) {
	for text, want := range map[string]Volume{"pvc:data": {Claim: "data"}, "pvc:data/a/b": {Claim: "data", Sub: "a/b"}, "hostPath:/mnt/x": {HostPath: "/mnt/x"}} {
		if got, err := ParseVolume(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "data", "pvc:", "pvc:A B", "pvc:data/../x", "pvc:data//x", "hostPath:x", "hostPath:/", "hostPath:/a/../b", "nfs:x"} {
		if got, err := ParseVolume(text); schema.KindOf(err) != schema.Invalid || schema.HintOf(err) == "" {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
}
