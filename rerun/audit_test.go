package rerun

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
)

// counted answers for images and data sets, and counts.
type counted struct {
	world
	asked  sync.Map // key of the pin to *atomic.Int32
	inside atomic.Int32
	most   atomic.Int32
	image  func(ctx context.Context, p schema.ImagePin) schema.Availability
}

func (c *counted) count(what string) {
	n, _ := c.asked.LoadOrStore(what, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
}

func (c *counted) CheckImage(ctx context.Context, p schema.ImagePin) schema.Availability {
	c.count(p.Repository + string(p.PlatformDigest))
	now := c.inside.Add(1)
	defer c.inside.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	if c.image != nil {
		return c.image(ctx, p)
	}
	return schema.Availability{Pin: "image:" + p.Name, Value: schema.Text(p.PlatformDigest), State: schema.StateAvailable}
}

func (c *counted) CheckDataset(_ context.Context, p schema.DatasetPin, _ string, _ bool) schema.Availability {
	c.count(string(p.ContentDigest))
	return schema.Availability{Pin: "dataset:" + p.Name, State: schema.StateAvailable}
}

func newCounted() (*counted, *Rerunner) {
	c := &counted{}
	_, r := newWorld()
	r.Images, r.Code, r.Datasets = c, c, c
	return c, r
}

// inContainer gives the ith run of many that ran in one of images.
func inContainer(i, images int) schema.Run {
	run := schema.Run{ID: schema.NewRunID(time.Unix(int64(1_790_000_000+i), 0)), Status: schema.Succeeded}
	run.Name, run.Launcher, run.CommandTemplate = fmt.Sprint("r", i), "podman", schema.Texts([]string{"train"})
	d := schema.SHA256(fmt.Append(nil, i%images))
	run.Images = []schema.ImagePin{{Name: "image", Ref: schema.Text(fmt.Sprintf("h/a:%d", i%images)), Repository: "h/a", PlatformDigest: d, ConfigDigest: d, Use: schema.Enforced}}
	run.Datasets = []schema.DatasetPin{{Name: fmt.Sprint("d", i%3), URI: "data", Scheme: "file", ContentDigest: digestA}}
	run.Metrics = map[string]schema.Text{"loss": "0.5"}
	return run
}

func manyRuns(n, images int) iter.Seq2[schema.Run, error] {
	return func(yield func(schema.Run, error) bool) {
		for i := range n {
			if !yield(inContainer(i, images), nil) {
				return
			}
		}
	}
}

func TestAuditAsksOnceInOrder(t *testing.T) {
	c, r := newCounted()
	var names []string
	tally, err := r.Audit(t.Context(), manyRuns(5000, 40), AuditOptions{Jobs: 5}, func(a Audited) error {
		names = append(names, a.Name)
		if a.Answer() != RerunYes || len(a.Pins) != 2 || a.Pins[1].Pin == "" || !strings.HasPrefix(a.Pins[1].Pin, "dataset:d") {
			t.Errorf("%+v", a)
		}
		return nil
	})
	if err != nil || tally.Asked != 41 || len(names) != 5000 || names[0] != "r0" || names[4999] != "r4999" {
		t.Errorf("%v %+v %d runs", err, tally, len(names))
	}
	c.asked.Range(func(what, n any) bool {
		if n.(*atomic.Int32).Load() != 1 {
			t.Errorf("%v was asked about %d times", what, n.(*atomic.Int32).Load())
		}
		return true
	})
	if c.most.Load() > 5 {
		t.Errorf("%d questions at once", c.most.Load())
	}
}

// A server that hangs holds up neither other servers nor the end.
func TestAuditPastAServerThatHangs(t *testing.T) {
	c, r := newCounted()
	others := make(chan struct{}, 100)
	c.image = func(ctx context.Context, p schema.ImagePin) schema.Availability {
		if strings.HasPrefix(p.Repository, "slow/") {
			<-ctx.Done()
			return schema.Availability{State: schema.StateUnknown}
		}
		others <- struct{}{}
		return schema.Availability{State: schema.StateAvailable}
	}
	runs := func(yield func(schema.Run, error) bool) {
		for i := range 60 {
			run := inContainer(i, 60)
			if i < 30 {
				run.Images[0].Repository = "slow/a"
			}
			if !yield(run, nil) {
				return
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 30 {
			<-others
		}
		cancel()
	}()
	_, err := r.Audit(ctx, runs, AuditOptions{}, func(Audited) error { return nil })
	if schema.KindOf(err) != schema.Interrupted {
		t.Errorf("%v", err)
	}
}

// Who waits is told for whom, once for each server, by a check of one run and of many; what is read on this machine shows its own progress.
func TestWhoIsWaitedForIsSaid(t *testing.T) {
	for name, check := range map[string]func(r *Rerunner) error{
		"one": func(r *Rerunner) error { r.Preflight(t.Context(), inContainer(0, 1), PreflightOptions{}); return nil },
		"many": func(r *Rerunner) error {
			_, err := r.Audit(t.Context(), manyRuns(6, 3), AuditOptions{}, func(Audited) error { return nil })
			return err
		},
	} {
		c, r := newCounted()
		said := make(chan struct{})
		var once sync.Once
		var told []string
		c.image = func(context.Context, schema.ImagePin) schema.Availability {
			<-said // for ever, if nothing is said
			return schema.Availability{State: schema.StateAvailable}
		}
		r.patience = time.Millisecond
		r.Warn = func(format string, args ...any) {
			told = append(told, fmt.Sprintf(format, args...))
			once.Do(func() { close(said) })
		}
		if err := check(r); err != nil || len(told) != 1 || told[0] != "still waiting for h, which was asked about image:image" {
			t.Errorf("%s: %v %q", name, err, told)
		}
	}
	c, r := newCounted()
	c.image = func(context.Context, schema.ImagePin) schema.Availability {
		return schema.Availability{State: schema.StateAvailable}
	}
	r.Warn = func(format string, args ...any) { t.Errorf("of an answer that came: "+format, args...) }
	r.Preflight(t.Context(), inContainer(0, 1), PreflightOptions{})
}

func TestAuditFaults(t *testing.T) {
	_, r := newCounted()
	lost := &schema.Error{Kind: schema.NotFound, Subject: "x"}
	runs := func(yield func(schema.Run, error) bool) {
		_ = yield(inContainer(0, 1), nil) && yield(schema.Run{}, lost) && yield(inContainer(1, 1), nil)
	}
	n := 0
	if _, err := r.Audit(t.Context(), runs, AuditOptions{}, func(Audited) error { n++; return nil }); !errors.Is(err, lost) || n != 2 {
		t.Errorf("%v after %d runs", err, n)
	}
	full := errors.New("disk full")
	if _, err := r.Audit(t.Context(), manyRuns(9000, 2), AuditOptions{}, func(Audited) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Audit(ctx, manyRuns(10, 2), AuditOptions{}, func(Audited) error { t.Error("a run after the end"); return nil }); schema.KindOf(err) != schema.Interrupted {
		t.Errorf("%v", err)
	}
}

// The store that the runs are read from may be closed when an audit has returned, whatever ended it.
func TestAuditWaitsForItsReader(t *testing.T) {
	full := errors.New("disk full")
	for name, end := range map[string]func(cancel func()) error{
		"interrupted": func(cancel func()) error { cancel(); return nil },
		"failed":      func(func()) error { return full },
	} {
		_, r := newCounted()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		reading, ended, left := make(chan struct{}), make(chan struct{}), false
		runs := func(yield func(schema.Run, error) bool) {
			defer func() { left = true }()
			if !yield(inContainer(0, 1), nil) {
				return
			}
			close(reading) // the next page is on its way when the audit ends
			<-ended
			time.Sleep(20 * time.Millisecond)
			_ = yield(schema.Run{}, errors.New("the store is closed")) && yield(inContainer(1, 1), nil)
		}
		_, err := r.Audit(ctx, runs, AuditOptions{}, func(Audited) error {
			<-reading
			defer close(ended)
			return end(cancel)
		})
		if !left || err == nil {
			t.Errorf("%s: the reader had ended: %t; %v", name, left, err)
		}
	}
}

// What a rerun needs is what counts: an image that was only claimed, beside a command on the host, does not.
func TestAuditCountsWhatARerunNeeds(t *testing.T) {
	w, r := newWorld()
	w.checks["image:image"] = schema.Availability{State: schema.StateGone}
	claimed := original()
	claimed.Images = []schema.ImagePin{{Name: "image", Repository: "h/a", PlatformDigest: digestA, Use: schema.Claimed}}
	enforced := claimed
	enforced.Launcher = "podman"
	job := original()
	job.CommandTemplate, job.Images = nil, claimed.Images
	job.Job = &schema.JobSpec{Format: "kubernetes"}
	imported := original()
	imported.CommandTemplate = nil
	for _, c := range []struct {
		name string
		run  schema.Run
		want CanRerun
		pin  string
	}{{"claimed", claimed, RerunYes, ""}, {"enforced", enforced, RerunNo, "image:image"}, {"job", job, RerunNo, "image:image"}, {"without a command", imported, RerunNo, "command"}} {
		_, err := r.Audit(t.Context(), func(yield func(schema.Run, error) bool) { yield(c.run, nil) }, AuditOptions{}, func(a Audited) error {
			if a.Answer() != c.want || c.pin != "" && !slices.ContainsFunc(a.InTheWay, func(a schema.Availability) bool { return a.Pin == c.pin }) {
				t.Errorf("%s: %s %+v", c.name, a.Answer(), a.InTheWay)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestSummary(t *testing.T) {
	var s Summary
	if got := s.Sentence(); got != "there are no runs to check" {
		t.Error(got)
	}
	d1, d2 := schema.SHA256([]byte("1")), schema.SHA256([]byte("2"))
	lost := func(pin string, state schema.State, ref, value, reason, remedy string) schema.Availability {
		return schema.Availability{Pin: pin, State: state, Ref: schema.Text(ref), Value: schema.Text(value), Reason: reason, Remedy: remedy}
	}
	add := func(n int, pins ...schema.Availability) {
		for range n {
			s.Add(Audited{Run: schema.NewRunID(time.Unix(int64(1_790_000_000+s.Runs), 0)), Pins: pins, InTheWay: pins})
		}
	}
	add(9412)
	missing := func(name, tag string, d schema.Digest) schema.Availability {
		return lost("image:"+name, schema.StateGone, "h/"+name+":"+tag, string(d), "there is no "+string(d)+"; the tag "+tag+" names another image now", "push it: h/"+name+"@"+string(d))
	}
	add(300, missing("a", "1", d1))
	add(88, missing("b", "22", d2))
	away := lost("image:a", schema.StateUnknown, "h/a:1", string(d1), "refused", "try again")
	add(100, lost("dataset:train", schema.StateChanged, "data", string(d1), "b.csv changed", "restore it"), away)
	add(97, lost("code:code", schema.StateUnknown, ".", "9fceb02d0ae598e95dc970b74767f19372d61af8", "commit 9fceb02d0ae5: away", "try again"))
	add(3, lost("command", schema.StateGone, "", "", "its record has no command", ""))
	if want := "of 10,000 runs 9,412 can be run again today; 388 lost their image; 100 had a data set changed; 3 never had a command; of 97 it could not be found out"; s.Sentence() != want {
		t.Errorf("%s\nwant %s", s.Sentence(), want)
	}
	if s.Rerunnable != 9412 || s.Lost != 491 || s.Unknown != 97 {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		answer schema.State
		want   string
	}{{schema.StateAvailable, "the one run can be run again today"}, {schema.StateUnknown, "of 1 run none can be run again today; of 1 it could not be found out"}} {
		var one Summary
		found := []schema.Availability{lost("job", c.answer, "", "", "", "")}
		one.Add(Audited{InTheWay: inTheWay(found, nil)})
		if got := one.Sentence(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	causes := s.Causes()
	first := causes[0]
	if len(causes) != 5 || first.Runs != 388 || len(first.Pins) != 2 || first.Pins[0].Runs != 300 || len(first.Examples) != maxExamples {
		t.Fatalf("%+v", causes)
	}
	if first.Reason != "there is no …; the tag … names another image now" || first.Remedy != "push it" {
		t.Errorf("%q %q", first.Reason, first.Remedy)
	}
	if c := causes[3]; c.Kind != "code" || c.Reason != "commit 9fceb02d0ae5: away" { // of one pin: in its own words
		t.Errorf("%+v", c)
	}
	for range 2000 { // of very many pins the first are named, and the others counted
		add(1, missing("a", "1", schema.SHA256(fmt.Append(nil, s.Runs))))
	}
	if c := s.Causes()[0]; len(c.Pins) != maxCausePins || c.MorePins != 2002-maxCausePins {
		t.Errorf("%d pins and %d more", len(c.Pins), c.MorePins)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := Thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// openTest opens the journal at a path as a command at a time does.
func openTest(t *testing.T, path, about string, at time.Time, fresh bool) *Journal {
	t.Helper()
	j, err := OpenJournal(path, about, func() schema.Time { return schema.At(at) }, fresh)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "check", "x.jsonl")
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	key := func(i int) string { return string(schema.SHA256(fmt.Append(nil, i))) }
	j := openTest(t, path, "store 1", now, false)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			state := schema.StateGone
			if i == 7 {
				state = schema.StateUnknown
			}
			j.keep(key(i), schema.Availability{Pin: "image:x", State: state, Reason: "a\nb"})
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known := func(about string, at time.Time, fresh bool, content []byte) int {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		n, _ := openTest(t, path, about, at, fresh).Known()
		return n
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for name, c := range map[string]struct{ got, want int }{
		"all but what is unknown":  {known("store 1", now.Add(time.Minute), false, whole), 99},
		"after an hour":            {known("store 1", now.Add(61*time.Minute), false, whole), 0},
		"from the future":          {known("store 1", now.Add(-time.Minute), false, whole), 0},
		"of another store":         {known("store 2", now, false, whole), 0},
		"fresh":                    {known("store 1", now, true, whole), 0},
		"torn":                     {known("store 1", now, false, whole[:len(whole)-20]), 98},
		"without a head":           {known("store 1", now, false, []byte(strings.Join(lines[1:], ""))), 0},
		"empty":                    {known("store 1", now, false, nil), 0},
		"garbage between":          {known("store 1", now, false, []byte(lines[0]+"{\n\x00\xff\nnull\n[]\n"+strings.Join(lines[1:], ""))), 99},
		"a line without end":       {known("store 1", now, false, []byte(lines[0]+strings.Repeat("x", 10<<20)+"\n"+strings.Join(lines[1:], ""))), 99},
		"keys that are none":       {known("store 1", now, false, []byte(lines[0]+strings.ReplaceAll(lines[1], "sha256:", "../"))), 0},
		"states that there are no": {known("store 1", now, false, []byte(lines[0]+strings.ReplaceAll(lines[1], `"gone"`, `"fine"`))), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d answers, want %d", name, c.got, c.want)
		}
	}
	// What was torn is gone from the file; what is added stands on lines of its own.
	if err := os.WriteFile(path, whole[:len(whole)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	j = openTest(t, path, "store 1", now, false)
	j.keep(key(1000), schema.Availability{State: schema.StateAvailable})
	j.Close()
	j = openTest(t, path, "store 1", now, false)
	if n, since := j.Known(); n != 99 || !since.Time().Equal(now) {
		t.Errorf("%d answers since %s", n, since)
	}
	if err := j.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a finished journal is left: %v", err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path, "x", func() schema.Time { return schema.At(now) }, false); schema.KindOf(err) != schema.Unavailable {
		t.Errorf("a link is followed: %v", err)
	}
	var none *Journal
	none.keep("k", schema.Availability{})
	if n, _ := none.Known(); n != 0 || none.Close() != nil || none.Finish() != nil {
		t.Error("no journal is not nothing")
	}
}

// FuzzJournal: whatever lies in the place of a journal, opening it neither fails nor believes what is none of its states.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"journal":"runpin.dev/audit/v1","about":"x"}` + "\n" + `{"key":"` + string(digestA) + `","at":"2026-11-28T12:00:00.000Z","found":{"pin":"image:a","state":"gone"}}` + "\n"))
	f.Add([]byte("\x00\n{}\n"))
	path := filepath.Join(f.TempDir(), "x.jsonl")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(path, "x", func() schema.Time { return schema.At(time.Date(2026, 11, 28, 12, 30, 0, 0, time.UTC)) }, false)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		for key, line := range j.known {
			if !schema.Digest(key).Valid() || line.Found.State == schema.StateUnknown || line.Found.State == "" {
				t.Errorf("%+v", line)
			}
		}
	})
}

// An audit takes from the journal what is known, asks the rest, and never believes what it did not ask where the state was unknown.
func TestAuditResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	now := time.Now()
	c, r := newCounted()
	ctx, cancel := context.WithCancel(t.Context())
	c.image = func(ctx context.Context, p schema.ImagePin) schema.Availability {
		switch p.Ref {
		case "h/a:9":
			for written := 0; written < 1+9; time.Sleep(time.Millisecond) { // the head, eight images and the data set
				b, _ := os.ReadFile(path)
				written = strings.Count(string(b), "\n")
			}
			cancel()
			return schema.Availability{State: schema.StateGone, Reason: "cut short"}
		case "h/a:8":
			return schema.Availability{State: schema.StateUnknown, Reason: "down"}
		}
		return schema.Availability{Pin: "image:image", Value: schema.Text(p.PlatformDigest), State: schema.StateGone, Reason: "gone"}
	}
	j := openTest(t, path, "x", now, false)
	if _, err := r.Audit(ctx, manyRuns(30, 10), AuditOptions{Journal: j, Jobs: 12}, func(Audited) error { return nil }); schema.KindOf(err) != schema.Interrupted {
		t.Fatal(err)
	}
	j.Close()
	c, r = newCounted()
	j = openTest(t, path, "x", now.Add(time.Second), false)
	gone := 0
	tally, err := r.Audit(t.Context(), manyRuns(30, 10), AuditOptions{Journal: j}, func(a Audited) error {
		if a.Answer() == RerunNo {
			gone++
		}
		return nil
	})
	known, _ := j.Known()
	if err != nil || tally.Known != known || tally.Asked+tally.Known != 11 || gone != 3*8 {
		t.Errorf("%v %+v, %d known, %d gone", err, tally, known, gone)
	}
	for _, i := range []int{8, 9} { // could not be found out; was cut short
		if _, asked := c.asked.Load("h/a" + string(schema.SHA256(fmt.Append(nil, i)))); !asked {
			t.Errorf("image %d was not asked for again", i)
		}
	}
}
