package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

func sizeRow(_ context.Context, b *bench) error {
	info, err := os.Stat(b.binary)
	if err != nil {
		return err
	}
	mb := float64(info.Size()) / 1e6
	b.add(result{row: "binary, stripped", ours: fmt.Sprintf("%.1f MB", mb), bar: "≤ 30 MB", verdict: verdict(mb <= 30)})
	return nil
}

func startRow(ctx context.Context, b *bench) error {
	times, err := medians(ctx, 3*b.runs, b.runpin(b.dir, "version").timing(ctx), command{argv: []string{"git", "version"}}.timing(ctx))
	if err != nil {
		return err
	}
	b.add(result{row: "process start: version", ours: millis(times[0]), peer: "git version " + millis(times[1]),
		ratio: fmt.Sprintf("%.1f ×", float64(times[0])/float64(times[1])), bar: "≤ 20 ms", verdict: verdict(times[0] <= 20*time.Millisecond)})
	return nil
}

// recordRow records `true` in a clean checkout with an image of a local registry.
func recordRow(ctx context.Context, b *bench) error {
	n := b.size(9_000, 2_000)
	work, err := b.checkout(ctx, n)
	if err != nil {
		return err
	}
	ref, head, stop, err := localRegistry(ctx)
	if err != nil {
		return err
	}
	defer stop()
	record := b.runpin(work, "record", "--image", ref, "--", "true")
	status := command{argv: []string{"git", "status", "--porcelain"}, dir: work}
	warm, err := medians(ctx, 2*b.runs, record.timing(ctx), status.timing(ctx), head)
	if err != nil {
		return err
	}
	cold, err := medians(ctx, b.runs, b.cold(record).timing(ctx))
	if err != nil {
		return err
	}
	floor := warm[1] + warm[2]
	peer := fmt.Sprintf("git status %s + HEAD %s =", millis(warm[1]), millis(warm[2]))
	b.against(fmt.Sprintf("record, %d files, image, warm", n), warm[0], peer, floor, 2)
	b.against("  the same, caches removed", cold[0], peer, floor, 0)

	if !installed("datalad") {
		b.absentPeer("  against datalad run", warm[0], "datalad", "≥ 10 × faster")
		return nil
	}
	dataset, err := b.datalad(ctx, work)
	if err != nil {
		return err
	}
	theirs, err := medians(ctx, b.runs, command{argv: []string{"datalad", "run", "-m", "bench", "true"}, dir: dataset}.timing(ctx))
	if err != nil {
		return err
	}
	b.faster("  against datalad run", warm[0], "datalad run", theirs[0], 10)
	return nil
}

// faster compares with a peer that is to be beaten by a factor.
func (b *bench) faster(row string, ours time.Duration, peerName string, peer time.Duration, factor float64) {
	ratio := float64(peer) / float64(ours)
	b.add(result{row: row, ours: millis(ours), peer: peerName + " " + millis(peer), ratio: fmt.Sprintf("%.1f × faster", ratio),
		bar: fmt.Sprintf("≥ %g × faster", factor), verdict: verdict(ratio >= factor)})
}

// datalad gives a DataLad dataset with the files of a checkout.
func (b *bench) datalad(ctx context.Context, checkout string) (string, error) {
	dataset := checkout + "-datalad"
	if _, err := os.Stat(filepath.Join(dataset, ".datalad")); err == nil {
		return dataset, nil
	}
	if err := b.git(ctx, b.dir, nil, "clone", "--quiet", checkout, dataset); err != nil {
		return "", err
	}
	for _, setting := range [][2]string{{"user.name", "A"}, {"user.email", "a@example.com"}} {
		if err := b.git(ctx, dataset, nil, "config", setting[0], setting[1]); err != nil {
			return "", err
		}
	}
	_, _, err := command{argv: []string{"datalad", "create", "--force", "--no-annex", "."}, dir: dataset}.once(ctx)
	return dataset, err
}

// smallFilesRow hashes many small files, and then finds them unchanged.
func smallFilesRow(ctx context.Context, b *bench) error {
	n := b.size(100_000, 10_000)
	dir, err := b.files("small", n, 4096)
	if err != nil {
		return err
	}
	return b.datasetRows(ctx, fmt.Sprintf("dataset, %d files of 4 KiB", n), dir)
}

// datasetRows times the first look at a data set and the second, beside what else reads or lists the same files.
func (b *bench) datasetRows(ctx context.Context, title, dir string) error {
	record := b.runpin(b.dir, "record", "--no-code", "--dataset", "data="+dir, "--", "true")
	shell := func(script string) func() (time.Duration, error) {
		return command{argv: []string{"sh", "-c", script, "sh", dir}}.timing(ctx)
	}
	runs := max(3, b.runs/2)
	sha := fmt.Sprintf(`find "$1" -type f -print0 | xargs -0 -n 256 -P %d sha256sum >/dev/null`, runtime.NumCPU())
	timed := []func() (time.Duration, error){b.cold(record).timing(ctx), shell(sha)}
	if installed("b3sum") {
		timed = append(timed, shell(`find "$1" -type f -print0 | xargs -0 b3sum >/dev/null`))
	}
	cold, err := medians(ctx, runs, timed...)
	if err != nil {
		return err
	}
	if len(cold) > 2 {
		b.against(title, cold[0], "b3sum", cold[2], 1)
	} else {
		b.absentPeer(title, cold[0], "b3sum", "≤ 1 ×")
	}
	b.against("  against all cores of", cold[0], "sha256sum", cold[1], 0)

	warm, err := medians(ctx, b.runs, record.timing(ctx), shell(`find "$1" -printf '%p %s %T@\n' >/dev/null`))
	if err != nil {
		return err
	}
	b.against("  unchanged, again", warm[0], "find -printf", warm[1], 2)
	return nil
}

// largeFilesRow hashes two large files per processor. The bar is a share of what the processors' SHA-256 units allow on memory.
func largeFilesRow(ctx context.Context, b *bench) error {
	size := int64(b.size(1<<30, 128<<20))
	n := 2 * runtime.NumCPU()
	dir, err := b.files("large", n, size)
	if err != nil {
		return err
	}
	total := float64(size) * float64(n)
	record := b.cold(b.runpin(b.dir, "record", "--no-code", "--dataset", "data="+dir, "--", "true"))
	timed := []func() (time.Duration, error){record.timing(ctx), func() (time.Duration, error) { return hashMemory(int64(total)), nil }}
	if installed("b3sum") {
		timed = append(timed, command{argv: []string{"sh", "-c", `find "$1" -type f -print0 | xargs -0 b3sum >/dev/null`, "sh", dir}}.timing(ctx))
	}
	times, err := medians(ctx, max(3, b.runs/3), timed...)
	if err != nil {
		return err
	}
	rate := func(d time.Duration) string { return fmt.Sprintf("%.2f GB/s", total/1e9/d.Seconds()) }
	share := 100 * float64(times[1]) / float64(times[0])
	b.add(result{row: fmt.Sprintf("dataset, %d files of %d MiB", n, size>>20), ours: rate(times[0]), peer: "SHA-256 of memory, all cores " + rate(times[1]),
		ratio: fmt.Sprintf("%.0f %%", share), bar: "≥ 80 %", verdict: verdict(share >= 80)})
	if len(times) > 2 {
		b.against("  against", times[0], "b3sum", times[2], 0)
	}
	return nil
}

// hashMemory hashes total bytes on all processors, from memory that stays in their caches.
func hashMemory(total int64) time.Duration {
	from := time.Now()
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			h, block := sha256.New(), make([]byte, 256<<10)
			for left := total / int64(runtime.NumCPU()); left > 0; left -= int64(len(block)) {
				h.Write(block)
			}
			h.Sum(nil)
		})
	}
	wg.Wait()
	return time.Since(from)
}

// gitRow records in a checkout without an image: the state of the code is nearly all there is to do.
func gitRow(ctx context.Context, b *bench, n int) error {
	work, err := b.checkout(ctx, n)
	if err != nil {
		return err
	}
	record := b.runpin(work, "record", "--", "true")
	times, err := medians(ctx, b.runs, record.timing(ctx), command{argv: []string{"git", "status", "--porcelain"}, dir: work}.timing(ctx))
	if err != nil {
		return err
	}
	b.against(fmt.Sprintf("record, checkout of %d files", n), times[0], "git status", times[1], 0)
	return nil
}

// processesRow starts 64 recorders at once on one store.
func processesRow(ctx context.Context, b *bench) error {
	const n = 64
	errs := make([]error, n)
	var wg sync.WaitGroup
	from := time.Now()
	for i := range n {
		wg.Go(func() { _, _, errs[i] = b.runpin(b.dir, "record", "--no-code", "--", "true").once(ctx) })
	}
	wg.Wait()
	took := time.Since(from)
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	out, _, err := b.runpin(b.dir, "list", "-q", "--limit", "1000").once(ctx)
	if err != nil {
		return err
	}
	stored := len(strings.Fields(out))
	b.add(result{row: fmt.Sprintf("%d recorders at once", n), ours: fmt.Sprintf("%d stored, %d failed, %s", stored, failed, millis(took)), bar: "0 lost, 0 failed",
		verdict: verdict(stored == n && failed == 0)})
	return nil
}

// manyRunsRow looks runs up by command in the store that the benchmarks of store/sqlite have made and kept.
func manyRunsRow(ctx context.Context, b *bench) error {
	n := b.size(1_000_000, 20_000)
	stores, err := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("runpin-bench-v*-%d.db", n)))
	if err != nil || len(stores) == 0 {
		return fmt.Errorf("there is no store of %d runs: the row in-process makes it", n)
	}
	path := stores[len(stores)-1] // the newest version of the generator
	unique := fmt.Sprintf("seed=%d", n/2)
	id, _, err := b.runpin(b.dir, "--store", path, "list", "-q", "--param", unique).once(ctx)
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"show", strings.TrimSpace(id)}, {"list", "--param", "model=vit", "--limit", "20"}, {"list", "--param", unique}} {
		times, err := medians(ctx, b.runs, b.runpin(b.dir, append([]string{"--store", path}, args...)...).timing(ctx))
		if err != nil {
			return err
		}
		title := strings.Join(args, " ")
		if args[0] == "show" {
			title = "show"
		}
		b.add(result{row: fmt.Sprintf("among %d runs: %s", n, title), ours: millis(times[0]), bar: "≤ 50 ms", verdict: verdict(times[0] <= 50*time.Millisecond)})
	}
	return nil
}
