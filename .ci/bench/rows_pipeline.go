package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the raw inserts

	"github.com/runpin/runpin/schema"
	storehttp "github.com/runpin/runpin/store/http"
	"github.com/runpin/runpin/store/storetest"
)

const ranks = 64

// joinRow is what a rank pays for joining: the environment of its node, its attempt, and two immutable files in a spool.
func joinRow(ctx context.Context, b *bench) error {
	// The run need not be there: the spool is folded in by whoever has the store.
	join := b.runpin(b.dir, "record", "--join", "--", "true")
	join.env = append(join.env, "RUNPIN_STORE=spool:"+filepath.Join(b.dir, "join-spool"), "RUNPIN_RUN_ID="+string(schema.NewRunID(time.Now())), "RANK=3")
	times, err := medians(ctx, 3*b.runs, join.timing(ctx), command{argv: []string{"true"}}.timing(ctx))
	if err != nil {
		return err
	}
	more := times[0] - times[1]
	b.add(result{row: "record --join -- true, into a spool", ours: millis(times[0]), peer: "true " + millis(times[1]), ratio: "+ " + millis(more),
		bar: "≤ + 30 ms", verdict: verdict(more <= 30*time.Millisecond)})
	return nil
}

// serveRow has 64 ranks report to one server over SQLite, and MLflow's server log as many runs beside it.
func serveRow(ctx context.Context, b *bench) error {
	db := filepath.Join(b.dir, "serve.db")
	took, reports, err := b.serveReports(ctx, db, b.size(20_000, 4_000))
	if err != nil {
		return err
	}
	perSecond := float64(reports) / took.Seconds()
	raw, err := rawInserts(ctx, db, filepath.Join(b.dir, "serve-raw.db"), reports)
	if err != nil {
		return err
	}
	rawPerSecond := float64(reports) / raw.Seconds()
	b.add(result{row: fmt.Sprintf("%d ranks report through serve into SQLite", ranks), ours: fmt.Sprintf("%.0f reports/s", perSecond), peer: fmt.Sprintf("raw inserts, one transaction each, %.0f/s", rawPerSecond),
		ratio: fmt.Sprintf("%.2f ×", perSecond/rawPerSecond), bar: "≥ 1000/s, or 0.5 × raw", verdict: verdict(perSecond >= 1000 || perSecond >= rawPerSecond/2)})

	runs := b.size(400, 100) // MLflow takes a tenth of a second for each
	ours, err := b.serveRuns(ctx, filepath.Join(b.dir, "serve-runs.db"), runs)
	if err != nil {
		return err
	}
	row, text := "the same runs, logged through a server", fmt.Sprintf("%.0f runs/s", float64(runs)/ours.Seconds())
	mlflow := venvProgram("mlflow")
	if mlflow == "" {
		b.add(result{row: row, ours: text, peer: "mlflow server", bar: noBar, verdict: absent + ": .ci/parts installs mlflow"})
		return nil
	}
	theirs, err := b.mlflowRuns(ctx, mlflow, runs)
	if err != nil {
		return fmt.Errorf("mlflow server: %w", err)
	}
	b.add(result{row: row, ours: text, peer: fmt.Sprintf("mlflow server over SQLite %.0f runs/s", float64(runs)/theirs.Seconds()),
		ratio: fmt.Sprintf("%.1f × faster", float64(theirs)/float64(ours)), bar: noBar, verdict: noBar})
	return nil
}

// serving starts a server over a store and gives a client of it.
func (b *bench) serving(ctx context.Context, store string) (client *storehttp.Client, stop func(), err error) {
	addr, err := loopback()
	if err != nil {
		return nil, nil, err
	}
	c := b.runpin(b.dir, "serve", "--listen", addr, "--store", store)
	stop, err = background(ctx, c, "http://"+addr+"/")
	if err != nil {
		return nil, nil, err
	}
	client, err = storehttp.Open("http://"+addr, storehttp.ClientOptions{})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return client, stop, nil
}

// rankReport is what one rank says at the end of one try: its node, its attempt, a metric and its exit code.
func rankReport(run schema.RunID, rank, try int) schema.Report {
	now, code := time.Now(), 0
	reporter := schema.Reporter{Kind: "joiner", Rank: &rank, Host: fmt.Sprintf("node%d", rank/8), Attempt: try}
	event := func(kind schema.DocumentKind) schema.Document {
		return schema.Document{Schema: schema.SchemaV1, Kind: kind, ID: schema.NewDocumentID(now), Run: run, At: schema.At(now), Reporter: reporter}
	}
	seen, output, ended := event(schema.KindObservation), event(schema.KindOutput), event(schema.KindStatus)
	seen.Observation = &schema.Observation{Node: &schema.Node{Name: reporter.Host, Environment: storetest.Digest("environment")},
		Attempt: &schema.Attempt{Number: try, Rank: &rank, Node: reporter.Host, Started: schema.At(now), Finished: schema.At(now), ExitCode: &code}}
	output.Output = &schema.OutputEvent{Metrics: map[string]schema.Text{"loss": schema.Text(fmt.Sprintf("0.%d", rank*1000+try))}}
	ended.Status = &schema.StatusChange{To: schema.Succeeded, ExitCode: &code}
	return schema.Report{Documents: []schema.Document{seen, output, ended}}
}

// serveReports has the ranks of as many runs as are needed report, all at once, until n reports are stored.
func (b *bench) serveReports(ctx context.Context, store string, n int) (took time.Duration, reports int, err error) {
	client, stop, err := b.serving(ctx, store)
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	n = n / ranks * ranks
	var runs []schema.RunID
	for i := range n / ranks {
		_, started, _ := storetest.Typical(i)
		if err := client.Save(ctx, schema.Report{Documents: started}); err != nil {
			return 0, 0, err
		}
		runs = append(runs, started[0].Run)
	}
	took, err = together(n, func(i int) error { return client.Save(ctx, rankReport(runs[i/ranks], i%ranks, 1)) })
	return took, n, err
}

// serveRuns logs runs as MLflow's clients do: one report when the run begins, one when it ends.
func (b *bench) serveRuns(ctx context.Context, store string, n int) (time.Duration, error) {
	client, stop, err := b.serving(ctx, store)
	if err != nil {
		return 0, err
	}
	defer stop()
	return together(n, func(i int) error {
		_, started, ended := storetest.Typical(i)
		if err := client.Save(ctx, schema.Report{Documents: started}); err != nil {
			return err
		}
		return client.Save(ctx, schema.Report{Documents: ended})
	})
}

// together calls f for 0 to n (without) from 64 sides at once and gives the first error.
func together(n int, f func(i int) error) (time.Duration, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, ranks)
	from := time.Now()
	for range ranks {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(from)
	select {
	case err := <-failed:
		return 0, err
	default:
		return took, nil
	}
}

// rawInserts writes the rows of a store's tables into a copy of its empty self: as many durable transactions as there were reports, the rows in their order.
func rawInserts(ctx context.Context, from, to string, transactions int) (took time.Duration, err error) {
	settings := "?_txlock=immediate&_pragma=busy_timeout(30000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(0)&_pragma=cache_size(-16384)"
	src, err := sql.Open("sqlite", "file:"+from+settings)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	dst, err := sql.Open("sqlite", "file:"+to+settings)
	if err != nil {
		return 0, err
	}
	defer dst.Close()
	dst.SetMaxOpenConns(1)
	schemas, err := src.QueryContext(ctx, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC, rowid") // tables before indexes
	if err != nil {
		return 0, err
	}
	defer schemas.Close()
	for schemas.Next() {
		var statement string
		if err := schemas.Scan(&statement); err != nil {
			return 0, err
		}
		if _, err := dst.ExecContext(ctx, statement); err != nil {
			return 0, err
		}
	}
	if err := schemas.Err(); err != nil {
		return 0, err
	}
	type table struct {
		insert string
		rows   [][]any
		done   int
	}
	var tables []*table
	for _, name := range []string{"documents", "runs", "terms", "facts", "measures"} {
		rows, err := src.QueryContext(ctx, "SELECT * FROM "+name)
		if err != nil {
			return 0, err
		}
		columns, err := rows.Columns()
		if err != nil {
			return 0, err
		}
		t := &table{insert: "INSERT INTO " + name + " VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"}
		for rows.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				return 0, err
			}
			t.rows = append(t.rows, values)
		}
		if err := rows.Err(); err != nil {
			return 0, err
		}
		tables = append(tables, t)
	}
	begin := time.Now()
	for i := range transactions {
		tx, err := dst.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for _, t := range tables {
			for until := len(t.rows) * (i + 1) / transactions; t.done < until; t.done++ {
				if _, err := tx.ExecContext(ctx, t.insert, t.rows[t.done]...); err != nil {
					return 0, err
				}
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// mlflowRuns logs the runs that serveRuns logs with the three requests that MLflow's client makes for a run with params, tags and metrics.
func (b *bench) mlflowRuns(ctx context.Context, mlflow string, n int) (time.Duration, error) {
	addr, err := loopback()
	if err != nil {
		return 0, err
	}
	host, port, _ := strings.Cut(addr, ":")
	dir := filepath.Join(b.dir, "mlflow")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	c := command{argv: []string{mlflow, "server", "--host", host, "--port", port, "--backend-store-uri", "sqlite:///" + filepath.Join(dir, "mlflow.db"),
		"--artifacts-destination", filepath.Join(dir, "artifacts")}, dir: dir, env: []string{"MLFLOW_DISABLE_TELEMETRY=true"}}
	stop, err := background(ctx, c, "http://"+addr+"/version")
	if err != nil {
		return 0, err
	}
	defer stop()
	api := mlflowClient{base: "http://" + addr + "/api/2.0/mlflow/", http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: ranks}, Timeout: 2 * time.Minute}}
	return together(n, func(i int) error { return api.log(ctx, i) })
}

func loopback() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// background starts a command that serves, and waits until it answers at url.
func background(ctx context.Context, c command, url string) (stop func(), err error) {
	log, err := os.CreateTemp("", "runpin-bench-log")
	if err != nil {
		return nil, err
	}
	defer os.Remove(log.Name())
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, append(os.Environ(), c.env...), log, log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); log.Close(); close(exited) }()
	stop = func() { endGroup(cmd, exited) }
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-exited:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("%s exited: %s", filepath.Base(c.argv[0]), firstLine(string(text)))
		case <-ctx.Done():
			stop()
			return nil, ctx.Err()
		default:
		}
		if resp, err := http.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("%s did not answer within two minutes", filepath.Base(c.argv[0]))
}
