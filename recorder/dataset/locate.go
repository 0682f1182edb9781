package dataset

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// SchemeFile is the scheme of plain paths.
const SchemeFile = "file"

// Location is a data set's URI taken apart.
type Location struct {
	Scheme   string // of the backend, lower case
	Recorded string // as written, without credentials: this alone may be recorded or shown
	Path     string // for scheme file: the path, as written
	URI      string // for any other scheme: the whole URI, credentials included
}

// maxURI bounds what is taken for a URI; no path that a system opens is longer.
const maxURI = 64 << 10

// ParseLocation tells the scheme of a URI from a path.
//
// "scheme://…" with a scheme of two characters or more is a URI; "file:PATH" and "file:///PATH" are paths; everything else is a path as it
// stands, "C:\data", "a:b" and "~/x" included: a tilde is the shell's to expand. A file: URI that would read differently as a URI and as a
// path (%20, ?, #, a host name) is refused rather than guessed.
func ParseLocation(uri string) (Location, error) {
	bad := func(hint, format string, args ...any) (Location, error) {
		shown, _ := redact.URL(uri)
		return Location{}, &schema.Error{Op: "dataset.locate", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(shown, 300)),
			Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case uri == "":
		return bad("give it as NAME=PATH or NAME=URI", "the data set has no place")
	case strings.IndexByte(uri, 0) >= 0:
		return bad("", "a NUL byte cannot be part of a path or a URI")
	case len(uri) > maxURI:
		return bad("", "longer than %d bytes", maxURI)
	}
	scheme, rest := cutScheme(uri)
	if scheme != SchemeFile {
		clean, secret := redact.URL(uri)
		if scheme == "" && secret {
			return bad("for a path with such a name write ./ before it", "it looks like the address of another machine, with a password")
		}
		if scheme == "" {
			return Location{Scheme: SchemeFile, Recorded: clean, Path: uri}, nil
		}
		return Location{Scheme: scheme, Recorded: clean, URI: uri}, nil
	}
	const plain = "write the plain path instead"
	if !strings.HasPrefix(uri, SchemeFile) {
		return bad("write file: in small letters", "a file: URI in capitals")
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return bad("for a place on this machine write file:/// and its absolute path", "a file: URI of another machine")
		}
		if rest = after; runtime.GOOS == "windows" && filepath.VolumeName(rest[1:]) != "" {
			rest = rest[1:]
		}
	}
	if rest == "" {
		return bad(plain, "a file: URI without a path")
	}
	if i := strings.IndexAny(rest, "%?#"); i >= 0 {
		return bad(plain, "%q means one thing in a URI and another in a path", rest[i])
	}
	return Location{Scheme: SchemeFile, Recorded: uri, Path: rest}, nil
}

// cutScheme gives the lower-case scheme and what follows its colon; no scheme means a plain path. One letter is a Windows drive.
func cutScheme(uri string) (scheme, rest string) {
	at := strings.IndexByte(uri, ':')
	if at < 2 {
		return "", uri
	}
	for i := 0; i < at; i++ {
		c := uri[i] | 0x20
		letter := c >= 'a' && c <= 'z' && uri[i] >= 'A'
		if !letter && (i == 0 || (uri[i] < '0' || uri[i] > '9') && !strings.ContainsRune("+-.", rune(uri[i]))) {
			return "", uri
		}
	}
	scheme, rest = strings.ToLower(uri[:at]), uri[at+1:]
	if scheme == SchemeFile && uri[:at] == SchemeFile || strings.HasPrefix(rest, "//") {
		return scheme, rest
	}
	return "", uri
}

// DescribePath keeps a path as it was typed, and what it meant (see [schema.Path]): inside the checkout at codeRoot, relative to workDir, or
// absolute. Both folders are absolute; codeRoot is "" without a checkout. Links are not resolved: what is named by a link stays named by it.
func DescribePath(typed, workDir, codeRoot string) schema.Path {
	located := typed
	if !filepath.IsAbs(located) {
		located = filepath.Join(workDir, located)
	}
	located = filepath.Clean(located)
	path := schema.Path{Typed: schema.Text(typed), Base: schema.BaseAbsolute, Located: schema.Text(located)}
	if rel, ok := inside(codeRoot, located); ok {
		path.Base, path.Rel = schema.BaseCheckout, schema.Text(rel)
	} else if !filepath.IsAbs(typed) {
		if rel, err := filepath.Rel(workDir, located); err == nil {
			path.Base, path.Rel = schema.BaseWorkDir, schema.Text(filepath.ToSlash(rel))
		}
	}
	return path
}

// inside gives the slash-separated place of path below root. A checkout that is reached through a link (/tmp on macOS) is looked at twice.
func inside(root, path string) (string, bool) {
	if root == "" {
		return "", false
	}
	below := func(root, path string) (string, bool) {
		rel, err := filepath.Rel(root, path)
		return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
	}
	if rel, ok := below(root, path); ok {
		return rel, true
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", false
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", false
	}
	return below(real, filepath.Join(parent, filepath.Base(path)))
}
