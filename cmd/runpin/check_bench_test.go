package main

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/runpin/runpin/recorder/code"
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/all"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/sqlite"
)

// BenchmarkCheckAll looks at a whole history: 10,000 runs (RUNPIN_BENCH_HISTORY says how many) that share 100 images, 200 commits and 50 data sets, with a registry
// and a git server on loopback. The cache of manifests is warm, as it is where the runs were recorded.
func BenchmarkCheckAll(b *testing.B) {
	runs, err := strconv.Atoi(os.Getenv("RUNPIN_BENCH_HISTORY"))
	if err != nil {
		runs = 10_000
	}
	h := newHistory(b, runs, 100, 200, 50)
	summaryOf(b, h, 0)
	for b.Loop() {
		h.registry.set(0, nil)
		h.gitHost.set(0, nil)
		if s, _ := summaryOf(b, h, 0); s.Rerunnable != runs {
			b.Fatalf("%+v", s)
		}
	}
	images, _ := h.registry.count("HEAD", "/manifests/")
	commits, _ := h.gitHost.count("GET", "/info/refs")
	b.ReportMetric(float64(images), "images-asked")
	b.ReportMetric(float64(commits), "git-questions")
	b.ReportMetric(float64(runs), "runs")
}

// BenchmarkPreflight asks everything about one run at once, an image of 20 layers among it, beside its slowest question asked alone. Each request to a server takes 20 ms, as in a network.
func BenchmarkPreflight(b *testing.B) {
	h := newHistory(b, 40, 2, 3, 1, 20)
	db, err := store.Open(b.Context(), sqlite.Dialect{}, h.location, store.Options{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	runs, err := db.List(b.Context(), store.Filter{})
	if err != nil {
		b.Fatal(err)
	}
	const delay = 20 * time.Millisecond
	fresh := func() *rerun.Rerunner { // each question begins with a ping, as in a process of its own
		h.registry.set(delay, nil)
		h.gitHost.set(delay, nil)
		return &rerun.Rerunner{Images: image.New(image.Options{Registry: registry.New(registry.Options{PerHost: 16}), Layers: true}), Code: code.New(code.Options{}),
			Datasets: dataset.New(all.Backends(dataset.Options{})), Blobs: db}
	}
	b.Run("slowest", func(b *testing.B) {
		var sum time.Duration
		n := 0
		for b.Loop() {
			slowest := time.Duration(0)
			for i := range fresh().Questions(runs[n%len(runs)], rerun.PreflightOptions{}) {
				q := fresh().Questions(runs[n%len(runs)], rerun.PreflightOptions{})[i]
				from := time.Now()
				q.Ask(b.Context())
				slowest = max(slowest, time.Since(from))
			}
			sum += slowest
			n++
		}
		b.ReportMetric(float64(sum.Nanoseconds())/float64(n), "ns/op")
	})
	b.Run("whole", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for _, a := range fresh().Preflight(b.Context(), runs[n%len(runs)], rerun.PreflightOptions{}) {
				if a.Kind() != "" {
					b.Fatalf("%+v", a)
				}
			}
			n++
		}
	})
}
