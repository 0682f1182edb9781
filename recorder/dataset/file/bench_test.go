package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/dataset"
)

// The bars of DESIGN §8, side by side in one go, page cache warm:
//
//	RUNPIN_BENCH_FILES=100000 go test -run '^$' -bench SmallFiles -benchtime 5x ./recorder/dataset/file/
//
// Small files: hash ≤ b3sum; unchanged ≤ 2 × find. Large files: hash ≥ 80 % of sha256-ceiling, which is what the processors reach on
// memory alone. cpu-ms/op is what all threads used: it says more than the time on a machine that others use too. RUNPIN_BENCH_DIR says where the files are made.

func BenchmarkSmallFiles(b *testing.B) {
	count := 10_000
	if n, err := strconv.Atoi(os.Getenv("RUNPIN_BENCH_FILES")); err == nil {
		count = n
	}
	root := benchDir(b)
	content := bytes.Repeat([]byte("0123456789abcdef"), 256)
	for i := range count {
		dir := filepath.Join(root, strconv.Itoa(i/1000))
		if i%1000 == 0 {
			must(b, os.Mkdir(dir, 0o777))
		}
		copy(content, strconv.Itoa(i))
		must(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%08d.bin", i)), content, 0o666))
	}
	time.Sleep(racyLocal + 100*time.Millisecond)
	b.Run("hash", func(b *testing.B) {
		defer reportCPU(b, false)()
		for b.Loop() {
			resolve(b, New(dataset.Options{}), root)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		opts := dataset.Options{CacheDir: b.TempDir()}
		resolve(b, New(opts), root)
		defer reportCPU(b, false)()
		for b.Loop() {
			resolve(b, New(opts), root)
		}
	})
	b.Run("place", func(b *testing.B) { // unchanged, and as many links
		backend, parent := New(dataset.Options{}), realTemp(b)
		pin := mustPin(b, backend, root)
		defer reportCPU(b, false)()
		for b.Loop() {
			dest := filepath.Join(parent, "data")
			must(b, place(b, b.Context(), backend, pin, "", dest, false))
			b.StopTimer()
			must(b, os.RemoveAll(dest))
			b.StartTimer()
		}
	})
	b.Run("b3sum", func(b *testing.B) { run(b, "b3sum", "find . -type f -print0 | xargs -0 b3sum", root) })
	b.Run("sha256sum", func(b *testing.B) {
		run(b, "sha256sum", fmt.Sprintf("find . -type f -print0 | xargs -0 -n 1000 -P %d sha256sum", runtime.GOMAXPROCS(0)), root)
	})
	b.Run("find", func(b *testing.B) { run(b, "find", `find . -printf '%p %s %T@ %C@ %i\n'`, root) })
}

func BenchmarkLargeFiles(b *testing.B) {
	size := int64(512 << 20)
	if n, err := strconv.ParseInt(os.Getenv("RUNPIN_BENCH_LARGE"), 10, 64); err == nil {
		size = n
	}
	root := benchDir(b)
	files := 2 * runtime.GOMAXPROCS(0)
	block := make([]byte, 1<<20)
	for i := range files {
		f, err := os.Create(filepath.Join(root, strconv.Itoa(i)))
		must(b, err)
		for at := int64(0); at < size; at += int64(len(block)) {
			block[0], block[1] = byte(i), byte(at>>20)
			_, err := f.Write(block)
			must(b, err)
		}
		must(b, f.Close())
	}
	total := size * int64(files)
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(total)
		defer reportCPU(b, false)()
		for b.Loop() {
			resolve(b, New(dataset.Options{}), root)
		}
	})
	b.Run("sha256-ceiling", func(b *testing.B) {
		b.SetBytes(total)
		defer reportCPU(b, false)()
		for b.Loop() {
			done := make(chan bool)
			for range runtime.GOMAXPROCS(0) {
				go func() {
					h, piece := sha256.New(), make([]byte, 256<<10)
					for at := int64(0); at < total/int64(runtime.GOMAXPROCS(0)); at += int64(len(piece)) {
						h.Write(piece)
					}
					h.Sum(nil)
					done <- true
				}()
			}
			for range runtime.GOMAXPROCS(0) {
				<-done
			}
		}
	})
	b.Run("b3sum", func(b *testing.B) { b.SetBytes(total); run(b, "b3sum", "b3sum *", root) })
	b.Run("sha256sum", func(b *testing.B) {
		b.SetBytes(total)
		run(b, "sha256sum", fmt.Sprintf("ls | xargs -n 1 -P %d sha256sum", runtime.GOMAXPROCS(0)), root)
	})
}

func benchDir(b *testing.B) string {
	parent := os.Getenv("RUNPIN_BENCH_DIR")
	if parent == "" {
		return b.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "runpin-bench-*")
	must(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func resolve(tb testing.TB, backend *Backend, root string) {
	tb.Helper()
	_, err := backend.Resolve(context.Background(), dataset.Request{DatasetRequest: recorder.DatasetRequest{Name: "d", URI: root, WorkDir: "/"},
		Location: dataset.Location{Scheme: "file", Recorded: root, Path: root}})
	must(tb, err)
}

// run times a program of others, or says that it is not there.
func run(b *testing.B, program, script, dir string) {
	if _, err := exec.LookPath(program); err != nil {
		b.Skipf("%s is not installed: row left out", program)
	}
	defer reportCPU(b, true)()
	for b.Loop() {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, io.Discard, os.Stderr
		must(b, cmd.Run())
	}
}

// reportCPU reports the processor time of this process, or of its children, from now on.
func reportCPU(b *testing.B, children bool) func() {
	before := processorTime(children)
	return func() {
		b.ReportMetric(float64((processorTime(children)-before).Milliseconds())/float64(max(b.N, 1)), "cpu-ms/op")
	}
}
