package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// files is a file store: <experiment>/<run>/{meta.yaml,params/,metrics/,tags/,inputs/} and <experiment>/datasets/. All names are opened through root, so that a
// link that leads out of the directory is not followed.
type files struct {
	root   *os.Root
	runs   []filedRun // by start
	starts map[string]int64
}

// filedRun is a run's place and the head that its meta.yaml gives.
type filedRun struct {
	dir string // <experiment>/<run>
	Run
}

const trash = ".trash"

func openFiles(ctx context.Context, dir string, options Options) (History, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNoHistory
		}
		return nil, &schema.Error{Op: "mlflow.open", Kind: schema.Unavailable, Subject: quote(dir), Err: err}
	}
	f := &files{root: root, starts: map[string]int64{}}
	found, err := f.experiments(ctx, ".", options)
	if err == nil && options.Deleted && exists(path.Join(dir, trash)) {
		_, err = f.experiments(ctx, trash, options)
	}
	if err == nil && !found {
		err = errNoHistory
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	slices.SortStableFunc(f.runs, func(a, b filedRun) int { return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID)) })
	for _, r := range f.runs {
		f.starts[r.ID] = r.Start
	}
	return f, nil
}

// experiments reads which runs the experiments below a directory have. What is no experiment is passed over: models/, .trash/, files of others.
func (f *files) experiments(ctx context.Context, below string, options Options) (found bool, err error) {
	names, err := f.names(below)
	if err != nil {
		return false, &schema.Error{Op: "mlflow.open", Kind: schema.Unavailable, Subject: quote(f.root.Name()), Err: err}
	}
	for _, name := range names {
		at := path.Join(below, name)
		if strings.HasPrefix(name, ".") || !f.isDir(at) {
			continue
		}
		head, err := f.meta(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found = true
		runs, err := f.names(at)
		if err != nil {
			continue
		}
		for _, id := range runs {
			if err := ctx.Err(); err != nil {
				return found, &schema.Error{Op: "mlflow.open", Kind: schema.Interrupted, Subject: quote(f.root.Name()), Err: err}
			}
			if !runID.MatchString(id) || !f.isDir(path.Join(at, id)) {
				continue
			}
			if r, ok := f.head(path.Join(at, id), id); ok && (!r.Deleted || options.Deleted) {
				r.ExperimentID, r.Experiment = cmp.Or(head["experiment_id"], name), head["name"]
				r.Deleted = r.Deleted || below == trash
				f.runs = append(f.runs, r)
			}
		}
	}
	return found, nil
}

// head reads a run's meta.yaml; ok is false for a directory that has none. One that cannot be understood is still a run, about which little is known.
func (f *files) head(dir, id string) (r filedRun, ok bool) {
	r = filedRun{dir: dir, Run: Run{ID: id}}
	m, err := f.meta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false
	}
	if err != nil {
		r.Problems = append(r.Problems, unreadable("meta.yaml", err))
	}
	r.Name, r.User, r.ArtifactURI = m["run_name"], m["user_id"], m["artifact_uri"]
	r.Status, r.Start, r.End = statusWord(m["status"]), millis(m["start_time"]), millis(m["end_time"])
	r.SourceName, r.Deleted = m["source_name"], m["lifecycle_stage"] == "deleted"
	return r, true
}

func (f *files) Starts() map[string]int64 { return f.starts }

func (f *files) Close() error { return f.root.Close() }

// Each reads a batch on all processors and hands it over.
func (f *files) Each(ctx context.Context, use func([]Run) error) error {
	for part := range slices.Chunk(f.runs, batchSize) {
		batch := make([]Run, len(part))
		var workers sync.WaitGroup
		slots := make(chan struct{}, runtime.GOMAXPROCS(0))
		for i := range part {
			if err := ctx.Err(); err != nil {
				workers.Wait()
				return &schema.Error{Op: "mlflow.read", Kind: schema.Interrupted, Subject: quote(f.root.Name()), Err: err}
			}
			slots <- struct{}{}
			workers.Go(func() {
				defer func() { <-slots }()
				batch[i] = f.body(part[i])
			})
		}
		workers.Wait()
		if err := use(batch); err != nil {
			return err
		}
	}
	return nil
}

// body reads what lies below a run's directory.
func (f *files) body(r filedRun) Run {
	run := r.Run
	run.Params, run.Metrics, run.Tags = map[string]string{}, map[string]Metric{}, map[string]string{}
	text := func(into map[string]string, trim bool) func(string, *os.File) error {
		return func(key string, file *os.File) error {
			value, err := readAll(file, maxValue)
			if err == nil && trim { // the client writes a newline after it
				value = []byte(strings.TrimSuffix(strings.TrimSuffix(string(value), "\n"), "\r"))
			}
			if err == nil {
				into[key] = string(value)
			}
			return err
		}
	}
	f.each(&run, r.dir, "params", text(run.Params, true))
	f.each(&run, r.dir, "tags", text(run.Tags, false))
	f.each(&run, r.dir, "metrics", func(key string, file *os.File) error {
		m, err := lastMetric(file)
		if err == nil {
			run.Metrics[key] = m
		}
		return err
	})
	f.datasets(&run, r.dir)
	return run
}

// each calls use with every file below a directory of a run; a key with a slash is a file in a directory. What cannot be read is a problem of the run.
func (f *files) each(run *Run, dir, kind string, use func(key string, file *os.File) error) {
	left := maxKeys
	var walk func(below, prefix string, depth int)
	walk = func(below, prefix string, depth int) {
		names, err := f.names(below)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				run.Problems = append(run.Problems, unreadable(kind, err))
			}
			return
		}
		for _, name := range names {
			if left--; left < 0 {
				if left == -1 {
					run.Problems = append(run.Problems, unreadable(kind, fmt.Errorf("there are more than %d", maxKeys)))
				}
				return
			}
			at, key := path.Join(below, name), prefix+name
			file, info, err := f.open(at)
			if err == nil && info.IsDir() {
				_ = file.Close()
				if depth < 8 {
					walk(at, key+"/", depth+1)
				}
				continue
			}
			if err == nil {
				if err = errUnlessRegular(info); err == nil && !utf8.ValidString(key) {
					err = errors.New("its name is not UTF-8")
				}
				if err == nil {
					err = use(key, file)
				}
				_ = file.Close()
			}
			if err != nil && len(run.Problems) < 20 {
				run.Problems = append(run.Problems, unreadable(kind+"/"+schema.Shorten(strings.ToValidUTF8(key, "?"), 250), err))
			}
		}
	}
	walk(path.Join(dir, kind), "", 0)
}

// datasets follows inputs/<id>/meta.yaml to the experiment's datasets/<id>/meta.yaml. Its destination_id cannot be trusted: the writer puts the source's id there
// (FileStore._FsInput), so the directory says whose input it is.
func (f *files) datasets(run *Run, dir string) {
	inputs := path.Join(dir, "inputs")
	names, err := f.names(inputs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		run.Problems = append(run.Problems, unreadable("inputs", err))
	}
	for _, name := range names[:min(len(names), maxDatasets)] {
		in, err := f.meta(path.Join(inputs, name))
		if err != nil || in["source_type"] != "DATASET" || !runID.MatchString(in["source_id"]) {
			continue
		}
		set, err := f.meta(path.Join(path.Dir(dir), "datasets", in["source_id"]))
		if err != nil {
			run.Problems = append(run.Problems, unreadable("inputs/"+name, errors.New("the data set that it names cannot be read")))
			continue
		}
		run.Datasets = append(run.Datasets, Dataset{Name: set["name"], Digest: set["digest"], SourceType: set["source_type"], Source: set["source"],
			Context: f.inputContext(path.Join(inputs, name))})
	}
}

// maxDatasets bounds the inputs of one run.
const maxDatasets = 1000

// names lists a directory, sorted.
func (f *files) names(dir string) ([]string, error) {
	file, info, err := f.open(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", path.Base(dir))
	}
	names, err := file.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (f *files) isDir(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.IsDir()
}

func (f *files) open(name string) (*os.File, fs.FileInfo, error) {
	file, err := f.root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
	}
	return file, info, err
}

func (f *files) readMeta(dir string) ([]byte, error) {
	file, info, err := f.open(path.Join(dir, "meta.yaml"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := errUnlessRegular(info); err != nil {
		return nil, err
	}
	return readAll(file, maxMeta)
}

func (f *files) meta(dir string) (map[string]string, error) {
	content, err := f.readMeta(dir)
	if err != nil {
		return nil, err
	}
	return meta(content)
}

func (f *files) inputContext(dir string) string {
	content, err := f.readMeta(dir)
	if err != nil {
		return ""
	}
	return metaTag(content, contextTag)
}

func errUnlessRegular(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return nil
}

func readAll(in io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return content, err
}
