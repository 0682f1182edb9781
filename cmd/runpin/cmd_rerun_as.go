package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/rerun/render"
	"github.com/runpin/runpin/schema"
)

// renderFlags are the flags of `rerun --as`.
func renderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "as", Usage: "write a run that has no job spec as `FORMAT`: " + strings.Join(render.Names(), ", ")},
		&cli.StringFlag{Name: "init-image", Usage: "restore and guard in `REF@sha256:…`, an image with sh, git and coreutils"},
		&cli.StringFlag{Name: "git-secret", Usage: "log in to the git server with the Kubernetes secret `NAME` (basic-auth or ssh-auth)"},
		&cli.StringSliceFlag{Name: "volume", Usage: "where the cluster has a data set: `NAME=pvc:CLAIM[/subpath]` or NAME=hostPath:/DIR; workspace=… keeps what the run writes"},
		&cli.StringFlag{Name: "namespace", Usage: "`NAME` of the namespace: of the rendered object, or of a job that is executed and names none"},
		&cli.StringSliceFlag{Name: "image-pull-secret", Usage: "pull the images with the Kubernetes secret `NAME`"},
		&cli.StringSliceFlag{Name: "node-selector", Usage: "run on nodes with the label `K=V`"},
	}
}

func runRender(env *Env, c *cli.Context, w *wiring, run schema.Run) error {
	if run.Job != nil {
		return &schema.Error{Op: "rerun.as", Kind: schema.Invalid, Subject: "run " + run.ID.Short(), Err: fmt.Errorf("it has a job spec of its own (%s), which says more than any other form", run.Job.Format),
			Hint: "runpin rerun " + run.ID.Short() + " prints it, pinned"}
	}
	settings, err := readSettings(c)
	if err != nil {
		return err
	}
	opts, err := renderOptions(c)
	if err != nil {
		return err
	}
	if run, opts.Changed, err = rerun.Settled(run, settings); err != nil {
		return err
	}
	moved, err := relocations(env, c)
	if err != nil {
		return err
	}
	run, elsewhere := rerun.Relocated(run, moved)
	for _, r := range elsewhere {
		env.say("note: %s is %s", r.Subject, r.Text)
	}
	if unheld := rerun.Unheld(run); unheld != "" {
		env.say("note: %s", unheld)
	}
	var out bytes.Buffer
	notes, err := render.Render(c.Context, &out, c.String("as"), run, w.store, opts)
	if err != nil {
		return err
	}
	for _, note := range notes {
		env.say("note: %s", note)
	}
	if path := c.String("output"); path != "" {
		return writeFile(path, out.Bytes())
	}
	if _, err := env.Out.Write(out.Bytes()); err != nil {
		return err
	}
	if env.OutTTY {
		env.say("nothing was started")
	}
	return nil
}

func renderOptions(c *cli.Context) (render.Options, error) {
	opts := render.Options{NoStamp: c.Bool("no-stamp"), InitImage: c.String("init-image"), GitSecret: c.String("git-secret"), Namespace: c.String("namespace"),
		PullSecrets: c.StringSlice("image-pull-secret"), Volumes: map[string]render.Volume{}, ReplaceRoot: process.ReplaceRoot,
		Expand: func(template []string, values map[string]string) []string {
			argv, _ := process.Expand(template, values)
			return argv
		}}
	volumes, err := keyValues("volume", c.StringSlice("volume"))
	if err != nil {
		return opts, err
	}
	for name, text := range volumes {
		if opts.Volumes[name], err = render.ParseVolume(text); err != nil {
			return opts, err
		}
	}
	if opts.At, err = keyValues("at", c.StringSlice("at")); err != nil {
		return opts, err
	}
	secrets, err := keyValues("secret", c.StringSlice("secret"))
	if err != nil {
		return opts, err
	}
	opts.Secrets = map[string]string{}
	for name, from := range secrets {
		object, ok := strings.CutPrefix(from, "secret:")
		if !ok {
			return opts, usageError("--secret "+name+"=secret:OBJECT/KEY, a key of a Kubernetes secret; a script asks for a variable", "a rendered file must not hold the secret %s", name)
		}
		opts.Secrets[name] = object
	}
	opts.NodeSelector, err = keyValues("node-selector", c.StringSlice("node-selector"))
	return opts, err
}
