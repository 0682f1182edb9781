package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/runpin/runpin/schema"
)

// report makes a report that fakeSaver tells by its size.
func report(n int) Prepared { return Prepared{bytes: n} }

// fakeSaver keeps what it is given, refuses what is in bad, and holds the first transaction until release is closed.
type fakeSaver struct {
	mu      sync.Mutex
	kept    []int
	calls   int
	bad     map[int]schema.Kind
	held    chan struct{} // closed when the first transaction has begun
	release chan struct{}
}

func (f *fakeSaver) save(_ context.Context, reports ...Prepared) error {
	f.mu.Lock()
	f.calls++
	first := f.calls == 1
	f.mu.Unlock()
	if first {
		close(f.held)
		<-f.release
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range reports {
		if kind := f.bad[r.bytes]; kind != "" {
			return &schema.Error{Op: "test", Kind: kind, Err: fmt.Errorf("report %d", r.bytes)}
		}
	}
	for _, r := range reports {
		f.kept = append(f.kept, r.bytes)
	}
	return nil
}

// saveMany saves reports 1 to n while a first transaction is held, so that they wait together, and gives their errors by number.
func saveMany(t *testing.T, f *fakeSaver, n int) map[int]error {
	t.Helper()
	f.held, f.release = make(chan struct{}), make(chan struct{})
	b := newBatcher(f.save)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Save(context.Background(), report(0)); err != nil {
			t.Error(err)
		}
	})
	<-f.held
	errs := make(map[int]error)
	var mu sync.Mutex
	for i := 1; i <= n; i++ {
		w := &waiting{report(i), make(chan error, 1)}
		b.queue <- w
		wg.Go(func() {
			err := <-w.result
			mu.Lock()
			errs[i] = err
			mu.Unlock()
		})
	}
	close(f.release)
	wg.Wait()
	b.Close()
	return errs
}

func TestBatcherSavesWhatWaitsTogether(t *testing.T) {
	f := &fakeSaver{}
	for i, err := range saveMany(t, f, 100) {
		if err != nil {
			t.Errorf("report %d: %v", i, err)
		}
	}
	slices.Sort(f.kept)
	if len(slices.Compact(f.kept)) != 101 || f.calls != 2 {
		t.Errorf("%d reports in %d transactions", len(f.kept), f.calls)
	}
}

func TestBatcherBlamesWhoIsToBlame(t *testing.T) {
	f := &fakeSaver{bad: map[int]schema.Kind{3: schema.Conflict, 77: schema.Invalid}}
	for i, err := range saveMany(t, f, 100) {
		if schema.KindOf(err) != f.bad[i] {
			t.Errorf("report %d: %v", i, err)
		}
	}
	slices.Sort(f.kept)
	if len(slices.Compact(f.kept)) != 99 {
		t.Errorf("%d reports are kept", len(f.kept))
	}
	if f.calls > 40 {
		t.Errorf("two bad reports cost %d transactions", f.calls)
	}
}

func TestBatcherDoesNotAskAFullStoreAgainAndAgain(t *testing.T) {
	f := &fakeSaver{bad: map[int]schema.Kind{50: schema.Unavailable}}
	for i, err := range saveMany(t, f, 100) {
		if schema.KindOf(err) != schema.Unavailable {
			t.Errorf("report %d: %v", i, err)
		}
	}
	if f.calls != 2 {
		t.Errorf("%d transactions", f.calls)
	}
}

func TestBatcherBoundsABatch(t *testing.T) {
	f := &fakeSaver{held: make(chan struct{}), release: make(chan struct{})}
	b := newBatcher(f.save)
	var all []*waiting
	for range 4 {
		w := &waiting{report(maxBatchBytes/2 + 1), make(chan error, 1)}
		b.queue <- w
		all = append(all, w)
	}
	close(f.release)
	for _, w := range all {
		if err := <-w.result; err != nil {
			t.Error(err)
		}
	}
	if f.calls != 4 {
		t.Errorf("%d transactions for four large reports", f.calls)
	}
	b.Close()
	if err := b.Save(context.Background(), report(1)); schema.KindOf(err) != schema.Unavailable {
		t.Error(err)
	}
}

func TestBatcherLetsGoOfWhoDoesNotWait(t *testing.T) {
	f := &fakeSaver{held: make(chan struct{}), release: make(chan struct{})}
	b := newBatcher(f.save)
	ctx, cancel := context.WithCancel(context.Background())
	given := make(chan error, 1)
	go func() { given <- b.Save(ctx, report(1)) }()
	<-f.held
	cancel()
	err := <-given
	if schema.KindOf(err) != schema.Interrupted || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(f.release)
	b.Close()
	if len(f.kept) != 1 {
		t.Error("what was accepted is not kept")
	}
}
