package recorder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// The labels by which an image says what it was built from (OCI image specification, annotations).
const (
	labelRevision = "org.opencontainers.image.revision"
	labelSource   = "org.opencontainers.image.source"
)

// jobLaunchers says by the format of a job spec what starts the job.
var jobLaunchers = map[string]string{"kubernetes": "kubernetes", "argo": "kubernetes", "slurm": "slurm"}

// specCodeRefs are the places of a job spec that fetch code, as references to resolve. One that the user names with --code is the user's.
func specCodeRefs(spec Spec, given []CodeRef) []CodeRef {
	var refs []CodeRef
	for _, c := range spec.Code {
		if slices.ContainsFunc(given, func(g CodeRef) bool { return g.Name == c.Name }) {
			continue
		}
		ref := "git+" + c.URL
		if c.Rev != "" {
			ref += "@" + c.Rev
		}
		refs = append(refs, CodeRef{Name: c.Name, Ref: ref})
	}
	return refs
}

// pinnedCode gives the commits that the places of the spec were resolved to.
func (p *Planned) pinnedCode() map[string]string {
	commits := map[string]string{}
	for _, c := range p.spec.Code {
		for _, pin := range p.Run.Code {
			if pin.Name == c.Name && pin.Commit != "" {
				commits[c.Name] = string(pin.Commit)
			}
		}
	}
	return commits
}

// codeOfImages adds what the images of a job say they were built from, unless the user says what the code is. Where an image contradicts a code pin of the same
// repository both are kept, and a reason says so.
func (p *Planned) codeOfImages() {
	if p.req.Job == nil || p.req.NoCode {
		return
	}
	plan := &p.Run.Plan
	resolved := slices.Clone(plan.Code)
	for _, image := range plan.Images {
		revision := strings.TrimSpace(image.Labels[labelRevision])
		if revision == "" {
			continue
		}
		pin := labelledCode(image, revision)
		for _, other := range resolved {
			if pin.Commit != "" && other.Commit != "" && pin.Commit != other.Commit && pin.Remote != "" && sameRemote(pin.Remote, other.Remote) {
				plan.Reasons = append(plan.Reasons, schema.Reason{Code: "code-contradicts", Subject: schema.Text("code:" + other.Name),
					Text: fmt.Sprintf("image %s says that it was built from commit %s of %s, which is not the %s that is pinned", image.Name, pin.Commit.Short(), pin.Remote, other.Commit.Short())})
			}
		}
		if len(p.req.Code) > 0 || slices.ContainsFunc(plan.Code, func(c schema.CodePin) bool {
			return c.Origin.Kind == schema.FromLabel && c.Commit == pin.Commit && c.Remote == pin.Remote && len(c.Reasons) == 0
		}) {
			continue
		}
		for slices.ContainsFunc(plan.Code, func(c schema.CodePin) bool { return c.Name == pin.Name }) {
			pin.Name = "image_" + pin.Name
		}
		plan.Code = append(plan.Code, pin)
	}
}

// labelledCode is what an image's labels claim of its code.
func labelledCode(image schema.ImagePin, revision string) schema.CodePin {
	pin := schema.CodePin{Name: image.Name, Kind: schema.CodeGit, Ref: schema.Text("image:" + image.Name), Use: schema.Claimed,
		Origin: schema.Origin{Kind: schema.FromLabel, By: labelRevision, At: image.Origin.At}}
	because := func(code, format string, args ...any) {
		pin.Reasons = append(pin.Reasons, schema.Reason{Code: code, Subject: schema.Text("code:" + pin.Name), Text: fmt.Sprintf(format, args...)})
	}
	pin.Remote, _ = redact.URL(strings.TrimSpace(image.Labels[labelSource]))
	if pin.Remote == "" {
		because("source-unknown", "the image does not say which repository it was built from (label %s)", labelSource)
	}
	commit, err := schema.ParseObjectID(strings.ToLower(revision))
	if err != nil {
		because("revision-not-a-commit", "label %s is %q, not a full commit id", labelRevision, schema.Shorten(revision, 80))
		return pin
	}
	pin.Commit = commit
	return pin
}

// sameRemote compares the places of two repositories, however they are reached.
func sameRemote(a, b string) bool {
	bare := func(url string) string {
		if _, rest, ok := strings.Cut(url, "://"); ok {
			url = rest
		} else {
			url = strings.Replace(url, ":", "/", 1) // git@host:path
		}
		if i := strings.IndexByte(url, '@'); i >= 0 && i < max(strings.IndexByte(url, '/'), 0) {
			url = url[i+1:]
		}
		return strings.ToLower(strings.TrimSuffix(strings.TrimRight(url, "/"), ".git"))
	}
	return a != "" && b != "" && bare(a) == bare(b)
}
