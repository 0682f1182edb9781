package mlflow

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	_ "modernc.org/sqlite" // the driver

	"github.com/runpin/runpin/schema"
)

// database is mlflow.db. Columns are chosen by name, and what an older schema lacks is left out: MLflow changes its schema with almost every release, and the
// tables that are read here have only ever gained columns.
type database struct {
	db      *sql.DB
	path    string
	columns map[string]map[string]bool // by table
	runs    []Run                      // the heads, by start
	starts  map[string]int64
}

const sqliteMagic = "SQLite format 3\x00"

// openSQLite opens a database of others: read only, and without letting its schema (views, triggers) call anything.
func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, &schema.Error{Op: "mlflow.open", Kind: schema.Unavailable, Subject: quote(path), Err: err}
	}
	head := make([]byte, len(sqliteMagic))
	_, err = io.ReadFull(file, head)
	_ = file.Close()
	if err != nil || string(head) != sqliteMagic {
		return nil, invalid(path, "give a directory mlruns, or the file of an SQLite database (mlflow.db)", "it is not an SQLite database")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	abs = filepath.ToSlash(abs)
	if runtime.GOOS == "windows" {
		abs = "/" + abs
	}
	parts := strings.Split(abs, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	db, err := sql.Open("sqlite", "file:"+strings.Join(parts, "/")+"?mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)&_pragma=trusted_schema(0)")
	if err != nil {
		return nil, &schema.Error{Op: "mlflow.open", Kind: schema.Internal, Subject: quote(path), Err: err}
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, &schema.Error{Op: "mlflow.open", Kind: schema.Unavailable, Subject: quote(path), Err: err}
	}
	return db, nil
}

func openDatabase(ctx context.Context, path string, options Options) (History, error) {
	db, err := openSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	d := &database{db: db, path: path, columns: map[string]map[string]bool{}, starts: map[string]int64{}}
	if err := d.open(ctx, options); err != nil {
		_ = db.Close()
		return nil, err
	}
	return d, nil
}

func (d *database) open(ctx context.Context, options Options) error {
	for _, table := range []string{"runs", "experiments", "params", "tags", "latest_metrics", "datasets", "inputs", "input_tags"} {
		d.columns[table] = map[string]bool{}
		err := d.each(ctx, "SELECT name FROM pragma_table_info($1)", []any{table}, func(c []string) { d.columns[table][c[0]] = true })
		if err != nil {
			return err
		}
	}
	if !d.columns["runs"]["run_uuid"] || !d.columns["experiments"]["experiment_id"] {
		return invalid(d.path, "give MLflow's own database", "it has no tables runs and experiments of MLflow")
	}
	experiments := map[string]string{}
	if err := d.each(ctx, d.query("experiments", "", "experiment_id", "name"), nil, func(c []string) { experiments[c[0]] = c[1] }); err != nil {
		return err
	}
	where, args := "", []any(nil)
	if options.tagged != "" {
		if len(d.columns["tags"]) == 0 {
			return nil
		}
		where, args = "WHERE run_uuid IN (SELECT run_uuid FROM tags WHERE key = '"+TagRunID+"' AND value = $1)", []any{string(options.tagged)}
	}
	err := d.each(ctx, d.query("runs", where, "run_uuid", "name", "user_id", "experiment_id", "status", "start_time", "end_time", "artifact_uri", "lifecycle_stage", "source_name"), args,
		func(c []string) {
			r := Run{ID: c[0], Name: c[1], User: c[2], ExperimentID: c[3], Experiment: experiments[c[3]], Status: c[4], Start: millis(c[5]), End: millis(c[6]),
				ArtifactURI: c[7], Deleted: c[8] == "deleted", SourceName: c[9]}
			if runID.MatchString(r.ID) && (!r.Deleted || options.Deleted) {
				d.runs = append(d.runs, r)
			}
		})
	slices.SortStableFunc(d.runs, func(a, b Run) int { return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID)) })
	for _, r := range d.runs {
		d.starts[r.ID] = r.Start
	}
	return err
}

// query selects columns by name, as texts of bounded length; one that the table lacks is "".
func (d *database) query(table, where string, columns ...string) string {
	if len(d.columns[table]) == 0 {
		return ""
	}
	return "SELECT " + d.selected(table, "", columns...) + " FROM " + table + " " + where
}

func (d *database) selected(table, alias string, columns ...string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = "''"
		switch {
		case !d.columns[table][c]:
		case table == "latest_metrics" && c == "value": // a cast would round to 15 digits
			list[i] = fmt.Sprintf("CASE typeof(%[1]s) WHEN 'real' THEN printf('%%!.17g', %[1]s) WHEN 'integer' THEN CAST(%[1]s AS TEXT) ELSE 'none' END", alias+c)
		default:
			list[i] = fmt.Sprintf("COALESCE(substr(CAST(%s%s AS TEXT), 1, %d), '')", alias, c, maxValue+1)
		}
	}
	return strings.Join(list, ", ")
}

// each calls use with every row, as texts. A query of a table that is not there has no rows.
func (d *database) each(ctx context.Context, query string, args []any, use func([]string)) error {
	if query == "" {
		return nil
	}
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return d.fail(ctx, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return d.fail(ctx, err)
	}
	row, into := make([]string, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return d.fail(ctx, err)
		}
		use(row)
	}
	if err := rows.Err(); err != nil {
		return d.fail(ctx, err)
	}
	return nil
}

func (d *database) fail(ctx context.Context, err error) error {
	kind := schema.Unavailable
	if ctx.Err() != nil {
		kind = schema.Interrupted
	}
	return &schema.Error{Op: "mlflow.read", Kind: kind, Subject: quote(d.path), Err: err, Hint: "if it is damaged, `sqlite3 FILE .recover` may help"}
}

func (d *database) Starts() map[string]int64 { return d.starts }

func (d *database) Close() error { return d.db.Close() }

func (d *database) Each(ctx context.Context, use func([]Run) error) error {
	for part := range slices.Chunk(d.runs, batchSize) {
		batch := slices.Clone(part)
		if err := d.fill(ctx, batch); err != nil {
			return err
		}
		if err := use(batch); err != nil {
			return err
		}
	}
	return nil
}

// fill reads what belongs to the runs of a batch.
func (d *database) fill(ctx context.Context, batch []Run) error {
	byID := make(map[string]*Run, len(batch))
	marks, ids := make([]string, len(batch)), make([]any, len(batch))
	for i := range batch {
		r := &batch[i]
		r.Params, r.Metrics, r.Tags = map[string]string{}, map[string]Metric{}, map[string]string{}
		byID[r.ID] = r
		marks[i], ids[i] = fmt.Sprintf("$%d", i+1), r.ID
	}
	in := "IN (" + strings.Join(marks, ", ") + ")"
	texts := func(kind string, into func(*Run) map[string]string) func([]string) {
		return func(c []string) {
			if r := byID[c[0]]; r != nil && r.takes(kind, c[1], c[2], len(into(r))) {
				into(r)[c[1]] = c[2]
			}
		}
	}
	if err := d.each(ctx, d.query("params", "WHERE run_uuid "+in, "run_uuid", "key", "value"), ids, texts("params", func(r *Run) map[string]string { return r.Params })); err != nil {
		return err
	}
	if err := d.each(ctx, d.query("tags", "WHERE run_uuid "+in, "run_uuid", "key", "value"), ids, texts("tags", func(r *Run) map[string]string { return r.Tags })); err != nil {
		return err
	}
	err := d.each(ctx, d.query("latest_metrics", "WHERE run_uuid "+in, "run_uuid", "key", "value", "timestamp", "step", "is_nan"), ids, func(c []string) {
		r := byID[c[0]]
		if r == nil || !r.takes("metrics", c[1], "", len(r.Metrics)) {
			return
		}
		if c[5] == "1" {
			c[2] = "nan"
		}
		m, err := metricLine(c[3] + " " + c[2] + " " + c[4])
		if err != nil {
			r.Problems = append(r.Problems, unreadable("metrics/"+c[1], err))
			return
		}
		r.Metrics[c[1]] = m
	})
	if err != nil || len(d.columns["inputs"]) == 0 || len(d.columns["datasets"]) == 0 {
		return err
	}
	contexts := "''"
	if len(d.columns["input_tags"]) > 0 {
		contexts = "COALESCE((SELECT substr(value, 1, 500) FROM input_tags t WHERE t.input_uuid = i.input_uuid AND t.name = '" + contextTag + "'), '')"
	}
	// Rows of other kinds lie in inputs too: the outputs of runs as inputs of models.
	return d.each(ctx, "SELECT i.destination_id, "+d.selected("datasets", "d.", "name", "digest", "dataset_source_type", "dataset_source")+", "+contexts+
		" FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id "+in+
		" ORDER BY i.destination_id, d.name, d.digest, i.input_uuid", ids, func(c []string) {
		if r := byID[c[0]]; r != nil && len(r.Datasets) < maxDatasets {
			r.Datasets = append(r.Datasets, Dataset{Name: c[1], Digest: c[2], SourceType: c[3], Source: c[4], Context: c[5]})
		}
	})
}

// takes reports whether a key and its value are within bounds, and notes it where they are not.
func (r *Run) takes(kind, key, value string, have int) bool {
	why := ""
	switch {
	case have >= maxKeys:
		why = fmt.Sprintf("there are more than %d", maxKeys)
	case len(value) > maxValue:
		why = fmt.Sprintf("it is larger than %d bytes", maxValue)
	case !utf8.ValidString(key):
		why = "its name is not UTF-8"
	default:
		return true
	}
	if len(r.Problems) < 20 {
		r.Problems = append(r.Problems, unreadable(kind+"/"+schema.Shorten(strings.ToValidUTF8(key, "?"), 250), fmt.Errorf("%s", why)))
	}
	return false
}
