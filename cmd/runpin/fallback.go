package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
	storehttp "github.com/runpin/runpin/store/http"
	"github.com/runpin/runpin/store/spool"
	"github.com/runpin/runpin/store/sqlite"
)

// A store that cannot be reached when a report must be written turns into a spool, and the next command that can reach it folds the spool in.

// fallbackSpools are where reports wait: beside a database, and where that is full or gone too, in the cache. A spool that is full has the cache, too.
func fallbackSpools(env *Env, location string) []string {
	var dirs []string
	if !strings.Contains(location, "://") && !strings.HasPrefix(location, "spool:") {
		dirs = append(dirs, location+".spool")
	}
	if cache := env.cacheDir(); cache != "" {
		dirs = append(dirs, filepath.Join(cache, "spool", schema.SHA256([]byte(shownLocation(location))).Hex()[:16]))
	}
	return dirs
}

// lazySpools keeps a report in the first of the directories that takes it; none is made before.
type lazySpools []string

// Save implements recorder.RunSaver.
func (dirs lazySpools) Save(ctx context.Context, report schema.Report) error {
	_, err := dirs.keep(ctx, report)
	return err
}

// keep gives the directory that took the report.
func (dirs lazySpools) keep(ctx context.Context, report schema.Report) (dir string, err error) {
	if len(dirs) == 0 { // --require durable has left none, or there is no home directory
		return "", &schema.Error{Op: "store.fallback", Kind: schema.Unavailable, Subject: "report", Err: errors.New("there is no place for a spool that outlives this machine"), Hint: "set XDG_CACHE_HOME to one"}
	}
	var failures []error
	for _, dir := range dirs {
		s, err := spool.Open(dir)
		if err == nil {
			err = s.Save(ctx, report)
		}
		if err == nil {
			return dir, nil
		}
		failures = append(failures, err)
	}
	return "", errors.Join(failures...)
}

// durable leaves out the directories that may vanish with the machine.
func (dirs lazySpools) durable() lazySpools {
	return slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { _, ephemeral := sqlite.OnEphemeral(dir); return ephemeral })
}

// unreachable tells a store that is away for now (a server that does not answer, a database that another process has locked for too long) from one that refuses: that is
// damaged, full, newer, or may not be written to. Only the first is worth a spool.
func unreachable(location string, err error) bool {
	return schema.IsKind(err, schema.Unavailable) && (strings.Contains(location, "://") || sqlite.Dialect{}.Busy(err))
}

// waits reports whether err says that the store is away, and there is a spool for reports meanwhile.
func (k *keptRuns) waits(err error) bool {
	return len(k.fallback) > 0 && unreachable(k.location, err)
}

// unread reports whether err may only mean that what is asked for cannot be read here and now: the store is away or a spool, the report that it needs still
// waits, or the token may only append.
func (k *keptRuns) unread(err error) bool {
	return err != nil && k.spool != nil || k.waits(err) || k.left > 0 && schema.IsKind(err, schema.NotFound) || errors.Is(err, storehttp.ErrDenied)
}

// wait keeps a report in the spool because of what the store said, and says so.
func (k *keptRuns) wait(ctx context.Context, report schema.Report, why error) error {
	dir, err := k.fallback.keep(ctx, report)
	if err != nil {
		return errors.Join(why, err)
	}
	k.env.warn("the store cannot be reached (%v): the report waits in %s, and the next command that reaches the store folds it in", why, dir)
	return nil
}

const (
	foldAtOnce   = 1000            // more are left to `runpin import`, which shows how far it is
	foldPatience = 5 * time.Second // a command is there for something else
)

// foldWaiting folds the reports in that had to wait for the store. When none has, this costs one look for a directory that does not exist.
func foldWaiting(ctx context.Context, env *Env, k *keptRuns, location string) {
	ctx, cancel := context.WithTimeout(ctx, foldPatience)
	defer cancel()
	var into spool.Saver = k.runStore
	if k.spool != nil {
		into = k.spool
	}
	folded, left := 0, 0
	for _, dir := range fallbackSpools(env, location) {
		if k.spool != nil && dir == k.spool.Dir() { // the store is this spool itself
			continue
		}
		files, err := spool.Reports(dir)
		if err != nil || len(files) == 0 {
			continue
		}
		done, err := spool.Import(ctx, dir, into, spool.ImportOptions{Limit: foldAtOnce})
		folded += done.Reports
		if done.Refused > 0 {
			env.warn("%s that waited cannot be folded in and were moved to %s: %v", plural(int64(done.Refused), "report"), filepath.Join(dir, "refused"), err)
		}
		if rest, err := spool.Reports(dir); err == nil {
			left += max(0, len(rest)-done.InPlace)
		}
	}
	if folded > 0 {
		env.say("folded in %s that had to wait for the store", plural(int64(folded), "report"))
	}
	if k.left = left; left > 0 {
		env.say("%s still wait for the store: runpin import", plural(int64(left), "report"))
	}
}

// waiting counts the reports that wait for a store.
func waiting(env *Env, location string) (n int) {
	for _, dir := range fallbackSpools(env, location) {
		if files, err := spool.Reports(dir); err == nil {
			n += len(files)
		}
	}
	return n
}

// foldBeforeReading opens the store for writing where reports wait, so that what is read is whole. One that cannot be written to now is read as it is.
func foldBeforeReading(ctx context.Context, env *Env, location string) {
	waits := waiting(env, location)
	if waits == 0 {
		return
	}
	if k, err := openRuns(ctx, env, location, forWriting); err == nil {
		defer k.close()
		if k.runStore != nil {
			foldWaiting(ctx, env, k, location)
			return
		}
	}
	env.say("%s wait for the store and are not among what follows: runpin import", plural(int64(waits), "report"))
}
