package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/runpin/runpin/rerun/jobspec"
)

// pinJobs is how many references runpin asks for at the same time (pin --jobs).
const pinJobs = 16

// pinRow pins a repository of manifests beside the least that it can take: one HEAD for each distinct reference and one parse of each file.
func pinRow(ctx context.Context, b *bench) error {
	manifests, distinct := b.size(1_000, 200), b.size(200, 40)
	tags, stop, err := pinRegistry(ctx, distinct)
	if err != nil {
		return err
	}
	defer stop()
	dir := filepath.Join(b.dir, "manifests")
	files, err := writeManifests(dir, manifests, tags)
	if err != nil {
		return err
	}
	check := b.cold(b.runpin(b.dir, "pin", "--check", dir))
	check.want = 13
	timed := []func() (time.Duration, error){check.timing(ctx), func() (time.Duration, error) { return floorOfPin(ctx, tags, files) }}
	kbld := installed("kbld")
	if kbld {
		timed = append(timed, command{argv: []string{"kbld", "-f", dir, "--images-annotation=false", fmt.Sprintf("--build-concurrency=%d", pinJobs)}}.timing(ctx))
	}
	times, err := medians(ctx, b.runs, timed...)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("pin --check, %d manifests, %d references, %d distinct", manifests, 5*manifests, distinct)
	b.against(title, times[0], fmt.Sprintf("%d HEADs + one parse", distinct), times[1], 1.3)
	if kbld {
		b.against("  against", times[0], "kbld", times[2], 0)
	} else {
		b.add(result{row: "  against", ours: millis(times[0]), peer: "kbld", bar: noBar, verdict: absent + ": kbld is not installed"})
	}
	return nil
}

// pinLockedRow pins one file from its lock, without a network.
func pinLockedRow(ctx context.Context, b *bench) error {
	tags, stop, err := pinRegistry(ctx, 5)
	if err != nil {
		return err
	}
	defer stop()
	dir := filepath.Join(b.dir, "locked")
	files, err := writeManifests(dir, 1, tags)
	if err != nil {
		return err
	}
	lock := filepath.Join(dir, "runpin.lock")
	if _, _, err := b.runpin(b.dir, "pin", "--lock", lock, "-o", os.DevNull, files[0]).once(ctx); err != nil {
		return err
	}
	stop() // nothing may be asked
	times, err := medians(ctx, 3*b.runs, b.runpin(b.dir, "pin", "--locked", "--lock", lock, "-o", filepath.Join(dir, "out.yaml"), files[0]).timing(ctx), b.runpin(b.dir, "version").timing(ctx))
	if err != nil {
		return err
	}
	over := times[0] - times[1]
	b.add(result{row: "pin --locked, one file", ours: millis(times[0]), peer: "process start " + millis(times[1]), ratio: "+ " + millis(max(over, 0)), bar: "≤ 10 ms more",
		verdict: verdict(over <= 10*time.Millisecond)})
	return nil
}

// floorOfPin asks for each tag once over kept connections, and parses each file once, one thing after the other.
func floorOfPin(ctx context.Context, tags []name.Tag, files []string) (time.Duration, error) {
	from := time.Now()
	puller, err := remote.NewPuller(remote.WithContext(ctx), remote.WithJobs(pinJobs))
	if err != nil {
		return 0, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(pinJobs)
	for _, tag := range tags {
		g.Go(func() error {
			_, err := puller.Head(ctx, tag)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		if _, err := jobspec.Read(path, data); err != nil {
			return 0, err
		}
	}
	return time.Since(from), nil
}

// pinRegistry serves n tags of as many repositories.
func pinRegistry(ctx context.Context, n int) (tags []name.Tag, stop func(), err error) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	stop = sync.OnceFunc(server.Close)
	for i := range n {
		tag, err := name.NewTag(fmt.Sprintf("%s/team/image%03d:1.4", strings.TrimPrefix(server.URL, "http://"), i), name.Insecure)
		if err != nil {
			return nil, stop, err
		}
		img, err := random.Image(1024, 1)
		if err == nil {
			err = remote.Write(tag, img, remote.WithContext(ctx))
		}
		if err != nil {
			stop()
			return nil, nil, err
		}
		tags = append(tags, tag)
	}
	return tags, stop, nil
}

// writeManifests writes n Jobs of five containers each, anew: their registry has another port each time.
func writeManifests(dir string, n int, tags []name.Tag) (files []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for i := range n {
		var text strings.Builder
		fmt.Fprintf(&text, "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: train-%d\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n", i)
		for c := range 5 {
			fmt.Fprintf(&text, "      - name: c%d\n        image: %s # moves\n        command: [python, train.py]\n        resources:\n          limits: {cpu: 1, memory: 1Gi}\n", c, tags[(5*i+c)%len(tags)])
		}
		path := filepath.Join(dir, fmt.Sprintf("job-%04d.yaml", i))
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}
