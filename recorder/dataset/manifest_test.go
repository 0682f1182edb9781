package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
	"golang.org/x/mod/sumdb/dirhash"
)

func printManifest(lines []ManifestLine, kind string) []byte {
	var b []byte
	for _, l := range lines {
		path := l.Path
		if kind == schema.DirHashEscaped {
			path = EscapePath(path)
		}
		b = AppendManifestLine(b, &l.Sum, path)
	}
	return b
}

func collect(b []byte, kind string) ([]ManifestLine, error) {
	var lines []ManifestLine
	for line, err := range ReadManifest(bytes.NewReader(b), kind) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// TestManifestIsDirHash compares with the reference implementation, escaped names included: they are names like others to it.
func TestManifestIsDirHash(t *testing.T) {
	for _, c := range []struct {
		kind  string
		paths []string
	}{
		{schema.DirHash, []string{"a", "a-b/c", "a/b", "a.b", "Z", `back\slash`, "ünïcode", "\xff\xfe", " ", "a b"}},
		{schema.DirHashEscaped, []string{"a", "a\nb", "a\rb", `a\b`, "a/b\n/c", "\xff"}},
		{schema.DirHash, nil},
	} {
		var names []string
		var lines []ManifestLine
		for _, p := range c.paths {
			lines = append(lines, ManifestLine{sha256.Sum256([]byte(p)), p})
		}
		written := func(l ManifestLine) string {
			if c.kind == schema.DirHashEscaped {
				return EscapePath(l.Path)
			}
			return l.Path
		}
		slices.SortFunc(lines, func(a, b ManifestLine) int { return strings.Compare(written(a), written(b)) })
		content := map[string]string{}
		for _, l := range lines {
			names = append(names, written(l))
			content[written(l)] = l.Path
		}
		want, err := dirhash.Hash1(names, func(name string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content[name])), nil })
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(printManifest(lines, c.kind))
		if got := "h1:" + base64.StdEncoding.EncodeToString(sum[:]); got != want {
			t.Errorf("%s %q: %s, dirhash says %s", c.kind, c.paths, got, want)
		}
		back, err := collect(printManifest(lines, c.kind), c.kind)
		if err != nil || !slices.Equal(back, lines) {
			t.Errorf("%s: read back %q, %v", c.kind, back, err)
		}
	}
}

func TestManifestRefuses(t *testing.T) {
	sum := strings.Repeat("0", 64)
	for name, c := range map[string]struct{ kind, text string }{
		"other kind":               {"dirhash-h2", ""},
		"not a line":               {schema.DirHash, "hello\n"},
		"one space":                {schema.DirHash, sum + " a\n"},
		"no path":                  {schema.DirHash, sum + "  \n"},
		"capitals":                 {schema.DirHash, strings.Repeat("A", 64) + "  a\n"},
		"not hexadecimal":          {schema.DirHash, strings.Repeat("g", 64) + "  a\n"},
		"cut off":                  {schema.DirHash, sum + "  a"},
		"out of order":             {schema.DirHash, sum + "  b\n" + sum + "  a\n"},
		"twice":                    {schema.DirHash, sum + "  a\n" + sum + "  a\n"},
		"absolute":                 {schema.DirHash, sum + "  /etc/passwd\n"},
		"escaping the root":        {schema.DirHash, sum + "  a/../../b\n"},
		"dot":                      {schema.DirHash, sum + "  ./a\n"},
		"empty part":               {schema.DirHash, sum + "  a//b\n"},
		"NUL":                      {schema.DirHash, sum + "  a\x00b\n"},
		"CR":                       {schema.DirHash, sum + "  a\r\n"},
		"needless escaping":        {schema.DirHashEscaped, sum + "  a\n"},
		"unknown escape":           {schema.DirHashEscaped, sum + "  a\\n\\t\n"},
		"escape at the end":        {schema.DirHashEscaped, sum + "  a\\n\\\n"},
		"CR in an escaped one":     {schema.DirHashEscaped, sum + "  a\\n\r\n"},
		"a line without an end":    {schema.DirHash, sum + "  " + strings.Repeat("a", maxManifestLine+1)},
		"escaped path to the root": {schema.DirHashEscaped, sum + "  a\\n/..\n"},
	} {
		if lines, err := collect([]byte(c.text), c.kind); !schema.IsKind(err, schema.Invalid) {
			t.Errorf("%s: got %q, %v; want an error of kind invalid", name, lines, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	sum := strings.Repeat("0f", 32)
	for _, s := range []string{"", sum + "  a\n", sum + "  a\n" + sum + "  b/c\n", sum + "  a\\nb\n", sum + "  a\\\\b\\r\n", sum + "  \xff\n"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, escaped bool) {
		kind := schema.DirHash
		if escaped {
			kind = schema.DirHashEscaped
		}
		lines, err := collect(b, kind)
		if err != nil {
			return
		}
		if again := printManifest(lines, kind); !bytes.Equal(again, b) {
			t.Errorf("printed %q, read %q", again, b)
		}
	})
}

func TestSidecar(t *testing.T) {
	entries := []SidecarEntry{{SidecarDirLink, "a\tb", "../x\n"}, {SidecarExecutable, `b\c`, ""}, {SidecarEmptyDir, "c/d", ""}, {SidecarDirLink, "e", "\xff"}}
	b := []byte(SidecarHeader)
	for _, e := range entries {
		b = AppendSidecarEntry(b, e)
	}
	want := "runpin.dev/sidecar/v1\nl\ta\\tb\t../x\\n\nx\tb\\\\c\nd\tc/d\nl\te\t\xff\n"
	if string(b) != want {
		t.Errorf("written %q, want %q", b, want)
	}
	if back, err := ParseSidecar(b); err != nil || !slices.Equal(back, entries) {
		t.Errorf("read back %v, %v", back, err)
	}
	for _, bad := range []string{"", SidecarHeader, "x\ta\n", SidecarHeader + "x\ta", SidecarHeader + "x\ta\tb\n", SidecarHeader + "y\ta\n", SidecarHeader + "x\t\n",
		SidecarHeader + "l\ta\n", SidecarHeader + "l\ta\t\n", SidecarHeader + "x\t../a\n", SidecarHeader + "x\tb\nx\ta\n", SidecarHeader + "x\ta\nd\ta\n",
		SidecarHeader + "x\ta\\q\n", SidecarHeader + "\n", SidecarHeader + "x\ta\r\n", SidecarHeader + "l\ta\tb\x00\n"} {
		if got, err := ParseSidecar([]byte(bad)); !schema.IsKind(err, schema.Invalid) {
			t.Errorf("%q: got %v, %v; want an error of kind invalid", bad, got, err)
		}
	}
}

func FuzzSidecar(f *testing.F) {
	f.Add([]byte(SidecarHeader + "x\ta\n"))
	f.Add([]byte(SidecarHeader + "d\ta\nl\tb\\t\t..\\\\\nx\tc\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseSidecar(b)
		if err != nil {
			return
		}
		again := []byte(SidecarHeader)
		for _, e := range entries {
			again = AppendSidecarEntry(again, e)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("printed %q, read %q", again, b)
		}
	})
}

func TestHexIsLowerCase(t *testing.T) {
	sum := sha256.Sum256(nil)
	if got := AppendManifestLine(nil, &sum, "p"); string(got) != hex.EncodeToString(sum[:])+"  p\n" {
		t.Errorf("got %q", got)
	}
}
