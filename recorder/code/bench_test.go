package code

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/code/codetest"
)

// benchFiles gives the sizes of the checkouts: RUNPIN_BENCH_FILES, a comma list, or 9,000.
func benchFiles(b *testing.B) []int {
	list := os.Getenv("RUNPIN_BENCH_FILES")
	if list == "" {
		list = "9000"
	}
	var sizes []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			b.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// benchRepo builds a checkout of n small files, pushed, with a settled index.
func benchRepo(b *testing.B, n int, attributes string) *codetest.Repo {
	repo := codetest.New(b)
	repo.Git("config", "gc.auto", "0")
	repo.Git("config", "maintenance.auto", "false")
	for i := range n {
		dir := repo.Path(fmt.Sprintf("pkg%02d/mod%02d", i%30, i/30%40))
		if i < 1200 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%06d.py", i)), fmt.Appendf(nil, "x = %d\n", i), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if attributes != "" {
		repo.Write(".gitattributes", attributes)
	}
	repo.Commit("files")
	repo.Remote()
	repo.Git("gc", "--quiet")
	old := testTime.AddDate(-1, 0, 0)
	filepath.Walk(repo.Dir, func(p string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && !strings.Contains(p, "/.git/") {
			os.Chtimes(p, old, old)
		}
		return nil
	})
	repo.Git("status", "--porcelain")
	return repo
}

// BenchmarkState measures DESIGN §8 "state of a git checkout" beside git status --porcelain on the same checkout.
func BenchmarkState(b *testing.B) {
	for _, n := range benchFiles(b) {
		for name, attributes := range map[string]string{"plain": "", "text=auto": "* text=auto\n"} {
			repo := benchRepo(b, n, attributes)
			status := func(b *testing.B) {
				for b.Loop() {
					cmd := exec.Command("git", "status", "--porcelain")
					cmd.Dir = repo.Dir
					if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
						b.Fatalf("%v %s", err, out)
					}
				}
			}
			captured := func(b *testing.B) {
				for b.Loop() {
					pin, err := New(Options{}).ResolveCode(b.Context(), recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: &codetest.Blobs{}})
					if err != nil || pin.Dirty || pin.OnRemote.State != "yes" {
						b.Fatalf("%v %+v", err, pin)
					}
				}
			}
			b.Run(fmt.Sprintf("%d/%s/git-status", n, name), status)
			b.Run(fmt.Sprintf("%d/%s/capture", n, name), captured)
			if name == "plain" {
				repo.Write("pkg00/mod00/file000000.py", "edited\n").Write("new.py", "new\n")
				b.Run(fmt.Sprintf("%d/%s/capture-dirty", n, name), func(b *testing.B) {
					for b.Loop() {
						if _, err := New(Options{}).ResolveCode(b.Context(), recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: &codetest.Blobs{}}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkRestore restores a clean checkout from the clone that it was recorded in, and proves it.
func BenchmarkRestore(b *testing.B) {
	for _, n := range benchFiles(b) {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			repo := benchRepo(b, n, "")
			blobs := &codetest.Blobs{}
			pin, err := New(Options{}).ResolveCode(b.Context(), recorder.CodeRequest{Ref: ".", WorkDir: repo.Dir, Sink: blobs})
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				dir := filepath.Join(b.TempDir(), strconv.Itoa(i))
				if err := New(Options{}).RestoreCode(b.Context(), pin, blobs, dir); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
