package jobspec

import (
	"path"
	"strings"

	"github.com/runpin/runpin/schema"
)

// KindCode is the kind of a reference to a revision of a git repository.
const KindCode = "code"

const floats = "names no revision, so it follows the default branch of the repository; name one"

// gitSync notes what a git-sync container fetches. It is known by its image or by its variables. Version 4 takes --ref; version 3 --rev, of --branch when
// it is HEAD, and version 4 still reads both.
func (r *reader) gitSync(h hit) {
	image, _, _ := strings.Cut(h.value.get("image").text(), "@")
	image, _, _ = strings.Cut(path.Base(image), ":")
	known := strings.Contains(image, "git-sync")
	repo, found := r.setting(h, known, []string{"repo"}, []string{"GITSYNC_REPO", "GIT_SYNC_REPO"})
	if !found {
		if known {
			r.problem(h.value, h.field, ProblemFloating, "fetches code and does not say from which repository (--repo or GITSYNC_REPO)")
		}
		return
	}
	ref, byRef := r.setting(h, known, []string{"ref"}, []string{"GITSYNC_REF"})
	rev, byRev := r.setting(h, known, []string{"rev"}, []string{"GITSYNC_REV", "GIT_SYNC_REV"})
	branch, byBranch := r.setting(h, known, []string{"branch"}, []string{"GITSYNC_BRANCH", "GIT_SYNC_BRANCH"})
	switch {
	case byRef:
		r.code(repo, ref, "")
	case byRev && byBranch && rev.value != nil && branch.value != nil && rev.value.isString() && rev.text() == "HEAD":
		if text := branch.text(); !branch.value.isString() || text == "" || isTemplate(text) || strings.ContainsAny(text, " \t\r\n") || text[0] == '-' {
			r.problem(branch.value, branch.field, ProblemFloating, "is not the name of a branch")
			return
		}
		r.code(repo, rev, branch.text())
	case byRev:
		r.code(repo, rev, "")
	default:
		r.problem(h.value, h.field, ProblemFloating, floats+" with --ref or GITSYNC_REF (--rev or GIT_SYNC_REV for version 3)")
	}
}

// gitArtifact notes a git artifact of an Argo workflow.
func (r *reader) gitArtifact(h hit) {
	if h.value.isNull() {
		return
	}
	repo, rev := h.value.get("repo"), h.value.get("revision")
	switch {
	case !isMapping(h.value):
		r.problem(h.value, h.field, ProblemShape, wrongKind(h.value, "a mapping"))
	case repo == nil:
		r.problem(h.value, h.field, ProblemShape, "has no repo")
	case rev == nil || rev.isNull():
		r.problem(h.value, h.field, ProblemFloating, floats+" with revision")
	default:
		r.code(setting{field: join(h.field, "repo"), value: repo}, setting{field: join(h.field, "revision"), value: rev}, "")
	}
}

// gitParams notes the revision that a list of params names, as Tekton's git resolver and the git-clone task take it.
func (r *reader) gitParams(h hit) {
	var repo, rev setting
	for i, item := range h.value.items {
		v := item.get("value")
		if v == nil {
			continue
		}
		at := setting{field: join(indexed(h.field, i), "value"), value: v}
		switch item.get("name").text() {
		case "url":
			repo = at
		case "revision":
			rev = at
		case "bundle":
			r.image(hit{field: at.field, value: v, named: "bundle"}, part{})
		}
	}
	switch {
	case repo.value == nil:
	case rev.value == nil:
		r.problem(h.value, h.field, ProblemFloating, floats+" with a param revision")
	default:
		if places := r.places(repo); len(places) == 1 {
			repo = places[0]
		}
		for _, place := range r.places(rev) {
			r.code(repo, place, "")
		}
	}
}

// places gives the places that fill in a setting that is a parameter as a whole, or the setting.
func (r *reader) places(s setting) (out []setting) {
	if s.value.isString() && isTemplate(s.value.node.Value) {
		for _, h := range r.follow(r.top.value, r.top.field, s.field, s.value.node.Value) {
			out = append(out, setting{field: h.field, value: h.value})
		}
	}
	if len(out) == 0 {
		return []setting{s}
	}
	r.told[s.value.node] = true
	return out
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
		for i := len(env.items) - 1; i >= 0; i-- { // the last of equal names counts
			item := env.items[i]
			if item.get("name").text() != name {
				continue
			}
			field := indexed(join(h.field, "env"), i)
			v := item.get("value")
			if v == nil {
				r.problem(item, field, ProblemTemplate, name+" comes from elsewhere, so runpin cannot tell what code is fetched")
				return setting{field: field}, true
			}
			return setting{field: join(field, "value"), value: v}, true
		}
	}
	return out, false
}

// code notes a revision that a place fetches. branch is what rev is the head of, where it is HEAD.
func (r *reader) code(repo, rev setting, branch string) {
	if repo.value == nil || rev.value == nil {
		return // its problem was told
	}
	for _, s := range []setting{repo, rev} {
		code, reason := ProblemShape, ""
		switch {
		case s.value.template || s.value.isString() && isTemplate(s.text()):
			code, reason = ProblemTemplate, templated
		case !s.value.isString():
			reason = "is not text"
		case s.text() == "":
			reason = "is empty"
		case strings.ContainsAny(s.text(), " \t\r\n"):
			reason = "holds blanks"
		}
		if reason != "" {
			r.problem(s.value, s.field, code, reason)
			if code == ProblemTemplate {
				r.hide(s)
			}
			return
		}
	}
	if strings.HasPrefix(rev.text(), "-") {
		r.problem(rev.value, rev.field, ProblemShape, "is not a branch, a tag or a commit")
		return
	}
	_, err := schema.ParseObjectID(rev.text())
	r.note(Reference{Name: repositoryName(repo.text()), Kind: KindCode, Value: rev.text(), Rev: branch, Pinned: err == nil, URL: repo.text(), Field: rev.field, prefix: rev.prefix}, rev.value)
}

// hide takes a password out of what the last problem shows.
func (r *reader) hide(s setting) {
	if n := len(r.spec.Problems); n > 0 {
		p := &r.spec.Problems[n-1]
		if at := strings.Index(p.Value, "://"); at >= 0 {
			if user := strings.IndexByte(p.Value[at+3:], '@'); user >= 0 && !strings.Contains(p.Value[at+3:at+3+user], "/") {
				p.Value = p.Value[:at+3] + "…" + p.Value[at+3+user:]
			}
		}
	}
}

// repositoryName is what a checkout of a repository would be called.
func repositoryName(url string) string {
	return strings.TrimSuffix(path.Base(strings.TrimRight(strings.ReplaceAll(url, ":", "/"), "/")), ".git")
}

// revisionVariables are variables that commonly name the commit that an image was built from, or that a script checks out; repositoryVariables name its repository.
var (
	revisionVariables   = []string{"GIT_SHA", "GIT_COMMIT", "GIT_REVISION", "GITHUB_SHA", "CI_COMMIT_SHA", "SOURCE_COMMIT", "COMMIT_SHA", "CODE_VERSION", "CODE_REVISION"}
	repositoryVariables = []string{"GIT_REPO", "GIT_REPOSITORY", "GIT_URL", "REPO_URL", "CODE_REPOSITORY", "SOURCE_REPOSITORY", "CI_REPOSITORY_URL"}
)

// variables notes what the variables of a container say of its code. Nothing is known to fetch it, so it is soft.
func (r *reader) variables(h hit, key string) {
	env := h.value.get(key)
	if env == nil {
		return
	}
	find := func(names []string) (out setting, name string) {
		for _, name := range names {
			for i := len(env.items) - 1; i >= 0; i-- {
				if item := env.items[i]; item.get("name").text() == name && item.get("value") != nil {
					return setting{field: join(indexed(join(h.field, key), i), "value"), value: item.get("value")}, name
				}
			}
			if v := env.get(name); v != nil {
				return setting{field: join(join(h.field, key), name), value: v}, name
			}
		}
		return out, ""
	}
	rev, name := find(revisionVariables)
	if name == "" || !rev.value.isString() || rev.text() == "" || isTemplate(rev.text()) || strings.ContainsAny(rev.text(), " \t\r\n") || rev.text()[0] == '-' {
		return
	}
	if _, taken := r.place[rev.value.node]; taken || r.x.visits[rev.value.node] > 1 {
		return
	}
	ref := Reference{Name: strings.ToLower(name), Kind: KindCode, Value: rev.text(), Field: rev.field, Soft: true}
	if repo, _ := find(repositoryVariables); repo.value != nil && repo.value.isString() && !isTemplate(repo.text()) && strings.Contains(repo.text(), "/") {
		ref.URL = repo.text()
	}
	_, err := schema.ParseObjectID(ref.Value)
	ref.Pinned = err == nil
	r.note(ref, rev.value)
}
