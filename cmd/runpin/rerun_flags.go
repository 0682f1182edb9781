package main

import (
	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
)

// usedIn says where a flag of `rerun` has a meaning.
type usedIn uint8

const (
	inPrinted usedIn = 1 << iota // the pinned spec of a job, printed
	inForm                       // another form, with --as
	inCommand                    // a command that is executed
	inSlurm                      // a job that is executed by Slurm
	inCluster                    // a job that is executed in a cluster
	ofSeveral                    // only where a list of runs is executed

	inJob      = inSlurm | inCluster
	inExecuted = inCommand | inJob
	everywhere = inPrinted | inForm | inExecuted
)

// rerunFlags is the one list of where each flag has a meaning. What has none where it is given is refused: it would be passed over in silence.
var rerunFlags = []struct {
	name  string
	where usedIn
}{
	{"execute", inExecuted}, {"dry-run", inExecuted}, {"json", inExecuted}, {"on", inExecuted}, {"workdir", inExecuted}, {"rm", inExecuted}, {"tolerance", inExecuted}, {"compare", inExecuted},
	{"deep", inExecuted}, {"copy", inExecuted}, {"detach", inExecuted}, {"overwrite-outputs", inExecuted}, {"insecure-registry", inExecuted},
	{"env-file", inCommand}, {"without", inCommand}, {"gpus", inCommand},
	{"jobs", inExecuted | ofSeveral}, {"fail-fast", inExecuted | ofSeveral},
	{"keep-job", inJob}, {"kubeconfig", inCluster}, {"context", inCluster}, {"namespace", inForm | inCluster}, {"name", inPrinted | inJob},
	{"output", inPrinted | inForm}, {"no-stamp", inPrinted | inForm}, {"resubmit", inPrinted},
	{"at", inForm | inExecuted},
	{"as", inForm}, {"init-image", inForm}, {"git-secret", inForm}, {"volume", inForm}, {"image-pull-secret", inForm}, {"node-selector", inForm},
	{"set", everywhere}, {"relocate", everywhere}, {"secret", everywhere},
	{"project", everywhere}, {"same-as", everywhere}, {"parent", everywhere}, {"since", everywhere}, {"label", everywhere},
}

// checkRerunFlags refuses flags that would be passed over. Of several runs it is enough that one has a use for the flag.
func checkRerunFlags(c *cli.Context, runs []schema.Run, several bool) error {
	mode := inPrinted
	kinds := kindsOf(runs)
	switch {
	case c.IsSet("as"):
		mode = inForm
	case c.Bool("execute"):
		mode = kinds
	}
	for _, flag := range rerunFlags {
		if !c.IsSet(flag.name) {
			continue
		}
		if flag.where&mode == 0 {
			return meansNothing(flag.name, flag.where, mode, kinds)
		}
		if flag.where&ofSeveral != 0 && !several {
			return usageError("leave it out; `runpin rerun -` takes a list of any length", "--%s is for several runs", flag.name)
		}
	}
	if c.Int("jobs") < 1 {
		return usageError("at least one: --jobs 1", "--jobs %d", c.Int("jobs"))
	}
	return nil
}

// kindsOf says as what the runs are executed.
func kindsOf(runs []schema.Run) (kinds usedIn) {
	for _, run := range runs {
		switch {
		case isCommand(run):
			kinds |= inCommand
		case run.Launcher == "kubernetes":
			kinds |= inCluster
		case run.Launcher == "slurm":
			kinds |= inSlurm
		default:
			kinds |= inJob // which is refused, by what says why
		}
	}
	if kinds == 0 {
		return inExecuted
	}
	return kinds
}

func meansNothing(name string, where, mode, kinds usedIn) error {
	switch {
	case mode == inForm:
		return usageError("leave it out", "--%s has no meaning beside --as", name)
	case mode == inPrinted && where&kinds != 0:
		return usageError("add --execute", "--%s is for a rerun that is executed", name)
	case mode == inPrinted && where&inForm != 0:
		return usageError("add --as FORMAT", "--%s is for a run that is written in another form", name)
	case where&inExecuted == inCommand:
		return usageError("set a variable with --set env.NAME=V, a field with --set field.PATH=V", "--%s is for a command, and what a job gets stands in its spec", name)
	case where&inExecuted == inCluster:
		return usageError("leave it out", "--%s is for a job in a cluster, and no such run is rerun", name)
	case where&inExecuted != 0:
		return usageError("leave it out", "--%s is for a run that was recorded from a job spec, and no such run is rerun", name)
	case where&inPrinted != 0:
		return usageError("leave it out, or leave out --execute", "--%s is for what is printed, and this rerun is executed", name)
	}
	return usageError("leave it out, or write --as FORMAT in the place of --execute", "--%s is for a run that is written in another form", name)
}
