package rerun

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Summary is what became of a history: how many runs can still be run again, and what the others lost.
type Summary struct {
	Runs       int
	Rerunnable int // as they stand
	Needs      int // with something that the user gives
	Lost       int // something that they need is gone or changed
	Unknown    int // nothing is lost as far as is known, and something could not be found out
	DidNotEnd  int // not among Runs: left out, for there is nothing to compare a rerun with

	losses map[loss]int
	causes map[causeKey]*Cause
}

// Loss counts the runs that lost something of one kind.
type Loss struct {
	Kind  string       `json:"kind"` // image, code, dataset, job, …: what stands before the colon of a pin
	State schema.State `json:"state"`
	Runs  int          `json:"runs"`
}

type loss struct {
	kind  string
	state schema.State
}

// Cause is one reason why runs cannot be run again, or not without something that the user gives, with the pins that it is true of.
type Cause struct {
	Kind     string         `json:"kind"`
	State    schema.State   `json:"state"`
	Needed   bool           `json:"needed,omitempty"` // nothing is lost: it has to be given to the rerun
	Reason   string         `json:"reason"`           // where the pins' reasons differ in digests and names alone, these are left out
	Remedy   string         `json:"remedy,omitempty"`
	Runs     int            `json:"runs"`
	Pins     []LostPin      `json:"pins"`                // those of most runs first
	MorePins int            `json:"more_pins,omitempty"` // that are not in Pins
	Examples []schema.RunID `json:"examples"`            // some of the runs, in the order of the audit

	pins    map[lostPin]*LostPin
	lastRun schema.RunID
}

// LostPin is a pin that runs have in common.
type LostPin struct {
	Ref   schema.Text `json:"ref,omitempty"`   // as the first run wrote it
	Value schema.Text `json:"value,omitempty"` // digest, commit or version
	Runs  int         `json:"runs"`

	reason, remedy string
	lastRun        schema.RunID
}

type causeKey struct {
	kind   string
	state  schema.State
	needed string // the whole name of what has to be given
	reason string
}

type lostPin struct{ ref, value schema.Text }

// How much of a cause is told.
const (
	maxCausePins = 20
	maxExamples  = 5
)

// Add takes a run into account.
func (s *Summary) Add(a Audited) {
	if s.losses == nil {
		s.losses, s.causes = map[loss]int{}, map[causeKey]*Cause{}
	}
	s.Runs++
	switch a.Answer() {
	case RerunYes:
		s.Rerunnable++
	case RerunNeeds:
		s.Needs++
		for _, row := range a.ToGive {
			kind, _, _ := strings.Cut(row.Pin, ":")
			s.cause(causeKey{kind, row.State, row.Pin, general(row.Reason, row)}).add(a.Run, row)
		}
	case RerunNo:
		s.Lost++
	case RerunUnknown:
		s.Unknown++
	}
	counted := map[loss]bool{}
	for _, pin := range a.InTheWay {
		kind, _, _ := strings.Cut(pin.Pin, ":")
		if l := (loss{kind, pin.State}); !counted[l] {
			counted[l] = true
			s.losses[l]++
		}
		s.cause(causeKey{kind, pin.State, "", general(pin.Reason, pin)}).add(a.Run, pin)
	}
}

func (s *Summary) cause(key causeKey) *Cause {
	c := s.causes[key]
	if c == nil {
		c = &Cause{Kind: key.kind, State: key.state, Needed: key.needed != "", pins: map[lostPin]*LostPin{}}
		s.causes[key] = c
	}
	return c
}

func (c *Cause) add(run schema.RunID, a schema.Availability) {
	if c.lastRun != run {
		c.lastRun = run
		c.Runs++
		if len(c.Examples) < maxExamples {
			c.Examples = append(c.Examples, run)
		}
	}
	key := lostPin{a.Ref, a.Value}
	pin := c.pins[key]
	if pin == nil {
		pin = &LostPin{Ref: a.Ref, Value: a.Value, reason: a.Reason, remedy: a.Remedy}
		c.pins[key] = pin
	}
	if pin.lastRun != run {
		pin.lastRun = run
		pin.Runs++
	}
}

// Losses lists what was lost, kind by kind.
func (s *Summary) Losses() []Loss {
	out := make([]Loss, 0, len(s.losses))
	for l, n := range s.losses {
		out = append(out, Loss{l.kind, l.state, n})
	}
	slices.SortFunc(out, func(a, b Loss) int {
		if d := placeOf(a.Kind) - placeOf(b.Kind); d != 0 {
			return d
		}
		if d := strings.Compare(a.Kind, b.Kind); d != 0 {
			return d
		}
		return stateOrder(a.State) - stateOrder(b.State)
	})
	return out
}

var kindOrder = []string{"image", "code", "dataset", "job", "command", "secret", "output", "tracker", "start"}

func placeOf(kind string) int {
	if i := slices.Index(kindOrder, kind); i >= 0 {
		return i
	}
	return len(kindOrder)
}

func stateOrder(s schema.State) int {
	return slices.Index([]schema.State{schema.StateGone, schema.StateChanged, schema.StateUnknown}, s)
}

// Causes lists why runs cannot be run again, that of most runs first; behind them what has to be given.
func (s *Summary) Causes() []Cause {
	out := make([]Cause, 0, len(s.causes))
	for key, c := range s.causes {
		out = append(out, c.told(key.reason))
	}
	slices.SortFunc(out, func(a, b Cause) int {
		if a.Needed != b.Needed {
			if b.Needed {
				return -1
			}
			return 1
		}
		if a.Runs != b.Runs {
			return b.Runs - a.Runs
		}
		if d := placeOf(a.Kind) - placeOf(b.Kind); d != 0 {
			return d
		}
		if d := stateOrder(a.State) - stateOrder(b.State); d != 0 {
			return d
		}
		return strings.Compare(a.Kind+a.Reason, b.Kind+b.Reason)
	})
	return out
}

// told gives the cause as it is shown: of one pin in its own words, of several in those that they have in common.
func (c *Cause) told(reason string) Cause {
	out := *c
	out.Reason, out.pins = reason, nil
	for _, pin := range c.pins {
		out.Pins = append(out.Pins, *pin)
	}
	slices.SortFunc(out.Pins, func(a, b LostPin) int {
		if a.Runs != b.Runs {
			return b.Runs - a.Runs
		}
		return strings.Compare(string(a.Ref)+string(a.Value), string(b.Ref)+string(b.Value))
	})
	first := out.Pins[0]
	if out.Remedy = first.remedy; len(out.Pins) == 1 {
		out.Reason = first.reason
	} else if slices.ContainsFunc(out.Pins, func(p LostPin) bool { return p.remedy != first.remedy }) {
		out.Remedy = strings.TrimSuffix(general(first.remedy, schema.Availability{Ref: first.Ref}), ": …")
	}
	if more := len(out.Pins) - maxCausePins; more > 0 {
		out.Pins, out.MorePins = out.Pins[:maxCausePins], more
	}
	return out
}

var (
	namedDigest = regexp.MustCompile(`[^\s"]*\bsha(256|512):[0-9a-f]{7,}`)
	objectName  = regexp.MustCompile(`\b[0-9a-f]{7,64}\b`)
)

// general leaves out of a sentence about one pin what only that pin has: digests, commits and its own name.
func general(sentence string, a schema.Availability) string {
	s := namedDigest.ReplaceAllString(sentence, "…")
	s = objectName.ReplaceAllString(s, "…")
	if len(a.Ref) > 3 {
		s = strings.ReplaceAll(s, string(a.Ref), "…")
		if _, tag, ok := strings.Cut(string(a.Ref[strings.LastIndexByte(string(a.Ref), '/')+1:]), ":"); ok && tag != "" {
			s = strings.ReplaceAll(s, " "+tag+" ", " … ")
		}
	}
	return s
}

// Sentence says it all in one.
func (s *Summary) Sentence() string {
	left := ""
	if s.DidNotEnd > 0 {
		left = "; " + Thousands(s.DidNotEnd) + " more did not end"
	}
	if s.Runs == 0 {
		return "there are no runs to check" + left
	}
	first := fmt.Sprintf("of %s %s can be run again today", count(s.Runs, "run"), Thousands(s.Rerunnable))
	switch {
	case s.Rerunnable == 0:
		first = fmt.Sprintf("of %s none can be run again today", count(s.Runs, "run"))
	case s.Rerunnable == s.Runs && s.Runs == 1:
		first = "the one run can be run again today"
	case s.Rerunnable == s.Runs:
		first = fmt.Sprintf("all %s can be run again today", count(s.Runs, "run"))
	}
	parts := []string{first}
	if s.Needs > 0 {
		parts = append(parts, Thousands(s.Needs)+" can with something that you give")
	}
	unknown := false
	for _, l := range s.Losses() {
		what, known := map[string]string{"image": "their image", "code": "their code", "dataset": "a data set", "job": "their job spec"}[l.Kind]
		if !known {
			what = "their " + l.Kind
		}
		switch {
		case l.State == schema.StateUnknown:
			unknown = true
		case l.Kind == "command":
			parts = append(parts, Thousands(l.Runs)+" never had a command")
		case l.State == schema.StateGone:
			parts = append(parts, Thousands(l.Runs)+" lost "+what)
		default:
			parts = append(parts, Thousands(l.Runs)+" had "+what+" changed")
		}
	}
	if unknown && s.Unknown > 0 {
		parts = append(parts, "of "+Thousands(s.Unknown)+" it could not be found out")
	}
	return strings.Join(parts, "; ") + left
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Thousands(n) + " " + one + "s"
}

// Thousands writes a number for people: 10,000.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
