package schema

import (
	"fmt"
	"sort"
	"strings"
)

// Fingerprint says "same inputs": "fp1:" and the 64 hexadecimal digits of the SHA-256 of the canonical JSON of [FingerprintInput].
type Fingerprint string

// FingerprintPrefix names the version of the rule; another rule gets another prefix, so that two rules are never compared.
const FingerprintPrefix = "fp1:"

// UnmarshalText accepts a well-formed fingerprint only.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	s := string(b)
	hexPart, ok := strings.CutPrefix(s, FingerprintPrefix)
	if !ok || len(hexPart) != 64 || !isLowerHex(hexPart) {
		return &Error{Op: "schema.fingerprint", Kind: Invalid, Subject: fmt.Sprintf("%q", Shorten(s, 80)), Err: fmt.Errorf("not a fingerprint")}
	}
	*f = Fingerprint(s)
	return nil
}

// FingerprintInput is exactly what determines a result, and nothing else: no reference, commit, origin, host, path or time.
// Pins appear by name because the command refers to them by name. Empty members are written as [] and {}, so that each input has one form.
type FingerprintInput struct {
	Rule      string               `json:"rule"` // "fp1"
	Images    []fingerprintImage   `json:"images"`
	Code      []fingerprintCode    `json:"code"`
	Datasets  []fingerprintDataset `json:"datasets"`
	Command   []Text               `json:"command"`
	WorkDir   Text                 `json:"workdir"`
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
	LFS        []fingerprintLFS       `json:"lfs"`
	Submodules []fingerprintSubmodule `json:"submodules"`
}

type fingerprintLFS struct {
	Path Text   `json:"path"`
	OID  Digest `json:"oid"`
}

type fingerprintSubmodule struct {
	Path Text     `json:"path"`
	Tree ObjectID `json:"tree"`
}

type fingerprintDataset struct {
	Name    string `json:"name"`
	Role    Role   `json:"role"`
	Digest  Digest `json:"digest,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Sidecar Digest `json:"sidecar,omitempty"`
	Scheme  string `json:"scheme,omitempty"` // with ID, where no content digest is known
	ID      string `json:"id,omitempty"`
}

// Fingerprint gives the fingerprint of a run's inputs, or "" and what stands in the way: a pin that is not resolved, or a value that
// was withheld.
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
	absent := func(pin, text string) {
		missing = append(missing, Reason{Code: "unresolved-pin", Subject: Text(pin), Text: text})
	}
	for _, p := range r.Images {
		f := fingerprintImage{Name: p.Name, Config: p.ConfigDigest, File: p.FileDigest}
		if f.Config == "" && f.File == "" {
			absent("image:"+p.Name, "no config digest is known")
		}
		in.Images = append(in.Images, f)
	}
	for _, p := range r.Code {
		f, why := p.fingerprint()
		if why != "" {
			absent("code:"+p.Name, why)
		}
		in.Code = append(in.Code, f)
	}
	for _, p := range r.Datasets {
		f := fingerprintDataset{Name: p.Name, Role: p.Role, Digest: p.ContentDigest, Kind: p.DigestKind, Sidecar: p.SidecarDigest}
		if f.Digest == "" {
			f = fingerprintDataset{Name: p.Name, Role: p.Role, Scheme: p.Scheme, ID: p.VersionID}
			if f.ID == "" || p.Strength != StrengthImmutableID {
				absent("dataset:"+p.Name, "neither its content nor an immutable version is known")
			}
		}
		in.Datasets = append(in.Datasets, f)
	}
	sort.Slice(in.Images, func(i, j int) bool { return in.Images[i].Name < in.Images[j].Name })
	sort.Slice(in.Code, func(i, j int) bool { return in.Code[i].Name < in.Code[j].Name })
	sort.Slice(in.Datasets, func(i, j int) bool { return in.Datasets[i].Name < in.Datasets[j].Name })
	if r.CommandTemplate != nil {
		in.Command = r.CommandTemplate
	} else if r.Command != nil {
		in.Command = r.Command
	}
	if r.WorkDir != nil {
		in.WorkDir = r.WorkDir.Rel
	}
	if r.Job != nil {
		// A job's command stands in its spec: the spec is an input, its references are pins of their own.
		if r.Job.TemplateDigest == "" {
			absent("job", "its spec was withheld")
		} else {
			in.Command = append(append([]Text{}, in.Command...), Text("job:"+r.Job.Format), Text(r.Job.TemplateDigest))
		}
	}
	for k, v := range r.Params {
		in.Params[k] = v
	}
	for k, v := range r.Variables {
		in.Variables[k] = v
	}
	for _, w := range r.Withheld {
		absent(w.What+":"+w.Name, "it was withheld")
	}
	return in, missing
}

func (p CodePin) fingerprint() (fingerprintCode, string) {
	f := fingerprintCode{Name: p.Name, Tree: p.Tree, LFS: []fingerprintLFS{}, Submodules: []fingerprintSubmodule{}}
	if p.Kind == CodeScript {
		f.Tree = ""
		if p.Script == nil || p.Script.Blob.Digest == "" {
			return f, "the script's content is not known"
		}
		f.Script = p.Script.Blob.Digest
		return f, ""
	}
	for _, o := range p.LFS {
		f.LFS = append(f.LFS, fingerprintLFS{o.Path, o.OID})
	}
	sort.Slice(f.LFS, func(i, j int) bool { return f.LFS[i].Path < f.LFS[j].Path })
	for _, s := range p.Submodules {
		f.Submodules = append(f.Submodules, fingerprintSubmodule{s.Path, s.Tree})
	}
	sort.Slice(f.Submodules, func(i, j int) bool { return f.Submodules[i].Path < f.Submodules[j].Path })
	if f.Tree == "" {
		return f, "the tree of the checkout is not known"
	}
	return f, ""
}
