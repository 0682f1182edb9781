package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
)

func demoCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "see the main job in a few seconds: record, change the world, rerun", ArgsUsage: " ",
		Description: "Everything happens in a temporary directory with a store, a registry and a git repository of its own. Nothing else is needed or touched.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "keep", Usage: "keep the directory"}},
		Subcommands: []*cli.Command{demoTrainCommand(env)},
		Action:      func(c *cli.Context) error { return runDemo(c.Context, env, c.Bool("keep")) },
	}
}

// demo is the little world of `runpin demo`.
type demo struct {
	env  *Env
	ctx  context.Context
	dir  string
	repo *gogit.Repository
	host string // of the registry
	exe  string
}

func runDemo(ctx context.Context, env *Env, keep bool) (err error) {
	started := time.Now()
	dir, err := os.MkdirTemp("", "runpin-demo-")
	if err != nil {
		return &schema.Error{Op: "demo", Kind: schema.Unavailable, Subject: os.TempDir(), Err: err, Hint: "set TMPDIR to a directory with some room"}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	back, _ := os.Getwd()
	defer func() {
		_ = os.Chdir(back)
		if keep {
			env.say("kept %s", dir)
		} else {
			_ = os.RemoveAll(dir)
		}
	}()
	d := &demo{ctx: ctx, dir: dir}
	if d.exe, err = os.Executable(); err != nil {
		return err
	}
	d.env = d.environment(env)
	stop, err := d.startRegistry()
	if err != nil {
		return err
	}
	defer stop()
	for _, step := range []func() error{d.makeProject, d.record, d.changeTheWorld, d.rerun, d.loseTheData} {
		if err := step(); err != nil {
			return err
		}
	}
	d.tell("\nThat is runpin: what was recorded runs again, or you are told what is missing. It took %.1f s.", time.Since(started).Seconds())
	d.tell("Try it in your own checkout:\n  runpin record --output model=model.pt -- python3 train.py\n  runpin rerun latest --execute")
	return nil
}

// environment gives the demo a home of its own, so that no store, cache or setting of the user is touched.
func (d *demo) environment(env *Env) *Env {
	own := *env
	own.Err, own.ErrTTY = env.Out, env.OutTTY // the demo is one story: what goes to stderr otherwise belongs in it, and in order
	values := map[string]string{"XDG_DATA_HOME": filepath.Join(d.dir, "data"), "XDG_CACHE_HOME": filepath.Join(d.dir, "cache"), "RUNPIN_STORE": "", "RUNPIN_USER": "you"}
	own.Getenv = func(key string) string {
		if v, ours := values[key]; ours {
			return v
		}
		if strings.HasPrefix(key, "RUNPIN_") {
			return ""
		}
		return env.Getenv(key)
	}
	return &own
}

func (d *demo) tell(format string, args ...any) { fmt.Fprintf(d.env.Out, format+"\n", args...) }

func (d *demo) heading(text string) {
	d.tell("\n%s", d.env.paint(d.env.Out, bold, text))
}

// runpin runs a command of the program through the same door as the shell does, and shows it.
func (d *demo) runpin(args ...string) int {
	shown := append([]string{"runpin"}, args...)
	for i, word := range shown {
		if word == d.exe {
			shown[i] = "runpin"
		}
		shown[i] = strings.Replace(shown[i], filepath.Join(d.dir, "project")+string(filepath.Separator), "", 1)
	}
	d.tell("%s", d.env.paint(d.env.Out, cyan, "$ "+shellWords(shown)))
	full := append([]string{"runpin", "--store", filepath.Join(d.dir, "runpin.db")}, args...)
	return run(d.ctx, full, d.env)
}

func (d *demo) must(code, want int, what string) error {
	if code != want {
		return &schema.Error{Op: "demo", Kind: schema.Internal, Subject: what, Err: fmt.Errorf("exit code %d where %d was expected", code, want)}
	}
	return nil
}

func (d *demo) startRegistry() (stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, &schema.Error{Op: "demo", Kind: schema.Unavailable, Subject: "127.0.0.1", Err: err}
	}
	d.host = listener.Addr().String()
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}

func (d *demo) image() string { return d.host + "/team/trainer:1.4" }

// pushImage lets the tag point at an image that did not exist before.
func (d *demo) pushImage() error {
	ref, err := name.ParseReference(d.image())
	if err != nil {
		return err
	}
	image, err := random.Image(4096, 2)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	return remote.Write(ref, image, remote.WithContext(d.ctx))
}

func (d *demo) write(path, content string) error {
	full := filepath.Join(d.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	return os.WriteFile(full, []byte(content), 0o644)
}

func (d *demo) commit(message string, amend bool) error {
	tree, err := d.repo.Worktree()
	if err != nil {
		return err
	}
	for _, file := range []string{".gitignore", "job.yaml", "trainer.json"} {
		if _, err := tree.Add(file); err != nil {
			return err
		}
	}
	who := &object.Signature{Name: "You", Email: "you@example.com", When: time.Now()}
	_, err = tree.Commit(message, &gogit.CommitOptions{Author: who, Committer: who, Amend: amend})
	return err
}

func (d *demo) makeProject() error {
	d.heading("1. A little project: code in git, data beside it, an image in a registry")
	if err := d.pushImage(); err != nil {
		return err
	}
	var rows strings.Builder
	for i := range 200 {
		fmt.Fprintf(&rows, "%d,%d\n", i, 3*i+7+(i*i)%5)
	}
	repo, err := gogit.PlainInit(filepath.Join(d.dir, "project"), false)
	if err != nil {
		return err
	}
	d.repo = repo
	for path, content := range map[string]string{
		"project/trainer.json":   `{"epochs": 400, "rate": 0.00002}` + "\n",
		"project/.gitignore":     "data/\nmodel.txt\npinned.yaml\n",
		"project/data/train.csv": rows.String(),
		"project/job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: train\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n" +
			"        - name: trainer            # the tag will move\n          image: " + d.image() + "\n          command: [python, train.py]\n",
	} {
		if err := d.write(path, content); err != nil {
			return err
		}
	}
	if err := d.commit("Train a line", false); err != nil {
		return err
	}
	d.tell("   trainer.json (committed)   data/train.csv (200 rows, not in git)   job.yaml   image %s", d.image())
	return os.Chdir(filepath.Join(d.dir, "project"))
}

func (d *demo) record() error {
	d.heading("2. Record a training run: every input is resolved first, then the command starts")
	code := d.runpin("record", "--name", "first", "--image", d.image(), "--dataset", "train=data", "--output", "model=model.txt", "--", d.exe, "demo", "train", "{train}/train.csv", "{model}")
	if err := d.must(code, exitOK, "record"); err != nil {
		return err
	}
	d.heading("   …and plan a cluster job from its spec: tags become digests, not another byte changes but the stamp")
	code = d.runpin("record", "--name", "job", "--job", "job.yaml", "--pinned", "pinned.yaml")
	if err := d.must(code, exitOK, "record --job"); err != nil {
		return err
	}
	pinned, err := os.ReadFile("pinned.yaml")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(pinned)) {
		if strings.Contains(line, "image:") {
			d.tell("   pinned.yaml: %s", strings.TrimSpace(line))
		}
	}
	return d.must(d.runpin("show", "first"), exitOK, "show")
}

func (d *demo) changeTheWorld() error {
	d.heading("3. Months pass: the tag moves, the branch is rewritten, the checkout is edited, the model is overwritten")
	if err := d.pushImage(); err != nil {
		return err
	}
	for path, content := range map[string]string{
		"project/trainer.json": `{"epochs": 3, "rate": 0.5}` + "\n",
		"project/model.txt":    "something else\n",
	} {
		if err := d.write(path, content); err != nil {
			return err
		}
	}
	if err := d.commit("Another idea", true); err != nil {
		return err
	}
	d.tell("   %s is another image now; `git commit --amend` replaced the commit; trainer.json and model.txt are not what they were", d.image())
	return d.must(d.runpin("check", "first"), exitOK, "check")
}

func (d *demo) rerun() error {
	d.heading("4. Run it again: restored, executed, and compared bit for bit")
	if err := d.must(d.runpin("rerun", "first", "--execute"), exitOK, "rerun"); err != nil {
		return err
	}
	model, err := os.ReadFile("model.txt")
	if err != nil {
		return err
	}
	d.tell("   your checkout was not touched: model.txt still says %q", strings.TrimSpace(string(model)))
	return nil
}

func (d *demo) loseTheData() error {
	d.heading("5. Somebody edits the data in place: now runpin refuses, before anything starts, and says why")
	file, err := os.OpenFile(filepath.Join("data", "train.csv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(file, "200,12345\n"); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	code := d.runpin("rerun", "first", "--execute")
	if err := d.must(code, exitGone, "rerun of a changed data set"); err != nil {
		return err
	}
	d.tell("   exit code %d: gone or changed", code)
	return nil
}
