package collect

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// Describer tells what a digest of a repository names. Implemented by recorder/image.
type Describer interface {
	DescribeImage(ctx context.Context, ref, platform string) (schema.ImagePin, []schema.Digest, error)
}

// Codes of the reasons of an observation.
const (
	ReasonNotPullable  = "not-pullable"         // the runtime told the configuration's digest alone
	ReasonNotDescribed = "image-not-described"  // what the digest names could not be found out
	ReasonImageIDForm  = "image-id-not-read"    // an imageID in a form that is not known
	ReasonNotPinned    = "container-not-pinned" // a container that the job spec does not name ran in the pod
	ReasonNoContainer  = "containers-not-told"  // the pod ended and its status names no container
)

// described is what the registry said of a digest. Children are those of an index.
type described struct {
	pin      schema.ImagePin
	children []schema.Digest
	err      error
}

type question struct{ ref, platform string }

// maxQuestions is how many registries' answers are waited for at once, and patience for how long in all: a run is not kept waiting by a registry that hangs.
const (
	maxQuestions = 8
	patience     = 30 * time.Second
)

// describeAll asks for each distinct image once, and for the index of a pin where another digest than the pin's was told.
func (c *Collector) describeAll(ctx context.Context, tries []Try, pins []schema.ImagePin) map[question]described {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := map[question]described{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxQuestions)
	ask := func(q question) {
		mu.Lock()
		_, asked := answers[q]
		if !asked {
			answers[q] = described{} // the answer comes later; nobody else asks
		}
		mu.Unlock()
		if asked {
			return
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var d described
			d.pin, d.children, d.err = c.Images.DescribeImage(ctx, q.ref, q.platform)
			mu.Lock()
			defer mu.Unlock()
			answers[q] = d
		})
	}
	for _, t := range tries {
		for _, container := range t.Containers {
			q, ok := questionOf(container)
			if !ok || c.Images == nil {
				continue
			}
			ask(q)
			told, _ := ParseImageID(container.ImageID)
			if pin := matchPin(pins, container, schema.ImagePin{PlatformDigest: told.Digest}); pin != nil && told.Digest != pin.IndexDigest && told.Digest != pin.PlatformDigest {
				if q, ok := questionOfIndex(*pin); ok {
					ask(q)
				}
			}
		}
	}
	wg.Wait()
	return answers
}

func questionOf(c Container) (question, bool) {
	told, ok := ParseImageID(c.ImageID)
	return question{told.Repository + "@" + string(told.Digest), c.Platform}, ok && told.Repository != ""
}

func questionOfIndex(pin schema.ImagePin) (question, bool) {
	return question{pin.Repository + "@" + string(pin.IndexDigest), ""}, pin.Repository != "" && pin.IndexDigest != ""
}

// observe gives the images of a try by the pins that they were started from, and what there is to say besides.
func (c *Collector) observe(t *Try, pins []schema.ImagePin, answers map[question]described) (images []schema.ImagePin, drift []schema.Drifted, reasons []schema.Reason) {
	for _, container := range t.Containers {
		if container.ImageID == "" { // it has not started, or was never pulled
			continue
		}
		told, ok := ParseImageID(container.ImageID)
		if !ok {
			reasons = append(reasons, schema.Reason{Code: ReasonImageIDForm, Subject: schema.Text(container.Name), Text: "the runtime names its image in a form that is not known"})
			continue
		}
		q, _ := questionOf(container)
		answer, asked := answers[q]
		seen := schema.ImagePin{Use: schema.Observed, Repository: told.Repository, Ref: schema.Text(cleanReference(container.Image)),
			Origin: schema.Origin{Kind: schema.FromPodStatus, By: t.Node, At: t.at()}}
		if seen.Ref == "" {
			seen.Ref = schema.Text(cleanReference(container.ImageID))
		}
		switch {
		case told.Repository == "":
			seen.ConfigDigest = told.Digest
		case asked && answer.err == nil:
			seen.IndexDigest, seen.PlatformDigest, seen.ConfigDigest, seen.Platform, seen.MediaType = answer.pin.IndexDigest, answer.pin.PlatformDigest, answer.pin.ConfigDigest,
				answer.pin.Platform, answer.pin.MediaType
		default:
			seen.PlatformDigest = told.Digest
			if asked {
				seen.Reasons = append(seen.Reasons, schema.Reason{Code: ReasonNotDescribed, Subject: schema.Text(told.Digest), Text: whyNotDescribed(answer.err)})
			}
		}
		pin := matchPin(pins, container, seen)
		if pin == nil && (len(pins) > 0 || !container.Main) {
			reasons = append(reasons, schema.Reason{Code: ReasonNotPinned, Subject: schema.Text(container.Name), Text: "it ran beside the run's own containers, from " + string(told.Digest)})
			continue
		}
		if pin == nil {
			seen.Name = pinName(container.Name)
		} else {
			seen.Name = pin.Name
			ofIndex, _ := questionOfIndex(*pin)
			if d := settle(&seen, *pin, told, answer.children, answers[ofIndex].children); d != nil {
				drift = append(drift, *d)
			}
		}
		if told.Repository == "" && (pin == nil || seen.ConfigDigest != "" && pin.ConfigDigest != seen.ConfigDigest) {
			seen.Reasons = append(seen.Reasons, schema.Reason{Code: ReasonNotPullable, Subject: schema.Text(told.Digest), Text: "the runtime told the digest of the image's configuration, by which nothing can be pulled"})
		}
		if !slices.ContainsFunc(images, func(i schema.ImagePin) bool { return i.Name == seen.Name }) {
			images = append(images, seen)
		}
	}
	return images, drift, reasons
}

// settle puts a digest whose nature is not known where it can be compared with the pin, and says when what ran cannot be what was pinned though no two digests
// of one nature stand against each other. Children are those of an index that was told, pinned those of the index that was pinned.
func settle(seen *schema.ImagePin, pin schema.ImagePin, told Told, children, pinned []schema.Digest) *schema.Drifted {
	d := told.Digest
	if told.Repository == "" && d != pin.ConfigDigest { // some runtimes give the manifest's digest bare (kubernetes#115199)
		switch d {
		case pin.IndexDigest:
			seen.ConfigDigest, seen.IndexDigest = "", d
		case pin.PlatformDigest:
			seen.ConfigDigest, seen.PlatformDigest = "", d
		}
		return nil
	}
	if seen.PlatformDigest == d && d == pin.IndexDigest {
		seen.PlatformDigest, seen.IndexDigest = "", d
		return nil
	}
	if seen.IndexDigest == "" && seen.PlatformDigest == d && slices.Contains(pinned, d) {
		seen.IndexDigest = pin.IndexDigest // the node took the image of its own kind
		return nil
	}
	if seen.IndexDigest == "" || pin.IndexDigest != "" || pin.PlatformDigest == "" || seen.PlatformDigest != "" || len(children) == 0 {
		return nil
	}
	// The pin is one platform's image, and an index ran.
	if slices.Contains(children, pin.PlatformDigest) {
		seen.PlatformDigest = pin.PlatformDigest
		return nil
	}
	return &schema.Drifted{Pin: "image:" + pin.Name, Expected: schema.Text(pin.PlatformDigest), Found: schema.Text(d), Text: "another image ran than the one that was pinned"}
}

func whyNotDescribed(err error) string {
	var e *schema.Error
	if errors.As(err, &e) && e.Kind == schema.Unpinnable {
		return "the registry no longer has it, or denies it: whether it is of an index or of one platform is not known"
	}
	return "the registry could not be asked: whether it is of an index or of one platform is not known"
}
