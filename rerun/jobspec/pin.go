package jobspec

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Stamp is what a pinned spec carries so that what it starts can report to its run (DESIGN §3.9).
type Stamp struct {
	RunID schema.RunID
}

// Pin gives the file with each reference replaced by its value and nothing else changed, apart from the stamp where stamp is not nil.
// values holds the pinned form by the name of the reference: repo:tag@sha256:… of an image, which [Reference.Pin] makes, and the full commit of
// code. A reference that names a digest or a commit already may be left out and stays as it is; an empty value leaves any reference as it is.
//
// Errors have kind Unpinnable, one for each place (file:line:column): a problem of the spec, a reference without a value or with one that
// names no digest, a place where the stamp does not fit. Kind Invalid: a value for a name that the spec does not have. Kind Internal: the
// result does not read back as intended; there is no output then.
func (s *Spec) Pin(values map[string]string, stamp *Stamp) ([]byte, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	var edits []edit // of a batch script
	c := &changes{spec: s, edits: map[*text][]edit{}, wanted: map[*text][]change{}, stampers: map[*document]*stamper{}}
	var failures []error
	names := make(map[string]bool, len(s.References))
	for _, ref := range s.References {
		names[ref.Key()] = true
		pinned, given := values[ref.Key()]
		if !given && (ref.Pinned || ref.Soft || ref.Kind == KindDataset) || given && pinned == "" {
			continue
		}
		if reason := ref.badPin(pinned); reason != "" {
			failures = append(failures, s.referenceError(ref, pinned, reason))
			continue
		}
		if pinned == ref.Value {
			continue
		}
		if s.script != nil {
			edits = append(edits, s.respell(ref, pinned))
			continue
		}
		if err := c.pin(ref, pinned); err != nil {
			failures = append(failures, s.referenceError(ref, pinned, err.Error()))
		}
	}
	for name := range values {
		if !names[name] {
			failures = append(failures, &schema.Error{Op: "jobspec.pin", Kind: schema.Invalid, Subject: s.File,
				Err: fmt.Errorf("has no reference named %q", name)})
		}
	}
	if len(failures) > 0 {
		sort.Slice(failures, func(i, j int) bool { return failures[i].Error() < failures[j].Error() })
		return nil, errors.Join(failures...)
	}
	if s.script != nil {
		return s.pinScript(edits, values, stamp)
	}
	if stamp != nil {
		if err := c.stamp(string(stamp.RunID)); err != nil {
			return nil, err
		}
	}
	out, err := c.make()
	if err != nil {
		return nil, s.brokenError(err, stamp != nil)
	}
	return out, nil
}

// badPin says why a value cannot stand in a pinned spec.
func (r Reference) badPin(value string) string {
	if r.Kind == KindDataset {
		if value == "" || strings.ContainsAny(value, " \t\r\n'\"\\") {
			return "is not a version"
		}
	}
	if r.Soft && r.Value == "" {
		return "stands where no version can be written"
	}
	if r.Kind == KindDataset {
		return ""
	}
	if r.Kind == KindCode {
		if _, err := schema.ParseObjectID(value); value == "" {
			return "has no recorded commit"
		} else if err != nil {
			return "is not a full commit id"
		}
		return ""
	}
	if value == "" {
		return "has no recorded digest"
	}
	if r.File != "" {
		if !schema.Digest(value).Valid() || !strings.HasPrefix(value, "sha256:") {
			return "is a file, and the value is not its SHA-256"
		}
		return ""
	}
	parts, reason := splitReference(value)
	if reason == "" && parts.digest == "" {
		reason = "names no digest"
	}
	return reason
}

func (s *Spec) referenceError(ref Reference, pinned, reason string) error {
	text := fmt.Sprintf("%s: %q %s", ref.Field, ref.Value, reason)
	if pinned != "" {
		text = fmt.Sprintf("%s: the pinned value %q %s", ref.Field, schema.Shorten(pinned, 300), reason)
	}
	return &schema.Error{Op: "jobspec.pin", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%s:%d:%d", s.File, ref.Line, ref.Column),
		Err: errors.New(text)}
}

// brokenError is for a result that does not read back as intended. With aliases the stamp can reach places where it is not wanted, which is
// the file's doing; anything else is ours.
func (s *Spec) brokenError(err error, stamped bool) error {
	var place *placeError
	if errors.As(err, &place) {
		return &schema.Error{Op: "jobspec.pin", Kind: schema.Unpinnable, Subject: s.File, Err: err}
	}
	for _, t := range s.texts {
		for _, d := range t.docs {
			if stamped && d.shared {
				return &schema.Error{Op: "jobspec.stamp", Kind: schema.Unpinnable, Subject: s.File,
					Err:  fmt.Errorf("the run's id cannot be added where anchors share a container or its metadata: %w", err),
					Hint: "write the containers out without anchors, or leave the stamp away with --no-stamp"}
			}
		}
	}
	return &schema.Error{Op: "jobspec.pin", Kind: schema.Internal, Subject: s.File, Err: err}
}

// Template gives the identity of what the job does, whatever the tags of its images are called: the SHA-256 of the bytes of the file in which
// every reference, quotes included, is replaced by {image:NAME} (NAME as in [Reference.Name]). A soft reference stays as it is. It says nothing about
// a spec that has problems.
func (s *Spec) Template() schema.Digest {
	var edits []edit
	files := false
	for _, ref := range s.References {
		if ref.Soft {
			continue
		}
		edits = append(edits, edit{ref.Offset, ref.End, "{" + ref.Kind + ":" + ref.Name + "}"})
		if ref.File != "" {
			files = true
		}
		if ref.split != nil && ref.split.mapping.entry(ref.split.key) != nil {
			gone, err := ref.doc.removeEntry(ref.split.mapping, ref.split.key)
			if err != nil || ref.doc.of.outer != nil {
				return ""
			}
			edits = append(edits, gone)
		}
	}
	if files {
		for _, g := range s.script.guards {
			edits = append(edits, edit{g.start, g.end, ""})
		}
	}
	out, err := s.apply(edits)
	if err != nil {
		return ""
	}
	return schema.SHA256(out)
}

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// apply makes all edits at once. Those at one place are made in the order in which they were asked for.
func (s *Spec) apply(edits []edit) ([]byte, error) { return s.source.apply(edits) }

func (s *source) apply(edits []edit) ([]byte, error) {
	sort.SliceStable(edits, func(i, j int) bool { return edits[i].start < edits[j].start })
	size := len(s.data)
	for _, e := range edits {
		size += len(e.text)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		if e.start < at || e.end < e.start || e.end > len(s.data) {
			return nil, fmt.Errorf("two changes overlap at byte %d", e.start)
		}
		out = append(out, s.data[at:e.start]...)
		out = append(out, e.text...)
		at = e.end
	}
	return append(out, s.data[at:]...), nil
}

// render gives text in the quotes of the token. Pins and run ids have no character that either kind of quote would have to escape.
func (t token) render(text string) string {
	if strings.ContainsAny(text, "'\"\\\n\r\t") {
		return `""` // never equal to what is wanted, so verify refuses it
	}
	if t.quote == 0 {
		return text
	}
	return string(t.quote) + text + string(t.quote)
}
