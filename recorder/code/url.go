package code

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// remoteRef is git+URL[@REV][#SUBDIR], taken apart. Rev is "HEAD" unless given.
type remoteRef struct{ url, rev, subdir string }

// parseRemoteRef takes what stands after "git+". REV begins after the last @ of the path; a / after it belongs to REV when the @ is not
// the host's.
func parseRemoteRef(rest string) (remoteRef, error) {
	ref := remoteRef{url: rest, rev: "HEAD"}
	if head, sub, ok := strings.Cut(rest, "#"); ok {
		ref.url, ref.subdir = head, strings.Trim(strings.TrimPrefix(sub, "subdirectory="), "/")
	}
	from := 0
	if i := strings.Index(ref.url, "://"); i >= 0 {
		slash := strings.IndexByte(ref.url[i+3:], '/')
		if slash < 0 {
			return ref, fmt.Errorf("the URL has no path")
		}
		from = i + 3 + slash
	} else if i := strings.IndexByte(ref.url, ':'); i >= 0 {
		from = i
	}
	if at := strings.LastIndexByte(ref.url[from:], '@'); at >= 0 {
		ref.url, ref.rev = ref.url[:from+at], ref.url[from+at+1:]
	}
	if ref.rev == "" || strings.HasPrefix(ref.rev, "-") || strings.ContainsAny(ref.rev, " \t\n:?*[\\^~\x00") || strings.Contains(ref.rev, "..") {
		return ref, fmt.Errorf("%q is not a revision", ref.rev)
	}
	if ref.subdir != "" {
		if err := git.CheckPath(ref.subdir); err != nil {
			return ref, err
		}
	}
	return ref, git.CheckURL(ref.url)
}

// resolveURL pins a commit of a remote that nobody has checked out here: what a job will clone. Its use is claimed.
func (r *Resolver) resolveURL(ctx context.Context, req recorder.CodeRequest, rest string) (schema.CodePin, error) {
	shown := "git+" + git.CleanURL(rest)
	ref, err := parseRemoteRef(rest)
	if err != nil {
		return schema.CodePin{}, &schema.Error{Op: "code.resolve", Kind: schema.Invalid, Subject: quoted(shown), Err: err, Hint: "write it as git+https://host/owner/repo@REV"}
	}
	p := r.git()
	if p == nil {
		return schema.CodePin{}, unpinnable(shown, errors.New("a remote commit can be resolved with the git program only"), "install git")
	}
	version, err := p.Version(ctx)
	if err != nil {
		return schema.CodePin{}, unpinnable(shown, err, "install a newer git")
	}
	if !strings.Contains(ref.url, "://") && git.RemoteURL(ref.url, "/") != ref.url {
		ref.url = git.RemoteURL(ref.url, req.WorkDir)
	}
	judge := "git " + version
	pin := schema.CodePin{Name: req.Name, Kind: schema.CodeGit, Ref: schema.Text(shown), Remote: git.CleanURL(ref.url), Detached: true, Judge: judge, Use: schema.Claimed,
		Origin: schema.Origin{Kind: schema.FromGit, By: judge, At: r.now()}}
	bounded, cancel := context.WithTimeout(ctx, 5*r.opts.NetworkTime)
	defer cancel()
	fail := func(err error) (schema.CodePin, error) {
		if ctx.Err() != nil {
			return pin, interrupted(ctx, err)
		}
		return pin, r.remoteError("code.resolve", shown, err)
	}
	refs, err := p.LsRemote(bounded, req.WorkDir, ref.url)
	if err != nil {
		return fail(err)
	}
	commit, name, err := pickRevision(refs, ref.rev)
	if err != nil {
		return pin, unpinnable(shown, err, "git ls-remote "+git.CleanURL(ref.url)+" lists what there is")
	}
	s, err := p.NewStore(git.IDSize(commit), nil)
	if err != nil {
		return pin, err
	}
	defer s.Close()
	if err := s.FetchCommit(bounded, ref.url, commit, ""); err != nil {
		return fail(err)
	}
	objects, err := s.Objects(ctx)
	if err != nil {
		return pin, err
	}
	defer objects.Close()
	tree, _, err := git.CommitTree(objects, commit)
	if err != nil {
		return pin, unpinnable(shown, err, "")
	}
	pin.Commit, pin.CommitTree, pin.Tree = commit, tree, tree
	if strings.HasPrefix(name, "refs/") {
		pin.RefName, pin.Detached = schema.Text(name), false
	}
	pin.OnRemote = &schema.OnRemote{State: "yes", Basis: "ls-remote", Ref: schema.Text(name), At: r.now()}
	if ref.subdir != "" {
		if e, ok, err := git.LookupTree(objects, tree, ref.subdir); err != nil || !ok || e.Mode != git.ModeTree {
			return pin, unpinnable(shown, fmt.Errorf("commit %s has no directory %q", commit.Short(), ref.subdir), "")
		}
	}
	return pin, r.surveyRemoteTree(ctx, s, objects, &pin)
}

// surveyRemoteTree lists what the tree only points at: LFS objects and submodules.
func (r *Resolver) surveyRemoteTree(ctx context.Context, s *git.Scratch, objects git.ObjectReader, pin *schema.CodePin) error {
	entries, err := git.FlattenTree(objects, pin.Tree, maxPaths)
	if err != nil {
		return unpinnable(string(pin.Ref), err, "")
	}
	lfs := false
	for _, e := range entries {
		if e.Mode == git.ModeSubmodule {
			pin.Reasons = append(pin.Reasons, schema.Reason{Code: "submodule-uninitialised", Subject: schema.Text(e.Name), Text: "its commit is fixed by the tree; its content was not looked at"})
		}
		if filepath.Base(e.Name) == ".gitattributes" {
			if _, content, err := objects.ReadObject(e.ID); err == nil && strings.Contains(string(content), "filter=lfs") {
				lfs = true
			}
		}
	}
	if !lfs {
		return nil
	}
	ids := make([]schema.ObjectID, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	sizes, err := s.Sizes(ctx, ids)
	if err != nil {
		return unpinnable(string(pin.Ref), err, "")
	}
	for i, e := range entries {
		if e.Mode != git.ModeFile && e.Mode != git.ModeExec || sizes[i] >= maxPointer {
			continue
		}
		_, content, err := objects.ReadObject(e.ID)
		if err != nil {
			return unpinnable(string(pin.Ref), err, "")
		}
		if oid, size, ok := parsePointer(content); ok {
			pin.LFS = append(pin.LFS, schema.LFSObject{Path: schema.Text(e.Name), OID: oid, Bytes: size})
		}
	}
	return nil
}

// pickRevision finds a revision among advertised refs: a full id, a full ref name, a branch or a tag. A name that is both a branch and a
// tag is refused unless both are one commit.
func pickRevision(refs []git.NamedRef, rev string) (schema.ObjectID, string, error) {
	if id, err := schema.ParseObjectID(strings.ToLower(rev)); err == nil {
		for _, ref := range refs {
			if ref.ID == id {
				return id, ref.Name, nil
			}
		}
		return id, "", nil
	}
	byName := map[string]schema.ObjectID{}
	for _, ref := range refs {
		byName[ref.Name] = ref.ID
	}
	if id, ok := byName[rev]; ok {
		return id, rev, nil
	}
	branch, isBranch := byName["refs/heads/"+rev]
	tag, isTag := byName["refs/tags/"+rev]
	switch {
	case isBranch && isTag && branch != tag:
		return "", "", fmt.Errorf("%q is a branch and a tag on different commits; write refs/heads/%s or refs/tags/%s", rev, rev, rev)
	case isTag:
		return tag, "refs/tags/" + rev, nil
	case isBranch:
		return branch, "refs/heads/" + rev, nil
	}
	if len(rev) >= 4 && len(rev) < 40 && strings.Trim(rev, "0123456789abcdef") == "" {
		return "", "", fmt.Errorf("%q is neither a branch nor a tag; a commit must be given with all its digits", rev)
	}
	return "", "", fmt.Errorf("the remote has no branch or tag %q", rev)
}

// remoteError tells a remote that is not there from one that does not answer.
func (r *Resolver) remoteError(op, subject string, err error) error {
	e := &schema.Error{Op: op, Kind: schema.Unavailable, Subject: quoted(subject), Err: err, Hint: "try again; git ls-remote shows whether the remote can be reached"}
	if isAbsent(err) || isDenied(err) {
		e.Kind, e.Hint = schema.Unpinnable, "is the URL right, and may you read it? try: git ls-remote URL"
	}
	return e
}

// quotedByGit are the addresses and names that git quotes in what it says.
var quotedByGit = regexp.MustCompile(`'[^']*'`)

// isAbsent reports whether a remote answered that the repository or the commit is not there.
func isAbsent(err error) bool {
	return errors.Is(err, git.ErrMissing) || gitSaid(err, "does not appear to be a git repository", "not found", "does not exist", "no such file or directory", "not our ref", "couldn't find remote ref")
}

// isDenied reports whether a remote answered that it is not for us: whether it has the commit is not known then.
func isDenied(err error) bool {
	return gitSaid(err, "authentication failed", "permission denied", "could not read username", "terminal prompts disabled", "returned error: 403", "returned error: 401")
}

// gitSaid looks for one of the texts in what git says.
func gitSaid(err error, texts ...string) bool {
	var call *git.CallError
	if !errors.As(err, &call) {
		return false
	}
	said := strings.ToLower(quotedByGit.ReplaceAllString(call.Text, "''")) // a port or a path says nothing
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(said, text) })
}
