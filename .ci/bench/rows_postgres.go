package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store/postgres/postgrestest"
)

// postgresRow has 64 ranks report to one server over PostgreSQL, which runs on the same machine, and writes rows of the same documents beside it.
func postgresRow(ctx context.Context, b *bench) error {
	location, drop, err := postgrestest.New()
	row := fmt.Sprintf("%d ranks report through serve into PostgreSQL", ranks)
	if err != nil {
		b.add(result{row: row, verdict: absent + ": .ci/parts installs postgres: " + firstLine(err.Error())})
		return nil
	}
	defer postgrestest.Stop()
	defer func() { _ = drop() }()
	took, reports, err := b.serveReports(ctx, location, b.size(20_000, 4_000))
	if err != nil {
		return err
	}
	perSecond := float64(reports) / took.Seconds()
	raw, err := rawPostgres(ctx, reports)
	if err != nil {
		return err
	}
	rawPerSecond := float64(reports) / raw.Seconds()
	b.add(result{row: row, ours: fmt.Sprintf("%.0f reports/s", perSecond), peer: fmt.Sprintf("raw inserts of the documents, one transaction each, %.0f/s", rawPerSecond),
		ratio: fmt.Sprintf("%.2f ×", perSecond/rawPerSecond), bar: "≥ 5000/s, or 0.5 × raw", verdict: verdict(perSecond >= 5000 || perSecond >= rawPerSecond/2)})
	return nil
}

// rawPostgres writes the documents of as many reports, without any index but that of their ids, one transaction for each report.
func rawPostgres(ctx context.Context, reports int) (time.Duration, error) {
	location, drop, err := postgrestest.New()
	if err != nil {
		return 0, err
	}
	defer func() { _ = drop() }()
	db, err := postgrestest.Connect(location)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE documents (id TEXT PRIMARY KEY, run TEXT, kind TEXT, at TEXT, sha256 BYTEA, bytes BYTEA)"); err != nil {
		return 0, err
	}
	run := schema.NewRunID(time.Now())
	all := make([]schema.Report, reports)
	for i := range all {
		all[i] = rankReport(run, i%ranks, 1+i/ranks)
	}
	from := time.Now()
	for _, report := range all {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for _, d := range report.Documents {
			text, err := d.Encode()
			if err != nil {
				return 0, err
			}
			sum := []byte(strings.TrimPrefix(string(schema.SHA256(text)), "sha256:"))
			if _, err := tx.ExecContext(ctx, "INSERT INTO documents VALUES ($1, $2, $3, $4, $5, $6)", string(d.ID), string(d.Run), string(d.Kind), d.At.String(), sum, text); err != nil {
				return 0, err
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return time.Since(from), nil
}
