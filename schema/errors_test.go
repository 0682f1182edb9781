package schema

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

func TestErrors(t *testing.T) {
	gone := &Error{Op: "image.check", Kind: Gone, Subject: "r/a:1", Err: errors.New("the registry says 404"), Hint: "push it again"}
	busy := &Error{Op: "store.save", Kind: Unavailable, Subject: "runs.db", Err: io.ErrUnexpectedEOF}
	outer := &Error{Op: "rerun", Kind: Internal, Err: gone}
	for name, test := range map[string]struct {
		err   error
		kinds []Kind
		text  string
		hint  string
	}{
		"nil":                 {nil, nil, "", ""},
		"one":                 {gone, []Kind{Gone}, "r/a:1: the registry says 404", "push it again"},
		"another's":           {io.EOF, []Kind{Internal}, "EOF", ""},
		"wrapped":             {fmt.Errorf("x: %w", gone), []Kind{Gone}, "x: r/a:1: the registry says 404", "push it again"},
		"a cause is no kind":  {outer, []Kind{Internal}, "r/a:1: the registry says 404", "push it again"},
		"joined":              {errors.Join(gone, busy, io.EOF), []Kind{Gone, Unavailable, Internal}, "r/a:1: the registry says 404\nruns.db: unexpected EOF\nEOF", "push it again"},
		"joined twice":        {errors.Join(errors.Join(gone, busy), gone), []Kind{Gone, Unavailable, Gone}, "", "push it again"},
		"joined and wrapped":  {fmt.Errorf("x: %w", errors.Join(gone, busy)), []Kind{Gone, Unavailable}, "", "push it again"},
		"no text but a kind":  {&Error{Kind: NotFound, Subject: "01K"}, []Kind{NotFound}, "01K: not-found", ""},
		"nothing but a kind":  {&Error{Kind: Internal}, []Kind{Internal}, "internal", ""},
		"internal, by itself": {&Error{Kind: Internal, Subject: "run"}, []Kind{Internal}, "run", ""},
	} {
		if got := Kinds(test.err); !slices.Equal(got, test.kinds) {
			t.Errorf("%s: kinds %v, want %v", name, got, test.kinds)
		}
		if test.text != "" && test.err.Error() != test.text {
			t.Errorf("%s: %q, want %q", name, test.err, test.text)
		}
		if got := HintOf(test.err); got != test.hint {
			t.Errorf("%s: hint %q", name, got)
		}
		for _, k := range []Kind{Gone, Unavailable, Internal, Drift} {
			if IsKind(test.err, k) != slices.Contains(test.kinds, k) {
				t.Errorf("%s: IsKind %s", name, k)
			}
		}
	}
	if !errors.Is(busy, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}

func TestAvailabilityKind(t *testing.T) {
	for state, want := range map[State]Kind{StateAvailable: "", StateKept: "", StateChanged: Drift, StateGone: Gone, StateUnknown: Unavailable, "": Unavailable, "new": Unavailable} {
		if got := (Availability{State: state}).Kind(); got != want {
			t.Errorf("%q: %q, want %q", state, got, want)
		}
	}
}
