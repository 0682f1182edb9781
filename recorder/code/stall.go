package code

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/runpin/runpin/recorder/git"
)

// stallTime is how long a remote may send nothing while a commit is fetched. A large one may take as long as it takes.
func (r *Resolver) stallTime() time.Duration { return 2 * r.opts.NetworkTime }

// whileItComes lets fetch go on for as long as the store grows: a remote that takes the question and then says nothing would hold a rerun for ever.
func (r *Resolver) whileItComes(ctx context.Context, store *git.Scratch, fetch func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.NewTicker(max(time.Millisecond, r.stallTime()/20))
	defer watch.Stop()
	done := make(chan error, 1)
	go func() { done <- fetch(ctx) }()
	size, since := int64(-1), time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-watch.C:
			if now := sizeBelow(filepath.Join(store.Dir, "objects")); now != size {
				size, since = now, time.Now()
			} else if time.Since(since) > r.stallTime() {
				cancel(fmt.Errorf("the remote has sent nothing for %s", r.stallTime()))
				return <-done
			}
		}
	}
}

func sizeBelow(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil // what comes and goes meanwhile is no concern
	})
	return size
}
