package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/rerun/jobspec/resolve"
	"github.com/runpin/runpin/rerun/jobspec/specfiles"
	"github.com/runpin/runpin/schema"
)

func pinCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "pin", Usage: "replace what can move in job specs by what it stands for now: tags by digests, branches by commits", ArgsUsage: "<file|directory>...",
		Description: `Edits the files in place; every other byte stays: comments, order, quotes, line ends. An image keeps its tag beside the digest where the target takes both.
The digest is that of the index where an image has several platforms, unless --platform asks for one of them. Below a directory the files that may be job
specs are taken. "-" is standard input, and the result then goes to standard output.

What cannot be pinned is told with its place, and then nothing is written, unless --allow-unpinned leaves those places as they are.

` + examples("runpin pin job.yaml", "runpin pin --check deploy/ .github/workflows", "runpin pin --diff train.sbatch", "runpin pin --lock runpin.lock manifests/", "runpin pin --locked --lock runpin.lock manifests/", "helm template chart | runpin pin - > pinned.yaml"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the pinned spec to `FILE`, or - for stdout, instead of in place (one input only)"},
			&cli.BoolFlag{Name: "check", Usage: "write nothing; exit code 13 when a file would change"},
			&cli.BoolFlag{Name: "diff", Usage: "write nothing; print what would change"},
			&cli.StringFlag{Name: "lock", Usage: "keep what was found in `FILE`; with --locked, take it from there"},
			&cli.BoolFlag{Name: "locked", Usage: "ask nobody: pin from the lock (default: runpin.lock), and fail on what it does not have"},
			&cli.StringFlag{Name: "platform", Usage: "pin to the image of `OS/ARCH` instead of the index", EnvVars: []string{"RUNPIN_PLATFORM"}},
			&cli.StringFlag{Name: "shape", Usage: "`SHAPE` of pinned images: tag-and-digest or digest-only (default: what the target takes)"},
			&cli.StringSliceFlag{Name: "field", Usage: "a place that runpin does not know: image=`PATH`, code=PATH, dataset.NAME=PATH"},
			&cli.BoolFlag{Name: "any-image", Usage: "take every key called image for an image, wherever it stands"},
			&cli.BoolFlag{Name: "verify", Usage: "ask whether what is pinned already can still be had; exit code 14 when not"},
			&cli.BoolFlag{Name: "allow-unpinned", Usage: "leave what cannot be pinned as it is, say so, and pin the rest"},
			&cli.IntFlag{Name: "jobs", Usage: "ask for `N` references at the same time", Value: 16},
			&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak http with `HOST` (loopback always may)"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, -1, "<file|directory>")
			if err != nil {
				return err
			}
			p, err := newPinning(env, c, args)
			if err != nil {
				return err
			}
			return p.run(c.Context)
		},
	}
}

// pinning is one call of the verb.
type pinning struct {
	env      *Env
	resolver *resolve.Resolver
	args     []string
	files    []resolve.File
	lockPath string
	output   string // "" in place
	write    bool
	check    bool
	diff     bool
	json     bool
	progress *progress
}

const defaultLock = "runpin.lock"

func newPinning(env *Env, c *cli.Context, args []string) (*pinning, error) {
	p := &pinning{env: env, args: args, lockPath: c.String("lock"), output: c.String("output"), check: c.Bool("check"), diff: c.Bool("diff"), json: c.Bool("json"), progress: newProgress(env)}
	p.write = !p.check && !p.diff
	if c.Bool("locked") && p.lockPath == "" {
		p.lockPath = defaultLock
	}
	switch {
	case p.diff && p.json:
		return nil, usageError("take one of them", "--diff and --json both say what would change")
	case p.output != "" && !p.write:
		return nil, usageError("drop one of them", "--output writes, and --check and --diff write nothing")
	case c.Int("jobs") < 1:
		return nil, usageError("give 1 or more", "--jobs %d", c.Int("jobs"))
	}
	settings, err := loadSettings(env, ".")
	if err != nil {
		return nil, err
	}
	fields := c.StringSlice("field")
	if !c.IsSet("field") {
		fields = settings.fields()
	}
	reader := specsReader()
	reader.AnyImage = c.Bool("any-image")
	if reader.Fields, err = parseFields(fields); err != nil {
		return nil, err
	}
	shape := jobspec.Shape(c.String("shape"))
	if shape != "" && shape != jobspec.TagAndDigest && shape != jobspec.DigestOnly {
		return nil, usageError("tag-and-digest or digest-only", "--shape %q", string(shape))
	}
	if p.files, err = p.read(args); err != nil {
		return nil, err
	}
	if p.output != "" && len(p.files) != 1 {
		return nil, usageError("leave --output away to edit in place", "--output takes one input, and there are %d files", len(p.files))
	}
	if len(p.files) == 1 && p.files[0].Name == "-" && p.output == "" {
		p.output = "-"
	}
	lock, err := p.readLock(c.Bool("locked"))
	if err != nil {
		return nil, err
	}
	jobs := c.Int("jobs")
	reg := registry.New(registry.Options{Version: version, CacheDir: under(env.cacheDir(), "registry"), InsecureRegistries: insecure(c), Budget: duration(env, "RUNPIN_RETRY_BUDGET"), PerHost: jobs, Now: env.Now})
	p.resolver = &resolve.Resolver{Images: registryImages{reg, image.New(image.Options{Registry: reg, Now: env.Now})}, Code: gitCode{code.New(code.Options{Now: env.Now})}, Now: func() schema.Time { return schema.At(env.Now()) },
		Progress: p.progress, Reader: reader, Platform: choose(c, "platform", settings.Platform), Shape: shape, Lock: lock, Locked: c.Bool("locked"), Verify: c.Bool("verify"),
		AllowUnpinned: c.Bool("allow-unpinned"), Jobs: jobs}
	return p, nil
}

// read loads the inputs; what cannot be read is told together.
func (p *pinning) read(args []string) ([]resolve.File, error) {
	var paths []string
	var files []resolve.File
	for _, a := range args {
		if a != "-" {
			paths = append(paths, a)
			continue
		}
		if len(args) > 1 {
			return nil, usageError("give it alone", "standard input cannot be pinned beside other files")
		}
		data, err := io.ReadAll(io.LimitReader(p.env.In, maxJobBytes+1))
		if err == nil && len(data) > maxJobBytes {
			err = fmt.Errorf("larger than %d bytes", maxJobBytes)
		}
		if err != nil {
			return nil, &schema.Error{Op: "pin", Kind: schema.Unpinnable, Subject: "standard input", Err: err}
		}
		files = append(files, resolve.File{Name: "-", Data: data})
	}
	found, err := specfiles.Find(paths)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, a := range paths {
		named[a] = true
	}
	for _, path := range found {
		files = append(files, resolve.File{Name: path, Walked: !named[path], Load: func() ([]byte, bool, error) { return loadSpec("pin", path, !named[path]) }})
	}
	return files, nil
}

// loadSpec reads a file that may be a job spec. One that a walk found and that is too large, or does not look like one, is none.
func loadSpec(op, path string, walked bool) (data []byte, isSpec bool, err error) {
	data, err = readSmall(path, maxJobBytes)
	var at *fs.PathError
	switch {
	case err == nil:
		return data, !walked || specfiles.Candidate(path, data), nil
	case errors.As(err, &at):
		return nil, false, &schema.Error{Op: op, Kind: schema.Unavailable, Subject: path, Err: at.Err}
	case walked:
		return nil, false, nil
	}
	return nil, false, &schema.Error{Op: op, Kind: schema.Unpinnable, Subject: path, Err: err}
}

func (p *pinning) readLock(locked bool) (*resolve.Lock, error) {
	if p.lockPath == "" {
		return &resolve.Lock{}, nil
	}
	data, err := readSmall(p.lockPath, resolve.MaxLockBytes)
	if errors.Is(err, os.ErrNotExist) && !locked {
		return &resolve.Lock{}, nil
	}
	if err != nil {
		return nil, &schema.Error{Op: "lock", Kind: schema.Invalid, Subject: p.lockPath, Err: err, Hint: "make it where the network can be reached: runpin pin --lock " + p.lockPath + " FILE…"}
	}
	return resolve.ParseLock(p.lockPath, data)
}

func (p *pinning) run(ctx context.Context) error {
	debug.SetGCPercent(400) // trees of YAML come and go; the process ends soon
	results, err := p.resolver.Pin(ctx, p.files)
	p.progress.clear()
	if err == nil && len(results) == 0 {
		err = &schema.Error{Op: "pin", Kind: schema.Unpinnable, Subject: strings.Join(p.args, ", "), Err: errors.New("holds no job spec"), Hint: "`runpin help formats` lists what runpin can pin"}
	}
	if err != nil {
		if p.json {
			_ = p.env.printJSON(p.jsonOf(results))
		}
		return err
	}
	changed := 0
	for _, r := range results {
		if r.Changed {
			changed++
		}
		for _, l := range r.Left {
			say := p.env.say
			if l.Failed {
				say = p.env.warn
			}
			say("%s:%d:%d: %s", r.Name, l.Line, l.Column, l.Text)
		}
	}
	p.tellUnused(results)
	if p.lockPath != "" && !p.resolver.Locked && !p.check && !p.diff {
		if err := p.writeLock(); err != nil {
			return err
		}
	}
	if p.write {
		if err := p.store(results); err != nil {
			return err
		}
	}
	return p.report(results, changed)
}

// tellUnused tells the declared fields that lead nowhere in any of the files: perhaps the path is misspelled.
func (p *pinning) tellUnused(results []resolve.Result) {
	unused := map[jobspec.Field]int{}
	for _, r := range results {
		if r.Spec == nil {
			return
		}
		for _, f := range r.Spec.Unused {
			unused[f]++
		}
	}
	for _, f := range p.resolver.Reader.Fields {
		if unused[f] == len(results) {
			p.env.warn("the declared field %s leads nowhere; a path is keys joined by dots: spec.workers[].image", f)
			delete(unused, f)
		}
	}
}

func (p *pinning) writeLock() error {
	text, err := p.resolver.Lock.Text()
	if err != nil {
		return err
	}
	return writeFile(p.lockPath, text)
}

// store writes the results: each file whole or not at all, and none before all have a place.
func (p *pinning) store(results []resolve.Result) error {
	if p.output == "-" {
		if _, err := p.env.Out.Write(results[0].Pinned); err != nil {
			return cannotWrite("standard output", err)
		}
		return nil
	}
	if p.output != "" {
		return writeFile(p.output, results[0].Pinned)
	}
	files := map[string][]byte{}
	for _, r := range results {
		if r.Changed {
			files[r.Name] = r.Pinned
		}
	}
	return replaceFiles(files)
}

// report says what was, or would be, done.
func (p *pinning) report(results []resolve.Result, changed int) error {
	var said, names strings.Builder
	switch {
	case p.json:
		if err := p.env.printJSON(p.jsonOf(results)); err != nil {
			return err
		}
	case p.diff:
		for _, r := range results {
			if r.Changed {
				fmt.Fprint(p.env.Out, p.env.paintDiff(unifiedDiff(r.Name, r.Data, r.Pinned)))
			}
		}
	case p.output == "-" || p.output != "":
	default:
		for _, r := range results {
			if !r.Changed {
				continue
			}
			for _, pin := range r.Pins {
				fmt.Fprintf(&said, "runpin: %s\n", oneLine(fmt.Sprintf("%s:%d:%d: %s → %s", r.Name, pin.Line, pin.Column, schema.Shorten(pin.Value, 120), schema.Shorten(pin.After, 200))))
			}
			fmt.Fprintln(&names, r.Name)
		}
		fmt.Fprint(p.env.Err, said.String()) // in one piece: there may be thousands
		fmt.Fprint(p.env.Out, names.String())
		if changed == 0 {
			p.env.say("nothing to pin in %s", plural(int64(len(results)), "file"))
		}
	}
	if p.check && changed > 0 {
		p.env.say("%s would change", plural(int64(changed), "file"))
		return &statusOnly{exitDifferent}
	}
	return nil
}

// pinFileJSON is what `pin --json` prints of each file.
type pinFileJSON struct {
	File       string        `json:"file"`
	Format     string        `json:"format,omitempty"`
	Changed    bool          `json:"changed"`
	References []pinnedJSON  `json:"references"`
	Left       []leftJSON    `json:"left"`
	Errors     []jsonFailure `json:"errors,omitempty"`
}

type pinnedJSON struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Line   int      `json:"line"`
	Column int      `json:"column"`
	Field  string   `json:"field"`
	Also   []string `json:"also,omitempty"`
	Before string   `json:"before"`
	After  string   `json:"after"`
	Pinned bool     `json:"pinned"`
}

type leftJSON struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
	Failed bool   `json:"failed"`
}

func (p *pinning) jsonOf(results []resolve.Result) []pinFileJSON {
	out := []pinFileJSON{}
	for _, r := range results {
		f := pinFileJSON{File: r.Name, Changed: r.Changed, References: []pinnedJSON{}, Left: []leftJSON{}}
		if r.Spec != nil {
			f.Format = r.Spec.Format
			after := map[int]string{}
			for _, pin := range r.Pins {
				after[pin.Offset] = pin.After
			}
			for _, ref := range r.Spec.References {
				row := pinnedJSON{ref.Kind, ref.Name, ref.Line, ref.Column, ref.Field, ref.Also, ref.Value, ref.Value, ref.Pinned}
				if a, ok := after[ref.Offset]; ok {
					row.After, row.Pinned = a, true
				}
				f.References = append(f.References, row)
			}
		}
		for _, l := range r.Left {
			f.Left = append(f.Left, leftJSON{l.Line, l.Column, l.Field, l.Text, l.Failed})
		}
		for _, failure := range schema.Failures(r.Err) {
			f.Errors = append(f.Errors, jsonFailure{Kind: schema.KindOf(failure), Message: failure.Error(), Hint: schema.HintOf(failure)})
		}
		out = append(out, f)
	}
	return out
}
