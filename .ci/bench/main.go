// Bench prints the quality bars of DESIGN §8, each beside the peers that are installed: go run ./.ci/bench BINARY
//
// Every row appears. One that misses its bar says MISS; one whose peer is not installed says which program is absent; one that could not be
// measured says why. Settings: BENCH_QUICK=1 for small fixtures, BENCH_ROWS=regexp to choose rows, BENCH_RUNS=n runs of each command,
// BENCH_STORE=n runs in the store of the look-ups (a million takes a quarter of an hour to write),
// BENCH_DIR=dir for the fixtures (a temporary directory, removed at the end, by default), BENCH_STRICT=1 to exit 1 on a miss.
//
// Start reading at rows (what is measured), then measure.go (how), fixtures.go (on what).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// result is one line of the table.
type result struct {
	row, ours, peer, ratio, bar, verdict string
}

const (
	hit    = "hit"
	miss   = "MISS"
	noBar  = "-"
	absent = "absent"
)

// row is one group of lines; run reports them through b.add.
type row struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var rows = []row{
	{"size", sizeRow},
	{"start", startRow},
	{"record", recordRow},
	{"rerun", rerunRow},
	{"check", checkRow},
	{"pin", pinRow},
	{"pin-locked", pinLockedRow},
	{"git-9k", func(ctx context.Context, b *bench) error { return gitRow(ctx, b, b.size(9_000, 2_000)) }},
	{"git-100k", func(ctx context.Context, b *bench) error { return gitRow(ctx, b, b.size(100_000, 5_000)) }},
	{"dataset-small", smallFilesRow},
	{"dataset-large", largeFilesRow},
	{"processes", processesRow},
	{"join", joinRow},
	{"serve", serveRow},
	{"postgres", postgresRow},
	{"import", importRow},
	{"in-process", inProcessRow},
	{"many-runs", manyRunsRow}, // after in-process, whose store it uses
}

type bench struct {
	binary  string
	dir     string // fixtures, and everything that runpin writes
	quick   bool
	runs    int
	results []result
	current string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	missed, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || missed && os.Getenv("BENCH_STRICT") == "1" {
		os.Exit(1)
	}
}

func run(ctx context.Context) (missed bool, err error) {
	if len(os.Args) != 2 {
		return false, fmt.Errorf("usage: go run ./.ci/bench BINARY")
	}
	binary, err := filepath.Abs(os.Args[1])
	if err != nil {
		return false, err
	}
	chosen, err := regexp.Compile(os.Getenv("BENCH_ROWS"))
	if err != nil {
		return false, fmt.Errorf("BENCH_ROWS: %w", err)
	}
	b := &bench{binary: binary, quick: os.Getenv("BENCH_QUICK") == "1", runs: 10, dir: os.Getenv("BENCH_DIR")}
	if b.quick {
		b.runs = 5
	}
	if n, err := strconv.Atoi(os.Getenv("BENCH_RUNS")); err == nil && n > 0 {
		b.runs = n
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "runpin-bench"); err != nil {
			return false, err
		}
		defer os.RemoveAll(b.dir)
	} else if b.dir, err = filepath.Abs(b.dir); err != nil {
		return false, err
	} else if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return false, err
	}
	for _, r := range rows {
		if !chosen.MatchString(r.name) {
			continue
		}
		b.current = r.name
		fmt.Fprintf(os.Stderr, "bench: %s\n", r.name)
		from := time.Now()
		if err := r.run(ctx, b); err != nil {
			if ctx.Err() != nil {
				return b.print(), ctx.Err() // what was measured until now
			}
			b.add(result{row: r.name, verdict: "not measured: " + firstLine(err.Error())})
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %s\n", r.name, time.Since(from).Round(time.Second))
	}
	return b.print(), nil
}

// add keeps a line for the table and shows it at once: the whole takes long.
func (b *bench) add(r result) {
	b.results = append(b.results, r)
	fmt.Fprintf(os.Stderr, "bench:   %s: %s against %s, ratio %s, bar %s: %s\n", r.row, r.ours, r.peer, r.ratio, r.bar, r.verdict)
}

// size chooses a fixture's size.
func (b *bench) size(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

func (b *bench) print() (missed bool) {
	size := "full size"
	if b.quick {
		size = "QUICK: small fixtures, so the bars are only indications"
	}
	fmt.Printf("runpin bench: %s/%s, %d processors, median of %d runs taken in turn, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.runs, size)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROW\tRUNPIN\tPEER\tRATIO\tBAR\tVERDICT")
	count := map[string]int{}
	for _, r := range b.results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.row, r.ours, r.peer, r.ratio, r.bar, r.verdict)
		word, _, _ := strings.Cut(r.verdict, " ")
		count[strings.TrimSuffix(word, ":")]++
	}
	w.Flush()
	fmt.Printf("\n%d hit, %d missed, %d not measured, %d peers absent\n", count[hit], count[miss], count["not"], count[absent])
	return count[miss] > 0
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
