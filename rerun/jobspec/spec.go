package jobspec

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// FormatKubernetes is the format of objects of Kubernetes, as YAML or JSON.
const FormatKubernetes = "kubernetes"

// KindImage is the kind of a reference to a container image, KindDataset that of a reference to a dataset. (KindCode is in code.go.)
const (
	KindImage   = "image"
	KindDataset = "dataset"
)

// Spec is a job spec that was read.
type Spec struct {
	File       string      // name of the file, for messages
	Format     string      // FormatKubernetes, FormatSlurm, …: the formats of formats.go
	References []Reference // in the order of the documents and of the table of kinds
	Problems   []Problem   // why some reference cannot be pinned; Pin refuses while there are any
	Unused     []Field     // declared fields that lead nowhere
	Live       bool        // an object has server-set fields: it was read from a cluster, and cannot be submitted again as it is

	source *source
	texts  []*text // the file, and the strings in it that were read, each behind the one in which it stands
	script *script // of a text, which has no documents
}

// Reference is one place of the file that names something by a reference that can move.
type Reference struct {
	Name     string   // of the pin: the container's or volume's name made a valid pin name, unique in the spec
	Kind     string   // KindImage, KindCode, KindDataset
	URL      string   // of code: the repository, as written; of a dataset: its URI without the version
	Rev      string   // of code: the branch whose head Value names, where Value is HEAD
	Value    string   // as written (of a dataset: its version, "" where none is written), without quotes; in a batch script as the registry calls it, without the scheme and enroot's #
	Pinned   bool     // it names a digest, a commit or a version that cannot move already
	File     string   // of an image that is a file: its path, as written
	Soft     bool     // nothing is fetched by it, or no version can be written there: it is told, and stays as it is without a value
	Shape    Shape    // how its pinned form is written
	Document int      // which document of the file, from 0
	Field    string   // such as spec.template.spec.containers[0].image
	Also     []string // further fields that share the place through an anchor
	Line     int      // from 1, as editors count lines
	Column   int      // from 1, in runes
	Offset   int      // of the bytes in the file, quotes included
	End      int

	doc    *document
	token  token
	prefix string   // what stands before it in the same text, such as --ref=
	suffix string   // what stands behind it
	nodes  []*value // what changes when the place does
	split  *split   // where it stands in several keys
	inTag  bool     // the place is the tag alone, and prefix what it belongs to
	cut    int      // in a text: where its tag, its digest or its revision begins, or would begin

	fileDigest schema.Digest // of an image file that is pinned
}

// Revision is what is to be resolved to a commit.
func (r Reference) Revision() string {
	if r.Rev != "" {
		return r.Rev
	}
	return r.Value
}

// Key is what [Spec.Pin] calls the reference: its name, and dataset.NAME for a dataset, because names of datasets are their own.
func (r Reference) Key() string {
	if r.Kind == KindDataset {
		return KindDataset + "." + r.Name
	}
	return r.Name
}

// Digest gives the digest that the reference names, or "".
func (r Reference) Digest() schema.Digest {
	if r.fileDigest != "" {
		return r.fileDigest
	}
	parts, _ := splitReference(r.Value)
	return parts.digest
}

// Parts gives the repository, the tag and the digest of a reference to an image, as they are spelled; "" for what is not there.
func (r Reference) Parts() (repository, tag string, digest schema.Digest) {
	parts, _ := splitReference(r.Value)
	return parts.repository, parts.tag, parts.digest
}

// Pin gives the reference with the digest, in the shape of its place.
func (r Reference) Pin(digest schema.Digest) (string, error) {
	return PinnedReference(r.Value, digest, r.Shape == TagAndDigest)
}

// Codes of problems, for programs.
const (
	ProblemTemplate  = "template"  // the value is filled in later
	ProblemReference = "reference" // it is not an image reference, or its digest is malformed
	ProblemFloating  = "floating"  // it names no revision at all
	ProblemElsewhere = "elsewhere" // what starts stands outside the file
	ProblemKind      = "kind"      // the kind of object is not known
	ProblemWritten   = "written"   // it is written in a way that cannot be edited safely
	ProblemShape     = "shape"     // the file does not have the shape of its kind
)

// Problem is one reason why the spec cannot be pinned. Line and Column are from 1; Column is 0 when only the line is known.
type Problem struct {
	Code         string
	Line, Column int
	Document     int
	Field        string // "" when the problem is not about a field
	Value        string // as written, when it is text
	Reason       string
}

// String gives the problem without its position.
func (p Problem) String() string {
	var b strings.Builder
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	if p.Value != "" {
		fmt.Fprintf(&b, "%q ", schema.Shorten(p.Value, 200))
	}
	b.WriteString(p.Reason)
	return b.String()
}

// document is one YAML document of the file, or of a text inside it.
type document struct {
	index  int // which document of the file
	root   *yaml.Node
	value  *value
	shared bool  // it has aliases
	of     *text // where it stands
	pods   []pod // what a stamp is put on
}

// pod is an object that starts containers. template is where its pods get their metadata from; it is the object itself where there is no such place.
type pod struct {
	object, template *value
	field            string
	plain            bool // it has no metadata
	shared           bool // other runs start from it, too
	containers       []container
}

// container is what gets the run's id among its variables.
type container struct {
	hit
	env string // the key of the variables
}

// Err gives nil, or every problem as an error of kind Unpinnable with file:line:column.
func (s *Spec) Err() error { return problemsError(s.File, s.Problems) }

func problemsError(file string, problems []Problem) error {
	var all []error
	for i, p := range problems {
		if i == maxListed {
			all = append(all, &schema.Error{Op: "jobspec.read", Kind: schema.Unpinnable, Subject: file,
				Err: fmt.Errorf("and %d more problems", len(problems)-i)})
			break
		}
		subject := fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
		if p.Column == 0 {
			subject = fmt.Sprintf("%s:%d", file, p.Line)
		}
		e := &schema.Error{Op: "jobspec.read", Kind: schema.Unpinnable, Subject: subject, Err: errors.New(p.String())}
		if strings.HasSuffix(p.Reason, templated) {
			e.Hint = "render it first (helm template, kustomize build, envsubst, argo submit --dry-run -o yaml) and give runpin the result"
		}
		all = append(all, e)
	}
	return errors.Join(all...)
}

// Lookup gives the reference with the name.
func (s *Spec) Lookup(name string) (Reference, bool) {
	for _, r := range s.References {
		if r.Name == name {
			return r, true
		}
	}
	return Reference{}, false
}
