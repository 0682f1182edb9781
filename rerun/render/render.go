package render

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Format writes a plan down in one form. Render only writes; whatever the form cannot say was refused by [Traits] before, or is an error of kind
// Unpinnable that names it.
type Format interface {
	Name() string
	Traits() Traits
	Render(w io.Writer, p *Plan) error
}

// Traits say what a form can keep.
type Traits struct {
	Cluster bool // it runs where this machine's files are not: code and data come in by an init step, whose image must be given
	Image   bool // it starts the command in the image; otherwise on the machine itself
	UTF8    bool // it holds text only, no bytes
	Init    bool // an init step in an image of its own, on this machine or in a cluster
}

var formats = map[string]Format{}

// register adds a format; each does it in its own file.
func register(f Format) {
	if formats[f.Name()] != nil {
		panic("two formats are called " + f.Name())
	}
	formats[f.Name()] = f
}

// Names lists the formats, sorted.
func Names() []string {
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Render writes run in the format of that name. It reads the record and its blobs only, and gives the same bytes each time. Notes are what the user should
// know about the result.
func Render(ctx context.Context, w io.Writer, name string, run schema.Run, blobs schema.BlobSource, opts Options) (notes []string, err error) {
	f := formats[name]
	if f == nil {
		return nil, &schema.Error{Op: "render", Kind: schema.Invalid, Subject: "--as " + fmt.Sprintf("%q", schema.Shorten(name, 40)), Err: fmt.Errorf("there is no such format"),
			Hint: "formats: " + strings.Join(Names(), ", ")}
	}
	p, err := newPlan(ctx, f, run, blobs, opts)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := f.Render(&b, p); err != nil {
		return nil, err
	}
	if err := prove(f.Name(), b.Bytes(), p); err != nil {
		return nil, err
	}
	_, err = w.Write(b.Bytes())
	return p.Notes, err
}
