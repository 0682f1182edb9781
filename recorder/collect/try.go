package collect

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"

	"github.com/runpin/runpin/schema"
)

// Try is one try of one member of a run, as a runtime tells it: a pod between two restarts, a Slurm job between two requeues.
type Try struct {
	Run    schema.RunID // the stamp; "" where there is none
	Member string       // what is tried: tries of one member follow each other, and the last counts
	Rank   *int         // of the member, where the runtime tells it
	// Name names the try as those that join from inside it do: the pod's name; Slurm's job and restart count. Past is set for what came before in the same name.
	Name    string
	Past    bool
	Number  int // of the attempt, from 1
	Counted int // the number, where the runtime counts the tries of the whole job; else 0
	Node    string
	// Status is planned, running, succeeded or failed; "" when the runtime itself does not know.
	Status   schema.Status
	Created  schema.Time
	Started  schema.Time
	Finished schema.Time
	ExitCode *int
	Signal   string
	Reason   string // the runtime's word: OOMKilled, Evicted, TIMEOUT
	Why      string // one sentence, where it failed

	Containers []Container
	Metrics    map[string]schema.Text
	Reasons    []schema.Reason
}

// Container is a container of a pod that has an image.
type Container struct {
	Name     string
	Kind     ContainerKind
	Main     bool   // what the pod is there for, as far as the pod says so
	Image    string // as the pod's spec has it
	ImageID  string // as the runtime tells it, see [ParseImageID]
	Platform string // os/arch, where the pod was bound to one
	Role     string // of the pod in its job: the type of the replica
}

// ContainerKind says in which list of the pod a container stands.
type ContainerKind string

// The kinds of container.
const (
	Regular   ContainerKind = "containers"
	Init      ContainerKind = "initContainers"
	Ephemeral ContainerKind = "ephemeralContainers"
)

// at is the time that a statement about the try carries: of the last thing that is known of it. It follows from the try alone.
func (t *Try) at() schema.Time {
	at := t.Created
	for _, later := range []schema.Time{t.Started, t.Finished} {
		if at.Before(later) {
			at = later
		}
	}
	return at
}

// begun is when the try started, or was made where it never did.
func (t *Try) begun() schema.Time {
	if t.Started.IsZero() {
		return t.Created
	}
	return t.Started
}

func compareTimes(a, b schema.Time) int {
	switch {
	case a.Before(b):
		return -1
	case b.Before(a):
		return 1
	}
	return 0
}

func compareTries(a, b *Try) int {
	return cmp.Or(cmp.Compare(a.Counted, b.Counted), compareTimes(a.begun(), b.begun()), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
}

// lastTries gives the last try of each member, in the order in which they began.
func lastTries(tries []Try) []*Try {
	last := map[string]*Try{}
	for i := range tries {
		t := &tries[i]
		if was := last[t.Member]; was == nil || compareTries(was, t) < 0 {
			last[t.Member] = t
		}
	}
	out := make([]*Try, 0, len(last))
	for _, t := range last {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *Try) int { return cmp.Or(compareTries(a, b), cmp.Compare(a.Member, b.Member)) })
	return out
}

// AssignMembers gives the tries of a job without ranks their members: a pod that was made once another of its role had failed stands in for that one. Tries that
// have a member already keep it. Role tells which tries can stand in for each other.
func AssignMembers(tries []Try, role func(*Try) string) {
	order := make([]*Try, len(tries))
	for i := range tries {
		order[i] = &tries[i]
	}
	slices.SortFunc(order, func(a, b *Try) int {
		return cmp.Or(compareTimes(a.Created, b.Created), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number))
	})
	failed := map[string][]*Try{} // by role, those that nobody stands in for yet
	byName := map[string]string{}
	for _, t := range order {
		if t.Member != "" {
			continue
		}
		r := role(t)
		known, again := byName[r+"/"+t.Name]
		t.Member = known
		if !again { // else another restart of the same pod
			t.Member = r + "/" + t.Name
			for i, f := range failed[r] {
				if !f.Finished.IsZero() && !t.Created.Before(f.Finished) {
					t.Member = f.Member
					failed[r] = slices.Delete(failed[r], i, i+1)
					break
				}
			}
			byName[r+"/"+t.Name] = t.Member
		}
		if t.Status == schema.Failed && !t.Past {
			failed[r] = append(failed[r], t)
		}
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$`)

// PlainWord gives a runtime's word, or "" when it is none: a reason that someone else wrote is not for us to keep at any length.
func PlainWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return ""
}

var signals = map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1",
	11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ"}

// SignalName gives Linux's name of a signal: that of the node, wherever it is read. A signal without one is SIG and its number.
func SignalName(n int) string {
	if n <= 0 {
		return ""
	}
	if name, ok := signals[n]; ok {
		return name
	}
	return "SIG" + strconv.Itoa(n)
}

// Ended gives exit code and signal as a record has them: 128+n after signal n.
func Ended(code, signal int) (*int, string) {
	switch {
	case signal > 0:
		code = 128 + signal
	case code > 128 && code <= 128+31:
		signal = code - 128
	}
	return &code, SignalName(signal)
}
