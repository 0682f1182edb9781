package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// checkRow asks what can still be had: for one run beside its slowest single question, and for a history whose runs share images, commits and data sets. Both are
// Go benchmarks of cmd/runpin, which have a registry and a git server to count requests at.
func checkRow(ctx context.Context, b *bench) error {
	runs := b.size(10_000, 1_000)
	if err := os.Setenv("RUNPIN_BENCH_HISTORY", fmt.Sprint(runs)); err != nil {
		return err
	}
	all, broken, err := b.goBenchmarks(ctx, "", []string{"./cmd/runpin"})
	if err != nil || len(broken) > 0 {
		return fmt.Errorf("go test -bench ./cmd/runpin: %v %v", broken, err)
	}
	whole, ok := find(all, "cmd/runpin.Preflight/whole")
	slowest, ok2 := find(all, "cmd/runpin.Preflight/slowest")
	history, ok3 := find(all, "cmd/runpin.CheckAll")
	if !ok || !ok2 || !ok3 {
		return fmt.Errorf("a benchmark of cmd/runpin did not run: %v", all)
	}
	b.against("preflight of one run, 20 ms to each server", whole.perOp, "its slowest question", slowest.perOp, 2)
	asked := strings.Contains(history.rest, "100.0 images-asked") && strings.Contains(history.rest, "200.0 git-questions")
	b.add(result{row: fmt.Sprintf("check --all, %d runs of 100 images, 200 commits, 50 data sets", runs), ours: millis(history.perOp), peer: history.rest,
		bar: "each asked once", verdict: verdict(asked)})
	return nil
}
