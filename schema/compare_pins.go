package schema

import (
	"fmt"
	"strings"
)

// only says that a pin is in one run only, if so.
func (c *comparing) only(subject string, a, b bool, value Text) bool {
	if a && b {
		return false
	}
	d := Difference{Subject: subject, Field: "pin", Class: ClassMust, Input: true}
	if a {
		d.A, d.Text = value, subject+": only the first run has it: "+quote(value)
	} else {
		d.B, d.Text = value, subject+": only the second run has it: "+quote(value)
	}
	c.add(d)
	return true
}

// claimed says that what a run is said to have used was never seen to be what it used.
func (c *comparing) claimed(subject string, a, b Use) {
	if which := either(a == Claimed, b == Claimed); which != "" {
		c.unproven(subject, "use", ClassLikely, Text(a), Text(b), subject+": it is equal as claimed; nothing saw that "+which+" used it")
		return
	}
	c.differ(subject, "use", ClassNoise, false, Text(a), Text(b))
}

func either(a, b bool) string {
	switch {
	case a && b:
		return "either run"
	case a:
		return "the first run"
	case b:
		return "the second run"
	}
	return ""
}

func (c *comparing) images() {
	for _, p := range pairs(c.a.Images, c.b.Images, func(i ImagePin) string { return i.Name }) {
		subject := "image:" + p.name
		if p.a == nil || p.b == nil {
			c.only(subject, p.a != nil, p.b != nil, firstOf(p.a, p.b).Ref)
			continue
		}
		c.image(subject, *p.a, *p.b)
	}
}

func firstOf[T any](a, b *T) T {
	if a != nil {
		return *a
	}
	return *b
}

func (c *comparing) image(subject string, a, b ImagePin) {
	c.differ(subject, "name", ClassNoise, true, Text(a.Name), Text(b.Name))
	// The config digest is the image's content; the digests of manifests differ when it was compressed or pushed anew.
	field, class := "config_digest", ClassNoise
	want, got, differs := imageContradiction(a, b)
	switch {
	case differs:
		class = ClassMust
		if a.ConfigDigest == "" || b.ConfigDigest == "" {
			field = "digest"
		}
		c.add(Difference{Subject: subject, Field: field, Class: ClassMust, Input: true, A: Text(want), B: Text(got),
			Text: fmt.Sprintf("%s: another image: %s was %s and %s is %s", subject, quote(a.Ref), want.Short(), quote(b.Ref), got.Short())})
	case !sameKnownImage(a, b):
		c.unproven(subject, "digest", ClassMust, a.known(), b.known(), subject+": whether it is the same image cannot be told: no digest of the same kind is known of both")
	default:
		c.claimed(subject, a.Use, b.Use)
	}
	if a.Platform != "" && b.Platform != "" {
		c.differ(subject, "platform", ClassMust, false, Text(a.Platform), Text(b.Platform))
	}
	if field != "digest" {
		c.differ(subject, "index_digest", class, false, Text(a.IndexDigest), Text(b.IndexDigest))
		c.differ(subject, "platform_digest", class, false, Text(a.PlatformDigest), Text(b.PlatformDigest))
	}
	if !differs && a.ConfigDigest != "" && b.ConfigDigest != "" {
		c.differ(subject, "file_digest", ClassLikely, true, Text(a.FileDigest), Text(b.FileDigest))
	}
	c.differ(subject, "ref", ClassNoise, false, a.Ref, b.Ref)
	c.differ(subject, "tag", ClassNoise, false, Text(a.Tag), Text(b.Tag))
	c.differ(subject, "engine", ClassNoise, false, Text(a.Engine), Text(b.Engine))
	c.items(subject, "labels", ClassNoise, false, "label", mapItems(a.Labels, b.Labels), 0)
}

// known gives the digest by which an image is best known, or its reference.
func (p ImagePin) known() Text {
	for _, d := range []Digest{p.ConfigDigest, p.FileDigest, p.PlatformDigest, p.IndexDigest} {
		if d != "" {
			return Text(d)
		}
	}
	return p.Ref
}

// sameKnownImage reports whether a digest is known to be the same in both.
func sameKnownImage(a, b ImagePin) bool {
	for _, p := range [][2]Digest{{a.ConfigDigest, b.ConfigDigest}, {a.FileDigest, b.FileDigest}, {a.PlatformDigest, b.PlatformDigest}, {a.IndexDigest, b.IndexDigest},
		{a.PlatformDigest, b.IndexDigest}, {a.IndexDigest, b.PlatformDigest}} {
		if p[0] != "" && p[0] == p[1] {
			return true
		}
	}
	return false
}

func (c *comparing) datasets() {
	for _, p := range pairs(c.a.Datasets, c.b.Datasets, func(d DatasetPin) string { return d.Name }) {
		subject := "dataset:" + p.name
		if p.a == nil || p.b == nil {
			c.only(subject, p.a != nil, p.b != nil, firstOf(p.a, p.b).URI)
			continue
		}
		c.dataset(subject, *p.a, *p.b)
	}
}

func (c *comparing) dataset(subject string, a, b DatasetPin) {
	c.differ(subject, "name", ClassNoise, true, Text(a.Name), Text(b.Name))
	c.differ(subject, "role", ClassLikely, true, Text(a.Role), Text(b.Role))
	_, whyA := a.fingerprint()
	_, whyB := b.fingerprint()
	proven := whyA == "" && whyB == ""
	bothContent := a.Strength == StrengthContent && b.Strength == StrengthContent
	switch {
	case a.ContentDigest != "" && b.ContentDigest != "" && a.ContentDigest != b.ContentDigest:
		c.add(Difference{Subject: subject, Field: "content_digest", Class: ClassMust, Input: true, A: Text(a.ContentDigest), B: Text(b.ContentDigest),
			Text: fmt.Sprintf("%s: the data differ: %s had %s in %d files and %s has %s in %d files", subject, quote(a.URI), sizeText(a.Bytes), a.Files, quote(b.URI), sizeText(b.Bytes), b.Files)})
		c.manifests(subject, "files", ClassMust, true, [2]manifestRef{{a.Manifest, a.DigestKind}, {b.Manifest, b.DigestKind}})
	case a.ContentDigest != "" && b.ContentDigest != "":
		if !bothContent {
			c.equalAsDeclared(subject, a, b)
			break
		}
		c.differ(subject, "digest_kind", ClassMust, true, Text(a.DigestKind), Text(b.DigestKind))
		if c.differ(subject, "sidecar_digest", ClassMust, true, Text(a.SidecarDigest), Text(b.SidecarDigest)) {
			c.found[len(c.found)-1].Text = subject + ": the files are the same; links to directories, empty directories or executable bits differ"
		}
		c.differ(subject, "directory", ClassMust, true, yes(a.Directory), yes(b.Directory))
		c.claimed(subject, a.Use, b.Use)
	case a.Scheme == b.Scheme && a.VersionKind == b.VersionKind && a.VersionID != "" && b.VersionID != "":
		switch {
		case c.differ(subject, "version_id", ClassMust, true, Text(a.VersionID), Text(b.VersionID)):
		case !proven:
			c.equalAsDeclared(subject, a, b)
		default:
			c.differ(subject, "include", ClassMust, true, listText(a.Include), listText(b.Include))
			c.differ(subject, "exclude", ClassMust, true, listText(a.Exclude), listText(b.Exclude))
			c.claimed(subject, a.Use, b.Use)
		}
	default:
		c.add(Difference{Subject: subject, Field: "version", Class: ClassMust, Input: true, Unproven: true, A: a.known(), B: b.known(),
			Text: subject + ": whether the data are the same cannot be told: their versions are not of the same kind"})
	}
	if c.differ(subject, "uri", ClassNoise, false, a.URI, b.URI); bothContent {
		c.differ(subject, "scheme", ClassNoise, false, Text(a.Scheme), Text(b.Scheme))
	}
	c.differ(subject, "strength", ClassNoise, !proven, Text(a.Strength), Text(b.Strength))
}

// equalAsDeclared is never called equal (DESIGN §3.2): it is a suspect.
func (c *comparing) equalAsDeclared(subject string, a, b DatasetPin) {
	weakest := a.Strength
	if weaker(b.Strength, weakest) {
		weakest = b.Strength
	}
	c.unproven(subject, "strength", ClassLikely, Text(a.Strength), Text(b.Strength),
		fmt.Sprintf("%s: it is equal as declared (%s); its content was not compared", subject, weakest))
}

func weaker(a, b Strength) bool {
	order := map[Strength]int{StrengthContent: 3, StrengthImmutableID: 2, StrengthETag: 1}
	return order[a] < order[b]
}

// known gives what best names the version of a data set.
func (p DatasetPin) known() Text {
	switch {
	case p.ContentDigest != "":
		return Text(p.ContentDigest)
	case p.VersionID != "":
		return Text(p.VersionID)
	}
	return p.URI
}

func listText(ts []Text) Text { return Text(strings.Join(Strings(ts), " ")) }

// sizeText gives a number of bytes for people.
func sizeText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
