package kubernetes

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runpin/runpin/schema"
)

// handle is what [schema.Launched] says of a spec that was handed over: the job first, then what was created beside it.
type handle struct {
	run       schema.RunID
	namespace string
	host      string // of the cluster, and the path of the API server there: several clusters can stand behind one host
	vague     bool   // host may be that of another cluster
	objects   []named
}

// named is an object as a handle names it.
type named struct {
	kind apischema.GroupVersionKind
	name string
}

// coreVersion is left away in a handle.
const coreVersion = "v1"

// String gives "Job/train-x9k2", "PyTorchJob.v1.kubeflow.org/train-x9k2".
func (n named) String() string {
	kind := n.kind.Kind
	if k := n.kind; k.Version != coreVersion || k.Group != "" && (k.Group != "batch" || k.Kind != "Job") {
		kind += "." + k.Version
		if k.Group != "" {
			kind += "." + k.Group
		}
	}
	return kind + "/" + n.name
}

// launched gives the text form: the job, other objects behind a plus each, and the run after an at sign. A name can be given to another run's job
// later; the run's id is what tells them apart.
//
//	Job/train-x9k2@01JDABCDEFGHJKMNPQRSTVWXYZ
//	PyTorchJob.v1.kubeflow.org/train+ConfigMap/settings@01JDABCDEFGHJKMNPQRSTVWXYZ
func (h handle) launched() schema.Launched {
	parts := make([]string, len(h.objects))
	for i, o := range h.objects {
		parts[i] = o.String()
	}
	return schema.Launched{On: Name, Job: strings.Join(parts, "+") + "@" + string(h.run), Place: h.namespace + "@" + h.host}
}

const maxHandle = 8 << 10

var (
	kindName    = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)
	versionName = regexp.MustCompile(`^v[0-9]{1,4}((alpha|beta)[0-9]{1,4})?$`)
	groupName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	objectName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	spaceName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// parseHandle reads back what launched wrote. A record can come from anybody, so nothing but that form is taken: the names become parts of URLs.
func parseHandle(l schema.Launched) (handle, error) {
	fail := func(what string) (handle, error) {
		return handle{}, &schema.Error{Op: op, Kind: schema.Invalid, Subject: clean(fmt.Sprintf("%q", shorten(l.Job, 120)), 160), Err: errors.New(what),
			Hint: "give a job that runpin handed to a cluster"}
	}
	if l.On != Name {
		return fail("was handed to " + clean(fmt.Sprintf("%q", shorten(l.On, 40)), 50) + ", not to kubernetes")
	}
	objects, run, ok := strings.Cut(l.Job, "@")
	if !ok || len(l.Job) > maxHandle {
		return fail("is not the name of a job on a cluster")
	}
	h := handle{}
	var err error
	if h.run, err = schema.ParseRunID(run); err != nil || string(h.run) != run {
		return fail("names no run after the @")
	}
	if h.namespace, h.host, ok = strings.Cut(l.Place, "@"); !ok || !spaceName.MatchString(h.namespace) || h.host == "" {
		return fail("its place is not a namespace of a cluster")
	}
	for _, part := range strings.Split(objects, "+") {
		kind, name, ok := strings.Cut(part, "/")
		o := named{kind: apischema.GroupVersionKind{Kind: kind, Version: coreVersion}, name: name}
		if kind == "Job" {
			o.kind.Group = "batch"
		}
		if bare, rest, qualified := strings.Cut(kind, "."); qualified {
			o.kind.Kind = bare
			o.kind.Version, o.kind.Group, _ = strings.Cut(rest, ".")
		}
		if !ok || !kindName.MatchString(o.kind.Kind) || !versionName.MatchString(o.kind.Version) || o.kind.Group != "" && !groupName.MatchString(o.kind.Group) ||
			strings.Contains(o.kind.Group, "..") || !objectName.MatchString(name) || strings.Contains(name, "..") || o.String() != part {
			return fail("is not the name of a job on a cluster")
		}
		h.objects = append(h.objects, o)
	}
	if r := rowOf(h.objects[0].kind.Group, h.objects[0].kind.Kind); r == nil || r.refuse != "" {
		return fail("does not begin with a job whose end is known")
	}
	return h, nil
}

// Object gives the job alone, as kubectl takes it, "Job/train-x9k2", and its namespace; both are "" when l is no handle of this package.
func Object(l schema.Launched) (object, namespace string) {
	h, err := parseHandle(l)
	if err != nil {
		return "", ""
	}
	return h.objects[0].String(), h.namespace
}
