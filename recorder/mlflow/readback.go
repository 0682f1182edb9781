package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/schema"
)

// Tracker reads back what a command told MLflow. It implements recorder.Tracker.
type Tracker struct {
	// Budget is how long a store may take to answer, all requests together; 0 for three seconds.
	Budget time.Duration
}

var _ recorder.Tracker = (*Tracker)(nil)

// slack is how much the clock of a file system may be behind this process's.
const slack = 2 * time.Second

// place is where MLflow keeps runs: one of these.
type place struct{ files, database, server string }

// ReadBack implements recorder.Tracker. It looks where MLFLOW_TRACKING_URI says; without it at mlruns and mlflow.db in the working directory, if they changed
// since the command began.
func (t *Tracker) ReadBack(ctx context.Context, req recorder.TrackerRequest) recorder.Tracked {
	env := variables(req.Environ)
	places, err := locate(env, req)
	if err != nil {
		return recorder.Tracked{Reasons: []schema.Reason{notReadBack(err)}}
	}
	if len(places) == 0 {
		return recorder.Tracked{}
	}
	budget := cmp.Or(t.Budget, 3*time.Second)
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var runs []Run
	var reasons []schema.Reason
	for _, p := range places {
		found, err := p.tagged(ctx, env, req)
		if err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("MLflow's store did not answer within %v", budget)
			}
			reasons = append(reasons, notReadBack(err))
		}
		runs = append(runs, found...)
	}
	tracked := sum(runs)
	tracked.Reasons = append(reasons, tracked.Reasons...)
	return tracked
}

func notReadBack(err error) schema.Reason {
	return schema.Reason{Code: "mlflow-not-read-back", Subject: "mlflow", Text: err.Error()}
}

// sum turns the runs that a command logged into labels and metrics. Those nested in another of them are its parts; of several that stand side by side the metrics
// are not one run's, so none is taken.
func sum(runs []Run) (t recorder.Tracked) {
	ids := map[string]bool{}
	for _, r := range runs {
		ids[r.ID] = true
	}
	top := slices.DeleteFunc(runs, func(r Run) bool { return ids[r.Tags["mlflow.parentRunId"]] && r.Tags["mlflow.parentRunId"] != r.ID })
	slices.SortFunc(top, func(a, b Run) int { return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID)) })
	if len(top) == 0 {
		return t
	}
	t.Labels = map[string]string{}
	for n, r := range top[:min(len(top), maxTied)] {
		t.Labels[labelOf(n+1)] = r.ID
	}
	if len(top) > 1 {
		text := fmt.Sprintf("the command logged %d runs side by side, so their metrics are not taken as the run's", len(top))
		if len(top) > maxTied {
			text += fmt.Sprintf("; the first %d are named by labels", maxTied)
		}
		t.Reasons = append(t.Reasons, schema.Reason{Code: "mlflow-several-runs", Subject: "mlflow", Text: text})
		return t
	}
	for k, m := range top[0].Metrics {
		if t.Metrics == nil {
			t.Metrics = map[string]schema.Text{}
		}
		t.Metrics[k] = m.Text()
	}
	for _, p := range top[0].Problems {
		t.Reasons = append(t.Reasons, schema.Reason{Code: "mlflow-not-read-back", Subject: p.Subject, Text: string(p.Subject) + ": " + p.Text})
	}
	return t
}

func variables(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(k, "MLFLOW_") {
			env[k] = v
		}
	}
	return env
}

// locate finds where the command's client keeps runs. A path is relative to the working directory of the command.
func locate(env map[string]string, req recorder.TrackerRequest) ([]place, error) {
	here := func(p string) string {
		if !filepath.IsAbs(p) {
			p = filepath.Join(req.WorkDir, p)
		}
		return p
	}
	uri := strings.TrimSpace(env["MLFLOW_TRACKING_URI"])
	if uri == "" {
		var places []place
		if changed(here("mlflow.db"), req.Since) {
			places = append(places, place{database: here("mlflow.db")})
		}
		if dir := here("mlruns"); filesChanged(dir, req.Since) {
			places = append(places, place{files: dir})
		}
		return places, nil
	}
	scheme, rest, hasScheme := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "http", "https":
		return []place{{server: uri}}, nil
	case "sqlite":
		p, ok := strings.CutPrefix(rest, "///")
		if p, _, _ = strings.Cut(p, "?"); !ok || p == "" {
			return nil, errors.New("MLFLOW_TRACKING_URI names no file of a database")
		}
		if decoded, err := url.PathUnescape(p); err == nil {
			p = decoded
		}
		if !changed(here(p), req.Since) {
			return nil, nil
		}
		return []place{{database: here(p)}}, nil
	case "file":
		if after, ok := strings.CutPrefix(rest, "//"); ok {
			if i := strings.IndexByte(after, '/'); i >= 0 {
				after = after[i:]
			}
			rest = after
		}
		if decoded, err := url.PathUnescape(rest); err == nil {
			rest = decoded
		}
		return placeOfFiles(here(rest), req.Since), nil
	}
	if hasScheme && len(scheme) > 1 || scheme == "databricks" || scheme == "uc" {
		return nil, fmt.Errorf("tracking stores of the kind %q are not read back", schema.Shorten(scheme, 40))
	}
	return placeOfFiles(here(uri), req.Since), nil
}

func placeOfFiles(dir string, since time.Time) []place {
	if !filesChanged(dir, since) {
		return nil
	}
	return []place{{files: dir}}
}

// changed is the sign that the command used a database: it, or the log of one in WAL mode, was written.
func changed(file string, since time.Time) bool {
	for _, name := range []string{file, file + "-wal"} {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && !info.ModTime().Before(since.Add(-slack)) {
			return true
		}
	}
	return false
}

// filesChanged: a new run is a new entry in an experiment's directory, so that changes.
func filesChanged(dir string, since time.Time) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.IsDir() && !info.ModTime().Before(since.Add(-slack)) {
			return true
		}
	}
	return false
}

func (p place) tagged(ctx context.Context, env map[string]string, req recorder.TrackerRequest) ([]Run, error) {
	switch {
	case p.server != "":
		s, err := newServer(p.server, env)
		if err != nil {
			return nil, err
		}
		return s.tagged(ctx, req.Run)
	case p.database != "":
		return taggedInDatabase(ctx, p.database, req.Run)
	}
	root, err := os.OpenRoot(p.files)
	if err != nil {
		return nil, err
	}
	f := &files{root: root}
	defer f.Close()
	return f.tagged(ctx, req.Run, req.Since)
}

// tagged reads the tag of every run in the experiments to which runs were added.
func (f *files) tagged(ctx context.Context, want schema.RunID, since time.Time) ([]Run, error) {
	experiments, err := f.names(".")
	if err != nil {
		return nil, err
	}
	var found []Run
	for _, experiment := range experiments {
		info, err := f.root.Stat(experiment)
		if err != nil || !info.IsDir() || strings.HasPrefix(experiment, ".") || info.ModTime().Before(since.Add(-slack)) {
			continue
		}
		runs, err := f.names(experiment)
		if err != nil {
			continue
		}
		for _, id := range runs {
			if err := ctx.Err(); err != nil {
				return found, err
			}
			dir := path.Join(experiment, id)
			if !runID.MatchString(id) || f.tag(dir, TagRunID) != string(want) {
				continue
			}
			if r, ok := f.head(dir, id); ok && !r.Deleted {
				found = append(found, f.body(r))
			}
		}
	}
	return found, nil
}

func (f *files) tag(dir, key string) string {
	file, info, err := f.open(path.Join(dir, "tags", key))
	if err != nil {
		return ""
	}
	defer file.Close()
	if errUnlessRegular(info) != nil {
		return ""
	}
	value, _ := readAll(file, maxTag)
	return strings.TrimSpace(string(value))
}

// taggedInDatabase finds the runs by the index of tags.
func taggedInDatabase(ctx context.Context, file string, want schema.RunID) ([]Run, error) {
	h, err := openDatabase(ctx, file, Options{tagged: want})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	defer h.Close()
	var found []Run
	err = h.Each(ctx, func(runs []Run) error {
		found = append(found, runs...)
		return nil
	})
	return found, err
}
