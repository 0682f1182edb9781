package store

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// runKey gives the number that orders runs by creation, before it is made unique: the milliseconds and the head of the random tail.
func runKey(created schema.Time, id schema.RunID) int64 {
	const tailChars, charBits = 3, 5
	ms := created.Time().UnixMilli()
	if created.IsZero() || ms < 0 {
		ms = 0
	}
	key := min(ms, math.MaxInt64>>(tailChars*charBits)-1)
	for i := len(id) - 16; i < len(id)-16+tailChars; i++ {
		key = key<<charBits | int64(max(0, strings.IndexByte("0123456789ABCDEFGHJKMNPQRSTVWXYZ", id[i])))
	}
	return key
}

// runTail gives the random tail of an id, back to front.
func runTail(id schema.RunID) string { return reverse(string(id[len(id)-16:])) }

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// gatherer collects the terms of documents, each once. What it finds depends on one document at a time, so that the index of a run is the union over
// its documents, whatever order they arrive in.
type gatherer struct {
	terms    []term
	seen     map[term]bool
	listings []schema.Digest
}

func (g *gatherer) add(kind, name, value string) {
	if value == "" {
		return
	}
	t := term{kind, indexText(name), indexText(value)}
	if !g.seen[t] {
		if g.seen == nil {
			g.seen = map[term]bool{}
		}
		g.seen[t] = true
		g.terms = append(g.terms, t)
	}
}

func (g *gatherer) document(d *schema.Document) {
	switch {
	case d.Plan != nil:
		g.plan(d.Plan)
	case d.Observation != nil:
		for _, p := range d.Observation.Images {
			g.image(p)
		}
	case d.Output != nil:
		for _, o := range d.Output.Outputs {
			g.add(termOutput, "", string(o.ContentDigest))
			g.add(termOutput, "", string(o.FileDigest))
		}
	}
}

func (g *gatherer) plan(p *schema.Plan) {
	g.add(termProject, "", p.Project)
	g.add(termUser, "", p.User)
	if p.Project != "" {
		g.add(termOwner, p.Project, p.User)
	}
	g.add(termParent, "", string(p.Parent))
	g.add(termRerunOf, "", string(p.RerunOf))
	for _, i := range p.Images {
		g.image(i)
	}
	for _, c := range p.Code {
		g.code(c)
	}
	for _, d := range p.Datasets {
		g.dataset(d)
	}
}

func (g *gatherer) image(p schema.ImagePin) {
	for _, d := range []schema.Digest{p.IndexDigest, p.PlatformDigest, p.ConfigDigest, p.FileDigest} {
		g.add(termImage, "", string(d))
	}
	g.add(termImageRef, "", string(p.Ref))
	repository := p.Repository
	if repository == "" { // of a pin that was never resolved
		repository, _, _ = strings.Cut(string(p.Ref), "@")
		if at := strings.LastIndexByte(repository, ':'); at > strings.LastIndexByte(repository, '/') {
			repository = repository[:at]
		}
	}
	g.add(termImageRef, "", repository)
}

func (g *gatherer) code(p schema.CodePin) {
	g.add(termObject, "", string(p.Commit))
	g.add(termObject, "", string(p.CommitTree))
	g.add(termObject, "", string(p.Tree))
	g.listing(p.Changes)
	for _, s := range p.Submodules {
		g.add(termObject, "", string(s.Commit))
		g.add(termObject, "", string(s.Tree))
		g.listing(s.Changes)
	}
	if p.Script != nil {
		g.add(termFile, "", string(p.Script.Blob.Digest))
		g.add(termPath, "", string(p.Script.Path.Typed))
		g.add(termPath, "", string(p.Script.Path.Rel))
	}
}

func (g *gatherer) dataset(p schema.DatasetPin) {
	g.add(termDataset, "", p.Name)
	g.add(termDataset, "", string(p.ContentDigest))
	g.add(termDataset, "", string(p.FileDigest))
	if p.VersionKind != "content" {
		g.add(termDataset, "", p.VersionID)
	}
	g.add(termFile, "", string(p.FileDigest))
	if p.Manifest == nil {
		return
	}
	if p.Manifest.Digest == p.ContentDigest { // the term above finds it
		g.listings = append(g.listings, p.Manifest.Digest)
		return
	}
	g.listing(p.Manifest)
}

func (g *gatherer) listing(ref *schema.BlobRef) {
	if ref != nil {
		g.add(termListing, "", string(ref.Digest))
		g.listings = append(g.listings, ref.Digest)
	}
}

// state is what of a run can be searched and changes. It is taken from the fold, so that a run is found by what it shows.
type state struct {
	status      schema.Status
	started     schema.Time
	finished    schema.Time
	fingerprint schema.Fingerprint
}

// changesState reports whether a document can change the state, the labels or the metrics of a run. The fold of those that can, and of the
// base document, gives the same state as the fold of all: of a run with a thousand ranks only a part has to be read.
func changesState(d *schema.Document) bool {
	switch d.Kind {
	case schema.KindRun, schema.KindStatus, schema.KindLabel, schema.KindOutput:
		return true
	case schema.KindObservation:
		o := d.Observation // tries order what ranks say; what drifted or was withheld has no fingerprint
		return d.Verbatim != nil || len(o.Images) > 0 || len(o.Drift) > 0 || o.Attempt != nil || len(o.Withheld) > 0
	case schema.KindNote, schema.KindRelease, schema.KindKeep, schema.KindErasure:
		return false
	}
	return true
}

// foldState folds documents of a run, over an empty plan when the base document is not among them.
func foldState(run schema.RunID, docs []schema.Document) (schema.Run, error) {
	if !slices.ContainsFunc(docs, isBase) {
		docs = append([]schema.Document{{Kind: schema.KindRun, ID: schema.DocumentID(run), Run: run, Plan: &schema.Plan{}}}, docs...)
	}
	return schema.Fold(docs)
}

func isBase(d schema.Document) bool { return d.Kind == schema.KindRun }

func stateOf(r *schema.Run) state { return state{r.Status, r.Started, r.Finished, r.Fingerprint} }

// terms of a state.
func (s state) terms() []term {
	g := gatherer{}
	g.add(termStatus, "", string(s.status))
	g.add(termFingerprint, "", string(s.fingerprint))
	return g.terms
}

func labelTerms(labels map[string]string) []term {
	g := gatherer{}
	for k, v := range labels {
		g.add(termLabel, k, orEmpty(v))
		g.add(termLabelName, "", k)
	}
	return g.terms
}

// keyTime gives the creation time that a run's key holds.
func keyTime(n int64) time.Time { return time.UnixMilli(n >> 15) }
