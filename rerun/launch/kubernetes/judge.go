package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// judge compares what pods run with what is pinned, and tells of pods that cannot start. An error ends the wait.
func (f *following) judge(ctx context.Context) error {
	for _, uid := range f.order {
		t := f.pods[uid]
		wrong, doubt := (*other)(nil), ""
		if t.fresh {
			for wrong, doubt = f.expected.check(t.pod); wrong != nil && f.l.sameImage(ctx, wrong); wrong, doubt = f.expected.check(t.pod) {
				f.expected.same[wrong.key()] = true
			}
			t.fresh = false
		}
		if wrong != nil {
			f.halt = true
			return &schema.Error{Op: op, Kind: schema.Drift, Subject: f.h.objects[0].String(),
				Err:  fmt.Errorf("container %s of pod %s runs %s, and %s is pinned", clean(wrong.container, 80), t.Metadata.Name, wrong.runs, join(wrong.pinned)),
				Hint: "something on the cluster replaces images: look for an admission webhook or a registry mirror"}
		}
		if doubt != "" {
			f.tell("doubt "+doubt, "what the node says of the image of container %s cannot be compared with what is pinned", clean(doubt, 80))
		}
		if t.gone || t.pod.ended() || f.state.ended {
			continue
		}
		if err := f.troubles(t); err != nil {
			return err
		}
	}
	return nil
}

func join(all []schema.Digest) string {
	texts := make([]string, len(all))
	for i, d := range all {
		texts[i] = string(d)
	}
	return strings.Join(texts, " or ")
}

// stuck are the reasons with which a container waits for what may never come.
var stuck = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}

// troubles tells what keeps a pod from running. An image that is gone ends the wait, after a while in which a registry can change its mind.
func (f *following) troubles(t *tracked) error {
	now := time.Now()
	for _, s := range slices.Concat(t.Status.Inits, t.Status.Containers) {
		key := "container " + s.Name
		if s.State.Waiting == nil || !slices.Contains(stuck, s.State.Waiting.Reason) {
			delete(t.since, key)
			continue
		}
		reason, message := s.State.Waiting.Reason, clean(s.State.Waiting.Message, 300)
		f.tell(t.Metadata.UID+key+reason, "pod %s: container %s does not start: %s", t.Metadata.Name, clean(s.Name, 80), strings.TrimSuffix(reason+": "+message, ": "))
		if !imageGone(reason, s.State.Waiting.Message) {
			if reason != "ImagePullBackOff" { // it says why, or that it waits for the next try
				delete(t.since, key)
			}
			if t.since[key].IsZero() {
				continue
			}
		} else if t.since[key].IsZero() {
			t.since[key] = now
		}
		if now.Sub(t.since[key]) >= f.l.options.Pull {
			image := ""
			for _, c := range slices.Concat(t.Spec.Inits, t.Spec.Containers) {
				if c.Name == s.Name {
					image = clean(c.Image, 300)
				}
			}
			f.halt = true
			return &schema.Error{Op: op, Kind: schema.Gone, Subject: image, Err: fmt.Errorf("cannot be pulled for pod %s: %s", t.Metadata.Name, message),
				Hint: "ask `runpin check` where it can still be had, and push it there again"}
		}
	}
	f.unschedulable(t, now)
	return nil
}

// imageGone reports whether a failed pull says that the registry no longer has the image; a registry that cannot be reached, or refuses, says nothing of the kind.
func imageGone(reason, message string) bool {
	if reason != "ErrImagePull" && reason != "ImagePullBackOff" {
		return false
	}
	message = strings.ToLower(message)
	return strings.Contains(message, "manifest unknown") || strings.Contains(message, "manifest_unknown") || strings.Contains(message, "name unknown") ||
		strings.Contains(message, "code = notfound") && strings.Contains(message, "not found") && !strings.Contains(message, "no such host")
}

func (f *following) unschedulable(t *tracked, now time.Time) {
	for _, c := range t.Status.Conditions {
		if c.Type != "PodScheduled" {
			continue
		}
		if c.Status != "False" || c.Reason != "Unschedulable" && c.Reason != "SchedulingGated" {
			delete(t.since, "node")
		} else if t.since["node"].IsZero() {
			t.since["node"] = now
		} else if now.Sub(t.since["node"]) >= f.l.options.Stuck {
			f.tell(t.Metadata.UID+"node", "pod %s waits: no node takes it: %s", t.Metadata.Name, strings.TrimPrefix(clean(c.Message, 300), "0/0 nodes are available: "))
		}
	}
}
