package schema

import (
	"fmt"
	"slices"
)

// check refuses a document that could not be read again or that does not say one thing. A lenient pass lets what only a newer version knows be.
func (d Document) check(pass *checking) error {
	bad := func(format string, args ...any) error {
		return &Error{Op: "schema.document", Kind: Invalid, Subject: "document " + string(d.ID), Err: fmt.Errorf(format, args...)}
	}
	if d.Schema != SchemaV1 {
		return &Error{Op: "schema.document", Kind: Invalid, Subject: "document " + string(d.ID), Err: fmt.Errorf("schema is %q, not %s", Shorten(d.Schema, 80), SchemaV1),
			Hint: "a newer runpin may have written it: update this one"}
	}
	if _, err := parseExactID(string(d.ID)); err != nil {
		return bad("id is not valid")
	}
	if d.At.IsZero() {
		return bad("it has no time")
	}
	if err := checkFull(pass, d); err != nil {
		return bad("%w", err)
	}
	bodies := d.bodies()
	switch {
	case !slices.Contains(documentKinds, d.Kind):
		// A newer version wrote it. It says nothing that is known here; Fold passes over it.
		if len(bodies) > 0 {
			return bad("kind is %q but it has a body of kind %q", Shorten(string(d.Kind), 40), bodies[0])
		}
		return nil
	case !slices.Contains(bodies, d.Kind):
		return bad("kind is %q but it has no such body", d.Kind)
	case len(bodies) > 1:
		return bad("kind is %q but it has %d bodies", d.Kind, len(bodies))
	case d.Run == "" && d.Kind != KindRelease:
		return bad("it names no run")
	case d.Kind == KindRun && string(d.ID) != string(d.Run):
		return bad("the base document must have the id of its run")
	case d.Kind != KindRun && string(d.ID) == string(d.Run):
		return bad("an event cannot have the id of its run")
	}
	return d.checkBody(bad)
}

// bodies lists the kinds of the bodies that are set.
func (d Document) bodies() []DocumentKind {
	var set []DocumentKind
	for _, body := range []struct {
		kind DocumentKind
		set  bool
	}{
		{KindRun, d.Plan != nil}, {KindObservation, d.Observation != nil}, {KindOutput, d.Output != nil}, {KindStatus, d.Status != nil}, {KindLabel, d.Label != nil},
		{KindNote, d.Note != nil}, {KindRelease, d.Release != nil}, {KindKeep, d.Keep != nil}, {KindErasure, d.Erasure != nil},
	} {
		if body.set {
			set = append(set, body.kind)
		}
	}
	return set
}

func (d Document) checkBody(bad func(string, ...any) error) error {
	switch d.Kind {
	case KindRun:
		if d.Plan.RerunOf == d.Run || d.Plan.Parent == d.Run {
			return bad("a run cannot be its own parent or original")
		}
		return d.Plan.check()
	case KindStatus:
		if d.Status.To == Lost {
			return bad("a status cannot become %q: that is decided when reading", Lost)
		}
		if d.Status.Lease != nil && !d.Status.Lease.Beat.IsZero() {
			return bad("the beat of a lease is kept by the store, not in documents")
		}
	case KindObservation:
		if !d.Observation.At.IsZero() || d.Observation.Reporter != nil || d.Observation.Launched != nil && !d.Observation.Launched.At.IsZero() {
			return bad("the time and the reporter of an observation are the document's")
		}
		for _, i := range d.Observation.Images {
			if _, err := ParseName(i.Name); err != nil {
				return err
			}
		}
	case KindErasure:
		if len(d.Erasure.Blobs) == 0 {
			return bad("it erases nothing")
		}
	}
	if !d.eventTime().IsZero() {
		return bad("the time of an event is the document's")
	}
	return nil
}

// eventTime gives the time that the fold writes into some events, which a document must leave absent.
func (d Document) eventTime() Time {
	switch d.Kind {
	case KindNote:
		return d.Note.At
	case KindRelease:
		return d.Release.At
	case KindKeep:
		return d.Keep.At
	case KindErasure:
		return d.Erasure.At
	}
	return Time{}
}

// check refuses a plan whose names are not names or are used twice: placeholders, variables and the fingerprint rely on them.
func (p *Plan) check() error {
	seen := map[string]string{}
	for _, named := range p.names() {
		if _, err := ParseName(named.name); err != nil {
			return err
		}
		// {name} in a command stands for a data set's path or an output's: those share their names.
		key := named.kind + ":" + named.name
		if named.kind == "output" {
			key = "dataset:" + named.name
		}
		if other, taken := seen[key]; taken {
			return &Error{Op: "schema.plan", Kind: Invalid, Subject: named.kind + ":" + named.name, Err: fmt.Errorf("the name is used twice, also as a %s", other),
				Hint: "give each its own name: NAME=…"}
		}
		seen[key] = named.kind
	}
	return nil
}

type kindName struct{ kind, name string }

func (p *Plan) names() []kindName {
	var all []kindName
	for _, i := range p.Images {
		all = append(all, kindName{"image", i.Name})
	}
	for _, c := range p.Code {
		all = append(all, kindName{"code", c.Name})
	}
	for _, d := range p.Datasets {
		all = append(all, kindName{"dataset", d.Name})
	}
	for _, o := range p.DeclaredOutputs {
		all = append(all, kindName{"output", o.Name})
	}
	return all
}
