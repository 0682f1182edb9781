package rerun

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Relocation says that what lay beneath Old lies beneath New now: a registry or a part of it (registry.old/team), a git server or repository (https://old/…,
// git@old:…), a bucket or directory of data. Only whole names between slashes match.
type Relocation struct{ Old, New string }

// Relocations are tried the most specific first.
type Relocations []Relocation

// maxPlace bounds the two halves of a relocation.
const maxPlace = 4 << 10

// ParseRelocation reads OLD=NEW. Whoever takes it from a user refuses credentials in it first: both halves are recorded and shown.
func ParseRelocation(s string) (Relocation, error) {
	old, new, ok := strings.Cut(s, "=")
	return NewRelocation(old, new, ok)
}

// NewRelocation checks the two halves. An error has kind Invalid.
func NewRelocation(old, new string, given bool) (Relocation, error) {
	refuse := func(reason string) (Relocation, error) {
		return Relocation{}, &schema.Error{Op: "rerun.relocate", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(old+"="+new, 200)), Err: fmt.Errorf("%s", reason),
			Hint: "write OLD=NEW: registry.old/team=registry.new/ml, https://git.old/=git@git.new:, /mnt/old=/mnt/new, s3://old=s3://new"}
	}
	for _, half := range []string{old, new} {
		switch {
		case !given || strings.Trim(half, "/") == "":
			return refuse("it has no two places")
		case len(half) > maxPlace:
			return refuse("it is too long")
		case strings.ContainsFunc(half, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
			return refuse("a place holds a control character")
		case strings.HasPrefix(half, "-"):
			return refuse("a place begins with a dash, as a flag does")
		case strings.ContainsAny(half, "?#") && strings.Contains(half, "://"):
			return refuse("a place has no query")
		}
	}
	if segments(old)[0] == segments(new)[0] && len(segments(old)) == 1 && len(segments(new)) == 1 {
		return refuse("both places are one")
	}
	return Relocation{Old: strings.TrimRight(old, "/"), New: new}, nil
}

// segments takes a place apart at its slashes: a URL has its scheme and host for the first part, git's short form user@host:path its host, an absolute path "/".
func segments(place string) []string {
	place = strings.TrimRight(place, "/")
	scheme, rest, isURL := strings.Cut(place, "://")
	switch {
	case isURL:
		parts := strings.Split(rest, "/")
		parts[0] = strings.ToLower(scheme + "://" + parts[0])
		return parts
	case strings.HasPrefix(place, "/") || place == "":
		return append([]string{"/"}, strings.FieldsFunc(place, func(r rune) bool { return r == '/' })...)
	}
	if at, colon := strings.IndexByte(place, '@'), strings.IndexByte(place, ':'); at >= 0 && colon > at && !strings.Contains(place[:colon], "/") {
		return append([]string{strings.ToLower(place[:colon+1])}, strings.FieldsFunc(place[colon+1:], func(r rune) bool { return r == '/' })...)
	}
	parts := strings.Split(place, "/")
	parts[0] = strings.TrimSuffix(parts[0], ":") // a scp-like host without a user keeps its colon with its path
	return parts
}

// Moved gives where a place lies now, and false when it did not move.
func (rs Relocations) Moved(place string) (string, bool) {
	if place == "" {
		return "", false
	}
	of := segments(place)
	best, longest := "", 0
	for _, r := range rs {
		old := segments(r.Old)
		if len(old) <= longest || len(old) > len(of) {
			continue
		}
		if rest, ok := beneath(of, old); ok {
			longest, best = len(old), below(r.New, rest)
		}
	}
	return best, longest > 0 && best != place
}

// beneath gives what of has behind old. A repository of git may be called with .git at its end or without.
func beneath(of, old []string) (rest []string, ok bool) {
	for i := range old {
		if of[i] != old[i] && (i < len(old)-1 || len(of) > len(old) || strings.TrimSuffix(of[i], ".git") != strings.TrimSuffix(old[i], ".git")) {
			return nil, false
		}
	}
	for _, part := range of[len(old):] {
		if part == ".." { // it would lead out of where it lies
			return nil, false
		}
	}
	return of[len(old):], true
}

func below(place string, rest []string) string {
	if len(rest) == 0 {
		return place
	}
	if !strings.HasSuffix(place, "/") && !strings.HasSuffix(place, ":") {
		place += "/"
	}
	return place + strings.Join(rest, "/")
}

// movedRepository is Moved for the repository of an image, which may be spelled without its registry.
func (rs Relocations) movedRepository(repository string) (string, bool) {
	if moved, ok := rs.Moved(repository); ok {
		return imagePlace(moved)
	}
	first, _, several := strings.Cut(repository, "/")
	switch {
	case repository == "" || several && (strings.ContainsAny(first, ".:") || first == "localhost"):
		return "", false
	case !several:
		repository = "library/" + repository
	}
	if moved, ok := rs.Moved("docker.io/" + repository); ok {
		return imagePlace(moved)
	}
	return "", false
}

// imagePlace: only what can be the name of a repository is one; a relocation of data or git may have the same beginning.
func imagePlace(moved string) (string, bool) {
	if strings.Contains(moved, "://") || strings.HasPrefix(moved, "/") || strings.Contains(moved, "@") {
		return "", false
	}
	return moved, true
}

// image gives the pin as it is had from the new place.
func (rs Relocations) image(pin schema.ImagePin) (schema.ImagePin, string, bool) {
	moved, ok := rs.movedRepository(pin.Repository)
	if !ok || pin.Local || pin.Pullable() == "" || pin.FileDigest != "" { // the path of an image file stands in the spec, and is set there
		return pin, "", false
	}
	pin.Repository = moved
	return pin, moved, true
}

// code gives the pin with nothing but the new places for its commit.
func (rs Relocations) code(pin schema.CodePin) (schema.CodePin, string, bool) {
	first, any := "", false
	move := func(url string) string {
		moved, ok := rs.Moved(url)
		if !ok {
			return ""
		}
		if any = true; first == "" {
			first = moved
		}
		return moved
	}
	remotes := map[string]string{}
	out := pin
	out.Remote = move(pin.Remote)
	for name, url := range pin.Remotes {
		if moved := move(url); moved != "" {
			remotes[name] = moved
		}
	}
	out.Remotes = remotes
	if len(remotes) == 0 {
		out.Remotes = nil
	}
	if pin.Root != nil {
		root := *pin.Root
		if root.Located = schema.Text(move(string(root.Located))); root.Located == "" {
			root.Located = pin.Root.Located
		}
		out.Root = &root
	}
	out.Submodules = append([]schema.Submodule(nil), pin.Submodules...)
	for i := range out.Submodules {
		if moved := move(out.Submodules[i].URL); moved != "" {
			out.Submodules[i].URL = moved
		}
	}
	if out.Remote == "" && len(remotes) == 0 {
		out.Remote, out.Remotes = pin.Remote, pin.Remotes
	}
	return out, first, any
}

// dataset gives where the data set lies now.
func (rs Relocations) dataset(pin schema.DatasetPin) (string, bool) {
	if pin.Path != nil {
		moved, ok := rs.Moved(filepath.ToSlash(string(pin.Path.Located)))
		return moved, ok
	}
	return rs.Moved(string(pin.URI))
}

// Relocated gives a run as it is with everything at its new place, whether it can be had there or not, and says what moved. The digests, commits and versions stay:
// they prove what comes from there.
func Relocated(run schema.Run, rs Relocations) (schema.Run, []schema.Reason) {
	var said []schema.Reason
	run.Images = append([]schema.ImagePin(nil), run.Images...)
	run.Code = append([]schema.CodePin(nil), run.Code...)
	run.Datasets = append([]schema.DatasetPin(nil), run.Datasets...)
	for i, pin := range run.Images {
		if moved, at, ok := rs.image(pin); ok {
			run.Images[i] = moved
			said = append(said, relocated("image:"+pin.Name, at))
		}
	}
	for i, pin := range run.Code {
		if moved, at, ok := rs.code(pin); ok {
			run.Code[i] = moved
			said = append(said, relocated("code:"+pin.Name, at))
		}
	}
	for i, pin := range run.Datasets {
		at, ok := rs.dataset(pin)
		if !ok {
			continue
		}
		if pin.Path != nil && !strings.Contains(at, "://") {
			path := *pin.Path
			path.Located = schema.Text(at)
			run.Datasets[i].Path = &path
		}
		run.Datasets[i].URI = schema.Text(at)
		said = append(said, relocated("dataset:"+pin.Name, at))
	}
	return run, said
}

func relocated(pin, at string) schema.Reason {
	return schema.Reason{Code: "relocated", Subject: schema.Text(pin), Text: "had from " + schema.Shorten(at, 500)}
}
