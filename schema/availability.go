package schema

// State says whether something a record needs can still be had.
type State string

// The states of availability (DESIGN §1).
const (
	StateAvailable State = "available" // where it was recorded, unchanged
	StateKept      State = "kept"      // gone from where it was, but a protected copy exists
	StateChanged   State = "changed"   // it is there and it is not what was recorded
	StateGone      State = "gone"      // it is not to be had
	StateUnknown   State = "unknown"   // it could not be found out
)

// Availability is the state of one thing that a rerun needs, now. Pin is "image:NAME", "code:NAME" or "dataset:NAME", or beside the pins "job" (the recorded
// spec), "launcher:WHERE", "secret:NAME", "output:NAME", "tracker:ARGUMENT", "start", "gpu"; How says what was done to find out ("head-manifest", "stat-match", "hashed", "object-present",
// "ls-remote", "bundle"); Reason and Remedy are one sentence each. What is advisory does not keep a run from being run again; its result may differ.
type Availability struct {
	Pin    string `json:"pin"`
	Ref    Text   `json:"ref,omitempty"`
	Value  Text   `json:"value,omitempty"` // the recorded immutable value
	Found  Text   `json:"found,omitempty"` // what is there now, when it differs
	State  State  `json:"state"`
	How    string `json:"how,omitempty"`
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`

	Advisory bool `json:"advisory,omitempty"`
}

// Kind gives the error kind that the state amounts to, or "" when it does not stand in the way.
func (a Availability) Kind() Kind {
	if a.Advisory {
		return ""
	}
	switch a.State {
	case StateAvailable, StateKept:
		return ""
	case StateChanged:
		return Drift
	case StateGone:
		return Gone
	default:
		return Unavailable
	}
}
