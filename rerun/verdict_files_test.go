package rerun

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// blob is a stored blob, and a source of it.
type blob struct {
	kind    schema.BlobKind
	content string
}

func (b blob) ref() *schema.BlobRef {
	return &schema.BlobRef{Kind: b.kind, Digest: schema.SHA256([]byte(b.content)), Bytes: int64(len(b.content))}
}

type blobs []blob

func (all blobs) OpenBlob(_ context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	for _, b := range all {
		if b.ref().Digest == ref.Digest {
			return io.NopCloser(strings.NewReader(b.content)), nil
		}
	}
	return nil, errors.New("no such blob")
}

var (
	packagesA = blob{schema.BlobPackages, "python numpy 1.26.4\npython pip 24.0\n"}
	packagesB = blob{schema.BlobPackages, "python numpy 2.0.0\npython pip 24.0\n"}
)

func manifest(lines ...string) blob {
	var text strings.Builder
	for i := 0; i < len(lines); i += 2 {
		text.WriteString(schema.SHA256([]byte(lines[i+1])).Hex() + "  " + lines[i] + "\n")
	}
	return blob{schema.BlobManifest, text.String()}
}

func directory(b blob) schema.Output {
	return schema.Output{Name: "model", Directory: true, ContentDigest: b.ref().Digest, DigestKind: schema.DirHash, Manifest: b.ref()}
}

func TestJudgeDirectories(t *testing.T) {
	before, after := manifest("a.txt", "1", "b.txt", "1", "c.txt", "1", "d.txt", "1"), manifest("a.txt", "2", "b.txt", "1", "c.txt", "2", "e.txt", "1")
	for name, c := range map[string]struct {
		blobs  schema.BlobSource
		change func(o, n *schema.Output)
		reason string
		files  int
	}{
		"listed":        {blobs{before, after}, func(_, _ *schema.Output) {}, `4 files differ (1 added, 1 removed, 2 changed): "a.txt" changed, "c.txt" changed, "d.txt" was removed, …`, 4},
		"no blobs":      {nil, func(_, _ *schema.Output) {}, "its content differs", 0},
		"blob lost":     {blobs{before}, func(_, _ *schema.Output) {}, "in which files cannot be told: a manifest could not be read: no such blob", 0},
		"no manifest":   {blobs{before, after}, func(_, n *schema.Output) { n.Manifest = nil }, "a list of its files was not recorded", 0},
		"another kind":  {blobs{before, after}, func(_, n *schema.Output) { n.DigestKind = schema.DirHashEscaped }, "the lists of its files are written differently", 0},
		"bad manifest":  {blobs{before, blob{schema.BlobManifest, "x"}}, func(_, n *schema.Output) { n.Manifest = blob{schema.BlobManifest, "x"}.ref() }, "a line of the manifest is not complete", 0},
		"huge manifest": {blobs{before, after}, func(_, n *schema.Output) { n.Manifest.Bytes = 1 << 40 }, "at most 1073741824 are read", 0},
	} {
		old, new := pairOfRuns()
		old.Outputs, new.Outputs = []schema.Output{directory(before)}, []schema.Output{directory(after)}
		c.change(&old.Outputs[0], &new.Outputs[0])
		v, err := JudgeWith(t.Context(), old, new, Tolerances{}, Evidence{Blobs: c.blobs})
		if err != nil || v.Result != schema.Differs || !strings.Contains(v.Outputs[0].Reason, c.reason) || len(v.Outputs[0].Files) != c.files {
			t.Errorf("%s: %s, %+v, %v", name, v.Result, v.Outputs, err)
		}
	}
	var many, more []string
	for i := range 3000 {
		name := strings.Repeat("n", 400) + string(rune('a'+i/676)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
		many, more = append(many, name, "1"), append(more, name, "2")
	}
	old, new := pairOfRuns()
	old.Outputs, new.Outputs = []schema.Output{directory(manifest(many...))}, []schema.Output{directory(manifest(more...))}
	v, err := JudgeWith(t.Context(), old, new, Tolerances{}, Evidence{Blobs: blobs{manifest(many...), manifest(more...)}})
	if err != nil || len(v.Outputs[0].Files)+v.Outputs[0].More != 3000 || len(v.Outputs[0].Files) > 1000 || !strings.HasPrefix(v.Outputs[0].Reason, "3000 files differ: ") {
		t.Errorf("%d files and %d more: %.200s, %v", len(v.Outputs[0].Files), v.Outputs[0].More, v.Outputs[0].Reason, err)
	}
}

// written gives an output that lies at a path with this content.
func written(t *testing.T, content string) schema.Output {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return schema.Output{Name: "model", FileDigest: schema.SHA256([]byte(content)), Path: &schema.Path{Located: schema.Text(path)}}
}

func TestJudgeByTolerance(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		spoil    func(o, n *schema.Output)
		want     schema.Result
		reason   string
	}{
		"within":         {`{"w": [0.5, 1]}`, `{"w": [0.50001, 1]}`, nil, schema.Equivalent, "one number differs, within the tolerance 0.001: 0.50001 instead of 0.5 in line 1"},
		"several":        {"1,2\n3,4\n", "1.0001,2\n3.0002,4\n", nil, schema.Equivalent, "2 numbers differ, all within the tolerance 0.001; the largest difference is 3.0002 instead of 3 in line 2"},
		"beyond":         {"0.5\n0.6\n", "0.5\n0.7\n", nil, schema.Differs, "line 2: 0.7 instead of 0.6, beyond the tolerance 0.001"},
		"other words":    {"loss 0.5", "acc 0.5", nil, schema.Differs, `line 1: "acc" instead of "loss"`},
		"spaces":         {"a  1\n", "a 1\n\n", nil, schema.Equivalent, "spaces or empty lines only"},
		"binary":         {"a\x00", "b\x00", nil, schema.CannotBeCompared, "it is no text"},
		"original gone":  {"1", "2", func(o, _ *schema.Output) { o.Path.Located += "x" }, schema.CannotBeCompared, "the original's file is no longer at"},
		"rerun gone":     {"1", "2", func(_, n *schema.Output) { n.Path.Located += "x" }, schema.CannotBeCompared, "the rerun's file is no longer at"},
		"no place":       {"1", "2", func(o, _ *schema.Output) { o.Path = nil }, schema.CannotBeCompared, "the original's record does not say where the file lies; keep the outputs, or record their numbers with --metrics"},
		"relative place": {"1", "2", func(o, _ *schema.Output) { o.Path.Located = "out" }, schema.CannotBeCompared, "does not say where"},
		"edited since":   {"1", "2", func(o, _ *schema.Output) { _ = os.WriteFile(string(o.Path.Located), []byte("3"), 0o600) }, schema.CannotBeCompared, "is no longer what the run wrote"},
		"a directory":    {"1", "2", func(o, _ *schema.Output) { o.Path.Located = schema.Text(os.TempDir()) }, schema.CannotBeCompared, "it is not a regular file"},
		"a device":       {"1", "2", func(o, _ *schema.Output) { o.Path.Located = "/dev/zero" }, schema.CannotBeCompared, "it is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			old, new := pairOfRuns()
			old.Outputs, new.Outputs = []schema.Output{written(t, c.old)}, []schema.Output{written(t, c.new)}
			old.Outputs[0].Compare, old.Outputs[0].Tolerance = "tolerance", "0.001"
			if c.spoil != nil {
				c.spoil(&old.Outputs[0], &new.Outputs[0])
			}
			v, err := JudgeWith(t.Context(), old, new, Tolerances{}, Evidence{Files: true})
			if err != nil || v.Result != c.want || !strings.Contains(v.Cause, c.reason) || v.Outputs[0].Tolerance != "0.001" {
				t.Errorf("%s: %q, want %s: %q (%+v, %v)", v.Result, v.Cause, c.want, c.reason, v.Outputs, err)
			}
		})
	}
}

func TestJudgeDirectoryByTolerance(t *testing.T) {
	for name, c := range map[string]struct {
		old, new []string
		want     schema.Result
		reason   string
	}{
		"within":  {[]string{"a.csv", "1,2", "b.txt", "same", "c.csv", "3"}, []string{"a.csv", "1.0001,2", "b.txt", "same", "c.csv", "3.0002"}, schema.Equivalent, "2 numbers differ, all within"},
		"beyond":  {[]string{"a.csv", "1", "b.csv", "1"}, []string{"a.csv", "1.0001", "b.csv", "2"}, schema.Differs, "b.csv: line 1: 2 instead of 1"},
		"added":   {[]string{"a.csv", "1"}, []string{"a.csv", "1", "b.csv", "1"}, schema.Differs, `1 file differs: "b.csv" was added`},
		"outside": {[]string{"../a", "1"}, []string{"../a", "1.0001"}, schema.CannotBeCompared, "names one outside of it"},
		"binary":  {[]string{"a", "\x00"}, []string{"a", "\x01\x00"}, schema.CannotBeCompared, "a: it is no text"},
	} {
		t.Run(name, func(t *testing.T) {
			write := func(lines []string) schema.Output {
				dir := t.TempDir()
				o := directory(manifest(lines...))
				o.Path = &schema.Path{Located: schema.Text(dir)}
				for i := 0; i < len(lines); i += 2 {
					if filepath.IsLocal(lines[i]) {
						if err := os.WriteFile(filepath.Join(dir, lines[i]), []byte(lines[i+1]), 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				return o
			}
			old, new := pairOfRuns()
			old.Outputs, new.Outputs = []schema.Output{write(c.old)}, []schema.Output{write(c.new)}
			given := Tolerances{Outputs: map[string]schema.CompareRule{"model": {Mode: "tolerance", Tolerance: "0.001"}}}
			v, err := JudgeWith(t.Context(), old, new, given, Evidence{Files: true, Blobs: blobs{manifest(c.old...), manifest(c.new...)}})
			if err != nil || v.Result != c.want || !strings.Contains(v.Cause, c.reason) {
				t.Errorf("%s: %q, want %s: %q (%v)", v.Result, v.Cause, c.want, c.reason, err)
			}
		})
	}
}

// commandOf answers as a compare command would.
type commandOf struct {
	done Compared
	err  error
	argv []string
	dir  string
}

func (c *commandOf) RunCompare(_ context.Context, argv []string, dir string) (Compared, error) {
	c.argv, c.dir = argv, dir
	return c.done, c.err
}

type hasher struct{ found schema.Output }

func (h hasher) HashOutput(_ context.Context, _ string, _ schema.BlobSink) (schema.Output, error) {
	return h.found, nil
}

func TestJudgeByCommand(t *testing.T) {
	for name, c := range map[string]struct {
		runner   *commandOf
		recorded bool
		given    bool
		spoil    func(o, n *schema.Output)
		want     schema.Result
		reason   string
	}{
		"equivalent":    {&commandOf{done: Compared{0, "close enough"}}, true, false, nil, schema.Equivalent, "finds them equivalent: close enough"},
		"different":     {&commandOf{done: Compared{1, "far off"}}, true, false, nil, schema.Differs, "finds them different: far off"},
		"cannot tell":   {&commandOf{done: Compared{2, "boom"}}, true, false, nil, schema.CannotBeCompared, "ended with exit code 2: boom"},
		"silent":        {&commandOf{done: Compared{3, ""}}, true, false, nil, schema.CannotBeCompared, "ended with exit code 3"},
		"not there":     {&commandOf{err: errors.New("no such command")}, true, false, nil, schema.CannotBeCompared, "did not run: no such command"},
		"not asked for": {&commandOf{}, false, false, nil, schema.CannotBeCompared, "was not run"},
		"given":         {&commandOf{}, false, true, nil, schema.Equivalent, "finds them equivalent"},
		"edited since":  {&commandOf{}, true, false, func(o, _ *schema.Output) { _ = os.WriteFile(string(o.Path.Located), []byte("3"), 0o600) }, schema.CannotBeCompared, "no longer what the run wrote; keep the outputs"},
		"directory gone": {&commandOf{}, true, false, func(o, n *schema.Output) {
			o.Directory, n.Directory, o.ContentDigest, n.ContentDigest = true, true, digestA, digestB
		}, schema.CannotBeCompared, "is no longer what the run wrote"},
	} {
		t.Run(name, func(t *testing.T) {
			old, new := pairOfRuns()
			old.Outputs, new.Outputs = []schema.Output{written(t, "1")}, []schema.Output{written(t, "2")}
			rule := schema.CompareRule{Mode: "command", Command: []schema.Text{"cmp", "--a={original}", "{rerun}"}}
			given := Tolerances{Outputs: map[string]schema.CompareRule{}}
			if c.given {
				given.Outputs["model"] = rule
			} else {
				old.Outputs[0].SetCompareRule(rule)
			}
			if c.spoil != nil {
				c.spoil(&old.Outputs[0], &new.Outputs[0])
			}
			v, err := JudgeWith(t.Context(), old, new, given, Evidence{Files: true, Commands: c.runner, Recorded: c.recorded, Dir: "/dir", Hasher: hasher{schema.Output{Directory: true, ContentDigest: digestB}}})
			if err != nil || v.Result != c.want || !strings.Contains(v.Outputs[0].Reason, c.reason) {
				t.Errorf("%s: %+v, %v", v.Result, v.Outputs, err)
			}
			if argv := []string{"cmp", "--a=" + string(old.Outputs[0].Path.Located), string(new.Outputs[0].Path.Located)}; c.want == schema.Equivalent && (!slices.Equal(c.runner.argv, argv) || c.runner.dir != "/dir") {
				t.Errorf("ran %q in %q", c.runner.argv, c.runner.dir)
			}
			if (name == "not asked for" || name == "edited since" || name == "directory gone") && c.runner.argv != nil {
				t.Error("the command was run")
			}
		})
	}
}
