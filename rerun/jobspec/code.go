package jobspec

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// KindCode is the kind of a reference to a revision of a git repository.
const KindCode = "code"

const floats = "names no revision, so it follows the default branch of the repository; name one"

// gitSync notes what a git-sync container fetches. It is known by its image or by its variables.
func (r *reader) gitSync(h hit) {
	if h.wrong != "" || h.missing != "" || h.value.isNull() {
		return
	}
	image, _, _ := strings.Cut(h.value.get("image").text(), "@")
	image, _, _ = strings.Cut(path.Base(image), ":")
	known := image == "git-sync" || strings.HasPrefix(image, "git-sync-")
	repo, found := r.setting(h, known, []string{"repo"}, []string{"GITSYNC_REPO", "GIT_SYNC_REPO"})
	if !found {
		if known {
			r.problem(h.value, h.field, "fetches code and does not say from which repository (--repo or GITSYNC_REPO)")
		}
		return
	}
	rev, found := r.setting(h, known, []string{"ref", "rev"}, []string{"GITSYNC_REF", "GIT_SYNC_REV", "GITSYNC_REV"})
	if !found {
		r.problem(h.value, h.field, floats+" with --ref or GITSYNC_REF (--rev or GIT_SYNC_REV for version 3)")
		return
	}
	r.code(repo, rev)
}

// gitArtifact notes a git artifact of an Argo workflow.
func (r *reader) gitArtifact(h hit) {
	switch {
	case h.missing != "" || h.wrong == "" && h.value.isNull():
		return // an artifact of another kind
	case h.wrong != "":
		r.problem(h.value, h.field, h.wrong)
		return
	}
	repo, rev := h.value.get("repo"), h.value.get("revision")
	switch {
	case h.value.node.Kind != yaml.MappingNode || h.value.template:
		r.problem(h.value, h.field, wrongKind(h.value, "a mapping"))
	case repo == nil:
		r.problem(h.value, h.field, "has no repo")
	case rev == nil || rev.isNull():
		r.problem(h.value, h.field, floats+" with revision")
	default:
		r.code(setting{field: join(h.field, "repo"), value: repo}, setting{field: join(h.field, "revision"), value: rev})
	}
}

// setting is where a program takes a setting from: the text of a value from prefix on.
type setting struct {
	field, prefix string
	value         *value
}

func (s setting) text() string { return strings.TrimPrefix(s.value.node.Value, s.prefix) }

// setting finds a setting of a container: an option among its arguments, else a variable. The last of several options counts, as it does for git-sync.
func (r *reader) setting(h hit, options bool, flags, variables []string) (out setting, found bool) {
	for _, key := range []string{"command", "args"} {
		list := h.value.get(key)
		if list == nil || !options {
			continue
		}
		for i, item := range list.items {
			field := join(h.field, key)
			for _, flag := range flags {
				for _, dashes := range []string{"--", "-"} {
					switch text := item.text(); {
					case strings.HasPrefix(text, dashes+flag+"="):
						out, found = setting{field: indexed(field, i), prefix: dashes + flag + "=", value: item}, true
					case text == dashes+flag && i+1 < len(list.items):
						out, found = setting{field: indexed(field, i+1), value: list.items[i+1]}, true
					}
				}
			}
		}
	}
	env := h.value.get("env")
	if found || env == nil {
		return out, found
	}
	for _, name := range variables {
		for i, item := range env.items {
			if item.get("name").text() != name {
				continue
			}
			field := indexed(join(h.field, "env"), i)
			v := item.get("value")
			if v == nil {
				r.problem(item, field, name+" comes from elsewhere, so runpin cannot tell what code is fetched")
				return setting{field: field}, true
			}
			return setting{field: join(field, "value"), value: v}, true
		}
	}
	return out, false
}

// code notes a revision that a place fetches.
func (r *reader) code(repo, rev setting) {
	if repo.value == nil || rev.value == nil {
		return // its problem was told
	}
	for _, s := range []setting{repo, rev} {
		reason := ""
		switch {
		case s.value.template || s.value.isString() && isTemplate(s.text()):
			reason = templated
		case !s.value.isString():
			reason = "is not text"
		case s.text() == "":
			reason = "is empty"
		case strings.ContainsAny(s.text(), " \t\r\n"):
			reason = "holds blanks"
		}
		if reason != "" {
			r.problem(s.value, s.field, reason)
			return
		}
	}
	if strings.HasPrefix(rev.text(), "-") {
		r.problem(rev.value, rev.field, "is not a branch, a tag or a commit")
		return
	}
	name := strings.TrimSuffix(path.Base(strings.TrimRight(strings.ReplaceAll(repo.text(), ":", "/"), "/")), ".git")
	_, err := schema.ParseObjectID(rev.text())
	r.note(Reference{Name: name, Kind: KindCode, Value: rev.text(), Pinned: err == nil, URL: repo.text(), Field: rev.field, prefix: rev.prefix}, rev.value)
}
