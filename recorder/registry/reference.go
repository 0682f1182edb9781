package registry

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/runpin/runpin/schema"
)

// Reference is an image reference, kept as it was written and split into its parts. The zero value is not a reference.
type Reference struct {
	Original   string        // as written
	Repository string        // registry/repository as the user spelled it: "nginx", "docker.io/library/nginx", "ghcr.io/a/b"
	Tag        string        // as written; "" where none is
	Digest     schema.Digest // as written; "" where none is

	repo name.Repository // the normalised repository
}

// maxReference bounds the length of a reference in bytes: a host name of 253, a repository of 255, a tag of 128 and a SHA-512
// digest fit well.
const maxReference = 1024

// The grammar of the OCI distribution specification (v1.1.1, "Pulling manifests"), with the host in front.
var (
	pathComponent = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	pathPattern   = regexp.MustCompile(`^` + pathComponent + `(?:/` + pathComponent + `)*$`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	hostPattern   = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$`)
	hexID         = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// ParseReference reads an image reference: [docker://|docker-pullable://][HOST/]REPOSITORY[:TAG][@DIGEST]. Everything that cannot
// be resolved to a digest is an error of kind Unpinnable which says why: a template, a name with upper-case letters, an image id
// that only an engine knows ([ErrImageID]), credentials in front of the host.
func ParseReference(s string) (Reference, error) {
	fail := func(err error, hint string) (Reference, error) {
		return Reference{}, &schema.Error{Op: "registry.parse", Kind: schema.Unpinnable, Subject: "image " + quoted(s), Err: err, Hint: hint}
	}
	rest := s
	for _, prefix := range []string{"docker-pullable://", "docker://"} { // as pod status, skopeo, enroot and apptainer write it
		rest = strings.TrimPrefix(rest, prefix)
	}
	if err, hint := refuse(s, rest); err != nil {
		return fail(err, hint)
	}

	ref := Reference{Original: s}
	rest, digest, hasDigest := strings.Cut(rest, "@")
	if hasDigest {
		d, err := schema.ParseDigest(digest)
		if err != nil {
			return fail(fmt.Errorf("what follows the @ is not a digest"), "a digest is sha256: and 64 lower-case hexadecimal digits")
		}
		ref.Digest = d
	}
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, ref.Tag = rest[:colon], rest[colon+1:]
		if !tagPattern.MatchString(ref.Tag) {
			return fail(fmt.Errorf("%q is not a tag", schema.Shorten(ref.Tag, 140)), "a tag has up to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'")
		}
	}
	ref.Repository = rest
	host, path, explicit := splitHost(rest)
	if explicit {
		if err := checkHost(host); err != nil {
			return fail(err, "write HOST[:PORT]/REPOSITORY[:TAG]")
		}
	}
	if !pathPattern.MatchString(path) || len(path) > 255 {
		if strings.ToLower(path) != path && pathPattern.MatchString(strings.ToLower(path)) {
			return fail(fmt.Errorf("a repository name has no upper-case letters"), "did you mean "+strconv.Quote(strings.ToLower(path))+"?")
		}
		return fail(fmt.Errorf("%q is not a repository name", schema.Shorten(path, 260)), "a repository name has lower-case letters, digits and the separators '/', '.', '_' and '-'")
	}
	if !explicit && hexID.MatchString(path) {
		return fail(ErrImageID, idHint)
	}
	repo, err := name.NewRepository(strings.ToLower(rest), name.WeakValidation)
	if err != nil {
		return fail(fmt.Errorf("not an image reference"), "write [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]")
	}
	ref.repo = repo
	return ref, nil
}

const idHint = "name the image by REPOSITORY:TAG or REPOSITORY@DIGEST, or say which engine has it"

// refuse recognises what looks like a reference to a person and is none.
func refuse(whole, rest string) (error, string) {
	switch {
	case rest == "":
		return fmt.Errorf("the reference is empty"), "write [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]"
	case len(whole) > maxReference:
		return fmt.Errorf("%d bytes are too long for a reference", len(whole)), ""
	case strings.ContainsAny(rest, "${}") || strings.Contains(rest, "<%") || strings.Contains(rest, "%("):
		return fmt.Errorf("it is templated: what it will name is not known yet"), "fill the template in first, and record the result"
	case strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fmt.Errorf("it has a blank, a control character or a letter outside ASCII"), ""
	case strings.HasPrefix(rest, "-"):
		return fmt.Errorf("it begins with '-', as a flag does"), "write [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]"
	case strings.Contains(rest, "://"):
		return fmt.Errorf("an image reference has no %s:// in front", schema.Shorten(rest[:strings.Index(rest, "://")], 20)), "leave the scheme away; for a registry that speaks plain http use --insecure-registry HOST"
	}
	if _, err := schema.ParseDigest(rest); err == nil {
		return ErrImageID, idHint
	}
	if cut, _, more := cutLast(rest, "@"); more && strings.Contains(cut, "@") || more && !digestLike(rest) {
		return fmt.Errorf("there is an @ and no digest after it"), "credentials do not belong into a reference: log in with docker login or podman login, or set RUNPIN_REGISTRY_HOSTNAME_0, _USERNAME_0 and _PASSWORD_0"
	}
	return nil, ""
}

var meantAsDigest = regexp.MustCompile(`@sha(?:256|384|512):[0-9a-fA-F]*$`)

// digestLike reports whether what follows the last @ was meant as a digest, not as a host behind credentials.
func digestLike(s string) bool { return meantAsDigest.MatchString(s) }

func cutLast(s, sep string) (before, after string, found bool) {
	if at := strings.LastIndex(s, sep); at >= 0 {
		return s[:at], s[at+len(sep):], true
	}
	return s, "", false
}

// quoted gives s for a message: without what may be credentials in front of an @.
func quoted(s string) string {
	tail := ""
	if digestLike(s) {
		s, tail, _ = cutLast(s, "@")
		tail = "@" + tail
	}
	if _, after, ok := cutLast(s, "@"); ok {
		s = "…@" + after
	}
	return strconv.Quote(schema.Shorten(s+tail, 300))
}

// splitHost follows the rule of Docker's reference grammar: the first component is a host when it has a dot or a colon, or is
// "localhost"; without one the registry is Docker Hub.
func splitHost(s string) (host, path string, explicit bool) {
	first, rest, ok := strings.Cut(s, "/")
	if ok && (first == "localhost" || strings.ContainsAny(first, ".:")) {
		return first, rest, true
	}
	return "", s, false
}

func checkHost(host string) error {
	m := hostPattern.FindStringSubmatch(host)
	if m == nil {
		return fmt.Errorf("%q is not a host", schema.Shorten(host, 260))
	}
	if m[1] != "" {
		if port, err := strconv.Atoi(m[1]); err != nil || port < 1 || port > 65535 {
			return fmt.Errorf("%q has no valid port", schema.Shorten(host, 260))
		}
	}
	return nil
}

// String prints the reference as the user spelled it, without a scheme: ParseReference of it gives an equal reference.
func (r Reference) String() string {
	s := r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

// ImplicitLatest reports that neither tag nor digest was written, so that "latest" is meant.
func (r Reference) ImplicitLatest() bool { return r.Tag == "" && r.Digest == "" }

// EffectiveTag gives the tag, "latest" where neither tag nor digest was written, and "" where only a digest was.
func (r Reference) EffectiveTag() string {
	if r.ImplicitLatest() {
		return name.DefaultTag
	}
	return r.Tag
}

// Host gives the registry as host[:port], "docker.io" for Docker Hub however it was spelled.
func (r Reference) Host() string {
	if host := r.repo.RegistryStr(); host != name.DefaultRegistry {
		return host
	}
	return "docker.io"
}

// LocalName reports whether the repository begins with localhost/, which is how podman names images that were never pushed.
func (r Reference) LocalName() bool { return r.repo.RegistryStr() == "localhost" }

// Name gives the normalised repository: lower-case host, "docker.io/library/nginx" for nginx. Equal repositories have equal names.
func (r Reference) Name() string { return r.Host() + "/" + r.repo.RepositoryStr() }

// WithDigest gives the reference that names d in the same repository, without a tag.
func (r Reference) WithDigest(d schema.Digest) Reference {
	out := Reference{Repository: r.Repository, Digest: d, repo: r.repo}
	out.Original = out.String()
	return out
}

// WithTag gives the reference that names tag in the same repository, without a digest. The tag must be valid.
func (r Reference) WithTag(tag string) Reference {
	out := Reference{Repository: r.Repository, Tag: tag, repo: r.repo}
	out.Original = out.String()
	return out
}
