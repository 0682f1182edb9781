package rerun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// chooseLauncher: a run that runpin started in an image runs in that image again; one that ran on a machine runs on the machine, unless the user asks
// for an engine and the record names the image.
func chooseLauncher(p *Prepared, on string) error {
	was := p.Of.Launcher
	if was == "" {
		was = "local"
	}
	p.Launcher = was
	if on == "" || on == was {
		return nil
	}
	refuse := func(hint, format string, args ...any) error {
		return &schema.Error{Op: "rerun", Kind: schema.Invalid, Subject: "run " + p.Of.ID.Short(), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	engine := on == "podman" || on == "docker"
	switch {
	case on == "kubernetes":
		return refuse("print it as a job for the cluster: runpin rerun "+p.Of.ID.Short()+" --as job", "it was recorded from a command, and a cluster takes job specs")
	case on != "local" && on != "slurm" && !engine:
		return refuse("places: local, podman, docker, slurm, kubernetes", "cannot run on %q", on)
	case on == "slurm" && was == "local" && !p.startsContainerItself():
		p.Launcher = on
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "moved-to-slurm", Subject: "launcher", Text: "the original ran on a machine; this rerun runs on a node of Slurm"})
		return nil
	case p.startsContainerItself():
		if on == "local" {
			p.Launcher = was
			return nil
		}
		return refuse("leave out --on", "its command starts a container with %s itself", was)
	case on == "local" && was == "slurm":
		p.Launcher = on
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "moved-from-slurm", Subject: "launcher", Text: "the original ran on a node of Slurm; this rerun runs on this machine"})
		return nil
	case on == "local":
		return refuse("leave out --on", "it ran in an image; on this machine it would run in something else")
	case engine && len(p.Images) == 1 && p.Images[0].ConfigDigest != "":
		p.Launcher = on
		if was == "local" {
			p.Relaxed = append(p.Relaxed, schema.Reason{Code: "moved-into-image", Subject: "image:" + schema.Text(p.Images[0].Name),
				Text: "the original ran on a machine, with the image only claimed; this rerun runs in the image"})
		}
		return nil
	default:
		return refuse("record the run with --image REF --in "+on, "its record does not name the one image to run in")
	}
}

// startsContainerItself: COMMAND was `podman run …`, in which the recorder put the digest in the image's place.
func (p *Prepared) startsContainerItself() bool {
	for _, i := range p.Images {
		for _, where := range i.Where {
			if strings.HasPrefix(string(where), "argument ") {
				return true
			}
		}
	}
	return false
}

// InContainer reports whether runpin itself starts the engine.
func (p *Prepared) InContainer() bool {
	return (p.Launcher == "podman" || p.Launcher == "docker") && !p.startsContainerItself()
}

// needs names the pins without which the rerun cannot be what the original was.
func (r *Rerunner) needs(run schema.Run, p Prepared) map[string]bool {
	needed := map[string]bool{}
	for _, i := range run.Images {
		hidden := slices.ContainsFunc(i.Reasons, func(r schema.Reason) bool { return r.Code == "unpinned-container" })
		if p.Job != nil || p.InContainer() || p.startsContainerItself() || hidden {
			needed["image:"+i.Name] = true
		}
	}
	for _, c := range run.Code {
		// A job in a cluster gets its code from its image or fetches it; a checkout that was named beside it is not put back.
		needed["code:"+c.Name] = p.Job == nil || p.Launcher != "kubernetes" || c.Root == nil
	}
	for _, d := range run.Datasets {
		needed["dataset:"+d.Name] = true
	}
	needed["job"], needed["launcher:"+p.Launcher] = true, true
	return needed
}
