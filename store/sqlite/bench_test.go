package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// BenchmarkSave is one report of a whole run for each operation, durable when it returns.
func BenchmarkSave(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "s.db"), store.Options{})
	warm(b, s)
	reports := typicalReports(b.N)
	b.ResetTimer()
	for _, r := range reports {
		if err := s.Save(ctx, r); err != nil {
			b.Fatal(err)
		}
	}
}

func warm(b *testing.B, s *store.Store) {
	b.Helper()
	if err := storetest.Generate(ctx, s, 0, 2000, nil); err != nil {
		b.Fatal(err)
	}
}

func typicalReports(n int) []schema.Report {
	out := make([]schema.Report, n)
	for i := range out {
		_, started, ended := storetest.Typical(2000 + i)
		out[i] = storetest.Report(append(started, ended...)...)
	}
	return out
}

// BenchmarkSaveRaw writes the very rows that BenchmarkSave writes, with database/sql, prepared statements and the same settings: what the database
// itself takes. The rows are read out of a store that has saved the same reports.
func BenchmarkSaveRaw(b *testing.B) {
	dir := b.TempDir()
	model := open(b, filepath.Join(dir, "model.db"), store.Options{})
	warm(b, model)
	target := filepath.Join(dir, "raw.db")
	if err := model.Backup(ctx, target); err != nil {
		b.Fatal(err)
	}
	reports := typicalReports(b.N)
	// Saving in one transaction gives the same rows, sooner.
	for len(reports) > 0 {
		some := reports[:min(len(reports), 500)]
		reports = reports[len(some):]
		var all schema.Report
		for _, r := range some {
			all.Documents = append(all.Documents, r.Documents...)
		}
		if err := model.Save(ctx, all); err != nil {
			b.Fatal(err)
		}
	}
	runs := readRows(b, raw(b, filepath.Join(dir, "model.db")), b.N)
	setUp()
	db, err := sql.Open("sqlite", dsn(target, append(pragmas("busy_timeout", "30000", "foreign_keys", "1", "cache_size", "-16384"), pragmas("journal_mode", "wal", "synchronous", "full", "secure_delete", "1")...), "_txlock=immediate"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	stmts := map[string]*sql.Stmt{}
	for table, n := range rawTables {
		values := ""
		for i := range n {
			values += fmt.Sprintf(", $%d", i+1)
		}
		if stmts[table], err = conn.PrepareContext(ctx, "INSERT INTO "+table+" VALUES ("+values[2:]+")"); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for _, run := range runs {
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			b.Fatal(err)
		}
		for _, row := range run {
			if _, err := stmts[row.table].Exec(row.values...); err != nil {
				b.Fatal(row.table, err)
			}
		}
		if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
			b.Fatal(err)
		}
	}
}

// rawTables are the tables that saving writes to, and their numbers of columns.
var rawTables = map[string]int{"documents": 9, "runs": 9, "facts": 2, "measures": 5, "terms": 4}

type rawRow struct {
	table  string
	values []any
}

// readRows gives the rows of the last n runs, by run.
func readRows(b *testing.B, db *sql.DB, n int) [][]rawRow {
	b.Helper()
	out := make([][]rawRow, 0, n)
	byKey := map[int64]int{}
	seen := map[int64]bool{}
	query := func(table, q string, use func(values []any), args ...any) {
		rows, err := db.Query(q, args...)
		if err != nil {
			b.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			values := make([]any, rawTables[table])
			dest := make([]any, len(values))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				b.Fatal(err)
			}
			use(values)
		}
	}
	var known int64
	if err := db.QueryRow("SELECT count(*) FROM runs").Scan(&known); err != nil {
		b.Fatal(err)
	}
	query("runs", "SELECT * FROM runs ORDER BY n LIMIT -1 OFFSET $1", func(v []any) {
		byKey[v[0].(int64)] = len(out)
		out = append(out, []rawRow{{"runs", v}})
	}, known-int64(n))
	for i := range out {
		query("documents", "SELECT * FROM documents WHERE run = $1 ORDER BY id", func(v []any) { out[i] = append(out[i], rawRow{"documents", v}) }, out[i][0].values[1])
	}
	query("measures", "SELECT * FROM measures ORDER BY n", func(v []any) {
		if at, ok := byKey[v[0].(int64)]; ok {
			out[at] = append(out[at], rawRow{"measures", v})
		}
	})
	terms := map[int64][]any{}
	query("terms", "SELECT * FROM terms", func(v []any) { terms[v[0].(int64)] = v })
	query("facts", "SELECT * FROM facts ORDER BY n", func(v []any) {
		at, ok := byKey[v[1].(int64)]
		if !ok {
			seen[v[0].(int64)] = true // the target has the term from an earlier run
			return
		}
		if !seen[v[0].(int64)] {
			seen[v[0].(int64)] = true
			out[at] = append(out[at], rawRow{"terms", terms[v[0].(int64)]})
		}
		out[at] = append(out[at], rawRow{"facts", v})
	})
	return out
}

// many opens a store of RUNPIN_BENCH_RUNS runs (20000), which is made once and kept in the temporary directory.
func many(b *testing.B) (*store.Store, int) {
	b.Helper()
	n := 20_000
	if text := os.Getenv("RUNPIN_BENCH_RUNS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("runpin-bench-v3-%d.db", n))
	s := open(b, path, store.Options{})
	stats, err := s.List(ctx, store.Filter{Params: []string{fmt.Sprint("seed=", n-1)}})
	if err != nil {
		b.Fatal(err)
	}
	if len(stats) == 0 {
		s.Close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(path + suffix)
		}
		if s, err = store.Open(ctx, bulkDialect{}, path, store.Options{}); err != nil {
			b.Fatal(err)
		}
		if err := storetest.Generate(ctx, s, 0, n, nil); err != nil {
			b.Fatal(err)
		}
		s.Close()
		s = open(b, path, store.Options{})
	}
	return s, n
}

// bulkDialect fills a store that may be lost when the machine fails meanwhile.
type bulkDialect struct{ Dialect }

func (d bulkDialect) Open(ctx context.Context, path string, o store.OpenOptions) (store.Pools, error) {
	pools, err := d.Dialect.Open(ctx, path, o)
	for _, setting := range []string{"synchronous = off", "cache_size = -1500000", "wal_autocheckpoint = 50000", "secure_delete = 0"} {
		if err == nil {
			_, err = pools.Write.Exec("PRAGMA " + setting)
		}
	}
	return pools, err
}

// BenchmarkLookup finds runs among many.
func BenchmarkLookup(b *testing.B) {
	s, n := many(b)
	latest, err := s.Find(ctx, "latest", store.Scope{})
	if err != nil {
		b.Fatal(err)
	}
	a, _, _ := storetest.Typical(n / 2)
	middle, err := s.List(ctx, store.Filter{Params: []string{fmt.Sprint("seed=", n/2)}})
	if err != nil || len(middle) != 1 {
		b.Fatal(len(middle), err)
	}
	b.Run("run", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Run(ctx, middle[0].ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, query := range []string{"latest", "latest~100", string(latest[18:]), string(latest[:20])} {
		b.Run("find/"+map[bool]string{true: query, false: "fragment"}[query[0] == 'l'], func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Find(ctx, query, store.Scope{User: "user-7", Project: "project-7"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	const limit = 20
	for _, c := range []struct {
		name string
		f    store.Filter
	}{
		{"all", store.Filter{}},
		{"image", store.Filter{Image: string(a.Plan.Images[0].IndexDigest)}},
		{"image-prefix", store.Filter{Image: string(a.Plan.Images[0].ConfigDigest[:19])}},
		{"repository", store.Filter{Image: a.Plan.Images[0].Repository}},
		{"commit", store.Filter{Commit: string(a.Plan.Code[0].Commit[:10])}},
		{"dataset-digest", store.Filter{Dataset: string(a.Plan.Datasets[0].ContentDigest)}},
		{"dataset-name", store.Filter{Dataset: "train"}},
		{"param", store.Filter{Params: []string{"model=vit"}}},
		{"param-unique", store.Filter{Params: []string{fmt.Sprint("seed=", n/2)}}},
		{"two-params", store.Filter{Params: []string{"model=vit", "batch=64"}}},
		{"label", store.Filter{Labels: []string{fmt.Sprint("sweep=", n/200)}}},
		{"label-any", store.Filter{Labels: []string{"sweep"}}},
		{"metric-few", store.Filter{Metrics: []string{"loss<0.0001"}}},
		{"metric-many", store.Filter{Metrics: []string{"loss<0.9"}}},
		{"user", store.Filter{User: "user-7"}},
		{"status", store.Filter{Status: schema.Succeeded}},
		{"none", store.Filter{Image: string(storetest.Digest("none"))}},
		{"output", store.Filter{Output: string(middle[0].Outputs[0].FileDigest)}},
		{"fingerprint", store.Filter{SameAs: middle[0].Fingerprint}},
		{"sort-started", store.Filter{Sort: "started"}},
		{"sort-metric", store.Filter{Sort: "metric:loss"}},
		{"sort-param-in-label", store.Filter{Sort: "param:lr", Labels: []string{fmt.Sprint("sweep=", n/200)}}},
	} {
		b.Run("list/"+c.name, func(b *testing.B) {
			c.f.Limit = limit
			found := 0
			for b.Loop() {
				runs, err := s.List(context.Background(), c.f)
				if err != nil {
					b.Fatal(err)
				}
				found = len(runs)
			}
			b.ReportMetric(float64(found), "runs")
		})
	}
}

// BenchmarkOpenSaveClose is what one recorder does to a store that exists: the whole cost of a store in a short process.
func BenchmarkOpenSaveClose(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.db")
	warm(b, open(b, path, store.Options{}))
	reports := typicalReports(b.N)
	b.ResetTimer()
	for _, r := range reports {
		s, err := Open(ctx, path, store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Save(ctx, r); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkOpenListClose is what `runpin list` does.
func BenchmarkOpenListClose(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.db")
	warm(b, open(b, path, store.Options{}))
	for b.Loop() {
		s, err := Open(ctx, path, store.Options{ReadOnly: true})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.List(ctx, store.Filter{Limit: 20}); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
