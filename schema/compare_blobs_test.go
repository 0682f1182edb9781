package schema

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

// memoryBlobs is a BlobSource of bytes in memory; what it lacks is gone.
type memoryBlobs map[Digest]string

func (m memoryBlobs) OpenBlob(_ context.Context, ref BlobRef) (io.ReadCloser, error) {
	s, ok := m[ref.Digest]
	if !ok {
		return nil, &Error{Op: "test", Kind: Gone, Subject: string(ref.Digest), Err: fmt.Errorf("erased: a person's data")}
	}
	return io.NopCloser(strings.NewReader(s)), nil
}

func (m memoryBlobs) put(kind BlobKind, s string) *BlobRef {
	ref := NewBlob(kind, []byte(s)).Ref
	m[ref.Digest] = s
	return &ref
}

func TestCompareFiles(t *testing.T) {
	blobs := memoryBlobs{}
	line := func(c, path string) string { return strings.Repeat(c, 64) + "  " + path + "\n" }
	changes := func(files ...Change) *BlobRef {
		b, err := Canonical(Changes{Schema: ChangesV1, Tree: fixedObject("c"), Files: files})
		if err != nil {
			t.Fatal(err)
		}
		return blobs.put(BlobChanges, string(b))
	}
	a := comparableFixture(t)
	a.Fingerprint, a.Drift = "", nil
	b := cloneRun(t, a)
	a.Datasets[0].Manifest = blobs.put(BlobManifest, line("1", "a")+line("2", "b/c")+line("3", "d"))
	b.Datasets[0].Manifest = blobs.put(BlobManifest, line("1", "a")+line("4", "b/c")+line("5", "e"))
	b.Datasets[0].ContentDigest = fixedDigest("f")
	a.Code[0].Changes = changes(Change{Path: "a.py", Mode: "100644", Object: fixedObject("1")}, Change{Path: "b.py", Deleted: true}, Change{Path: "same.py", Mode: "100644", Object: fixedObject("2")})
	b.Code[0].Changes = changes(Change{Path: "a.py", Mode: "100755", Object: fixedObject("1")}, Change{Path: "link", Mode: "120000", Target: "a.py"}, Change{Path: "same.py", Mode: "100644", Object: fixedObject("2")})
	b.Code[0].Tree = fixedObject("f")
	a.Environments[0].Interpreter.Packages = blobs.put(BlobPackages, "deb libc6 2.36-9\npython numpy 1.26.0\npython rich 13\npython torch 2.1 git+https://x@abc\n")
	b.Environments[0].Interpreter.Packages = blobs.put(BlobPackages, "deb libc6 2.36-9\npython numpy 1.26.4\npython torch 2.1 git+https://x@def\npython wandb 0.1\n")
	b.Outputs[0].FileDigest = fixedDigest("f")
	c := compared(t, a, b, blobs)
	if want := "A different result is most likely explained by this: code:code: the files differ: commit aaaaaaaaaaaa of main"; !strings.HasPrefix(c.Summary, want) {
		t.Errorf("summary: %s", c.Summary)
	}
	if len(c.Reasons) != 0 {
		t.Errorf("reasons: %v", c.Reasons)
	}
	items := map[string][]DifferenceItem{}
	for _, d := range c.Differences {
		if d.Items != nil {
			items[d.Subject+"."+d.Field] = d.Items
		}
	}
	want := map[string][]DifferenceItem{
		"dataset:train.files": {{"b/c", "changed", Text(fixedDigest("2")), Text(fixedDigest("4"))}, {"d", "removed", Text(fixedDigest("3")), ""}, {"e", "added", "", Text(fixedDigest("5"))}},
		"code:code.files": {{"a.py", "changed", "100644 " + Text(fixedObject("1")), "100755 " + Text(fixedObject("1"))}, {"b.py", "changed", "deleted", asCommitted},
			{"link", "changed", asCommitted, "link to a.py"}},
		"packages.numeric": {{"python numpy", "changed", "1.26.0", "1.26.4"}, {"python torch", "changed", "2.1 git+https://x@abc", "2.1 git+https://x@def"}},
		"packages.other":   {{"python rich", "removed", "13", ""}, {"python wandb", "added", "", "0.1"}},
	}
	if !reflect.DeepEqual(items, want) {
		t.Errorf("got  %+v\nwant %+v", items, want)
	}
}

// A blob that is erased, damaged, hostile or too large is a reason; what is known without it is still said.
func TestCompareBadBlobs(t *testing.T) {
	for name, content := range map[string]string{
		"no digest":  "a\n",
		"unsorted":   strings.Repeat("1", 64) + "  b\n" + strings.Repeat("1", 64) + "  a\n",
		"twice":      strings.Repeat("1", 64) + "  a\n" + strings.Repeat("1", 64) + "  a\n",
		"cut":        strings.Repeat("1", 64) + "  a",
		"long line":  strings.Repeat("1", 64) + "  " + strings.Repeat("a", maxManifestLine) + "\n",
		"empty line": "\n",
		"binary":     "\xff\xfe\x00\n",
	} {
		blobs := memoryBlobs{}
		a := comparableFixture(t)
		b := cloneRun(t, a)
		b.Datasets[0].ContentDigest, b.Code[0].Tree = fixedDigest("f"), fixedObject("f")
		a.Datasets[0].Manifest, b.Datasets[0].Manifest = blobs.put(BlobManifest, ""), blobs.put(BlobManifest, content)
		a.Code[0].Changes, b.Code[0].Changes = nil, blobs.put(BlobChanges, content)
		b.Environments[0].Interpreter.Packages = blobs.put(BlobPackages, content)
		a.Environments[0].Interpreter.Packages = blobs.put(BlobPackages, "")
		c := compared(t, a, b, blobs)
		subjects := map[string]bool{}
		for _, r := range c.Reasons {
			subjects[string(r.Subject)] = r.Code == "blob-unread"
		}
		if !subjects["dataset:train"] || !subjects["code:code"] || name != "long line" && name != "cut" && name != "unsorted" && name != "twice" && !subjects["packages"] {
			t.Errorf("%s: reasons %v", name, c.Reasons)
		}
		if !strings.Contains(lines(c), "the data differ") || !strings.Contains(lines(c), "the files differ") {
			t.Errorf("%s: %s", name, lines(c))
		}
	}
	a := comparableFixture(t)
	b := cloneRun(t, a)
	b.Datasets[0].ContentDigest, b.Datasets[0].Manifest = fixedDigest("f"), &BlobRef{Kind: BlobManifest, Digest: fixedDigest("f"), Bytes: maxManifestBytes + 1}
	if c := compared(t, a, b, memoryBlobs{fixedDigest("7"): ""}); len(c.Reasons) == 0 || c.Reasons[0].Code != "too-large" {
		t.Errorf("reasons: %v", c.Reasons)
	}
	if c := compared(t, a, b, memoryBlobs{}); len(c.Reasons) == 0 || !strings.Contains(c.Reasons[0].Text, "erased: a person's data") {
		t.Errorf("reasons: %v", c.Reasons)
	}
}

func TestCompareManyFiles(t *testing.T) {
	var a, b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&a, "%s  dir/%08d\n", strings.Repeat("1", 64), i)
		fmt.Fprintf(&b, "%s  dir/%08d\n", strings.Repeat("2", 64), i)
	}
	items, more, err := mergeManifests(strings.NewReader(a.String()), strings.NewReader(b.String()), false)
	if err != nil || len(items) != maxItems || more != 50_000-maxItems {
		t.Errorf("%d items and %d more, %v", len(items), more, err)
	}
	items, _, err = mergeManifests(strings.NewReader(""), strings.NewReader(strings.Repeat("1", 64)+`  a\nb\\n`+"\n"), true)
	if err != nil || items[0].Name != "a\nb\\n" {
		t.Errorf("%q, %v", items, err)
	}
}

func FuzzMergeManifests(f *testing.F) {
	f.Add([]byte(strings.Repeat("1", 64)+"  a\n"), []byte(strings.Repeat("2", 64)+"  a\n"), true)
	f.Fuzz(func(t *testing.T, a, b []byte, escaped bool) {
		items, more, err := mergeManifests(strings.NewReader(string(a)), strings.NewReader(string(b)), escaped)
		if err == nil && len(items) == 0 && more == 0 && string(a) != string(b) {
			t.Fatalf("%q and %q are said to be equal", a, b)
		}
	})
}

func FuzzDecodeChanges(f *testing.F) {
	b, _ := Canonical(Changes{Schema: ChangesV1, Tree: fixedObject("c"), Files: []Change{{Path: "a", Deleted: true}, {Path: "b\xff", Mode: "100644", Object: fixedObject("1")}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		ch, err := DecodeChanges(in)
		if err != nil {
			return
		}
		out, err := Canonical(ch)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeChanges(out); err != nil || !reflect.DeepEqual(again, ch) {
			t.Fatalf("%s, then %s: %v", in, out, err)
		}
	})
}

// Outputs that are directories are compared file by file too.
func TestCompareOutputFiles(t *testing.T) {
	blobs := memoryBlobs{}
	a := comparableFixture(t)
	b := cloneRun(t, a)
	line := func(c, path string) string { return strings.Repeat(c, 64) + "  " + path + "\n" }
	for i, r := range []*Run{&a, &b} {
		o := &r.Outputs[0]
		o.Directory, o.FileDigest, o.ContentDigest, o.DigestKind = true, "", fixedDigest([]string{"c", "d"}[i]), DirHash
		o.Manifest = blobs.put(BlobManifest, line("1", "a")+line([]string{"2", "3"}[i], "b"))
	}
	c := compared(t, a, b, blobs)
	last := c.Differences[len(c.Differences)-1]
	if last.Subject != "outputs" || last.Class != ClassOutcome || last.Input || len(last.Items) != 1 || last.Items[0].Name != "b" || !c.SameInputs {
		t.Errorf("%s", lines(c))
	}
}
