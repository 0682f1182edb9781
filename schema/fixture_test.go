package schema

import (
	"strings"
	"testing"
	"time"
)

// The record that most tests look at: a run of two ranks with every kind of document. Its ids and times are fixed.

var (
	fixtureTime = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	fixtureRun  = RunID(fixedID(0, 1))
)

// fixedID gives an id made ms after fixtureTime.
func fixedID(ms int64, n byte) string {
	return encodeID(uint64(fixtureTime.UnixMilli()+ms), [10]byte{0x5a, 1, 2, 3, 4, 5, 6, 7, 8, n})
}

func fixedTime(ms int64) Time { return At(fixtureTime.Add(time.Duration(ms) * time.Millisecond)) }

func fixedDigest(c string) Digest   { return Digest("sha256:" + strings.Repeat(c, 64)) }
func fixedObject(c string) ObjectID { return ObjectID(strings.Repeat(c, 40)) }
func fixedBlob(k BlobKind, c string) *BlobRef {
	return &BlobRef{Kind: k, Digest: fixedDigest(c), Bytes: 1234}
}
func ptr[T any](v T) *T { return &v }

func fixturePlan() Plan {
	registry := Origin{Kind: FromRegistry, By: "runpin 0.1.0", At: fixedTime(-900)}
	return Plan{
		Name: "lr-sweep-3", Project: "digits", Parent: RunID(fixedID(-5000, 9)), RerunOf: RunID(fixedID(-86400000, 8)), Created: fixedTime(0), User: "ada",
		SubmittedFrom: &Submission{Host: "ci-7", CI: "github-actions", JobURL: "https://ci.example/jobs/17", Commit: strings.Repeat("9", 40)},
		Images: []ImagePin{{Name: "image", Ref: "registry.example/team/trainer:1.4", Repository: "registry.example/team/trainer", Tag: "1.4", IndexDigest: fixedDigest("1"),
			PlatformDigest: fixedDigest("2"), Platform: "linux/amd64", ConfigDigest: fixedDigest("3"), MediaType: "application/vnd.oci.image.index.v1+json",
			Labels: map[string]string{"org.opencontainers.image.revision": strings.Repeat("a", 40)}, Engine: "podman", Where: []Text{"train.yaml:12:16"}, Use: Enforced, Origin: registry}},
		Code: []CodePin{
			{Name: "code", Kind: CodeGit, Ref: ".", Root: &Path{Typed: ".", Base: BaseCheckout, Rel: ".", Located: "/home/ada/digits"}, Remote: "https://git.example/digits.git",
				Remotes: map[string]string{"origin": "https://git.example/digits.git"}, Commit: fixedObject("a"), CommitTree: fixedObject("b"), Tree: fixedObject("c"),
				RefName: "refs/heads/main", Dirty: true, Changes: fixedBlob(BlobChanges, "4"), Summary: &ChangeSummary{Added: 1, Modified: 2, Bytes: 300},
				LFS:        []LFSObject{{Path: "weights/base.bin", OID: fixedDigest("5"), Bytes: 7}},
				Submodules: []Submodule{{Path: "lib/aug", URL: "https://git.example/aug.git", Commit: fixedObject("d"), Tree: fixedObject("e")}},
				OnRemote:   &OnRemote{State: "yes", Basis: "ls-remote", Remote: "origin", Ref: "refs/heads/main", At: fixedTime(-800)},
				Excluded:   []Exclusion{{Path: "data/", Why: "dataset"}}, Judge: "git 2.39.5", Use: Observed, Origin: Origin{Kind: FromGit, By: "git 2.39.5", At: fixedTime(-800)}},
			{Name: "prep", Kind: CodeScript, Ref: "prep.py", Script: &ScriptFile{Path: Path{Typed: "prep.py", Base: BaseWorkDir, Rel: "prep.py"}, Blob: *fixedBlob(BlobFile, "6"), Mode: "100644"},
				Use: Observed, Origin: Origin{Kind: FromContent}},
		},
		Datasets: []DatasetPin{
			{Name: "train", Role: RoleData, URI: "./data", Scheme: "file", Path: &Path{Typed: "./data", Base: BaseCheckout, Rel: "data", Located: "/home/ada/digits/data"}, VersionKind: "content",
				VersionID: string(fixedDigest("7")), ContentDigest: fixedDigest("7"), DigestKind: DirHash, SidecarDigest: fixedDigest("8"), Directory: true, Bytes: 4096, Files: 3,
				Manifest: fixedBlob(BlobManifest, "7"), Sidecar: fixedBlob(BlobSidecar, "8"), Exclude: []Text{"*.tmp"}, Strength: StrengthContent, Use: Observed,
				Origin: Origin{Kind: FromContent, By: "runpin 0.1.0", At: fixedTime(-700)}},
			{Name: "base", Role: RoleModel, URI: "s3://models/base.pt", Scheme: "s3", ImmutableURI: "s3://models/base.pt?versionId=abc", VersionKind: "version", VersionID: "models/base.pt@abc",
				Bytes: 9, Files: 1, Strength: StrengthImmutableID, Use: Claimed, Origin: Origin{Kind: FromProvider}},
		},
		Job:     &JobSpec{Format: "kubernetes", Path: Path{Typed: "train.yaml", Base: BaseCheckout, Rel: "train.yaml"}, Blob: fixedBlob(BlobJobSpec, "9"), TemplateDigest: fixedDigest("0"), Fields: []Text{"dataset.train=spec.data.version"}},
		Command: []Text{"python", "train.py", "--data", "./data", "--lr", "0.1", "--tag", "caf\xe9"}, CommandTemplate: []Text{"python", "train.py", "--data", "{train}", "--lr", "{lr}", "--tag", "caf\xe9"},
		Launcher: "podman", WorkDir: &Path{Typed: ".", Base: BaseCheckout, Rel: ".", Located: "/home/ada/digits"},
		Params: map[string]Text{"lr": "0.1", "seed": "9007199254740993"}, Variables: map[string]Text{"PYTHONHASHSEED": "0"},
		DeclaredOutputs: []Output{{Name: "model", URI: "out/model.pt", Path: &Path{Typed: "out/model.pt", Base: BaseCheckout, Rel: "out/model.pt"}, Compare: "exact"}},
		MetricsFile:     &Path{Typed: "metrics.json", Base: BaseCheckout, Rel: "metrics.json"},
		Relaxed:         []Reason{{Code: "param-changed", Subject: "lr", Text: "0.2 was recorded"}},
		Reasons:         []Reason{{Code: "platform-assumed", Subject: "image:image", Text: "no platform was given, so this machine's was taken"}},
		Recorder:        "runpin 0.1.0",
	}
}

func fixtureEnvironment() Environment {
	e := Environment{
		Node: "node-1", OS: OS{Name: "debian", Version: "12", Pretty: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0-25-amd64", Arch: "amd64"},
		CPU:         CPU{Vendor: "GenuineIntel", Model: "Intel(R) Xeon(R) Platinum 8488C", Logical: 16, Usable: 8, Quota: "7.5", Features: []string{"amx_tile", "avx2", "avx512f"}},
		MemoryBytes: 64 << 30, MemoryLimit: 32 << 30, GPUDriver: "550.90.07", CUDA: "12.4",
		GPUs:        []GPU{{Index: 0, UUID: "GPU-1", Model: "NVIDIA H100 80GB HBM3", ComputeCapability: "9.0", MemoryMiB: 81559, ECC: "Enabled", MIG: "Disabled", VBIOS: "96.00", PCI: "00000000:01:00.0"}},
		Variables:   map[string]Text{"OMP_NUM_THREADS": "8"},
		Interpreter: &Interpreter{Path: "/usr/bin/python3", Kind: "python", Version: "3.11.2", Prefix: "/usr", Packages: fixedBlob(BlobPackages, "a"), Count: 2},
		LockFiles:   []LockFile{{Path: "uv.lock", Digest: fixedDigest("b")}}, Facts: map[string]string{"glibc": "2.36", "timezone": "UTC"},
		Reasons: []Reason{{Code: "no-nccl", Text: "no NCCL was found"}},
	}
	id, err := e.Identity()
	if err != nil {
		panic(err)
	}
	e.ID = id
	return e
}

// fixtureDocuments gives the base document and one event of every kind at least.
func fixtureDocuments() []Document {
	plan, env := fixturePlan(), fixtureEnvironment()
	rank0, rank1 := Reporter{Kind: "joiner", Host: "node-1", Rank: ptr(0)}, Reporter{Kind: "joiner", Host: "node-1", Rank: ptr(1)}
	user := Reporter{Kind: "user", By: "ada"}
	next := byte(1)
	event := func(ms int64, kind DocumentKind, by Reporter) Document {
		next++
		return Document{Schema: SchemaV1, Kind: kind, ID: DocumentID(fixedID(ms, next)), Run: fixtureRun, At: fixedTime(ms), Reporter: by}
	}
	var docs []Document
	add := func(d Document, body func(*Document)) { body(&d); docs = append(docs, d) }
	base := Document{Schema: SchemaV1, Kind: KindRun, ID: DocumentID(fixtureRun), Run: fixtureRun, At: fixedTime(0), Reporter: Reporter{Kind: "submitter", Host: "ci-7", By: "ada"}, Plan: &plan}
	docs = append(docs, base)
	lease := Lease{Host: "node-1", BootID: "b1", PIDNamespace: "pid:[4026531836]", PID: 42, ProcessStart: "123456", Interval: 30}
	add(event(100, KindStatus, rank0), func(d *Document) { d.Status = &StatusChange{To: Running, Started: fixedTime(90), Lease: &lease} })
	add(event(100, KindStatus, rank1), func(d *Document) { d.Status = &StatusChange{To: Running, Started: fixedTime(95), Lease: &lease} })
	add(event(200, KindObservation, rank0), func(d *Document) {
		d.Observation = &Observation{Environment: &env, Attempt: &Attempt{Number: 1, ID: "train-0-xyz", Node: "node-1", Started: fixedTime(90)},
			Images: []ImagePin{{Name: "image", Ref: "registry.example/team/trainer:1.4", ConfigDigest: fixedDigest("3"), Use: Observed, Origin: Origin{Kind: FromPodStatus}}}}
	})
	add(event(210, KindObservation, rank1), func(d *Document) {
		d.Observation = &Observation{Environment: &env, Reasons: []Reason{{Code: "gpu-unread", Subject: "environment", Text: "nvidia-smi did not answer"}},
			Withheld: []Withheld{{What: "variable", Name: "wandb_key", Subject: "WANDB_API_KEY", Why: "its name is that of a secret"}}}
	})
	add(event(900, KindOutput, rank0), func(d *Document) {
		d.Output = &OutputEvent{Metrics: map[string]Text{"loss": "0.25", "steps": "1000"}, Outputs: []Output{{Name: "model", URI: "out/model.pt",
			Path: &Path{Typed: "out/model.pt", Base: BaseCheckout, Rel: "out/model.pt"}, FileDigest: fixedDigest("c"), ContentDigest: fixedDigest("d"), DigestKind: DirHash, Bytes: 11, Files: 1}}}
	})
	add(event(1000, KindStatus, rank0), func(d *Document) {
		d.Status = &StatusChange{To: Succeeded, Finished: fixedTime(1000), ExitCode: ptr(0)}
	})
	add(event(1010, KindStatus, rank1), func(d *Document) {
		d.Status = &StatusChange{To: Succeeded, Finished: fixedTime(1010), ExitCode: ptr(0)}
	})
	add(event(1500, KindObservation, Reporter{Kind: "collector", Host: "ci-7"}), func(d *Document) {
		d.Observation = &Observation{Drift: []Drifted{{Pin: "output:model", Expected: "a", Found: "b", Text: "it was written twice"}},
			Verdict: &Verdict{Result: Identical, Against: fixturePlan().RerunOf, SameInputs: ptr(true), Outputs: []OutputComparison{{Name: "model", Result: Identical, Want: fixedDigest("c"), Got: fixedDigest("c")}},
				Metrics: []MetricComparison{{Name: "loss", Result: Identical, Want: "0.25", Got: "0.25"}}}}
	})
	add(event(2000, KindLabel, user), func(d *Document) { d.Label = &Label{Set: map[string]string{"paper": "yes"}, Remove: []string{"draft"}} })
	add(event(2100, KindNote, user), func(d *Document) { d.Note = &Note{Text: "the one in table 2", By: "ada"} })
	add(event(2200, KindRelease, user), func(d *Document) {
		d.Release = &Release{Action: "promote", Image: "registry.example/team/trainer", Digest: fixedDigest("1"), Previous: fixedDigest("e"), Tags: []string{"prod"}, Channel: "prod",
			From: "staging", By: "ada", Reason: "better", Ticket: "OPS-1"}
	})
	add(event(2300, KindKeep, user), func(d *Document) {
		d.Keep = &Keep{Pin: "image:image", How: "tag", Where: "registry.example/team/trainer:keep-1", Digest: fixedDigest("1")}
	})
	add(event(2400, KindErasure, user), func(d *Document) {
		d.Erasure = &Erasure{Blobs: []Digest{fixedDigest("6")}, Reason: "a person's data", Ticket: "DPO-1", By: "ada"}
	})
	return docs
}

// comparableFixture gives a run whose inputs are all known, so that it has a fingerprint.
func comparableFixture(t testing.TB) Run {
	t.Helper()
	docs := fixtureDocuments()
	for i := range docs {
		if o := docs[i].Observation; o != nil {
			o.Withheld = nil
		}
	}
	return foldFixture(t, docs)
}

func foldFixture(t testing.TB, docs []Document) Run {
	t.Helper()
	r, err := Fold(docs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
