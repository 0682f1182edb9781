package dataset

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/runpin/runpin/schema"
)

// A manifest lists the files of a data set, one line each:
//
//	<sha256 of the content, 64 lower-case hexadecimal digits>  <path>\n
//
// with two spaces. Paths are relative to the data set's root and separated by slashes; lines are sorted by path, bytewise; a single file is
// listed by its base name. The content digest is the SHA-256 of the manifest: Go's dirhash h1 (golang.org/x/mod/sumdb/dirhash.Hash1) in
// hexadecimal, in-toto's dirHash, and what `sha256sum` prints for the sorted list of files.
//
// Such a line cannot hold a newline, and a CR does not survive every reader. When any path has one, every path of the manifest is
// written with \ as \\, newline as \n and CR as \r, lines are sorted by the path so written, and the kind is [schema.DirHashEscaped].
// Names are bytes: they need not be UTF-8.

// ManifestLine is one file of a manifest. Path is unescaped.
type ManifestLine struct {
	Sum  [32]byte
	Path string
}

// maxManifestLine bounds a line: no system opens a path of that length, and escaping doubles it at most.
const maxManifestLine = 128 << 10

const digitsPerSum = 64

// NeedsEscape reports whether a path forces the escaped kind of manifest.
func NeedsEscape(path string) bool {
	return strings.IndexByte(path, '\n') >= 0 || strings.IndexByte(path, '\r') >= 0
}

// EscapePath writes a path as it stands in an escaped manifest.
func EscapePath(path string) string {
	if strings.IndexByte(path, '\\') < 0 && !NeedsEscape(path) {
		return path
	}
	return string(appendEscaped(nil, path, "\\\n\r"))
}

// AppendManifestLine adds one line. The path stands as given: escape it first where the kind asks for that.
func AppendManifestLine(b []byte, sum *[32]byte, path string) []byte {
	b = hex.AppendEncode(b, sum[:])
	b = append(b, "  "...)
	b = append(b, path...)
	return append(b, '\n')
}

// ReadManifest gives the lines of a manifest of the given kind, in order. A manifest that is not exactly what this package would write for the
// same files (another order, a path twice or out of the root, escapes that are not needed) ends with an error of kind Invalid.
func ReadManifest(r io.Reader, kind string) iter.Seq2[ManifestLine, error] {
	return func(yield func(ManifestLine, error) bool) {
		if kind != schema.DirHash && kind != schema.DirHashEscaped {
			yield(ManifestLine{}, badManifest(0, fmt.Errorf("unknown kind of content digest %q", schema.Shorten(kind, 40))))
			return
		}
		scan := bufio.NewReaderSize(r, 64<<10)
		var last, buf []byte
		escaped := false
		for n := 1; ; n++ {
			raw, err := readLine(scan, buf[:0])
			buf = raw
			if err == io.EOF {
				if kind == schema.DirHashEscaped && !escaped {
					yield(ManifestLine{}, badManifest(n, errors.New("an escaped manifest without a name that needs it")))
				}
				return
			}
			var line ManifestLine
			if err == nil {
				line, err = parseLine(raw, kind)
			}
			if err == nil && n > 1 && bytes.Compare(last, raw[digitsPerSum+2:]) >= 0 {
				err = errors.New("paths are not in order, or one stands twice")
			}
			if err != nil {
				yield(ManifestLine{}, badManifest(n, err))
				return
			}
			escaped = escaped || NeedsEscape(line.Path)
			last = append(last[:0], raw[digitsPerSum+2:]...)
			if !yield(line, nil) {
				return
			}
		}
	}
}

func badManifest(line int, err error) error {
	var ours *schema.Error
	if errors.As(err, &ours) {
		return err
	}
	return &schema.Error{Op: "dataset.manifest", Kind: schema.Invalid, Subject: fmt.Sprintf("data set manifest, line %d", line), Err: err}
}

// readLine gives one line without its newline, in b's memory.
func readLine(r *bufio.Reader, b []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > maxManifestLine:
			return b, fmt.Errorf("longer than %d bytes", maxManifestLine)
		case err == nil:
			return b[:len(b)-1], nil
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(b) > 0:
			return b, errors.New("cut off in the middle")
		default:
			return b, err
		}
	}
}

func parseLine(raw []byte, kind string) (ManifestLine, error) {
	var line ManifestLine
	if len(raw) <= digitsPerSum+2 || string(raw[digitsPerSum:digitsPerSum+2]) != "  " {
		return line, errors.New(`not "<sha256>  <path>"`)
	}
	if _, err := hex.Decode(line.Sum[:], raw[:digitsPerSum]); err != nil || bytes.ContainsAny(raw[:digitsPerSum], "ABCDEF") {
		return line, errors.New("not a SHA-256 in lower-case hexadecimal digits")
	}
	line.Path = string(raw[digitsPerSum+2:])
	if kind == schema.DirHashEscaped {
		var err error
		if line.Path, err = unescape(line.Path, "\\\n\r"); err != nil {
			return line, err
		}
	} else if NeedsEscape(line.Path) {
		return line, errors.New("a CR in a manifest that is not escaped")
	}
	return line, checkRelative(line.Path)
}

// checkRelative refuses what no walk below a root gives: absolute paths, empty parts, "." and "..", NUL.
func checkRelative(path string) error {
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return errors.New("not a path")
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%q is not a path below the data set", schema.Shorten(path, 200))
		}
	}
	return nil
}

var escapes = map[byte]byte{'\\': '\\', '\n': 'n', '\r': 'r', '\t': 't'}

// appendEscaped writes each byte of set as a backslash and a letter.
func appendEscaped(b []byte, s, set string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; strings.IndexByte(set, c) >= 0 {
			b = append(b, '\\', escapes[c])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// unescape undoes appendEscaped and accepts nothing that it does not write.
func unescape(s, set string) (string, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			if strings.IndexByte(set, c) >= 0 {
				return "", errors.New("a control character that should be escaped")
			}
			out = append(out, c)
			continue
		}
		i++
		plain := byte(0)
		for j := 0; i < len(s) && j < len(set); j++ {
			if escapes[set[j]] == s[i] {
				plain = set[j]
			}
		}
		if plain == 0 {
			return "", errors.New("a backslash that begins no escape")
		}
		out = append(out, plain)
	}
	return string(out), nil
}
