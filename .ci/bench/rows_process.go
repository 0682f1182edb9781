package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// bar is a bar of DESIGN §8 that a Go benchmark beside the code measures: against a time, or against another benchmark of the same run.
type bar struct {
	title     string
	benchmark *regexp.Regexp // package.Name/sub
	peer      *regexp.Regexp
	ratio     float64       // of ours to the peer's
	atMost    time.Duration // where there is no peer
}

var bars = []bar{
	{title: "content hash, small files", benchmark: exactly("recorder/dataset/file.SmallFiles/hash"), peer: exactly("recorder/dataset/file.SmallFiles/b3sum"), ratio: 1},
	{title: "unchanged data set, again", benchmark: exactly("recorder/dataset/file.SmallFiles/unchanged"), peer: exactly("recorder/dataset/file.SmallFiles/find"), ratio: 2},
	{title: "content hash, large files", benchmark: exactly("recorder/dataset/file.LargeFiles/hash"), peer: exactly("recorder/dataset/file.LargeFiles/sha256-ceiling"), ratio: 1.25},
	{title: "pinned spec from a record", benchmark: exactly("rerun/jobspec.Pin/job"), atMost: 5 * time.Millisecond},
}

func exactly(name string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.QuoteMeta(name) + "$")
}

// measured is one line of go test -bench.
type measured struct {
	name  string // package.Name/sub, without Benchmark and without the number of processors
	perOp time.Duration
	rest  string
}

// inProcessRow runs the Go benchmarks that stand beside the code. Those that carry a bar come first; every other one is listed.
func inProcessRow(ctx context.Context, b *bench) error {
	all, broken, err := b.goBenchmarks(ctx)
	if err != nil && len(all) == 0 {
		return err
	}
	shown := map[string]bool{}
	for _, bar := range bars {
		b.addBar(bar, all, shown)
	}
	for _, m := range all {
		if !shown[m.name] {
			b.add(result{row: m.name, ours: millis(m.perOp), peer: m.rest, bar: noBar, verdict: noBar})
		}
	}
	for _, pkg := range broken {
		b.add(result{row: pkg, verdict: "not measured: its benchmarks failed"})
	}
	return nil
}

func (b *bench) addBar(bar bar, all []measured, shown map[string]bool) {
	found := false
	for _, m := range all {
		if !bar.benchmark.MatchString(m.name) {
			continue
		}
		found, shown[m.name] = true, true
		title := bar.title + " (in process)"
		if bar.atMost > 0 {
			b.add(result{row: title, ours: millis(m.perOp), bar: "≤ " + millis(bar.atMost), verdict: verdict(m.perOp <= bar.atMost)})
			continue
		}
		peer, ok := find(all, bar.peer)
		if !ok {
			b.add(result{row: title, ours: millis(m.perOp), bar: fmt.Sprintf("≤ %g ×", bar.ratio), verdict: absent + ": nothing to compare with"})
			continue
		}
		shown[peer.name] = true
		b.against(title, m.perOp, peer.name[strings.LastIndexByte(peer.name, '/')+1:], peer.perOp, bar.ratio)
	}
	if !found {
		b.add(result{row: bar.title, verdict: "not measured: no benchmark " + bar.benchmark.String()})
	}
}

func find(all []measured, name *regexp.Regexp) (measured, bool) {
	for _, m := range all {
		if name.MatchString(m.name) {
			return m, true
		}
	}
	return measured{}, false
}

func (b *bench) goBenchmarks(ctx context.Context) (all []measured, broken []string, err error) {
	benchtime := "1s"
	if b.quick {
		benchtime = "100ms"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchtime", benchtime, "-timeout", "30m", "-p", "1",
		"./schema/...", "./recorder/...", "./store/...", "./rerun/...", "./cmd/...")
	cmd.Env = append(os.Environ(), "RUNPIN_BENCH_DIR="+b.dir, fmt.Sprintf("RUNPIN_BENCH_FILES=%d", b.size(100_000, 10_000)),
		fmt.Sprintf("RUNPIN_BENCH_LARGE=%d", b.size(1<<30, 128<<20)))
	if !b.quick {
		cmd.Env = append(cmd.Env, "RUNPIN_BENCH_FULL=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	pkg := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if p, ok := strings.CutPrefix(line, "pkg: github.com/runpin/runpin/"); ok {
			pkg = p
		}
		if name, perOp, rest, ok := parseBenchmark(line); ok {
			all = append(all, measured{pkg + "." + name, perOp, rest})
		}
		if p, ok := strings.CutPrefix(line, "FAIL\tgithub.com/runpin/runpin/"); ok {
			broken = append(broken, strings.Fields(p)[0])
		}
	}
	return all, broken, err
}

// parseBenchmark reads "BenchmarkName-2   100   12345 ns/op   12 MB/s"; rest is every measure but the first.
func parseBenchmark(line string) (name string, perOp time.Duration, rest string, ok bool) {
	f := strings.Fields(line)
	if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") || f[3] != "ns/op" {
		return "", 0, "", false
	}
	ns, err := strconv.ParseFloat(f[2], 64)
	if err != nil {
		return "", 0, "", false
	}
	name = strings.TrimPrefix(f[0], "Benchmark")
	if i := strings.LastIndexByte(name, '-'); i > 0 && strings.Trim(name[i+1:], "0123456789") == "" {
		name = name[:i]
	}
	var measures []string
	for i := 4; i+1 < len(f); i += 2 {
		measures = append(measures, f[i]+" "+f[i+1])
	}
	return name, time.Duration(ns), strings.Join(measures, ", "), true
}
