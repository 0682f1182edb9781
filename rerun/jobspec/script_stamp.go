package jobspec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/runpin/runpin/schema"
)

// stampScript sets the variable before the first command: behind the last #SBATCH line, because sbatch reads none behind a command.
func (s *Spec) stampScript(id string) ([]edit, error) {
	if _, err := schema.ParseRunID(id); err != nil {
		return nil, err
	}
	have := s.script.stamps
	switch {
	case len(have) == 0:
		text, src, at := "export "+StampVariable+"="+id, s.source, s.script.head
		for _, g := range s.script.guards { // the order is the same whichever comes first
			if g.start == at {
				at = g.end
			}
		}
		if at == len(src.data) && !bytes.HasSuffix(src.data, []byte("\n")) {
			text = src.eol + text // a file without a final newline stays one
		} else {
			text += src.eol
		}
		return []edit{{at, at, text}}, nil
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
