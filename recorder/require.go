package recorder

import (
	"errors"
	"fmt"
	"slices"

	"github.com/runpin/runpin/schema"
)

// RequireNames lists what --require can ask for. durable is judged by cmd/runpin, which knows the store.
var RequireNames = []string{"clean", "pushed", "pinned", "durable", "comparable"}

// checkRequired refuses a run that does not meet what the user required; all shortcomings are named.
func (p *Planned) checkRequired() error {
	var failures []error
	refuse := func(pin, hint, format string, args ...any) {
		failures = append(failures, &schema.Error{Op: "record.require", Kind: schema.Unpinnable, Subject: pin, Err: fmt.Errorf(format, args...), Hint: hint})
	}
	for _, requirement := range p.req.Require {
		switch requirement {
		case "clean":
			for _, c := range p.Run.Code {
				if c.Kind == schema.CodeGit && c.Dirty {
					refuse("code:"+c.Name, "commit or stash them", "the checkout has uncommitted changes (--require clean)")
				}
				for _, x := range c.Excluded {
					if x.Why == schema.ExcludedSecret {
						refuse("code:"+c.Name, "add it to .gitignore, and give the secret in another way", "%s holds a secret and is withheld (--require clean)", x.Path)
					}
				}
				if c.Kind == schema.CodeScript {
					refuse("code:"+c.Name, "put the script under version control", "there is no git repository (--require clean)")
				}
			}
		case "pushed":
			for _, c := range p.Run.Code {
				if c.OnRemote == nil || c.OnRemote.State != "yes" {
					refuse("code:"+c.Name, "git push", "commit %s is on no remote (--require pushed)", c.Commit.Short())
				}
			}
		case "comparable":
			if !p.Run.CanBeCompared() {
				refuse("run", "name what it writes with --output PATH, or its numbers with --metrics FILE", "a rerun could not be compared with it: it has neither outputs nor metrics (--require comparable)")
			}
		case "pinned":
			if _, missing := p.Run.FingerprintInput(); len(missing) > 0 {
				for _, m := range missing {
					refuse(string(m.Subject), "", "%s (--require pinned)", m.Text)
				}
			}
			for _, i := range p.Run.Images {
				if i.Use == schema.Claimed && len(p.req.Command) > 0 {
					refuse("image:"+i.Name, "start the command in the image: --in podman", "the image is claimed only: the command runs on this machine (--require pinned)")
				}
				if i.Local {
					refuse("image:"+i.Name, "push the image first", "no registry has the image (--require pinned)")
				}
			}
		}
	}
	return errors.Join(slices.Clip(failures)...)
}
