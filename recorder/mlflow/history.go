package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/runpin/runpin/schema"
)

// Run is one run as MLflow keeps it. Times are milliseconds since 1970, 0 where MLflow has none.
type Run struct {
	ID           string
	Name         string
	User         string
	ExperimentID string
	Experiment   string // name
	Status       string // RUNNING, SCHEDULED, FINISHED, FAILED, KILLED
	SourceName   string // of old versions; newer ones keep it in a tag
	Start, End   int64
	ArtifactURI  string
	Deleted      bool
	Params       map[string]string
	Metrics      map[string]Metric
	Tags         map[string]string
	Datasets     []Dataset
	// Problems are what could not be read; the rest of the run is as MLflow has it.
	Problems []schema.Reason
}

// Metric is the last value of a metric: the one of the greatest step, then time, then value, as in MLflow.
type Metric struct {
	Value     float64
	Step      int64
	Timestamp int64
}

// Dataset is a data set that a run named as its input. Source is JSON whose form depends on SourceType.
type Dataset struct {
	Name, Digest, SourceType, Source string
	Context                          string // training, validation, …; "" when the run does not say
}

// History is everything that one place holds.
type History interface {
	// Starts gives the start of every run by its id: what the identity of an imported run is derived from.
	Starts() map[string]int64
	// Each calls use with the runs, many at a time and each once, in the order of their start. What use returns stops it.
	Each(ctx context.Context, use func([]Run) error) error
	Close() error
}

// Options say which runs of a history are wanted.
type Options struct {
	_       struct{}
	Deleted bool // also those in MLflow's trash

	tagged schema.RunID // of a database: those alone that name this run
}

const (
	batchSize = 500
	// Bounds on what one run may hold. MLflow's own are lower for all but tags of old versions: keys of 250 characters, params of 6000, tags of 8000.
	maxKeys  = 20_000
	maxValue = 64 << 10
)

// runID is MLflow's own rule for ids of runs.
var runID = regexp.MustCompile(`^[a-zA-Z0-9][\w\-]{0,255}$`)

// Open finds out what path is, a directory (mlruns, or one that holds mlruns) or a database, and reads which runs it has.
func Open(ctx context.Context, path string, options Options) (History, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, invalid(path, "give the path of a directory mlruns, or of a file mlflow.db", "there is no such file or directory")
	case err != nil:
		return nil, &schema.Error{Op: "mlflow.open", Kind: schema.Unavailable, Subject: quote(path), Err: err}
	case !info.IsDir():
		return openDatabase(ctx, path, options)
	}
	for _, dir := range []string{path, filepath.Join(path, "mlruns")} {
		if history, err := openFiles(ctx, dir, options); err == nil || !errors.Is(err, errNoHistory) {
			return history, err
		}
	}
	if database := filepath.Join(path, "mlflow.db"); exists(database) {
		return openDatabase(ctx, database, options)
	}
	return nil, invalid(path, "a directory mlruns holds <experiment>/meta.yaml; a database is given by its file", "no history of MLflow lies there")
}

var errNoHistory = errors.New("no history of MLflow lies there")

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func quote(s string) string { return fmt.Sprintf("%q", schema.Shorten(s, 300)) }

func invalid(subject, hint, format string, args ...any) error {
	return &schema.Error{Op: "mlflow.open", Kind: schema.Invalid, Subject: quote(subject), Hint: hint, Err: fmt.Errorf(format, args...)}
}

func unreadable(what string, err error) schema.Reason {
	return schema.Reason{Code: "mlflow-unread", Subject: schema.Text(what), Text: err.Error()}
}
