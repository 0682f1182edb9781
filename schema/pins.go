package schema

// Use says whether a pin's value is what ran (DESIGN §1).
type Use string

// The three degrees of certainty, strongest first.
const (
	Enforced Use = "enforced" // runpin started the work by this very value
	Observed Use = "observed" // a runtime, or the checkout or data set itself, said so
	Claimed  Use = "claimed"  // the user or a spec said so; nothing proved it
)

// OriginKind says where the knowledge of a pin's value comes from.
type OriginKind string

// Where a value can come from.
const (
	FromRegistry  OriginKind = "registry"
	FromPodStatus OriginKind = "pod-status"
	FromEngine    OriginKind = "engine"
	FromGit       OriginKind = "git"
	FromLabel     OriginKind = "label"
	FromContent   OriginKind = "content"
	FromProvider  OriginKind = "provider"
	FromDeclared  OriginKind = "declared"
)

// Origin says how a value is known: where from, by whom (a program and its version, a host) and when.
type Origin struct {
	Kind OriginKind `json:"kind"`
	By   string     `json:"by,omitempty"`
	At   Time       `json:"at,omitzero"`
}

// Reason says why something is not known or not as one would expect. Code is a stable slug ("shallow-clone",
// "platform-assumed"); Subject names the pin, path or field; Text is one sentence for people.
type Reason struct {
	Code    string `json:"code"`
	Subject Text   `json:"subject,omitempty"`
	Text    string `json:"text,omitempty"`
}

// BlobKind says what a blob holds; each kind has its own size cap.
type BlobKind string

// The kinds of blob.
const (
	BlobJobSpec  BlobKind = "job-spec"
	BlobFile     BlobKind = "file"     // one changed or untracked file of a checkout, or a script, as it stood
	BlobChanges  BlobKind = "changes"  // the list of changes of a checkout, [Changes] as canonical JSON
	BlobManifest BlobKind = "manifest" // the manifest of a data set or of an output directory
	BlobSidecar  BlobKind = "sidecar"  // what a manifest cannot say: links to directories, empty directories, executable bits
	BlobPackages BlobKind = "packages" // a list of installed packages
	BlobBundle   BlobKind = "bundle"   // a git bundle of commits that no remote has
)

// BlobRef points at a content-addressed blob in the store: the SHA-256 of its bytes and their number, before compression.
type BlobRef struct {
	Kind   BlobKind `json:"kind"`
	Digest Digest   `json:"digest"`
	Bytes  int64    `json:"bytes"`
}

// Path keeps a path as it was typed, and what it meant. Base is "checkout" (Rel is relative to the root of the code),
// "workdir" (relative to the working directory of the command) or "absolute" (Rel is empty). Located is the absolute place on the
// recording machine: where a later check or rerun looks first. Typed, Base and Located are no inputs of the result.
type Path struct {
	Typed   Text   `json:"typed"`
	Base    string `json:"base"`
	Rel     Text   `json:"rel,omitempty"`
	Located Text   `json:"located,omitempty"`
}

// The values of [Path.Base].
const (
	BaseCheckout = "checkout"
	BaseWorkDir  = "workdir"
	BaseAbsolute = "absolute"
)

// ImagePin is one container image of a run. For a multi-platform image IndexDigest is what the tag named and PlatformDigest
// the child for Platform; for a single manifest IndexDigest is absent. ConfigDigest is what engine, pod and registry share.
type ImagePin struct {
	Name           string            `json:"name"`                      // of the pin; "image" unless given, or the container's name in a job
	Ref            Text              `json:"ref"`                       // as written
	Repository     string            `json:"repository,omitempty"`      // registry/repository, spelled as the user's reference spells it
	Tag            string            `json:"tag,omitempty"`             // the tag in Ref, "latest" where Ref names neither tag nor digest
	IndexDigest    Digest            `json:"index_digest,omitempty"`    //
	PlatformDigest Digest            `json:"platform_digest,omitempty"` //
	Platform       string            `json:"platform,omitempty"`        // os/arch[/variant]
	ConfigDigest   Digest            `json:"config_digest,omitempty"`   //
	FileDigest     Digest            `json:"file_digest,omitempty"`     // of an image file (.sqsh, .sif)
	MediaType      string            `json:"media_type,omitempty"`      // of what Ref names
	Labels         map[string]string `json:"labels,omitempty"`          // of the platform's config, and annotations of the index under it
	Local          bool              `json:"local,omitempty"`           // known to an engine only; not rerunnable until pushed
	Engine         string            `json:"engine,omitempty"`          // podman or docker, for a local image or an enforced run
	Where          []Text            `json:"where,omitempty"`           // places in the job spec or argv that name it
	Use            Use               `json:"use"`
	Origin         Origin            `json:"origin,omitzero"`
	Reasons        []Reason          `json:"reasons,omitempty"`
}

// Pullable gives the digest that a pinned spec should name: the index where there is one, else the platform's manifest.
func (p ImagePin) Pullable() Digest {
	if p.IndexDigest != "" {
		return p.IndexDigest
	}
	return p.PlatformDigest
}

// CodePin is the state of the code of a run. Kind is "git" or "script" (no repository: the content of the script).
type CodePin struct {
	Name       string            `json:"name"` // "code" unless given
	Kind       string            `json:"kind"`
	Ref        Text              `json:"ref"`                   // as written: a directory, git+URL@REV, or the script
	Root       *Path             `json:"root,omitempty"`        // the checkout's root on the recording machine
	Remote     string            `json:"remote,omitempty"`      // URL, without user info, from which the commit can best be had
	Remotes    map[string]string `json:"remotes,omitempty"`     // name to URL, without user info
	Commit     ObjectID          `json:"commit,omitempty"`      //
	CommitTree ObjectID          `json:"commit_tree,omitempty"` // tree of the commit
	Tree       ObjectID          `json:"tree,omitempty"`        // tree of the checkout as it stood
	RefName    Text              `json:"ref_name,omitempty"`    // refs/heads/main; absent when detached
	Detached   bool              `json:"detached,omitempty"`
	Shallow    bool              `json:"shallow,omitempty"`
	Sparse     bool              `json:"sparse,omitempty"`
	Dirty      bool              `json:"dirty,omitempty"`   // the checkout, or a submodule's, differs from its commit
	Changes    *BlobRef          `json:"changes,omitempty"` // a [Changes] blob; present exactly when Dirty
	Summary    *ChangeSummary    `json:"summary,omitempty"`
	LFS        []LFSObject       `json:"lfs,omitempty"`        // objects that the checkout's tree points at
	Submodules []Submodule       `json:"submodules,omitempty"` // initialised ones
	OnRemote   *OnRemote         `json:"on_remote,omitempty"`
	Bundle     *BlobRef          `json:"bundle,omitempty"`   // commits that no remote has, as a git bundle
	Script     *ScriptFile       `json:"script,omitempty"`   // for kind "script"
	Excluded   []Exclusion       `json:"excluded,omitempty"` // left out of Tree, and why
	Judge      string            `json:"judge,omitempty"`    // "git 2.39.5" or "go-git 5.19.3": who looked
	Use        Use               `json:"use"`
	Origin     Origin            `json:"origin,omitzero"`
	Reasons    []Reason          `json:"reasons,omitempty"`
}

// The values of [CodePin.Kind].
const (
	CodeGit    = "git"
	CodeScript = "script"
)

// ChangeSummary counts the changes of a checkout, for people.
type ChangeSummary struct {
	Added    int   `json:"added,omitempty"`
	Modified int   `json:"modified,omitempty"`
	Deleted  int   `json:"deleted,omitempty"`
	Bytes    int64 `json:"bytes,omitempty"` // of added and modified files
}

// Changes lists how a checkout differs from its commit: applied to the commit's files, in any order, it gives the checkout's.
// Renames are a deletion and an addition. It is stored as a blob in canonical JSON; file contents are blobs of their own.
type Changes struct {
	Schema string   `json:"schema"` // ChangesV1
	Commit ObjectID `json:"commit,omitempty"`
	Tree   ObjectID `json:"tree"`
	Files  []Change `json:"files"` // sorted by path, bytewise
}

// ChangesV1 is the schema name of [Changes].
const ChangesV1 = "runpin.dev/changes/v1"

// Change is one path of a [Changes]. Mode is git's: 100644, 100755, 120000 (Target holds the link), 160000 is never used here.
// A deleted path has Deleted and nothing else. Object is git's blob id after clean filters; Digest and Bytes are of the file as it
// stood in the checkout, which filters may make different. Content says that the bytes are stored as a blob under Digest.
type Change struct {
	Path    Text     `json:"path"` // slash-separated, relative to the checkout's root
	Mode    string   `json:"mode,omitempty"`
	Deleted bool     `json:"deleted,omitempty"`
	Object  ObjectID `json:"object,omitempty"`
	Digest  Digest   `json:"digest,omitempty"`
	Bytes   int64    `json:"bytes,omitempty"`
	Target  Text     `json:"target,omitempty"`
}

// LFSObject is a Git LFS object that a checkout's tree points at.
type LFSObject struct {
	Path        Text   `json:"path"`
	OID         Digest `json:"oid"`
	Bytes       int64  `json:"bytes"`                  // of the object
	PointerOnly bool   `json:"pointer_only,omitempty"` // the checkout held the pointer and not the object: the run saw the pointer's text
}

// Submodule is an initialised submodule; a dirty one has changes of its own.
type Submodule struct {
	Path    Text     `json:"path"`
	URL     string   `json:"url,omitempty"`
	Commit  ObjectID `json:"commit"`
	Tree    ObjectID `json:"tree"`              // of its checkout as it stood
	Changes *BlobRef `json:"changes,omitempty"` // present exactly when its checkout differs from Commit
	Bundle  *BlobRef `json:"bundle,omitempty"`
}

// OnRemote answers "is the commit on a remote?". State is yes, no or unknown; Basis says how we know: "remote-tracking" (a local
// ref that may be stale) or "ls-remote" (the remote was asked).
type OnRemote struct {
	State  string `json:"state"`
	Basis  string `json:"basis"`
	Remote string `json:"remote,omitempty"`
	Ref    Text   `json:"ref,omitempty"`
	At     Time   `json:"at,omitzero"` // of the answer; of the last fetch for remote-tracking, when known
}

// ScriptFile is the file that stands for the code where there is no repository.
type ScriptFile struct {
	Path Path    `json:"path"`
	Blob BlobRef `json:"blob"`
	Mode string  `json:"mode,omitempty"` // 100644 or 100755
}

// ExcludedSecret is the [Exclusion.Why] of an untracked file that holds a secret: it was withheld, and a rerun asks for it.
const ExcludedSecret = "secret"

// Exclusion is a path (a directory ends with /) that is not part of the code, and why: "dataset", "output", "store", "debris", "notebook-output", "secret".
type Exclusion struct {
	Path Text   `json:"path"`
	Why  string `json:"why"`
}

// Strength says how far a data set's version can be trusted, strongest first: content > immutable-id > etag > declared.
type Strength string

// The strengths.
const (
	StrengthContent     Strength = "content"
	StrengthImmutableID Strength = "immutable-id"
	StrengthETag        Strength = "etag"
	StrengthDeclared    Strength = "declared"
)

// Role says what a data set is to the run.
type Role string

// The roles.
const (
	RoleData       Role = "data"
	RoleModel      Role = "model"
	RoleCheckpoint Role = "checkpoint"
)

// The kinds of [DatasetPin.DigestKind] (DESIGN §1, content digest).
const (
	DirHash        = "dirhash-h1"         // sha256 over lines "<sha256 hex>  <path>\n" sorted by path
	DirHashEscaped = "dirhash-h1-escaped" // the same over paths in which \, newline and CR are written \\, \n and \r
)

// DatasetPin is one data input of a run.
type DatasetPin struct {
	Name          string   `json:"name"`
	Role          Role     `json:"role"`
	URI           Text     `json:"uri"`                      // as written, without credentials
	Scheme        string   `json:"scheme"`                   // of the backend: "file", "s3", …
	Path          *Path    `json:"path,omitempty"`           // for scheme file
	ImmutableURI  Text     `json:"immutable_uri,omitempty"`  // what a pinned spec can carry
	VersionKind   string   `json:"version_kind,omitempty"`   // "content", "commit", "generation", …
	VersionID     string   `json:"version_id,omitempty"`     // with Scheme and VersionKind it names the bytes by itself: where a version is relative to an object or a path, they are part of it
	ContentDigest Digest   `json:"content_digest,omitempty"` // of the manifest
	DigestKind    string   `json:"digest_kind,omitempty"`    // DirHash or DirHashEscaped
	SidecarDigest Digest   `json:"sidecar_digest,omitempty"` // absent when there is nothing to say
	FileDigest    Digest   `json:"file_digest,omitempty"`    // of a single file
	Directory     bool     `json:"directory,omitempty"`
	Bytes         int64    `json:"bytes"`
	Files         int64    `json:"files"`
	Manifest      *BlobRef `json:"manifest,omitempty"`
	Sidecar       *BlobRef `json:"sidecar,omitempty"`
	Include       []Text   `json:"include,omitempty"`
	Exclude       []Text   `json:"exclude,omitempty"`
	Strength      Strength `json:"strength"`
	Use           Use      `json:"use"`
	Origin        Origin   `json:"origin,omitzero"`
	Reasons       []Reason `json:"reasons,omitempty"`
}

// PinnedReference is how the image is named so that nothing can move under it: repository@digest, or repository:tag@digest with the tag kept for readers.
// "" when no registry has the image.
func (p ImagePin) PinnedReference(withTag bool) string {
	digest := p.Pullable()
	if digest == "" || p.Repository == "" || p.Local {
		return ""
	}
	if withTag && p.Tag != "" {
		return p.Repository + ":" + p.Tag + "@" + string(digest)
	}
	return p.Repository + "@" + string(digest)
}
