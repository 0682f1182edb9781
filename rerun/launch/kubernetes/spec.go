package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// The stamp of a run (DESIGN §3.9). A pinned spec carries it as an annotation of the job and its pods; what is created here carries it as a label, too, by which it can be listed.
const stamp = "runpin.dev/run"

const stampVariable = "RUNPIN_RUN_ID"

const (
	maxSpec    = 3 << 20 // twice what etcd takes for one object
	maxObjects = 32
)

// plan is a spec that was read: what is created, in its order, and which object is the job.
type plan struct {
	run       schema.RunID
	file      string
	namespace string
	objects   []*unstructured.Unstructured
	job       int
	row       *row
}

// read takes a spec apart as kubectl would (YAML 1.1, lists, several documents), and refuses what could not be followed to its end or taken away again.
func (l *Launcher) read(spec launch.Spec) (*plan, error) {
	p := &plan{run: spec.Run, file: spec.Name, namespace: l.namespace, job: -1}
	if p.file == "" {
		p.file = "spec"
	}
	run, err := schema.ParseRunID(string(spec.Run))
	if err != nil {
		return nil, p.invalid("the spec", errors.New("belongs to no run"), "")
	}
	p.run = run
	objects, err := documents(spec.Data)
	if err != nil {
		return nil, p.invalid("", err, "give one file with the objects of one job")
	}
	namespaces := map[string]bool{}
	seen := map[string]bool{}
	for _, o := range objects {
		if err := p.add(o); err != nil {
			return nil, err
		}
		if ns := o.GetNamespace(); ns != "" {
			p.namespace = ns
			namespaces[ns] = true
		}
		if key := o.GroupVersionKind().GroupKind().String() + "/" + o.GetName(); o.GetName() != "" {
			if seen[key] {
				return nil, p.invalid(title(o), errors.New("is there twice"), "")
			}
			seen[key] = true
		}
	}
	if p.job < 0 {
		return nil, p.refused(objects)
	}
	if len(namespaces) > 1 {
		return nil, p.invalid("", errors.New("its objects lie in several namespaces"), "put them into one, so that they can be followed and removed together")
	}
	if !spaceName.MatchString(p.namespace) {
		return nil, p.invalid("", fmt.Errorf("%q is not the name of a namespace", shorten(p.namespace, 80)), "name one with --namespace")
	}
	return p, nil
}

// add takes an object that can be created, and finds out whether it is the job.
func (p *plan) add(o *unstructured.Unstructured) error {
	kind := o.GroupVersionKind()
	name, generate := o.GetName(), o.GetGenerateName()
	switch {
	case !kindName.MatchString(kind.Kind) || !versionName.MatchString(kind.Version) || kind.Group != "" && !groupName.MatchString(kind.Group):
		return p.invalid(title(o), errors.New("has no kind and apiVersion that a cluster could know"), "")
	case name == "" && generate == "":
		return p.invalid(title(o), errors.New("has neither a name nor a generateName"), "give it one under metadata")
	case name != "" && !objectName.MatchString(name), name == "" && !objectName.MatchString(strings.TrimRight(generate, "-.")):
		return p.invalid(title(o), errors.New("has a name that runpin cannot follow"), "use lower-case letters, digits, - and .")
	}
	for _, have := range []string{o.GetAnnotations()[stamp], o.GetLabels()[stamp]} {
		if have != "" && have != string(p.run) {
			return p.invalid(title(o), errors.New("carries the stamp of another run"), "let runpin pin the spec again, for this run")
		}
	}
	if r := rowOf(kind.Group, kind.Kind); r != nil {
		switch {
		case r.refuse != "":
			return p.invalid(title(o), errors.New(r.refuse), "print the spec with `runpin rerun`, submit it yourself, and end the run with `runpin finish`")
		case p.job >= 0:
			return p.invalid(title(o), fmt.Errorf("is a second job beside %s, and a run has one end", title(p.objects[p.job])), "keep one job in a file")
		}
		p.job, p.row = len(p.objects), r
	}
	p.objects = append(p.objects, o)
	return nil
}

// refused says why there is no job among the objects.
func (p *plan) refused(objects []*unstructured.Unstructured) error {
	subject, what := "", "it holds no job"
	if len(objects) == 1 {
		subject, what = title(objects[0]), "is of a kind whose end runpin does not know"
	}
	return p.invalid(subject, errors.New(what), "print the spec with `runpin rerun`, submit it yourself, and end the run with `runpin finish`")
}

func (p *plan) invalid(subject string, err error, hint string) error {
	if subject = strings.TrimSuffix(p.file+": "+subject, ": "); len(subject) > 300 {
		subject = shorten(subject, 300)
	}
	return &schema.Error{Op: op, Kind: schema.Invalid, Subject: subject, Err: err, Hint: hint}
}

// Plan says what Submit would do, a line each.
func (l *Launcher) Plan(spec launch.Spec) ([]string, error) {
	p, err := l.read(spec)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, o := range p.objects {
		lines = append(lines, fmt.Sprintf("create %s in namespace %s of cluster %s", title(o), p.namespace, l.host))
	}
	lines = append(lines, fmt.Sprintf("label and annotate each with %s=%s, by which it can be found", stamp, p.run))
	return append(lines, "follow "+title(p.objects[p.job])+" to its end and copy what its pods print",
		"stop it when a pod reports another image than the pinned one"), nil
}

// title names an object for people.
func title(o *unstructured.Unstructured) string {
	name := o.GetName()
	if name == "" && o.GetGenerateName() != "" {
		name = o.GetGenerateName() + "*"
	}
	return clean(strings.Trim(o.GetKind()+" "+name, " "), 200)
}

// documents gives the objects of a file, those of lists too.
func documents(data []byte) (all []*unstructured.Unstructured, err error) {
	if len(data) > maxSpec {
		return nil, fmt.Errorf("it has more than %d MiB", maxSpec>>20)
	}
	reader := kubeyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var read []any
	for {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var raw []byte
		if err == nil {
			raw, err = yaml.YAMLToJSON(part)
		}
		if err != nil {
			return nil, fmt.Errorf("it cannot be read: %s", clean(err.Error(), 200))
		}
		if string(bytes.TrimSpace(raw)) == "null" {
			continue
		}
		o := &unstructured.Unstructured{}
		if o.UnmarshalJSON(raw) != nil { // what it says quotes the document, which may hold anything
			return nil, errors.New("a document is no object of Kubernetes: it needs an apiVersion and a kind")
		}
		read = append(read, o.Object)
		if !o.IsList() {
			all = append(all, o)
		} else if err := o.EachListItem(func(item runtime.Object) error {
			u, ok := item.(*unstructured.Unstructured)
			if !ok || u.IsList() {
				return errors.New("it has a list in a list")
			}
			all = append(all, u)
			return nil
		}); err != nil {
			return nil, err
		}
		if len(all) > maxObjects {
			return nil, fmt.Errorf("it has more than %d objects", maxObjects)
		}
	}
	if err := asPinned(data, read); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no object")
	}
	return all, nil
}

// asPinned holds what kubectl reads to what a reader of YAML 1.2 reads, as it was pinned by: the two find other documents behind "...", other keys in "on: x", and other values where
// a merge stands behind the key that it gives, too. Words such as yes are kubectl's.
func asPinned(data []byte, kubectl []any) error {
	dec := yamlv3.NewDecoder(bytes.NewReader(data))
	for count := 0; ; {
		var v any
		err := dec.Decode(&v)
		switch {
		case errors.Is(err, io.EOF) && count == len(kubectl):
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("kubectl finds %d documents in it, and other readers of YAML %d: put each --- on a line of its own", len(kubectl), count)
		case err != nil:
			return fmt.Errorf("kubectl can read it, and other readers of YAML cannot: %s", clean(err.Error(), 200))
		case v == nil:
			continue
		case count == len(kubectl):
			return fmt.Errorf("kubectl finds %d documents in it, and other readers of YAML more: put each --- on a line of its own", count)
		}
		if path := differ("", kubectl[count], v); path != "" {
			return fmt.Errorf("kubectl reads %s in another way than other readers of YAML do: write it out, in quotes", clean(path, 200))
		}
		count++
	}
}

// differ gives where two values have other keys, other lengths or other texts, or "".
func differ(path string, a, b any) string {
	at := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch a := a.(type) {
	case map[string]any:
		other := map[string]any{}
		switch b := b.(type) {
		case map[string]any:
			other = b
		case map[any]any:
			for k, v := range b {
				other[fmt.Sprint(k)] = v
			}
		}
		for k, v := range other {
			have, ok := a[k]
			if !ok {
				return at(k)
			}
			if where := differ(at(k), have, v); where != "" {
				return where
			}
		}
		if len(a) != len(other) {
			return at("*")
		}
	case []any:
		other, ok := b.([]any)
		if !ok || len(other) != len(a) {
			return at("*")
		}
		for i := range a {
			if where := differ(fmt.Sprintf("%s[%d]", path, i), a[i], other[i]); where != "" {
				return where
			}
		}
	case string:
		if other, ok := b.(string); ok && other != a {
			return path
		}
	default:
		switch b.(type) {
		case map[string]any, map[any]any, []any:
			return path
		}
	}
	return ""
}
