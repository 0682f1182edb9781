package schema

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// reporterOf gives a reporter without a rank, or the joiner of rank 0 where the kind is "rank".
func reporterOf(kind, id string) func(*Document) {
	return func(d *Document) {
		d.Reporter = Reporter{Kind: kind, AttemptID: id}
		if kind == "rank" {
			d.Reporter = Reporter{Kind: "joiner", AttemptID: id, Rank: ptr(0)}
		}
	}
}

// Lives of one try, and pods that nobody numbers side by side: seconds after the start of the run.
func TestFoldLives(t *testing.T) {
	lease := &Lease{Host: "a", PID: 1}
	type word struct {
		kind, id       string
		to             Status
		began, ended   int64
		code           int
		withoutStarted bool
	}
	runs := func(kind, id string, began int64) word { return word{kind: kind, id: id, to: Running, began: began} }
	ends := func(kind, id string, began, ended int64, code int) word {
		w := word{kind: kind, id: id, to: Succeeded, began: began, ended: ended, code: code}
		if code != 0 {
			w.to = Failed
		}
		return w
	}
	person := func(ended int64, code int, id string) word {
		w := ends("user", id, 0, ended, code)
		w.withoutStarted = true
		return w
	}
	for _, c := range []struct {
		name  string
		words []word
		want  Status
		code  int // -1: none
	}{
		{"a container is started again", []word{runs("rank", "p", 10), ends("rank", "p", 10, 60, 1), runs("rank", "p", 61+10)}, Running, -1},
		{"and again, to its end", []word{runs("rank", "p", 10), ends("rank", "p", 10, 60, 1), runs("rank", "p", 71), ends("rank", "p", 71, 90, 0)}, Succeeded, 0},
		{"without a rank", []word{runs("joiner", "p", 10), ends("joiner", "p", 10, 60, 1), runs("joiner", "p", 71)}, Running, -1},
		{"the first was killed and said nothing", []word{runs("rank", "p", 10), runs("rank", "p", 71), ends("rank", "p", 71, 90, 0)}, Succeeded, 0},
		{"one start that two tell a second apart", []word{ends("rank", "p", 10, 60, 1), runs("rank", "p", 11)}, Failed, 1},
		{"the cluster's end covers a joiner that began later", []word{runs("joiner", "p", 40), ends("collector", "p", 10, 60, 137)}, Failed, 137},
		{"a joiner began after the cluster's end", []word{ends("collector", "p", 10, 60, 137), runs("joiner", "p", 70)}, Running, -1},
		{"a person's word is about the life that had begun", []word{runs("joiner", "p", 10), person(50, 9, "p")}, Failed, 9},
		{"until the next begins", []word{runs("joiner", "p", 10), person(50, 9, "p"), runs("joiner", "p", 60)}, Running, -1},
		{"a command that joins twice without any name", []word{ends("joiner", "", 10, 20, 0), runs("joiner", "", 30)}, Running, -1},

		{"two pods side by side, one failed", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 11, 70, 0)}, Failed, 3},
		{"two pods side by side, one goes on", []word{runs("joiner", "a", 10), ends("joiner", "b", 11, 70, 0)}, Running, -1},
		{"both succeeded", []word{ends("joiner", "a", 10, 60, 0), ends("joiner", "b", 11, 70, 0)}, Succeeded, 0},
		{"one after the other, tried again", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 65, 70, 0)}, Succeeded, 0},
		{"two failed, one was tried again", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 11, 60, 4), ends("joiner", "c", 65, 70, 0)}, Failed, 4},
		{"two failed, both were tried again", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 11, 60, 4), ends("joiner", "c", 65, 70, 0), ends("joiner", "d", 66, 70, 0)}, Succeeded, 0},
		{"the cluster says that one failed", []word{ends("joiner", "a", 10, 60, 0), ends("joiner", "b", 11, 70, 0), ends("collector", "b", 11, 70, 137)}, Failed, 137},
		{"the cluster says that all went well", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 11, 70, 0), ends("collector", "b", 11, 70, 0)}, Succeeded, 0},
		{"a person says so", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 11, 70, 0), person(80, 0, "b")}, Succeeded, 0},
		{"a person says so, and a pod is tried again", []word{ends("joiner", "a", 10, 60, 3), ends("joiner", "b", 11, 70, 0), person(80, 0, "b"), ends("joiner", "c", 90, 99, 5)}, Failed, 5},
		{"the cluster vouched for it while one went on", []word{runs("joiner", "a", 10), ends("joiner", "b", 11, 70, 0), runs("collector", "b", 11)}, Running, -1},
	} {
		s := newStory(Plan{})
		for i, w := range c.words {
			change := StatusChange{To: w.to, Started: fixedTime(1000 * w.began)}
			if w.withoutStarted {
				change.Started = Time{}
			}
			if w.to == Running {
				change.Lease = lease
			} else {
				change.Finished, change.ExitCode = fixedTime(1000*w.ended), &w.code
			}
			// The ids are in no order: clocks of those who write them disagree.
			s.said(int64(1+(i*7919)%97), reporterOf(w.kind, w.id), status(change))
		}
		for range 5 {
			docs := s.docs
			rand.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
			r := s.fold(t)
			code := -1
			if r.ExitCode != nil && r.Status.Ended() {
				code = *r.ExitCode
			}
			if r.Status != c.want || code != c.code || (r.Lease != nil) != (c.want == Running) || r.Status.Ended() && r.Fingerprint == "" && c.words[len(c.words)-1].kind == "joiner" {
				t.Errorf("%s: %s, exit code %d, lease %v; want %s, %d", c.name, r.Status, code, r.Lease, c.want, c.code)
				break
			}
		}
	}
}

// Two lives of a container are two attempts, and each is one with the cluster's that had begun by then.
func TestAttemptsOfLives(t *testing.T) {
	own := func(began, ended int64, code int) Observation {
		a := Attempt{ID: "p", Rank: ptr(0), Node: "n", Started: fixedTime(1000 * began)}
		if ended > 0 {
			a.Finished, a.ExitCode = fixedTime(1000*ended), &code
		}
		return Observation{Attempt: &a}
	}
	cluster := func(number int, began, ended int64, code int) Observation {
		o := own(began, ended, code)
		o.Attempt.Number, o.Attempt.Node = number, ""
		return o
	}
	for _, c := range []struct {
		name string
		told []Observation
		want string // number:began-ended=code
	}{
		{"by the pod alone", []Observation{own(10, 0, 0), own(10, 60, 1), own(71, 0, 0)}, "0:10-60=1 0:71-0=-1"},
		{"by both", []Observation{own(15, 0, 0), own(15, 60, 1), own(76, 0, 0), own(76, 99, 0), cluster(1, 10, 60, 137), cluster(2, 61, 100, 0)}, "1:10-60=137 2:61-100=0"},
		{"a long way to the command", []Observation{own(60, 70, 1), own(131, 140, 0), cluster(1, 0, 70, 1), cluster(2, 71, 140, 0)}, "1:0-70=1 2:71-140=0"},
		{"of which the cluster remembers one", []Observation{own(15, 60, 1), own(76, 90, 2), own(101, 120, 0), cluster(3, 100, 121, 0)}, "0:15-60=1 0:76-90=2 3:100-121=0"},
		{"that the cluster has not looked at yet", []Observation{own(15, 60, 1), own(76, 0, 0), cluster(1, 10, 60, 1)}, "1:10-60=1 0:76-0=-1"},
		{"whose clocks are an hour apart", []Observation{own(3615, 3660, 1), cluster(1, 10, 60, 1)}, "1:10-3660=1"},
	} {
		s := newStory(Plan{})
		for i, o := range c.told {
			s.observe(int64(1+(i*7919)%97), ptr(0), o)
		}
		got := map[string]bool{}
		text := ""
		for _, a := range s.fold(t).Attempts {
			code, ended := -1, int64(0)
			if a.ExitCode != nil {
				code = *a.ExitCode
			}
			if !a.Finished.IsZero() {
				ended = a.Finished.t.Sub(fixedTime(0).t).Milliseconds() / 1000
			}
			one := fmt.Sprintf("%d:%d-%d=%d", a.Number, a.Started.t.Sub(fixedTime(0).t).Milliseconds()/1000, ended, code)
			got[one] = true
			text += one + " "
		}
		var a, b, d string
		n, _ := fmt.Sscan(c.want, &a, &b, &d)
		for _, want := range []string{a, b, d}[:n] {
			if !got[want] {
				t.Errorf("%s: %s; want %s", c.name, text, c.want)
			}
		}
		if len(got) != n {
			t.Errorf("%s: %s; want %s", c.name, text, c.want)
		}
	}
}
