package render

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// Volume is where a cluster keeps a data set: a claim, with a path in it, or a directory of every node.
type Volume struct{ Claim, Sub, HostPath string }

// ParseVolume reads pvc:CLAIM[/subpath] or hostPath:/DIR.
func ParseVolume(text string) (Volume, error) {
	bad := func(format string, args ...any) (Volume, error) {
		return Volume{}, refuse(schema.Invalid, fmt.Sprintf("--volume %q", schema.Shorten(text, 200)), "--volume NAME=pvc:CLAIM[/subpath] or --volume NAME=hostPath:/DIR", format, args...)
	}
	if claim, ok := strings.CutPrefix(text, "pvc:"); ok {
		claim, sub, _ := strings.Cut(claim, "/")
		if !objectName.MatchString(claim) {
			return bad("%q is not the name of a claim", claim)
		}
		if sub != "" && (path.Clean("/"+sub) != "/"+sub) {
			return bad("%q is not a path in the claim", sub)
		}
		return Volume{Claim: claim, Sub: sub}, nil
	}
	if dir, ok := strings.CutPrefix(text, "hostPath:"); ok {
		if !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/" {
			return bad("%q is not the absolute path of a directory", dir)
		}
		return Volume{HostPath: dir}, nil
	}
	return bad("it is neither a claim nor a directory of the node")
}

// Secret is where a withheld argument or param comes from: a variable of the script, which a cluster fills from the key of an object.
type Secret struct {
	Name, Variable string
	Object, Key    string
	param          bool
}

var secretName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// takeSecrets puts a reference in the place of each argument and param that was withheld: a rendered file never holds a secret. What was withheld as a file
// of the code is refused.
func (p *Plan) takeSecrets(run schema.Run) error {
	var failures []error
	needed := map[string]bool{}
	for _, w := range run.Withheld {
		if w.What != "argument" && w.What != "param" || needed[w.Name] {
			continue
		}
		needed[w.Name] = true
		s := Secret{Name: w.Name, Variable: "RUNPIN_SECRET_" + strings.ToUpper(w.Name), param: w.What == "param"}
		from, given := p.Options.Secrets[w.Name]
		s.Object, s.Key, _ = strings.Cut(from, "/")
		switch {
		case !secretName.MatchString(w.Name):
			failures = append(failures, refuse(schema.Unpinnable, fmt.Sprintf("%s %q", w.What, schema.Shorten(w.Name, 60)), "runpin rerun RUN --execute", "it is a secret that was withheld from the record, and no variable can have its name"))
			continue
		case p.traits.Cluster && (!objectName.MatchString(s.Object) || !secretKey.MatchString(s.Key)):
			failures = append(failures, refuse(schema.Invalid, w.What+" "+w.Name, "--secret "+w.Name+"=secret:OBJECT/KEY, a key of a Kubernetes secret", "it is a secret that was withheld from the record, and a rendered file must not hold one"))
			continue
		case !p.traits.Cluster && given:
			failures = append(failures, refuse(schema.Invalid, "--secret "+w.Name, "set "+s.Variable+" where the result runs", "a Kubernetes secret is for a cluster"))
			continue
		case !p.traits.Cluster:
			p.Notes = append(p.Notes, "set "+s.Variable+" where it runs: the "+w.What+" "+w.Name+" is a secret that was withheld from the record")
		}
		p.Secrets = append(p.Secrets, s)
	}
	for _, name := range sortedNames(p.Options.Secrets) {
		if !needed[name] {
			failures = append(failures, refuse(schema.Invalid, "--secret "+name, "", "nothing of that name was withheld from run %s", run.ID.Short()))
		}
	}
	for _, c := range run.Code {
		for _, x := range c.Excluded {
			if x.Why == schema.ExcludedSecret {
				failures = append(failures, refuse(schema.Unpinnable, fmt.Sprintf("%q", x.Path), "runpin rerun RUN --execute --secret NAME=@FILE", "the file holds a secret that was withheld from the record"))
			}
		}
	}
	return errors.Join(failures...)
}

var (
	secretKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
)

// takeOptions checks what the user asked for. An option that the format has no place for is refused, not passed over.
func (p *Plan) takeOptions(run schema.Run) error {
	o := p.Options
	var failures []error
	bad := func(flag, format string, args ...any) {
		failures = append(failures, refuse(schema.Invalid, flag, "", format, args...))
	}
	if !p.traits.Cluster {
		for flag, given := range map[string]bool{"--git-secret": o.GitSecret != "", "--namespace": o.Namespace != "", "--image-pull-secret": len(o.PullSecrets) > 0, "--node-selector": len(o.NodeSelector) > 0} {
			if given {
				bad(flag, "it is for a cluster; this format has no place for it")
			}
		}
	}
	for _, name := range append([]string{o.GitSecret, o.Namespace}, o.PullSecrets...) {
		if name != "" && !objectName.MatchString(name) {
			bad(fmt.Sprintf("%q", schema.Shorten(name, 100)), "it is not the name of a Kubernetes object")
		}
	}
	for k, v := range o.NodeSelector {
		if !labelKey.MatchString(k) || !labelValue.MatchString(v) {
			bad(fmt.Sprintf("--node-selector %q", schema.Shorten(k+"="+v, 100)), "it is not a label")
		}
	}
	if !p.traits.Init {
		if o.InitImage != "" {
			bad("--init-image", "this format has no init step")
		}
		return errors.Join(failures...)
	}
	if err := p.takeInitImage(len(run.Code)+len(run.Datasets) > 0); err != nil {
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func (p *Plan) takeInitImage(needed bool) error {
	ref := p.Options.InitImage
	if ref == "" {
		if !needed {
			return nil
		}
		return refuse(schema.Invalid, "--init-image", "--init-image REF@sha256:… of an image with sh, git and coreutils; runpin pin FILE tells the digest of an image that a file names",
			"code and data are restored by an init step, and its image is not given")
	}
	base, digest, _ := strings.Cut(ref, "@")
	pinned, err := jobspec.PinnedReference(base, schema.Digest(digest), true)
	if digest == "" || err != nil {
		return refuse(schema.Unpinnable, "--init-image "+schema.Shorten(ref, 200), "write it as REF@sha256:…; runpin pin FILE tells the digest of an image that a file names", "it must name a digest: a tag moves")
	}
	p.InitImage = pinned
	return nil
}
