package jobspec

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/runpin/runpin/schema"
)

// codeURL is a URL that names a revision of a repository: text[start:end] is the revision.
type codeURL struct {
	repository string
	start, end int
}

// archives are the paths under which forges serve the files of a revision; the first group is the repository, the second the revision.
var archives = []*regexp.Regexp{
	regexp.MustCompile(`^(/[^/]+/[^/]+)/archive/((?:refs/(?:heads|tags)/)?[^?#]+?)(?:\.zip|\.tar\.gz|\.tgz)$`),           // GitHub, Gitea
	regexp.MustCompile(`^(/.+?)/-/archive/([^/?#]+)/[^/?#]+\.(?:zip|tar\.gz|tar\.bz2|tar)$`),                             // GitLab
	regexp.MustCompile(`^(/[^/]+/[^/]+)/(?:zip|tar\.gz|legacy\.zip|legacy\.tar\.gz)/((?:refs/(?:heads|tags)/)?[^?#]+)$`), // codeload.github.com
	regexp.MustCompile(`^(/[^/]+/[^/]+)/get/([^/?#]+?)(?:\.zip|\.tar\.gz)$`),                                             // Bitbucket
}

// findCodeURL takes a text apart that may name code by a URL: an archive of a forge, git+URL@REV, URL.git#REV:DIR, and URL?ref=REV. isCode is
// set for a URL of a repository, also when it names no revision.
func findCodeURL(text string) (found codeURL, isCode, hasRevision bool) {
	git := strings.HasPrefix(text, "git+") || strings.HasPrefix(text, "git::")
	bare := strings.TrimPrefix(strings.TrimPrefix(text, "git+"), "git::")
	skip := len(text) - len(bare)
	scheme := strings.Index(bare, "://")
	if scheme < 0 && !git && !strings.HasPrefix(bare, "github.com/") && !strings.HasPrefix(bare, "gitlab.com/") && !strings.HasPrefix(bare, "git@") {
		return found, false, false
	}
	// ?ref= of go-getter and kustomize; ?version= is its older name.
	if at := strings.IndexByte(bare, '?'); at >= 0 {
		place := at + 1
		for query := range strings.SplitSeq(bare[at+1:], "&") {
			key, value, _ := strings.Cut(query, "=")
			if (key == "ref" || key == "version") && value != "" {
				start := skip + place + len(key) + 1
				found = codeURL{repositoryOf(bare[:at]), start, start + len(value)}
				return found, true, true
			}
			place += len(query) + 1
		}
	}
	if git {
		// pip's form: git+URL@REV#egg=NAME
		end := len(bare)
		if at := strings.IndexByte(bare, '#'); at >= 0 {
			end = at
		}
		if at := strings.LastIndexByte(bare[:end], '@'); at > scheme+3 && at > strings.LastIndexByte(bare[:end], '/') || at > 0 && strings.Contains(bare[:at], ".git") {
			found = codeURL{bare[:at], skip + at + 1, skip + end}
			return found, true, end > at+1
		}
		return codeURL{repository: bare[:end]}, true, false
	}
	if at := strings.Index(bare, ".git#"); at >= 0 {
		start := at + len(".git#")
		end := len(bare)
		if colon := strings.IndexByte(bare[start:], ':'); colon >= 0 {
			end = start + colon
		}
		return codeURL{bare[:at+len(".git")], skip + start, skip + end}, true, end > start
	}
	if u, err := url.Parse(bare); err == nil && u.Host != "" && u.RawQuery == "" && u.Fragment == "" {
		for _, archive := range archives {
			m := archive.FindStringSubmatchIndex(u.EscapedPath())
			if m == nil {
				continue
			}
			before := strings.Index(bare, u.EscapedPath())
			if before < 0 {
				break
			}
			host := u.Host
			if host == "codeload.github.com" {
				host = "github.com"
			}
			return codeURL{u.Scheme + "://" + host + u.EscapedPath()[m[2]:m[3]], skip + before + m[4], skip + before + m[5]}, true, true
		}
	}
	return codeURL{repository: bare}, scheme < 0 || isRepository(bare[:scheme], bare[scheme+3:]), false
}

// isRepository tells a URL of a repository, or of a directory in one, from that of a file.
func isRepository(scheme, rest string) bool {
	switch scheme {
	case "http", "https", "ssh":
	default:
		return strings.HasSuffix(rest, ".git")
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	forge := parts[0] == "github.com" || parts[0] == "gitlab.com" || parts[0] == "bitbucket.org"
	return strings.HasSuffix(rest, ".git") || strings.Contains(rest, "//") || strings.Contains(rest, ".git/") || forge && len(parts) == 3
}

// repositoryOf cuts what kustomize and go-getter put behind the repository: //DIR, and a directory below a repository of a forge.
func repositoryOf(text string) string {
	scheme, rest := "", text
	if at := strings.Index(text, "://"); at >= 0 {
		scheme, rest = text[:at+3], text[at+3:]
	} else if !strings.HasPrefix(text, "git@") {
		scheme = "https://"
	}
	if dir := strings.Index(rest, "//"); dir >= 0 {
		rest = rest[:dir]
	}
	if at := strings.Index(rest, ".git/"); at >= 0 {
		rest = rest[:at+len(".git")]
	}
	if parts := strings.Split(rest, "/"); (parts[0] == "github.com" || parts[0] == "gitlab.com") && len(parts) > 3 && parts[0] == "github.com" {
		rest = strings.Join(parts[:3], "/")
	}
	return scheme + rest
}

// url notes the revision that a URL names. A text that is no URL is a path beside the file.
func (r *reader) url(h hit) {
	v := h.value
	if v.isNull() || !v.isString() {
		if v.template {
			r.problem(v, h.field, ProblemTemplate, templated)
		}
		return
	}
	text := v.node.Value
	found, isCode, hasRevision := findCodeURL(text)
	switch {
	case !isCode && !strings.Contains(text, "://") || strings.HasPrefix(text, "file://") || strings.HasPrefix(text, "local://"):
		return
	case isTemplate(text):
		r.problem(v, h.field, ProblemTemplate, templated)
		return
	case !isCode: // an archive in a bucket
		r.note(Reference{Name: KindCode, Kind: KindCode, URL: text, Field: h.field, Soft: true}, v)
		return
	case !hasRevision:
		r.problem(v, h.field, ProblemFloating, floats)
		return
	}
	revision := text[found.start:found.end]
	_, err := schema.ParseObjectID(revision)
	r.note(Reference{Name: repositoryName(found.repository), Kind: KindCode, URL: found.repository, Value: revision, Pinned: err == nil, Field: h.field,
		prefix: text[:found.start], suffix: text[found.end:]}, v)
}

// uses notes an action or a workflow of a forge, OWNER/REPO[/PATH]@REF, or docker://IMAGE.
func (r *reader) uses(h hit) {
	if h.value.isNull() {
		return
	}
	if r.badText(h) {
		return
	}
	text := h.value.node.Value
	if strings.HasPrefix(text, "docker://") {
		r.image(h, part{prefix: "docker://"})
		return
	}
	if strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
		return // it comes with the checkout
	}
	name, revision, ok := strings.Cut(text, "@")
	parts := strings.SplitN(name, "/", 3)
	switch {
	case isTemplate(text):
		r.problem(h.value, h.field, ProblemTemplate, templated)
	case len(parts) < 2:
		r.problem(h.value, h.field, ProblemShape, "is not OWNER/REPO@REF, docker://IMAGE or a path that begins with ./")
	case !ok || revision == "":
		r.problem(h.value, h.field, ProblemFloating, "names no revision of the action; write "+name+"@REF")
	default:
		_, err := schema.ParseObjectID(revision)
		r.note(Reference{Name: parts[1], Kind: KindCode, URL: "https://github.com/" + parts[0] + "/" + parts[1], Value: revision, Pinned: err == nil, Field: h.field, prefix: name + "@"}, h.value)
	}
}
