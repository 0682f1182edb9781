package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
)

// list gives the pods as `kubectl get pods -o json` prints them.
func (f *following) list() []byte {
	items := make([]any, 0, len(f.order))
	for _, uid := range f.order {
		items = append(items, f.pods[uid].object.Object)
	}
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}, "items": items})
	if err != nil {
		return nil
	}
	return data
}

// exit gives the code that the job ended with: that of the try that failed first, of the last tries of each part of the work.
func (f *following) exit() (launch.Exit, string) {
	if !f.state.failed {
		return launch.Exit{}, ""
	}
	lasts := map[string]*tracked{}
	var roles []string
	for _, uid := range f.order {
		t := f.pods[uid]
		if t.Status.Phase == "Succeeded" || t.fall() == nil {
			continue
		}
		role := t.role()
		have := lasts[role]
		if have == nil {
			roles = append(roles, role)
		}
		if have == nil || have.fall().Finished <= t.fall().Finished {
			lasts[role] = t
		}
	}
	if len(lasts) == 0 {
		why := f.state.why
		for _, uid := range f.order { // an evicted pod names no container
			if t := f.pods[uid]; t.Status.Phase == "Failed" && t.Status.Reason != "" && f.row.name != "Pod" {
				why = strings.TrimPrefix(fmt.Sprintf("%s; pod %s: %s", why, t.Metadata.Name, clean(t.Status.Reason+" "+t.Status.Message, 200)), "; ")
				break
			}
		}
		if why == "" {
			why = "the cluster says that it failed"
		}
		return launch.Exit{Code: 1}, why
	}
	slices.SortStableFunc(roles, func(a, b string) int { return strings.Compare(lasts[a].fall().Finished, lasts[b].fall().Finished) })
	first := lasts[roles[0]]
	end := first.fall()
	exit := launch.Exit{Code: end.ExitCode}
	signal := end.Signal
	switch {
	case signal > 0:
		exit.Code = 128 + signal
	case end.ExitCode > 128 && end.ExitCode <= 128+31:
		signal = end.ExitCode - 128
	}
	if signal > 0 {
		exit.Signal = signalName(signal)
	}
	what := fmt.Sprintf("exit code %d", exit.Code)
	if reason := clean(end.Reason, 80); reason != "" && reason != "Error" {
		what = reason
	}
	why := fmt.Sprintf("%s in container %s of pod %s", what, clean(end.container, 80), first.Metadata.Name)
	if f.state.why != "" {
		why += " (" + f.state.why + ")"
	}
	return exit, why
}

// fallen is how the container that brought a pod down ended.
type fallen struct {
	terminated
	container string
}

// fall finds the container that brought the pod down: the main one, unless it went well and another one fell. nil when none is known to have fallen.
func (p *pod) fall() *fallen {
	main := p.main()
	all := slices.Concat(p.Status.Containers, p.Status.Inits)
	slices.SortStableFunc(all, func(a, b runtimeOf) int {
		switch {
		case a.Name == main && b.Name != main:
			return -1
		case b.Name == main && a.Name != main:
			return 1
		}
		return 0
	})
	for _, c := range all {
		for _, end := range []*terminated{c.State.Terminated, c.Last.Terminated} {
			if end != nil && (end.ExitCode != 0 || end.Signal != 0) {
				return &fallen{*end, c.Name}
			}
			if end != nil {
				break // it went well since
			}
		}
	}
	return nil
}
