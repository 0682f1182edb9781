package code

import (
	"context"
	"errors"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// ResolveCommit gives the commit that a branch or a tag of a remote names now. It lists the remote's refs and fetches nothing. An error has kind
// Unpinnable when the remote or the revision is not there, Unavailable when the remote does not answer.
func (r *Resolver) ResolveCommit(ctx context.Context, url, revision string) (schema.ObjectID, error) {
	shown := "git+" + git.CleanURL(url) + "@" + revision
	ref, err := parseRemoteRef(url + "@" + revision)
	if err != nil {
		return "", &schema.Error{Op: "code.commit", Kind: schema.Unpinnable, Subject: quoted(shown), Err: err}
	}
	p := r.git()
	if p == nil {
		return "", unpinnable(shown, errors.New("a remote commit can be resolved with the git program only"), "install git")
	}
	bounded, cancel := context.WithTimeout(ctx, 5*r.opts.NetworkTime)
	defer cancel()
	refs, err := p.LsRemote(bounded, "", ref.url)
	if err != nil {
		if ctx.Err() != nil {
			return "", interrupted(ctx, err)
		}
		return "", r.remoteError("code.commit", shown, err)
	}
	commit, _, err := pickRevision(refs, ref.rev)
	if err != nil {
		return "", unpinnable(shown, err, "git ls-remote "+git.CleanURL(ref.url)+" lists what there is")
	}
	return commit, nil
}
