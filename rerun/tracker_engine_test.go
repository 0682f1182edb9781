package rerun

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func containerRun(argv ...string) schema.Run {
	run := original()
	run.Launcher = "podman"
	run.Images = []schema.ImagePin{{Name: "image", Repository: "r/x", PlatformDigest: digestA, ConfigDigest: digestB, Where: schema.Texts([]string{"argument 2"})}}
	run.CommandTemplate = schema.Texts(argv)
	run.Params = map[string]schema.Text{"id": "abc", "lr": "1"}
	run.DeclaredOutputs, run.Datasets = nil, nil
	return run
}

// What is said to the engine is left out in each of its forms; what is said to the program stays, or has to be set.
func TestEngineVariablesOfTrackers(t *testing.T) {
	for name, c := range map[string]struct {
		argv    string
		set     []Setting
		started string // "" for the template as it is
		kind    schema.Kind
	}{
		"no space":          {"podman run --rm -eWANDB_RUN_ID=abc {image} t.py", nil, "podman run --rm {image} t.py", ""},
		"no space, =":       {"podman run -e=WANDB_RUN_ID=abc {image} t.py", nil, "podman run {image} t.py", ""},
		"a cluster":         {"podman run -ite WANDB_RUN_ID=abc -eA=b {image} t.py", nil, "podman run -it -eA=b {image} t.py", ""},
		"a cluster of one":  {"podman run -iteWANDB_RUN_ID=abc {image} t.py", nil, "podman run -it {image} t.py", ""},
		"long":              {"podman run --env WANDB_RUN_ID=abc --env=MLFLOW_RUN_ID=x {image} t.py", nil, "podman run {image} t.py", ""},
		"a param":           {"podman run -e WANDB_RUN_ID={id} {image} t.py --lr {lr}", nil, "podman run {image} t.py --lr {lr}", ""},
		"a param, set":      {"podman run -e WANDB_RUN_ID={id} {image} t.py", []Setting{{"id", "other"}}, "", ""},
		"set":               {"podman run -e WANDB_RUN_ID=abc {image} t.py", []Setting{{"arg.-e", "WANDB_RUN_ID=def"}}, "", ""},
		"passed on":         {"podman run -e WANDB_RUN_ID {image} t.py", nil, "", ""},
		"of no tracker":     {"podman run -eWANDB_PROJECT=p {image} t.py", nil, "", ""},
		"the program's own": {"podman run --rm {image} sh -c x --env WANDB_PROJECT=foo --lr 1", nil, "", ""},
		"the program's id":  {"podman run --rm {image} sh -c x --env WANDB_RUN_ID=foo --lr 1", nil, "", schema.Conflict},
		"both":              {"podman run -eWANDB_RUN_ID=abc {image} t.py -e WANDB_RUN_ID=foo", nil, "", schema.Conflict},
		"cannot be read":    {"podman run --odd -eWANDB_RUN_ID=abc {image} t.py", nil, "", schema.Invalid},
	} {
		_, r := newWorld()
		run := containerRun(strings.Fields(c.argv)...)
		p, err := r.plan(Request{Run: run, Set: c.set})
		if schema.KindOf(err) != c.kind || c.kind == "" && (strings.Join(p.Started, " ") != c.started || strings.Join(p.Template, " ") == "" || c.set == nil && strings.Join(p.Template, " ") != c.argv) {
			t.Errorf("%s: %v %q", name, err, p.Started)
		}
		said := slices.ContainsFunc(p.Relaxed, func(r schema.Reason) bool { return r.Code == "tracker-run" && strings.HasPrefix(r.Text, "left out") })
		if c.kind == "" && said != (c.started != "") {
			t.Errorf("%s: %v", name, p.Relaxed)
		}
		p, err = r.plan(Request{Run: run, Set: c.set, Overwrite: true})
		if c.kind != schema.Invalid && (err != nil || p.Started != nil) {
			t.Errorf("%s, allowed: %v %q", name, err, p.Started)
		}
	}
}

func withEnvFile(text string) func(dir string) error {
	return func(dir string) error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "c.env"), []byte(text), 0o600)
	}
}

// A file of variables says what no record tells: one that names a run of a tracker is refused, wherever it lies.
func TestEngineFilesOfTrackers(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere.env")
	for name, c := range map[string]struct {
		text    string
		refused bool
	}{
		"an id":         {"A=b\n WANDB_RUN_ID=secret-id\n", true},
		"exported":      {"export MLFLOW_RUN_ID=secret-id", true},
		"passed on":     {"WANDB_RUN_ID\n", false},
		"a comment":     {"# WANDB_RUN_ID=abc\nWANDB_PROJECT=p\n", false},
		"of no tracker": {"A=WANDB_RUN_ID=1\n", false},
	} {
		if err := os.WriteFile(elsewhere, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{elsewhere, "{code_root}/c.env", "c.env"} {
			w, r := newWorld()
			w.restored = withEnvFile(c.text)
			run := containerRun("podman", "run", "--env-file", at, "{image}", "t.py")
			dir := filepath.Join(t.TempDir(), "again")
			_, err := r.Execute(t.Context(), Request{Run: run, Dir: dir})
			if (schema.KindOf(err) == schema.Conflict) != c.refused || (err != nil) != c.refused {
				t.Errorf("%s, %s: %v", name, at, err)
			}
			if c.refused && (w.prepared != nil || strings.Contains(err.Error(), "secret-id")) {
				t.Errorf("%s, %s: it was started, or tells what is in the file: %v", name, at, err)
			}
			if _, err := r.Foresee(t.Context(), Request{Run: run, Dir: dir + "-2"}); at == elsewhere && (schema.KindOf(err) == schema.Conflict) != c.refused {
				t.Errorf("%s, %s, foreseen: %v", name, at, err)
			}
			if _, err := r.Execute(t.Context(), Request{Run: run, Dir: dir + "-3", Overwrite: true}); err != nil {
				t.Errorf("%s, %s, allowed: %v", name, at, err)
			}
		}
	}
	for _, text := range []string{"", strings.Repeat("#", maxEnvFile+1)} {
		var warned []string
		w, r := newWorld()
		w.restored = withEnvFile(text)
		r.Warn = func(format string, _ ...any) { warned = append(warned, format) }
		file := "c.env"
		if text == "" {
			file = "." // no file
		}
		if _, err := r.Execute(t.Context(), Request{Run: containerRun("podman", "run", "--env-file="+file, "{image}", "t.py"), Dir: filepath.Join(t.TempDir(), "again")}); err != nil || len(warned) == 0 {
			t.Errorf("%v, %q", err, warned)
		}
	}
}
