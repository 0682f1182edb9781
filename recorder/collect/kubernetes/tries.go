package kubernetes

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/recorder/process"
	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// Tries gives the tries that the pods of one run tell of: for each pod its current one, and the one before its last restart.
func Tries(pods []Pod) []collect.Try {
	var all []collect.Try
	roles := map[string]string{}
	lead := leads(pods)
	for i := range pods {
		p := &pods[i]
		if !p.named() {
			continue
		}
		roles[p.Metadata.Name] = p.role()
		all = append(all, p.tries(p.rank(lead))...)
	}
	collect.AssignMembers(all, func(t *collect.Try) string { return roles[t.Name] })
	return all
}

func (p *Pod) tries(rank *int) []collect.Try {
	t := collect.Try{Run: p.Run(), Rank: rank, Name: p.Metadata.Name, Node: p.Spec.NodeName, Created: moment(p.Metadata.Created), Number: 1, Reason: collect.PlainWord(p.Status.Reason)}
	if rank != nil {
		t.Member = "rank:" + strconv.Itoa(*rank)
	}
	t.Status = phases[p.Status.Phase]
	main := p.main()
	t.Containers = p.containers(main)
	var last *Terminated // of the try before this one
	state := p.mainStatus(main)
	if state != nil && state.Restarts > 0 && state.Restarts < maxRestarts {
		t.Number += state.Restarts
	}
	if state != nil {
		last = state.Last.Terminated
	}
	if last != nil && state.waits() {
		t.Number++ // it is about to be started again, and only then counted
	}
	p.times(&t, state)
	if t.Status.Ended() {
		p.ended(&t, main)
		t.Metrics = p.metrics()
		if len(p.Status.Containers)+len(p.Status.Inits) == 0 {
			t.Reasons = append(t.Reasons, schema.Reason{Code: collect.ReasonNoContainer, Subject: schema.Text(t.Name), Text: "the pod ended and its status names no container, so what ran in it is not known"})
		}
	}
	if last == nil || t.Number == 1 {
		return []collect.Try{t}
	}
	before := collect.Try{Run: t.Run, Member: t.Member, Rank: rank, Name: t.Name, Past: true, Number: t.Number - 1, Node: t.Node, Created: t.Created, Started: moment(last.Started),
		Finished: moment(last.Finished), Status: schema.Failed, Reason: collect.PlainWord(last.Reason)}
	if last.ExitCode == 0 {
		before.Status = schema.Succeeded
	}
	before.ExitCode, before.Signal = collect.Ended(last.ExitCode, last.Signal)
	if t.Created.Before(before.Finished) {
		t.Created = before.Finished // the pod is older than this try in it
	}
	return []collect.Try{before, t}
}

// maxRestarts: a kubelet counts in 32 bits.
const maxRestarts = 1 << 31

var phases = map[string]schema.Status{"Pending": schema.Planned, "Running": schema.Running, "Succeeded": schema.Succeeded, "Failed": schema.Failed}

// main names the container that a pod is there for: what kubectl takes when none is named, but that Argo puts its own before the one that it calls main.
func (p *Pod) main() string {
	if name := p.Metadata.Annotations["kubectl.kubernetes.io/default-container"]; name != "" {
		return name
	}
	if slices.ContainsFunc(p.Spec.Containers, func(c SpecContainer) bool { return c.Name == "main" }) {
		return "main"
	}
	if len(p.Spec.Containers) > 0 {
		return p.Spec.Containers[0].Name
	}
	if len(p.Status.Containers) > 0 {
		return p.Status.Containers[0].Name
	}
	return ""
}

// mainStatus is what the runtime tells of that container, or nil.
func (p *Pod) mainStatus(main string) *ContainerStatus {
	for i := range p.Status.Containers {
		if p.Status.Containers[i].Name == main {
			return &p.Status.Containers[i]
		}
	}
	return nil
}

// waits reports whether a container neither runs nor has ended: it has not started, or is about to be started again.
func (c *ContainerStatus) waits() bool { return c.State.Running == nil && c.State.Terminated == nil }

// maxContainers bounds what is read of one pod.
const maxContainers = 256

func (p *Pod) containers(main string) []collect.Container {
	platform := ""
	if os, arch := p.Spec.Selector["kubernetes.io/os"], p.Spec.Selector["kubernetes.io/arch"]; collect.PlainWord(arch) != "" {
		if collect.PlainWord(os) == "" {
			os = "linux"
		}
		platform = os + "/" + arch
	}
	var all []collect.Container
	for _, list := range []struct {
		kind  collect.ContainerKind
		spec  []SpecContainer
		state []ContainerStatus
	}{{collect.Regular, p.Spec.Containers, p.Status.Containers}, {collect.Init, p.Spec.Inits, p.Status.Inits}, {collect.Ephemeral, p.Spec.Ephemeral, p.Status.Ephemeral}} {
		for _, s := range list.state {
			if len(all) == maxContainers || collect.PlainWord(s.Name) == "" || s.State.Running == nil && s.State.Terminated == nil && s.Last.Terminated == nil {
				continue
			}
			c := collect.Container{Name: s.Name, Kind: list.kind, Main: list.kind == collect.Regular && s.Name == main, Image: s.Image, ImageID: s.ImageID, Platform: platform, Role: p.replicaType()}
			for _, asked := range list.spec {
				if asked.Name == s.Name && asked.Image != "" {
					c.Image = asked.Image
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// times finds when the try began and, if it has, ended. It begins with the main container: others may have been there since an earlier one.
func (p *Pod) times(t *collect.Try, main *ContainerStatus) {
	for _, c := range p.Status.Containers {
		started, finished := "", ""
		switch {
		case c.State.Running != nil:
			started = c.State.Running.Started
		case c.State.Terminated != nil:
			started, finished = c.State.Terminated.Started, c.State.Terminated.Finished
		}
		if at := moment(started); !at.IsZero() && (t.Started.IsZero() || at.Before(t.Started)) && (main == nil || main.waits() || c.Name == main.Name) {
			t.Started = at
		}
		if at := moment(finished); t.Finished.Before(at) {
			t.Finished = at
		}
	}
	if !t.Status.Ended() {
		t.Finished = schema.Time{}
	}
	again := main != nil && main.waits() && main.Last.Terminated != nil && !t.Status.Ended()
	switch {
	case again:
		t.Started = schema.Time{}
	case t.Started.IsZero() && t.Status != schema.Planned:
		t.Started = moment(p.Status.Started)
	}
	if !t.Status.Ended() || !t.Finished.IsZero() {
		return
	}
	for _, c := range p.Status.Conditions { // a pod that was evicted tells no more
		if at := moment(c.Changed); t.Finished.Before(at) {
			t.Finished = at
		}
	}
}

// ended finds exit code, signal and the cause of the end: those of the main container, unless it went well and another one fell.
func (p *Pod) ended(t *collect.Try, main string) {
	if t.Status == schema.Succeeded {
		t.ExitCode = new(int)
		return
	}
	all := slices.Concat(p.Status.Containers, p.Status.Inits)
	if i := slices.IndexFunc(p.Status.Containers, func(c ContainerStatus) bool { return c.Name == main }); i > 0 {
		all = slices.Concat(all[i:i+1], all[:i], all[i+1:])
	}
	for _, c := range all {
		end := c.State.Terminated
		if end == nil || end.ExitCode == 0 && end.Signal == 0 || collect.PlainWord(c.Name) == "" {
			continue
		}
		t.ExitCode, t.Signal = collect.Ended(end.ExitCode, end.Signal)
		reason := collect.PlainWord(end.Reason)
		if t.Reason == "" {
			t.Reason = reason
		}
		what := fmt.Sprintf("exit code %d", *t.ExitCode)
		if reason != "" && reason != "Error" {
			what = reason
		}
		t.Why = fmt.Sprintf("%s in container %s of pod %s", what, c.Name, t.Name)
		return
	}
	t.Why = fmt.Sprintf("pod %s failed", t.Name)
	if t.Reason != "" {
		t.Why += ": " + t.Reason
	}
}

// maxMessage is what a kubelet keeps of a termination message.
const maxMessage = 4096

var metricLine = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*\s*[=:]\s*\S+$`)

// metrics reads the termination messages of the pod's regular containers: a JSON object, or lines k=v and nothing else. A message that is neither is somebody's log.
func (p *Pod) metrics() map[string]schema.Text {
	all := map[string]schema.Text{}
	for _, c := range p.Status.Containers {
		if c.State.Terminated == nil {
			continue
		}
		message := []byte(strings.TrimSpace(c.State.Terminated.Message))
		if len(message) == 0 || len(message) > maxMessage || !looksLikeMetrics(message) {
			continue
		}
		found, err := process.ParseMetrics(message, "message")
		if err != nil {
			continue
		}
		for k, v := range found {
			if _, known := all[k]; !known && !redact.Param(k, string(v)) {
				all[k] = v
			}
		}
	}
	return all
}

func looksLikeMetrics(message []byte) bool {
	if message[0] == '{' {
		return true
	}
	for line := range bytes.Lines(message) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !metricLine.Match(line) {
			return false
		}
	}
	return true
}
