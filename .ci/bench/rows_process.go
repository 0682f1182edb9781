package main

import (
	"cmp"
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
	peer      string
	ratio     float64       // of ours to the peer's
	atMost    time.Duration // where there is no peer
}

// The peer of a benchmark may depend on its own name: $1 in peer stands for the first group of benchmark.
var bars = []bar{
	{title: "state of a checkout of $1", benchmark: pattern(`recorder/code.State/(\d+)/plain/capture`), peer: "recorder/code.State/$1/plain/git-status", ratio: 1.5},
	{title: "content hash, small files", benchmark: pattern(`recorder/dataset/file.SmallFiles/hash`), peer: "recorder/dataset/file.SmallFiles/b3sum", ratio: 1},
	{title: "unchanged data set, again", benchmark: pattern(`recorder/dataset/file.SmallFiles/unchanged`), peer: "recorder/dataset/file.SmallFiles/find", ratio: 2},
	{title: "content hash, large files", benchmark: pattern(`recorder/dataset/file.LargeFiles/hash`), peer: "recorder/dataset/file.LargeFiles/sha256-ceiling", ratio: 1.25},
	{title: "durable writes", benchmark: pattern(`store/sqlite.Save`), peer: "store/sqlite.SaveRaw", ratio: 1 / 0.6},
	{title: "among many runs: show", benchmark: pattern(`store/sqlite.Lookup/run`), atMost: 20 * time.Millisecond},
	{title: "among many runs: list by $1", benchmark: pattern(`store/sqlite.Lookup/list/(image|commit|dataset-digest|param|label)`), atMost: 20 * time.Millisecond},
	{title: "pinned spec from a record", benchmark: pattern(`rerun/jobspec.Pin/job`), atMost: 5 * time.Millisecond},
}

func pattern(name string) *regexp.Regexp { return regexp.MustCompile("^" + name + "$") }

// measured is one line of go test -bench.
type measured struct {
	name  string // package.Name/sub, without Benchmark and without the number of processors
	perOp time.Duration
	rest  string
}

// inProcessRow runs the Go benchmarks that stand beside the code. Those that carry a bar come first; every other one is listed.
func inProcessRow(ctx context.Context, b *bench) error {
	var all []measured
	var broken []string
	for _, group := range []struct{ files, packages string }{
		{b.either("9000,100000", "2000,5000"), "./recorder/code/..."},
		{b.either("100000", "10000"), "./recorder/dataset/..."},
		{"", "./recorder/image/... ./store/... ./rerun/... ./schema/..."},
	} {
		some, failed, err := b.goBenchmarks(ctx, group.files, strings.Fields(group.packages))
		if err != nil && len(some) == 0 && len(failed) == 0 {
			return fmt.Errorf("go test -bench %s: %w", group.packages, err)
		}
		all, broken = append(all, some...), append(broken, failed...)
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
		fill := func(s string) string {
			return string(bar.benchmark.ExpandString(nil, s, m.name, bar.benchmark.FindStringSubmatchIndex(m.name)))
		}
		title := fill(bar.title) + " (in process)"
		if bar.atMost > 0 {
			b.add(result{row: title, ours: millis(m.perOp), bar: "≤ " + millis(bar.atMost), verdict: verdict(m.perOp <= bar.atMost)})
			continue
		}
		peer, ok := find(all, fill(bar.peer))
		if !ok {
			b.add(result{row: title, ours: millis(m.perOp), bar: limitText(bar.ratio), verdict: absent + ": nothing to compare with"})
			continue
		}
		shown[peer.name] = true
		b.against(title, m.perOp, peer.name[strings.LastIndexByte(peer.name, '/')+1:], peer.perOp, bar.ratio)
	}
	if !found {
		b.add(result{row: bar.title, verdict: "not measured: no benchmark " + bar.benchmark.String()})
	}
}

func find(all []measured, name string) (measured, bool) {
	for _, m := range all {
		if m.name == name {
			return m, true
		}
	}
	return measured{}, false
}

func (b *bench) either(full, quick string) string {
	if b.quick {
		return quick
	}
	return full
}

// goBenchmarks runs the benchmarks of some packages at the size of the bars; files is the number of files of a fixture.
func (b *bench) goBenchmarks(ctx context.Context, files string, packages []string) (all []measured, broken []string, err error) {
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchtime", b.either("1s", "100ms"), "-timeout", "60m", "-p", "1"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "RUNPIN_BENCH_DIR="+b.dir, "RUNPIN_BENCH_FILES="+files, "RUNPIN_BENCH_LARGE="+b.either("1073741824", "134217728"),
		"RUNPIN_BENCH_RUNS="+cmp.Or(os.Getenv("BENCH_STORE"), b.either("1000000", "20000")))
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
