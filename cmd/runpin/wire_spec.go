package main

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// specReader lets rerun/jobspec serve recorder: there is one YAML walker.
type specReader struct{}

func (specReader) ReadSpec(path string, data []byte, fields []string) (recorder.Spec, error) {
	spec, err := readSpec(path, data, fields)
	if err != nil {
		return recorder.Spec{}, err
	}
	if err := spec.UnusedError(); err != nil {
		return recorder.Spec{}, err
	}
	if err := spec.Err(); err != nil {
		return recorder.Spec{}, err
	}
	out := recorder.Spec{Format: spec.Format, Template: spec.Template()}
	for _, ref := range spec.References {
		where := []string{fmt.Sprintf("%s:%d:%d %s", path, ref.Line, ref.Column, ref.Field)}
		where = append(where, ref.Also...)
		if ref.Kind == jobspec.KindDataset {
			out.Datasets = append(out.Datasets, recorder.SpecDataset{Name: ref.Name, URI: ref.URL, Version: ref.Value, Immutable: ref.Pinned, Settable: !ref.Soft, Where: where})
			continue
		}
		if ref.Soft || ref.Kind == jobspec.KindCode && ref.URL == "" {
			continue // nothing is known to fetch it, or from where
		}
		if ref.Kind == jobspec.KindCode {
			out.Code = append(out.Code, recorder.SpecCode{Name: ref.Name, URL: gitURL(ref.URL), Rev: ref.Revision(), Where: where})
			continue
		}
		image := ref.Value
		if ref.File != "" && strings.Contains(image, "/") && !strings.HasPrefix(image, "/") && !strings.HasPrefix(image, ".") {
			image = "./" + image // a/b.sif could be a repository
		}
		out.Images = append(out.Images, recorder.SpecImage{Name: ref.Name, Ref: image, Where: where})
	}
	return out, nil
}

func (specReader) PinSpec(path string, data []byte, fields []string, pins recorder.SpecPins, stamp schema.RunID) ([]byte, error) {
	spec, err := readSpec(path, data, fields)
	if err != nil {
		return nil, err
	}
	values := maps.Clone(pins.Images)
	if values == nil {
		values = map[string]string{}
	}
	maps.Copy(values, pins.Code)
	for name, version := range pins.Datasets {
		values[jobspec.KindDataset+"."+name] = version
	}
	if stamp == "" {
		return spec.Pin(values, nil)
	}
	return spec.Pin(values, &jobspec.Stamp{RunID: stamp})
}

// readSpec reads a job spec with declared fields.
func readSpec(path string, data []byte, declared []string) (*jobspec.Spec, error) {
	fields, err := parseFields(declared)
	if err != nil {
		return nil, err
	}
	reader := specsReader()
	reader.Fields = fields
	return reader.Read(path, data)
}

// specsReader reads job specs, and knows by recorder/process which word of a command of docker or podman is the image.
func specsReader() jobspec.Reader {
	return jobspec.Reader{ContainerImage: process.ImageOperand}
}

func parseFields(declared []string) (fields []jobspec.Field, err error) {
	for _, d := range declared {
		f, err := jobspec.ParseField(d)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// scpLike is git's short form for ssh: user@host:path.
var scpLike = regexp.MustCompile(`^([\w.-]+@[\w.-]+):([^/].*)$`)

func gitURL(written string) string {
	if m := scpLike.FindStringSubmatch(written); m != nil {
		return "ssh://" + m[1] + "/" + m[2]
	}
	return written
}
