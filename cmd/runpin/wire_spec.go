package main

import (
	"fmt"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// specReader lets rerun/jobspec serve recorder: there is one YAML walker.
type specReader struct{}

func (specReader) ReadSpec(path string, data []byte) (recorder.Spec, error) {
	spec, err := jobspec.Read(path, data)
	if err != nil {
		return recorder.Spec{}, err
	}
	if err := spec.Err(); err != nil {
		return recorder.Spec{}, err
	}
	out := recorder.Spec{Format: spec.Format, Template: spec.Template()}
	for _, ref := range spec.References {
		if ref.Kind != jobspec.KindImage {
			continue
		}
		where := []string{fmt.Sprintf("%s:%d:%d %s", path, ref.Line, ref.Column, ref.Field)}
		where = append(where, ref.Also...)
		out.Images = append(out.Images, recorder.SpecImage{Name: ref.Name, Ref: ref.Value, Where: where})
	}
	return out, nil
}

func (specReader) PinSpec(path string, data []byte, pins recorder.SpecPins, stamp schema.RunID) ([]byte, error) {
	spec, err := jobspec.Read(path, data)
	if err != nil {
		return nil, err
	}
	if stamp == "" {
		return spec.Pin(pins.Images, nil)
	}
	return spec.Pin(pins.Images, &jobspec.Stamp{RunID: stamp})
}
