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

var (
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
