package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// A sidecar says what a manifest cannot, and its digest is part of a data set's identity. It begins with the line [SidecarHeader]; then
// one line for each path that has something to say, sorted by path, bytewise:
//
//	x TAB <path>                an executable file (the owner's execute bit, as in git)
//	d TAB <path>                an empty directory, or one of which the patterns leave nothing
//	l TAB <path> TAB <target>   a link to a directory, which is not followed, and its text
//
// In paths and targets \ is written \\, newline \n, CR \r and TAB \t. Lines end with a newline. A data set that has nothing to say has no
// sidecar and no sidecar digest. On systems without executable bits (Windows) no file is executable.

// SidecarHeader is the first line of a sidecar.
const SidecarHeader = "runpin.dev/sidecar/v1\n"

// The kinds of [SidecarEntry].
const (
	SidecarExecutable = 'x'
	SidecarEmptyDir   = 'd'
	SidecarDirLink    = 'l'
)

const sidecarEscaped = "\\\n\r\t"

// SidecarEntry is one line of a sidecar. Target is of a link.
type SidecarEntry struct {
	Kind   byte
	Path   string
	Target string
}

// AppendSidecarEntry adds one line. The header and the order are the caller's.
func AppendSidecarEntry(b []byte, e SidecarEntry) []byte {
	b = append(b, e.Kind, '\t')
	b = appendEscaped(b, e.Path, sidecarEscaped)
	if e.Kind == SidecarDirLink {
		b = append(b, '\t')
		b = appendEscaped(b, e.Target, sidecarEscaped)
	}
	return append(b, '\n')
}

// ParseSidecar reads a sidecar. What this package would not write for the same entries is an error of kind Invalid.
func ParseSidecar(b []byte) ([]SidecarEntry, error) {
	bad := func(line int, err error) ([]SidecarEntry, error) {
		return nil, &schema.Error{Op: "dataset.sidecar", Kind: schema.Invalid, Subject: fmt.Sprintf("data set sidecar, line %d", line), Err: err}
	}
	rest, ok := bytes.CutPrefix(b, []byte(SidecarHeader))
	if !ok || len(rest) == 0 {
		return bad(1, errors.New("not a sidecar, or an empty one"))
	}
	var entries []SidecarEntry
	for n := 2; len(rest) > 0; n++ {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if !ended {
			return bad(n, errors.New("cut off in the middle"))
		}
		rest = after
		e, err := parseSidecarLine(string(line))
		if err != nil {
			return bad(n, err)
		}
		if len(entries) > 0 && entries[len(entries)-1].Path >= e.Path {
			return bad(n, errors.New("paths are not in order, or one stands twice"))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func parseSidecarLine(line string) (SidecarEntry, error) {
	fields := strings.Split(line, "\t")
	var e SidecarEntry
	switch {
	case len(fields) == 2 && (fields[0] == "x" || fields[0] == "d"), len(fields) == 3 && fields[0] == "l" && fields[2] != "":
		e.Kind = fields[0][0]
	default:
		return e, errors.New("not x, d or l with a path (and a target)")
	}
	var err error
	if e.Path, err = unescape(fields[1], sidecarEscaped); err != nil {
		return e, err
	}
	if err := checkRelative(e.Path); err != nil {
		return e, err
	}
	if len(fields) == 3 {
		e.Target, err = unescape(fields[2], sidecarEscaped)
		if strings.IndexByte(e.Target, 0) >= 0 {
			err = errors.New("a NUL byte in a link")
		}
	}
	return e, err
}
