package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/schema"
)

// lab is a place where many ranks join one planned run, each with a recorder of its own.
type lab struct {
	store *fakes
	spool *fakes
	run   schema.RunID
	dir   string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{store: &fakes{}, spool: &fakes{}, run: schema.NewRunID(time.Now()), dir: t.TempDir()}
	at := schema.At(time.Now())
	plan := schema.Document{Schema: schema.SchemaV1, Kind: schema.KindRun, ID: schema.DocumentID(l.run), Run: l.run, At: at, Reporter: schema.Reporter{Kind: "submitter"},
		Plan: &schema.Plan{Created: at, Recorder: "test", Job: &schema.JobSpec{Format: "kubernetes", Path: schema.Path{Typed: "job.yaml", Base: schema.BaseWorkDir}, TemplateDigest: schema.SHA256([]byte("t"))}}}
	l.store.reports = []schema.Report{{Documents: []schema.Document{plan}}}
	return l
}

// recorder runs exit as the command.
func (l *lab) recorder(exit func() (Exit, error)) *Recorder {
	return &Recorder{Launchers: map[string]Launcher{"local": &fakes{launch: func(LaunchRequest) (Exit, error) { return exit() }}}, Outputs: l.store, Saver: l.store, Fallback: l.spool,
		Environment: fixedEnvironment{}, NewLease: func(d time.Duration) schema.Lease { return schema.Lease{PID: 1, Interval: int(d / time.Second)} }, Host: "node", Now: time.Now,
		Warn: func(string, ...any) {}}
}

func (l *lab) request(environ ...string) JoinRequest {
	return JoinRequest{Run: l.run, Seat: process.SeatOf(environ, true), Command: []string{"train"}, WorkDir: l.dir, Environ: environ}
}

func (l *lab) documents() []schema.Document {
	var docs []schema.Document
	for _, r := range slices.Concat(l.store.reports, l.spool.reports) {
		docs = append(docs, r.Documents...)
	}
	return docs
}

func (l *lab) fold(t *testing.T) schema.Run {
	t.Helper()
	run, err := schema.Fold(l.documents())
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// fixedEnvironment is the same for every rank.
type fixedEnvironment struct{}

func (fixedEnvironment) ReadEnvironment(context.Context, EnvironmentRequest) (schema.Environment, error) {
	e := schema.Environment{OS: schema.OS{Name: "debian"}, Node: "n"}
	var err error
	e.ID, err = e.Identity()
	return e, err
}

func succeed() (Exit, error) { return Exit{}, nil }

// long outlasts the time after which the start of a command is reported alone.
func long() (Exit, error) {
	time.Sleep(3 * startAfter)
	return Exit{}, nil
}

func TestJoinReportsAShortCommandAtOnce(t *testing.T) {
	l := newLab(t)
	if _, err := l.recorder(succeed).Join(t.Context(), l.request("RANK=0", "WORLD_SIZE=1")); err != nil {
		t.Fatal(err)
	}
	if n := len(l.store.reports); n != 2 {
		t.Errorf("%d reports, want the plan and one more", n)
	}
	run := l.fold(t)
	if run.Status != schema.Succeeded || len(run.Environments) != 1 || len(run.Attempts) != 1 || run.Started.IsZero() || run.Fingerprint == "" {
		t.Errorf("%s, %d environments, attempts %v, started %v, fingerprint %q", run.Status, len(run.Environments), run.Attempts, run.Started, run.Fingerprint)
	}
}

func TestJoinSurvivesAStoreThatIsGone(t *testing.T) {
	gone := errors.New("no such server")
	for _, c := range []struct {
		name    string
		failing []int // saves, from 0
	}{{"at the start", []int{0}}, {"at the end", []int{1}}, {"always", []int{0, 1}}, {"never", nil}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			saves := -1
			l.store.saveErr = func(int) error {
				if saves++; slices.Contains(c.failing, saves) {
					return gone
				}
				return nil
			}
			result, err := l.recorder(func() (Exit, error) { _, _ = long(); return Exit{Code: 5}, nil }).Join(t.Context(), l.request("RANK=0"))
			if err != nil || result.Code != 5 {
				t.Fatalf("code %d, %v", result.Code, err)
			}
			run := l.fold(t)
			if run.Status != schema.Failed || *run.ExitCode != 5 || len(run.Environments) != 1 || len(l.spool.reports) != len(c.failing) || len(l.store.reports) != 3-len(c.failing) {
				t.Errorf("%s, %d environments, %d reports in the spool", run.Status, len(run.Environments), len(l.spool.reports))
			}
		})
	}
}

func TestJoinDoesNotWaitForAStoreThatHangs(t *testing.T) {
	l := newLab(t)
	r := l.recorder(long)
	r.StorePatience = startAfter
	r.Saver = hanging{}
	started := false
	r.Launchers["local"] = &fakes{launch: func(LaunchRequest) (Exit, error) { started = true; return long() }}
	if _, err := r.Join(t.Context(), l.request("RANK=0")); err != nil || !started {
		t.Fatalf("started %v, %v", started, err)
	}
	if run := l.fold(t); run.Status != schema.Succeeded || len(l.spool.reports) != 2 {
		t.Errorf("%s, %d reports in the spool", run.Status, len(l.spool.reports))
	}
	for _, d := range l.spool.reports[0].Documents {
		if d.Status != nil && d.Status.Lease.Interval >= int(SilentInterval/time.Second) {
			return
		}
	}
	t.Error("nobody renews the lease in the spool, and it does not say so")
}

// hanging takes no notice of its context, as a file system that does not answer.
type hanging struct{}

func (hanging) Save(context.Context, schema.Report) error { select {} }

func TestJoinSaysWhatNobodyTakes(t *testing.T) {
	l := newLab(t)
	full := errors.New("no space left on device")
	l.store.saveErr, l.spool.saveErr = func(int) error { return full }, func(int) error { return full }
	r := l.recorder(func() (Exit, error) { return Exit{Code: 9}, nil })
	var said strings.Builder
	r.Warn = func(format string, args ...any) { fmt.Fprintf(&said, format, args...) }
	if result, err := r.Join(t.Context(), l.request()); err != nil || result.Code != 9 {
		t.Fatalf("code %d, %v", result.Code, err)
	}
	if !strings.Contains(said.String(), "neither in the store") || !strings.Contains(said.String(), "no space left") {
		t.Errorf("said %q", said.String())
	}
}

// TestJoinTriesAgain: the disk was full when the command started and has room when it ends. What nobody took at the start is not lost.
func TestJoinTriesAgain(t *testing.T) {
	for _, c := range []struct {
		name                 string
		store, spool         bool // takes reports at the end
		spooled, warnedOfEnd int
	}{{"the store is back", true, false, 0, 0}, {"the spool is back", false, true, 2, 2}, {"neither", false, false, 0, 2}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			full := errors.New("no space left on device")
			var ended atomic.Bool
			until := func(back bool) func(int) error {
				return func(int) error {
					if ended.Load() && back {
						return nil
					}
					return full
				}
			}
			l.store.saveErr, l.spool.saveErr = until(c.store), until(c.spool)
			r := l.recorder(func() (Exit, error) { _, _ = long(); ended.Store(true); return Exit{}, nil })
			r.Environment = blobEnvironment{}
			var said []string
			r.Warn = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
			if _, err := r.Join(t.Context(), l.request("RANK=0")); err != nil {
				t.Fatal(err)
			}
			if len(said) != 1+c.warnedOfEnd || !strings.Contains(said[0], "tried again") {
				t.Errorf("said %q", said)
			}
			if !c.store && !c.spool {
				if !strings.Contains(said[len(said)-1], "lost") || len(l.store.reports) != 1 {
					t.Errorf("said %q; %d reports", said, len(l.store.reports))
				}
				return
			}
			run := l.fold(t)
			if run.Status != schema.Succeeded || len(run.Environments) != 1 || len(run.Attempts) != 1 || len(l.spool.reports) != c.spooled {
				t.Errorf("%s, %d environments, attempts %v, %d reports in the spool", run.Status, len(run.Environments), run.Attempts, len(l.spool.reports))
			}
			blobs := 0
			for _, report := range slices.Concat(l.store.reports, l.spool.reports) {
				blobs += len(report.Blobs)
			}
			if blobs != 1 {
				t.Errorf("%d blobs arrived", blobs)
			}
		})
	}
}

// blobEnvironment has a list of packages, which is a blob.
type blobEnvironment struct{ fixedEnvironment }

func (e blobEnvironment) ReadEnvironment(ctx context.Context, req EnvironmentRequest) (schema.Environment, error) {
	if _, err := req.Sink.PutBlob(ctx, schema.BlobPackages, strings.NewReader("torch==2.4")); err != nil {
		return schema.Environment{}, err
	}
	return e.fixedEnvironment.ReadEnvironment(ctx, req)
}

func TestJoinWithoutARunOnlyRuns(t *testing.T) {
	l := newLab(t)
	req := l.request()
	req.Run, req.Environ = "", []string{"A=1"}
	f := &fakes{}
	r := l.recorder(nil)
	r.Launchers["local"] = f
	if _, err := r.Join(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if len(l.store.reports) != 1 || !reflect.DeepEqual(f.launched[0].Env, req.Environ) {
		t.Errorf("%d reports, environment %v", len(l.store.reports), f.launched[0].Env)
	}
}

func TestJoinKeepsPinsOfItsOwnRun(t *testing.T) {
	l := newLab(t)
	for environ, kept := range map[string]bool{"RUNPIN_RUN_ID=" + string(l.run): true, "RUNPIN_RUN_ID=" + string(schema.NewRunID(time.Now())): false} {
		f := &fakes{}
		r := l.recorder(nil)
		r.Launchers["local"] = f
		if _, err := r.Join(t.Context(), l.request(environ, "RUNPIN_PIN_IMAGE_MAIN=x")); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(f.launched[0].Env, "RUNPIN_PIN_IMAGE_MAIN=x") != kept || !slices.Contains(f.launched[0].Env, "RUNPIN_RUN_ID="+string(l.run)) {
			t.Errorf("%s: %v", environ, f.launched[0].Env)
		}
	}
}

func TestJoinGivesOutputsToTheirRank(t *testing.T) {
	l := newLab(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for rank := range 3 {
		r := l.recorder(nil)
		var argv []string
		r.Launchers["local"] = &fakes{launch: func(req LaunchRequest) (Exit, error) {
			argv = req.Argv
			write("model.pt", fmt.Sprint("model of ", rank))
			write(fmt.Sprintf("shard-%d.pt", rank), fmt.Sprint("shard of ", rank))
			write("metrics.json", fmt.Sprintf(`{"loss": %d}`, rank))
			return Exit{}, nil
		}}
		req := l.request(fmt.Sprintf("RANK=%d", rank), "WORLD_SIZE=3")
		req.Command = []string{"train", "--out={model}", "{shard}", "{other}"}
		req.Outputs, req.Metrics = []OutputRef{{"model", "model.pt"}, {"shard", "shard-{rank}.pt"}}, "metrics.json"
		if _, err := r.Join(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if want := []string{"train", "--out=model.pt", fmt.Sprintf("shard-%d.pt", rank), "{other}"}; !slices.Equal(argv, want) {
			t.Errorf("rank %d was started as %q", rank, argv)
		}
	}
	run := l.fold(t)
	var got []string
	for _, o := range run.Outputs {
		rank := 0
		if o.Rank != nil {
			rank = *o.Rank
		}
		got = append(got, fmt.Sprintf("%s %s of %d", o.Name, o.URI, rank))
		if want := fmt.Sprintf("%s of %d", o.Name, rank); o.FileDigest != schema.SHA256([]byte(want)) {
			t.Errorf("%s of rank %d is not its own", o.Name, rank)
		}
	}
	slices.Sort(got)
	if want := []string{"model model.pt of 0", "shard shard-0.pt of 0", "shard shard-1.pt of 1", "shard shard-2.pt of 2"}; !slices.Equal(got, want) {
		t.Errorf("outputs %q", got)
	}
	if run.Metrics["loss"] != "0" {
		t.Errorf("metrics %v", run.Metrics)
	}
}

// Sixteen ranks, half of them tried twice, report at the same time; in whatever order and however often their documents arrive, the run is the same.
func TestReportsOfRanksFoldTheSameInEveryOrder(t *testing.T) {
	l := newLab(t)
	for restart := range 2 {
		var ranks sync.WaitGroup
		for rank := range 16 {
			ranks.Go(func() {
				exit := func() (Exit, error) {
					if restart == 0 && rank == 3 {
						return Exit{Code: 1}, nil
					}
					return Exit{}, nil
				}
				if _, err := l.recorder(exit).Join(context.Background(), l.request(fmt.Sprintf("SLURM_PROCID=%d", rank), "SLURM_JOB_ID=7", fmt.Sprintf("SLURM_RESTART_COUNT=%d", restart))); err != nil {
					t.Error(err)
				}
			})
		}
		ranks.Wait()
		if run := l.fold(t); restart == 0 && run.Status != schema.Failed {
			t.Errorf("after the first try the run is %s", run.Status)
		}
	}
	want := l.fold(t)
	if want.Status != schema.Succeeded || len(want.Attempts) != 32 || len(want.Environments) != 1 || len(want.Environments[0].Ranks) != 16 {
		t.Errorf("%s, %d attempts, %d environments", want.Status, len(want.Attempts), len(want.Environments))
	}
	expected, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	docs := l.documents()
	for range 20 {
		shuffled := slices.Concat(docs, docs[:rand.IntN(len(docs))])
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		run, err := schema.Fold(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(run); string(got) != string(expected) {
			t.Fatalf("another order gives another run:\n%s\n%s", got, expected)
		}
	}
}

func TestJoinStoppedBeforeTheCommandStarts(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := l.recorder(func() (Exit, error) { t.Error("the command was started"); return Exit{}, nil })
	if _, err := r.Join(ctx, l.request("RANK=0")); !schema.IsKind(err, schema.Interrupted) {
		t.Errorf("%v", err)
	}
	if run := l.fold(t); run.Status != schema.Failed || run.Why == "" {
		t.Errorf("%s, %q", run.Status, run.Why)
	}
}
