package render

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

var update = os.Getenv("RUNPIN_TEST_UPDATE") != ""

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	initRef = "registry.example.com/team/git:2@" + digestB
	runID   = schema.RunID("01JDABCDEFGHJKMNPQRSTVWXYZ")
)

// blobs is a store of blobs in memory.
type blobs map[schema.Digest][]byte

func (b blobs) put(kind schema.BlobKind, data []byte) schema.BlobRef {
	ref := schema.BlobRef{Kind: kind, Digest: schema.SHA256(data), Bytes: int64(len(data))}
	b[ref.Digest] = data
	return ref
}

func (b blobs) OpenBlob(_ context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	data, ok := b[ref.Digest]
	if !ok {
		return nil, &schema.Error{Op: "blobs", Kind: schema.Gone, Subject: string(ref.Digest)}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func id(c string) schema.ObjectID { return schema.ObjectID(strings.Repeat(c, 40)) }

// change makes a changed file of a checkout; object is not that of the content, as where git converts it.
func (b blobs) change(path, mode, content string) schema.Change {
	ref := b.put(schema.BlobFile, []byte(content))
	return schema.Change{Path: schema.Text(path), Mode: mode, Object: id("3"), Digest: ref.Digest, Bytes: ref.Bytes}
}

func (b blobs) changes(commit, tree schema.ObjectID, files ...schema.Change) *schema.BlobRef {
	data, _ := json.Marshal(schema.Changes{Schema: schema.ChangesV1, Commit: commit, Tree: tree, Files: files})
	ref := b.put(schema.BlobChanges, data)
	return &ref
}

// training is a run with everything that can be rendered: a dirty checkout on a remote, a directory and a file of data, a param, variables, outputs.
func training(launcher string) (schema.Run, blobs) {
	b := blobs{}
	absolute := func(p string) *schema.Path {
		return &schema.Path{Typed: schema.Text(p), Base: schema.BaseAbsolute, Located: schema.Text(p)}
	}
	commit, tree := id("1"), id("2")
	run := schema.Run{Schema: schema.SchemaV1, ID: runID, Status: schema.Succeeded}
	run.Launcher = launcher
	run.Images = []schema.ImagePin{{Name: "image", Ref: "registry.example.com/team/trainer:1.4", Repository: "registry.example.com/team/trainer", Tag: "1.4", PlatformDigest: digestA}}
	run.Code = []schema.CodePin{{Name: "code", Kind: schema.CodeGit, Remote: "https://git.example.com/team/trainer.git", Commit: commit, CommitTree: id("4"), Tree: tree, Dirty: true,
		Root:    &schema.Path{Located: "/home/u/trainer"},
		Changes: b.changes(commit, tree, b.change("lib/it's.py", "100755", "print('$HOME')\n"), schema.Change{Path: "old.py", Deleted: true}, schema.Change{Path: "link", Mode: "120000", Object: id("5"), Target: "lib"})}}
	run.WorkDir = &schema.Path{Typed: "/home/u/trainer/exp", Base: schema.BaseCheckout, Rel: "exp", Located: "/home/u/trainer/exp"}
	run.Datasets = []schema.DatasetPin{
		{Name: "train", URI: "/data/train", Scheme: "file", Path: absolute("/data/train"), ContentDigest: digestA, DigestKind: schema.DirHash, SidecarDigest: digestB, Directory: true},
		{Name: "vocab", URI: "../vocab.txt", Scheme: "file", Path: &schema.Path{Typed: "../vocab.txt", Base: schema.BaseCheckout, Rel: "vocab.txt", Located: "/home/u/trainer/vocab.txt"}, ContentDigest: digestA, FileDigest: digestB},
	}
	run.DeclaredOutputs = []schema.Output{{Name: "model", URI: "model.pt", Path: &schema.Path{Typed: "model.pt", Base: schema.BaseCheckout, Rel: "exp/model.pt", Located: "/home/u/trainer/exp/model.pt"}},
		{Name: "log", URI: "/scratch/log/t.log", Path: absolute("/scratch/log/t.log")}}
	run.Params = map[string]schema.Text{"lr": "0.1"}
	run.Variables = map[string]schema.Text{"PYTHONHASHSEED": "0", "PYTHONPATH": "/home/u/trainer/lib:/opt/$(HOME)"}
	run.CommandTemplate = schema.Texts([]string{"python", "{code_root}/train.py", "--lr={lr}", "--data", "{train}", "--vocab", "{vocab}", "--log", "{log}", "--note", "it's $5: $(date) `x`\n* é", "{model}"})
	return run, b
}

func options() Options {
	return Options{
		Expand: func(template []string, values map[string]string) []string {
			out := make([]string, len(template))
			for i, arg := range template {
				for k, v := range values {
					arg = strings.ReplaceAll(arg, "{"+k+"}", v)
				}
				out[i] = arg
			}
			return out
		},
		ReplaceRoot: strings.ReplaceAll,
	}
}

// optionsFor gives a format what it needs to render [training].
func optionsFor(name string) Options {
	o := options()
	t := formats[name].Traits()
	if t.Init {
		o.InitImage = initRef
	}
	if t.Cluster {
		o.Volumes = map[string]Volume{"train": {Claim: "data", Sub: "train/v1"}, "vocab": {HostPath: "/mnt/vocab.txt"}}
		o.GitSecret, o.Namespace, o.PullSecrets, o.NodeSelector = "git-login", "vision", []string{"pull"}, map[string]string{"gpu": "a100", "example.com/pool": "train"}
	}
	return o
}

func rendered(t testing.TB, name string, run schema.Run, b blobs, o Options) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := Render(t.Context(), &out, name, run, b, o); err != nil {
		t.Fatalf("%s: %v\nhint: %s", name, err, schema.HintOf(err))
	}
	return out.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; RUNPIN_TEST_UPDATE=1 writes it anew. It is:\n%s", file, got)
	}
}
