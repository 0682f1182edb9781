package schema

import (
	"fmt"
	"maps"
	"sort"
	"strings"
)

// Fingerprint says "same inputs": "fp1:" and the 64 hexadecimal digits of the SHA-256 of the canonical JSON of [FingerprintInput].
type Fingerprint string

// FingerprintPrefix names the version of the rule; another rule gets another prefix, so that two rules are never compared.
const FingerprintPrefix = "fp1:"

// ParseFingerprint checks s and returns it as a Fingerprint.
func ParseFingerprint(s string) (Fingerprint, error) {
	digits, ok := strings.CutPrefix(s, FingerprintPrefix)
	if !ok || len(digits) != 64 || !isLowerHex(digits) {
		return "", &Error{Op: "schema.fingerprint", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 80)), Err: fmt.Errorf("not a fingerprint"),
			Hint: "a fingerprint is fp1: and 64 lower-case hexadecimal digits"}
	}
	return Fingerprint(s), nil
}

// UnmarshalText accepts a well-formed fingerprint only.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	v, err := ParseFingerprint(string(b))
	if err == nil {
		*f = v
	}
	return err
}

// FingerprintInput is exactly what determines a result, and nothing else: no reference, commit, origin, host, path or time.
// Pins appear by name because the command refers to them by name. Empty members are written as [] and {}, so that each input has one form.
// docs/record.md describes it byte for byte; a change of any kind is a new rule with a new prefix.
type FingerprintInput struct {
	Rule      string               `json:"rule"`     // "fp1"
	Images    []fingerprintImage   `json:"images"`   // sorted by name
	Code      []fingerprintCode    `json:"code"`     // sorted by name
	Datasets  []fingerprintDataset `json:"datasets"` // sorted by name
	Command   []Text               `json:"command"`  // with {name} for data set paths, output paths and params
	Job       *fingerprintJob      `json:"job,omitempty"`
	WorkDir   Text                 `json:"workdir"` // relative to the code's root; "" at the root and outside of it
	Params    map[string]Text      `json:"params"`
	Variables map[string]Text      `json:"variables"`
}

type fingerprintImage struct {
	Name   string `json:"name"`
	Config Digest `json:"config,omitempty"` // of a container image
	File   Digest `json:"file,omitempty"`   // of an image file
}

type fingerprintCode struct {
	Name       string                 `json:"name"`
	Tree       ObjectID               `json:"tree,omitempty"`
	Script     Digest                 `json:"script,omitempty"`
	LFS        []fingerprintLFS       `json:"lfs"`        // sorted by path
	Submodules []fingerprintSubmodule `json:"submodules"` // sorted by path
}

type fingerprintLFS struct {
	Path        Text   `json:"path"`
	OID         Digest `json:"oid"`
	PointerOnly bool   `json:"pointer_only,omitempty"`
}

type fingerprintSubmodule struct {
	Path Text     `json:"path"`
	Tree ObjectID `json:"tree"`
}

// fingerprintDataset is a data set by its content. Where no content digest is known it is named by scheme, kind of version and version, and
// then the patterns count too: with the content they show in the digest.
type fingerprintDataset struct {
	Name        string `json:"name"`
	Role        Role   `json:"role"`
	Digest      Digest `json:"digest,omitempty"`
	Kind        string `json:"kind,omitempty"` // of the digest
	Sidecar     Digest `json:"sidecar,omitempty"`
	Directory   bool   `json:"directory,omitempty"` // a file and a directory that holds it alone have one content digest
	Scheme      string `json:"scheme,omitempty"`
	VersionKind string `json:"version_kind,omitempty"`
	ID          string `json:"id,omitempty"`
	Include     []Text `json:"include,omitempty"`
	Exclude     []Text `json:"exclude,omitempty"`
}

type fingerprintJob struct {
	Format   string `json:"format"`
	Template Digest `json:"template"`
}

// Fingerprinted gives the fingerprint of a run's inputs as they are known now, or "" and what stands in the way: a pin that is not
// resolved, an input that drifted, or a value that was withheld. [Run.Fingerprint] is the one that was fixed when the run was sealed.
func (r Run) Fingerprinted() (Fingerprint, []Reason) {
	in, missing := r.FingerprintInput()
	if len(missing) > 0 {
		return "", missing
	}
	b, err := Canonical(in)
	if err != nil {
		return "", []Reason{{Code: "not-canonical", Text: err.Error()}}
	}
	return Fingerprint(FingerprintPrefix + SHA256(b).Hex()), nil
}

// FingerprintInput collects what the fingerprint is made of, and the reasons for which it would be incomplete.
func (r Run) FingerprintInput() (FingerprintInput, []Reason) {
	in := FingerprintInput{Rule: "fp1", Images: []fingerprintImage{}, Code: []fingerprintCode{}, Datasets: []fingerprintDataset{},
		Command: []Text{}, Params: map[string]Text{}, Variables: map[string]Text{}}
	var missing []Reason
	absent := func(pin, why string) {
		if why != "" {
			missing = append(missing, Reason{Code: "unresolved-pin", Subject: Text(pin), Text: why})
		}
	}
	for _, p := range r.Images {
		f := fingerprintImage{Name: p.Name, Config: p.ConfigDigest, File: p.FileDigest}
		if f.Config == "" && f.File == "" {
			absent("image:"+p.Name, "no config digest is known")
		}
		in.Images = append(in.Images, f)
	}
	for _, p := range r.Code {
		if p.Origin.Kind == FromLabel {
			continue // an image's label tells what code the image holds: the image's digest covers it
		}
		f, why := p.fingerprint()
		absent("code:"+p.Name, why)
		in.Code = append(in.Code, f)
	}
	for _, p := range r.Datasets {
		f, why := p.fingerprint()
		absent("dataset:"+p.Name, why)
		in.Datasets = append(in.Datasets, f)
	}
	sort.SliceStable(in.Images, func(i, j int) bool { return in.Images[i].Name < in.Images[j].Name })
	sort.SliceStable(in.Code, func(i, j int) bool { return in.Code[i].Name < in.Code[j].Name })
	sort.SliceStable(in.Datasets, func(i, j int) bool { return in.Datasets[i].Name < in.Datasets[j].Name })
	if command := r.template(); command != nil {
		in.Command = command
	}
	if r.WorkDir != nil && r.WorkDir.Rel != "." {
		in.WorkDir = r.WorkDir.Rel
	}
	if r.Job != nil {
		// A job's command stands in its spec: the spec is an input, its references are pins of their own.
		in.Job = &fingerprintJob{r.Job.Format, r.Job.TemplateDigest}
		if r.Job.TemplateDigest == "" {
			absent("job", "its spec was withheld")
		}
	}
	maps.Copy(in.Params, r.Params)
	maps.Copy(in.Variables, r.Variables)
	for _, w := range r.Withheld {
		absent(w.What+":"+w.Name, "it was withheld")
	}
	for _, d := range r.Drift {
		if d.ofInput() {
			absent(d.Pin, "it is not what it was pinned to: "+d.Text)
		}
	}
	return in, missing
}

// template gives the command as it is compared: with {name} for what has a name.
func (r Run) template() []Text {
	if r.CommandTemplate != nil {
		return r.CommandTemplate
	}
	return r.Command
}

// ofInput reports whether an input moved, and not an output or something else.
func (d Drifted) ofInput() bool {
	kind, _, _ := strings.Cut(d.Pin, ":")
	return kind == "image" || kind == "code" || kind == "dataset" || kind == "job"
}

func (p CodePin) fingerprint() (f fingerprintCode, why string) {
	f = fingerprintCode{Name: p.Name, LFS: []fingerprintLFS{}, Submodules: []fingerprintSubmodule{}}
	switch {
	case p.Kind == CodeScript && (p.Script == nil || p.Script.Blob.Digest == ""):
		return f, "the script's content is not known"
	case p.Kind == CodeScript:
		f.Script = p.Script.Blob.Digest
		return f, ""
	case p.Kind != CodeGit:
		return f, "this version does not know code of kind " + p.Kind
	case p.Tree == "":
		return f, "the tree of the checkout is not known"
	}
	f.Tree = p.Tree
	for _, x := range p.Excluded {
		if x.Why == ExcludedSecret {
			why = "a file of it holds a secret and was withheld"
		}
	}
	for _, o := range p.LFS {
		if o.OID == "" {
			why = "the content of an LFS object is not known"
		}
		f.LFS = append(f.LFS, fingerprintLFS{o.Path, o.OID, o.PointerOnly})
	}
	sort.SliceStable(f.LFS, func(i, j int) bool { return f.LFS[i].Path < f.LFS[j].Path })
	for _, s := range p.Submodules {
		if s.Tree == "" {
			why = "the tree of a submodule is not known"
		}
		f.Submodules = append(f.Submodules, fingerprintSubmodule{s.Path, s.Tree})
	}
	sort.SliceStable(f.Submodules, func(i, j int) bool { return f.Submodules[i].Path < f.Submodules[j].Path })
	return f, why
}

// fingerprint trusts a version by its strength only: a digest or an id that was merely declared names no content.
func (p DatasetPin) fingerprint() (f fingerprintDataset, why string) {
	f = fingerprintDataset{Name: p.Name, Role: p.Role}
	switch {
	case p.Strength == StrengthContent && p.ContentDigest != "":
		f.Digest, f.Kind, f.Sidecar, f.Directory = p.ContentDigest, p.DigestKind, p.SidecarDigest, p.Directory
	case p.Strength == StrengthImmutableID && p.VersionID != "":
		f.Scheme, f.VersionKind, f.ID, f.Include, f.Exclude = p.Scheme, p.VersionKind, p.VersionID, p.Include, p.Exclude
	default:
		return f, "neither its content nor an immutable version is known"
	}
	return f, ""
}
