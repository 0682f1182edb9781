package jobspec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/runpin/runpin/schema"
)

// respell gives the edit that pins a reference of a batch script. The scheme, the user, the registry and the repository stay as they are spelled;
// what follows them is the tag and the digest, or the digest alone where the engine takes no tag beside it.
func (r Reference) respell(pinned string) edit {
	parts, _ := splitReference(pinned)
	text := "@" + string(parts.digest)
	if r.Shape == TagAndDigest && parts.tag != "" {
		text = ":" + parts.tag + text
	}
	return edit{r.cut, r.token.end, text}
}

// pinScript makes the edits and the stamp, and proves that the result differs from the script in nothing else.
func (s *Spec) pinScript(edits []edit, stamp *Stamp) ([]byte, error) {
	if stamp != nil {
		e, err := s.stampScript(string(stamp.RunID))
		if err != nil {
			return nil, err
		}
		edits = append(edits, e...)
	}
	out, err := s.apply(edits)
	if err == nil {
		err = s.verifyScript(out, stamp)
	}
	if err != nil {
		return nil, &schema.Error{Op: "jobspec.pin", Kind: schema.Internal, Subject: s.File, Err: err}
	}
	return out, nil
}

// stampScript sets the variable before the first command: behind the last #SBATCH line, because sbatch reads none behind a command.
func (s *Spec) stampScript(id string) ([]edit, error) {
	if _, err := schema.ParseRunID(id); err != nil {
		return nil, err
	}
	have := s.script.stamps
	switch {
	case len(have) == 0:
		text, src := "export "+StampVariable+"="+id, s.source
		if at := s.script.head; at == len(src.data) && !bytes.HasSuffix(src.data, []byte("\n")) {
			text = src.eol + text // a file without a final newline stays one
		} else {
			text += src.eol
		}
		return []edit{{s.script.head, s.script.head, text}}, nil
	case len(have) == 1 && have[0].plain:
		if have[0].value == id {
			return nil, nil
		}
		return []edit{{have[0].start, have[0].end, id}}, nil
	}
	var failures []error
	for _, a := range have {
		line, column := s.source.position(a.at)
		failures = append(failures, &schema.Error{Op: "jobspec.stamp", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%s:%d:%d", s.File, line, column),
			Err: fmt.Errorf("sets %s itself, so that the run's id would not hold", StampVariable), Hint: "take the line out, or leave the stamp away with --no-stamp"})
	}
	return nil, errors.Join(failures...)
}

// verifyScript reads the result and compares: the same references in the same places, each with its pin, and every other byte as it was.
func (s *Spec) verifyScript(out []byte, stamp *Stamp) error {
	is, err := readScript(s.File, out)
	if err == nil {
		err = is.Err()
	}
	if err != nil {
		return fmt.Errorf("the result cannot be read: %w", err)
	}
	if len(is.References) != len(s.References) {
		return fmt.Errorf("the result names %d images in place of %d", len(is.References), len(s.References))
	}
	for i, ref := range is.References {
		was := s.References[i]
		if ref.Name != was.Name || ref.Field != was.Field || !ref.Pinned {
			return fmt.Errorf("the result differs at %s: %q", ref.Field, ref.Value)
		}
	}
	if stamp != nil && (len(is.script.stamps) != 1 || !is.script.stamps[0].plain || is.script.stamps[0].value != string(stamp.RunID)) {
		return errors.New("the result does not set the run's id")
	}
	back, err := s.restore(is, stamp != nil)
	if err != nil || !bytes.Equal(back, s.source.data) {
		return errors.New("the result differs outside its images")
	}
	return nil
}

// restore undoes a pin: it takes the pins and the stamp out of the result and puts back what was there.
func (s *Spec) restore(is *Spec, stamped bool) ([]byte, error) {
	var edits []edit
	for i, ref := range is.References {
		was := s.References[i]
		edits = append(edits, edit{ref.cut, ref.token.end, string(s.source.data[was.cut:was.token.end])})
	}
	if stamped {
		now := is.script.stamps[0]
		if len(s.script.stamps) == 1 {
			was := s.script.stamps[0]
			edits = append(edits, edit{now.start, now.end, string(s.source.data[was.start:was.end])})
		} else if start, end := now.at-len("export "), now.end; bytes.HasSuffix(s.source.data, []byte("\n")) || s.script.head < len(s.source.data) {
			edits = append(edits, edit{start, end + len(s.source.eol), ""})
		} else {
			edits = append(edits, edit{start - len(s.source.eol), end, ""})
		}
	}
	return is.apply(edits)
}
