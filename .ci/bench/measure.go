package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// command is a process to time. before runs untimed ahead of each run; a code other than want fails the row.
type command struct {
	argv   []string
	dir    string
	env    []string
	before func() error
	want   int
}

// runpin gives the binary under test with a home, a store and caches of its own, which no other row touches.
func (b *bench) runpin(dir string, args ...string) command {
	return command{argv: append([]string{b.binary}, args...), dir: dir, env: b.env(b.current)}
}

func (b *bench) env(home string) []string {
	home = filepath.Join(b.dir, "home-"+home)
	return []string{
		"HOME=" + home, "XDG_DATA_HOME=" + home + "/data", "XDG_CACHE_HOME=" + home + "/cache", "XDG_CONFIG_HOME=" + home + "/config",
		"RUNPIN_STORE=" + home + "/runpin.db", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + home + "/gitconfig",
	}
}

// cold makes a command that starts without caches. The store stays: it is no cache.
func (b *bench) cold(c command) command {
	cache := filepath.Join(b.dir, "home-"+b.current, "cache")
	c.before = func() error { return os.RemoveAll(cache) }
	return c
}

// once runs the command and gives its stdout.
func (c command) once(ctx context.Context) (out string, took time.Duration, err error) {
	if c.before != nil {
		if err := c.before(); err != nil {
			return "", 0, err
		}
	}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	from := time.Now()
	err = cmd.Run()
	took = time.Since(from)
	if code := cmd.ProcessState.ExitCode(); cmd.ProcessState == nil || code != c.want {
		why := firstLine(stderr.String())
		if why == "" {
			why = firstLine(stdout.String())
		}
		return "", 0, fmt.Errorf("%s: exit code %d: %v: %s", filepath.Base(c.argv[0]), code, err, why)
	}
	return stdout.String(), took, nil
}

// medians times the functions in turn, so that what else the machine does falls on all of them, after one untimed round.
func medians(ctx context.Context, runs int, timed ...func() (time.Duration, error)) ([]time.Duration, error) {
	all := make([][]time.Duration, len(timed))
	for round := range runs + 1 {
		for i, f := range timed {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			took, err := f()
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[i] = append(all[i], took)
			}
		}
	}
	middle := make([]time.Duration, len(timed))
	for i := range all {
		slices.Sort(all[i])
		middle[i] = all[i][len(all[i])/2]
	}
	return middle, nil
}

// timing makes a command into something that medians can time.
func (c command) timing(ctx context.Context) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		_, took, err := c.once(ctx)
		return took, err
	}
}

// against compares one duration with a peer's: ours may take at most limit times as long (0: no bar).
func (b *bench) against(row string, ours time.Duration, peerName string, peer time.Duration, limit float64) {
	ratio := float64(ours) / float64(peer)
	r := result{row: row, ours: millis(ours), peer: peerName + " " + millis(peer), ratio: fmt.Sprintf("%.2f ×", ratio), bar: noBar, verdict: noBar}
	if limit > 0 {
		r.bar, r.verdict = limitText(limit), verdict(ratio <= limit)
	}
	b.add(r)
}

// absentPeer says that a comparison was not made because a program is missing, and whether one was asked for by the bars.
func (b *bench) absentPeer(row string, ours time.Duration, program, bar string) {
	b.add(result{row: row, ours: millis(ours), peer: program, bar: bar, verdict: absent + ": .ci/parts bench installs " + program})
}

func limitText(limit float64) string { return fmt.Sprintf("≤ %.3g ×", limit) }

func verdict(ok bool) string {
	if ok {
		return hit
	}
	return miss
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func millis(d time.Duration) string {
	switch ms := float64(d) / 1e6; {
	case ms < 1:
		return fmt.Sprintf("%.0f µs", ms*1000)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}
