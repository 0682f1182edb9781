package jobspec

import (
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Field is a place that the user declares, for what no table of runpin knows. Path is keys joined by dots, below the top of a document; [] stands
// for every element of a list, [NAME] for the element whose name is NAME, and * for every key of a mapping.
type Field struct {
	Kind string // KindImage, KindCode, KindDataset
	Name string // of the pin: that of a dataset is given, other pins are named after their place
	Path string
}

// String gives the field as it is declared: image=PATH, code=PATH, dataset.NAME=PATH.
func (f Field) String() string {
	if f.Name != "" {
		return f.Kind + "." + f.Name + "=" + f.Path
	}
	return f.Kind + "=" + f.Path
}

// ParseField reads image=PATH, code=PATH or dataset.NAME=PATH. An error has kind Invalid.
func ParseField(declared string) (Field, error) {
	refuse := func(format string, args ...any) (Field, error) {
		return Field{}, &schema.Error{Op: "jobspec.field", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(declared, 200)), Err: fmt.Errorf(format, args...),
			Hint: "declare image=spec.worker.image, code=spec.source.revision or dataset.train=spec.data.version"}
	}
	what, path, ok := strings.Cut(declared, "=")
	if !ok || path == "" {
		return refuse("is not KIND=PATH")
	}
	if len(steps(path)) == 0 || strings.Contains(path, "..") {
		return refuse("%q is no path of keys", path)
	}
	f := Field{Path: path}
	f.Kind, f.Name, _ = strings.Cut(what, ".")
	switch f.Kind {
	case KindImage, KindCode:
	case KindDataset:
		if f.Name == "" {
			return refuse("names no dataset")
		}
	default:
		return refuse("%q is neither image, code nor dataset.NAME", what)
	}
	if f.Name != "" {
		if _, err := schema.ParseName(f.Name); err != nil {
			return refuse("%q is not the name of a pin: [a-z][a-z0-9_]*", f.Name)
		}
	}
	return f, nil
}
