package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// rerunRow runs a trivial command again, whose one output must come out the same, and takes off what the command itself costs: what is left is asking, restoring,
// proving, recording and comparing. DataLad's rerun of the same command in a dataset of the same files does less (it restores nothing, and proves nothing);
// `git worktree add` is what writing the files alone costs with the program that runpin writes them with.
func rerunRow(ctx context.Context, b *bench) error {
	n := b.size(9_000, 2_000)
	work, err := b.checkout(ctx, n)
	if err != nil {
		return err
	}
	write := []string{"sh", "-c", "echo result > result.txt"}
	defer os.Remove(filepath.Join(work, "result.txt"))
	data, err := b.files("rerun-data", 100, 10_000)
	if err != nil {
		return err
	}
	idFile := filepath.Join(b.dir, "rerun.id")
	record := b.runpin(work, append([]string{"record", "--dataset", "data=" + data, "--output", "result=result.txt", "--id-file", idFile, "--"}, write...)...)
	if _, _, err := record.once(ctx); err != nil {
		return err
	}
	id, err := os.ReadFile(idFile)
	if err != nil {
		return err
	}
	places := filepath.Join(b.dir, "rerun-places")
	again := b.runpin(work, "rerun", strings.TrimSpace(string(id)), "--execute", "--workdir", filepath.Join(places, "again"))
	again.before = func() error { return os.RemoveAll(places) }
	tree := command{argv: []string{"git", "worktree", "add", "--quiet", "--detach", filepath.Join(places, "tree")}, dir: work}
	tree.before = func() error {
		if err := os.RemoveAll(places); err != nil {
			return err
		}
		return b.git(ctx, work, nil, "worktree", "prune")
	}
	alone := command{argv: write, dir: work}
	timed := []func() (time.Duration, error){again.timing(ctx), alone.timing(ctx), tree.timing(ctx)}
	if installed("datalad") {
		dataset, err := b.datalad(ctx, work)
		if err != nil {
			return err
		}
		if _, _, err := (command{argv: append([]string{"datalad", "run", "-m", "bench", "--output", "result.txt"}, write...), dir: dataset}).once(ctx); err != nil {
			return err
		}
		timed = append(timed, command{argv: []string{"datalad", "rerun"}, dir: dataset}.timing(ctx))
	}
	times, err := medians(ctx, b.runs, timed...)
	if err := errors.Join(err, os.RemoveAll(places), b.git(context.WithoutCancel(ctx), work, nil, "worktree", "prune")); err != nil {
		return err
	}
	const bar = 150 * time.Millisecond
	overhead := times[0] - times[1]
	title := fmt.Sprintf("rerun --execute, %d files, over the command", n)
	b.add(result{row: title, ours: millis(overhead), peer: "the command " + millis(times[1]), bar: "≤ " + millis(bar), verdict: verdict(overhead <= bar)})
	b.against("  the whole, against", times[0], "git worktree add", times[2], 0)
	if len(times) < 4 {
		b.absentPeer("  against datalad rerun", overhead, "datalad", "≥ 5 × faster")
		return nil
	}
	b.faster("  against datalad rerun", overhead, "datalad rerun", times[3]-times[1], 5)
	return nil
}
