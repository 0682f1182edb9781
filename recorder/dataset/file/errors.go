package file

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// What a file system can hold and a data set cannot, and what can happen to it while it is read.
var (
	errSpecial    = errors.New("a socket, fifo or device cannot be part of a data set")
	errLinkLoop   = errors.New("a link that leads back to itself")
	errChanged    = errors.New("it changes while it is read")
	errVanished   = errors.New("it vanished while the data set was read")
	errSinkDigest = errors.New("what was stored is not what was hashed")
	errBothTypes  = errors.New("patterns select files of a directory, and this is a file")
	errDotDot     = errors.New("it leads through a link and back by .., which means different places to different programs")
	errNoFiles    = errors.New("the patterns select nothing in it")
)

// danglingError is a link to nothing. It is refused, not noted: git-annex and DVC leave such links for content that is not there, and a run
// that reads it would fail, or read something else later.
type danglingError struct{ target string }

func (e *danglingError) Error() string { return "a link to nothing (" + shown(e.target) + ")" }

// writeError is a failure of the place that is copied to.
type writeError struct{ err error }

func (e *writeError) Error() string { return "writing the copy: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// failure is one path that could not be taken in.
type failure struct {
	path string
	err  error
}

const (
	hintStill   = "wait until nothing writes to it, or make a copy and use that"
	hintSpecial = "exclude it, or use a directory that holds files only"
	hintAnnex   = "get its content first (git annex get, datalad get, dvc pull), or exclude it"
	hintDenied  = "give this user the right to read it, or exclude it"
)

// failuresError makes one error of all failures: the first by path, and the number of the others. The order does not depend on the workers.
func failuresError(failed []failure) error {
	if len(failed) == 0 {
		return nil
	}
	slices.SortFunc(failed, func(a, b failure) int { return strings.Compare(a.path, b.path) })
	first := failed[0]
	kind, hint := classify(first.err)
	err := first.err
	if more := len(failed) - 1; more > 0 {
		err = fmt.Errorf("%w, and %d more, such as %s", err, more, shown(failed[1].path))
	}
	return &schema.Error{Op: "dataset.file", Kind: kind, Subject: shown(first.path), Err: err, Hint: hint}
}

// classify says what kind of failure it is, and what to do about it.
func classify(err error) (schema.Kind, string) {
	var dangling *danglingError
	var write *writeError
	switch {
	case errors.As(err, &write), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return schema.Unavailable, ""
	case errors.As(err, &dangling):
		return schema.Unpinnable, hintAnnex
	case errors.Is(err, errSpecial), errors.Is(err, errLinkLoop):
		return schema.Unpinnable, hintSpecial
	case errors.Is(err, errChanged), errors.Is(err, errVanished):
		return schema.Unpinnable, hintStill
	case errors.Is(err, fs.ErrPermission):
		return schema.Unpinnable, hintDenied
	default:
		return schema.Unpinnable, ""
	}
}

// isChange reports whether err shows that what is there is not a data set that was ever recorded.
func isChange(err error) bool {
	var dangling *danglingError
	return errors.As(err, &dangling) || errors.Is(err, errSpecial) || errors.Is(err, errLinkLoop)
}

func interrupted(subject string, err error) error {
	return &schema.Error{Op: "dataset.file", Kind: schema.Interrupted, Subject: subject, Err: err}
}

// shown is a path for messages: as it is where it can be printed, else quoted. Messages are UTF-8, names need not be.
func shown(path string) string {
	if utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return path
	}
	return strconv.Quote(path)
}
