package code

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// remotes are the remotes that a repository is configured with. urls may hold credentials and never leave this package; clean may be
// recorded.
type remotes struct {
	urls     map[string]string
	clean    map[string]string
	upstream string // the remote that the branch follows
}

func readRemotes(repo *git.Repo, head git.Head) remotes {
	rm := remotes{urls: map[string]string{}}
	for _, name := range repo.Config.Subsections("remote", "url") {
		if raw, _ := repo.Config.Get("remote." + name + ".url"); raw != "" && raw != "\x00" {
			rm.urls[name] = git.RemoteURL(raw, repo.Root)
		}
	}
	if len(rm.urls) > 0 {
		rm.clean = map[string]string{}
		for name, raw := range rm.urls {
			rm.clean[git.Redact(name)] = git.CleanURL(raw)
		}
	}
	if branch, ok := strings.CutPrefix(head.Name, "refs/heads/"); ok {
		if name, _ := repo.Config.Get("branch." + branch + ".remote"); rm.urls[name] != "" {
			rm.upstream = name
		}
	}
	return rm
}

// chosen names the remote that the code is fetched from: the one known to have the commit, else the one the branch follows, else origin,
// else the only one.
func (rm remotes) chosen(on *schema.OnRemote) string {
	switch {
	case on != nil && on.Remote != "" && rm.urls[on.Remote] != "":
		return on.Remote
	case rm.upstream != "":
		return rm.upstream
	case rm.urls["origin"] != "":
		return "origin"
	case len(rm.urls) == 1:
		for name := range rm.urls {
			return name
		}
	}
	return ""
}

func (rm remotes) chosenURL(on *schema.OnRemote) string { return rm.clean[git.Redact(rm.chosen(on))] }

// order sorts remotes by how much we prefer to name them.
func (rm remotes) order(name string) int {
	switch name {
	case rm.upstream:
		return 0
	case "origin":
		return 1
	}
	return 2
}

// of gives the remote that a remote-tracking ref belongs to: the longest name that fits, as names may hold slashes.
func (rm remotes) of(ref string) string {
	best := ""
	for name := range rm.urls {
		if strings.HasPrefix(ref, "refs/remotes/"+name+"/") && len(name) > len(best) {
			best = name
		}
	}
	return best
}

// onRemote answers whether the commit is on a remote: from the remote-tracking refs, or by asking when the request says so. tips are the
// commits that the remotes are known to have.
func (s *session) onRemote(ctx context.Context, j judge, repo *git.Repo, st *state) (*schema.OnRemote, []schema.ObjectID, error) {
	refs, err := repo.Refs("refs/remotes/")
	if err != nil {
		return nil, nil, unpinnable(repo.Root, err, "")
	}
	var tracking []git.NamedRef
	for _, ref := range refs {
		if st.remotes.of(ref.Name) != "" {
			tracking = append(tracking, ref)
		}
	}
	sort.SliceStable(tracking, func(a, b int) bool {
		return st.remotes.order(st.remotes.of(tracking[a].Name)) < st.remotes.order(st.remotes.of(tracking[b].Name))
	})
	var tips []schema.ObjectID
	for _, ref := range tracking {
		tips = append(tips, ref.ID)
	}
	if s.req.AskRemote && len(st.remotes.urls) > 0 {
		if on, asked, ok := s.askRemote(ctx, repo, st, tips); ok {
			return on, asked, nil
		}
	}
	on := &schema.OnRemote{State: "no", Basis: "remote-tracking"}
	if len(st.remotes.urls) > 0 && len(tracking) == 0 {
		on.State = "unknown" // nothing was ever fetched
		return on, nil, nil
	}
	if len(tracking) > 0 {
		on.At = fetchedAt(repo)
	}
	found := func(id schema.ObjectID) *schema.OnRemote {
		on.State = "yes"
		for _, ref := range tracking {
			if ref.ID == id {
				on.Remote, on.Ref = st.remotes.of(ref.Name), schema.Text(ref.Name)
				break
			}
		}
		return on
	}
	for _, id := range tips {
		if id == st.head.Commit {
			return found(id), tips, nil
		}
	}
	in, err := j.reachable(ctx, st.head.Commit, tips)
	if err != nil {
		return nil, nil, unpinnable(repo.Root, err, "")
	}
	if len(in) > 0 {
		return found(in[0]), tips, nil
	}
	return on, tips, nil
}

// fetchedAt gives the time of the last fetch, as far as the repository tells.
func fetchedAt(repo *git.Repo) schema.Time {
	var at schema.Time
	for _, path := range []string{filepath.Join(repo.Dir, "FETCH_HEAD"), filepath.Join(repo.Common, "FETCH_HEAD"), filepath.Join(repo.Common, "refs", "remotes", "origin", "HEAD")} {
		if info, err := os.Stat(path); err == nil {
			if t := schema.At(info.ModTime()); at.IsZero() || t.Time().After(at.Time()) {
				at = t
			}
		}
	}
	return at
}

// askRemote asks the chosen remote what it has. ok is false when the answer must come from the remote-tracking refs after all.
func (s *session) askRemote(ctx context.Context, repo *git.Repo, st *state, known []schema.ObjectID) (*schema.OnRemote, []schema.ObjectID, bool) {
	name := st.remotes.chosen(nil)
	if name == "" {
		return nil, nil, false
	}
	on := &schema.OnRemote{State: "unknown", Basis: "ls-remote", Remote: name, At: s.r.now()}
	p := s.r.git()
	if p == nil {
		refs, err := listWithLibrary(ctx, st.remotes.urls[name])
		if err != nil {
			s.reason("remote-unasked", schema.Text(name), git.Redact(err.Error()))
			return on, known, true
		}
		on.State = "no"
		for _, ref := range refs {
			if ref.ID == st.head.Commit {
				on.State, on.Ref = "yes", schema.Text(ref.Name)
			}
		}
		if on.State == "no" && len(refs) > 0 {
			on.State = "unknown" // it may lie further back; go-git is not asked to fetch
		}
		return on, known, true
	}
	ctx, cancel := context.WithTimeout(ctx, s.r.opts.NetworkTime)
	defer cancel()
	refs, err := p.LsRemote(ctx, repo.Root, st.remotes.urls[name])
	if err != nil {
		s.reason("remote-unasked", schema.Text(name), git.Redact(err.Error()))
		return on, known, true
	}
	tips := make([]schema.ObjectID, 0, len(refs))
	for _, ref := range refs {
		tips = append(tips, ref.ID)
		if ref.ID == st.head.Commit && on.State != "yes" {
			on.State, on.Ref = "yes", schema.Text(ref.Name)
		}
	}
	if on.State == "yes" {
		return on, tips, true
	}
	scratch, err := p.NewStore(repo.HashSize(), repo.ObjectDirs())
	if err != nil {
		return on, known, true
	}
	defer scratch.Close()
	// What the remote has that we lack is fetched into the scratch directory, commits alone where it can send them so.
	if err := scratch.FetchAll(ctx, st.remotes.urls[name], st.head.Commit); err != nil {
		s.reason("remote-unasked", schema.Text(name), git.Redact(err.Error()))
		return on, known, true
	}
	in, err := scratch.Containing(ctx, st.head.Commit, tips)
	if err != nil {
		return on, known, true
	}
	on.State = "no"
	if len(in) > 0 {
		on.State = "yes"
		for _, ref := range refs {
			if ref.ID == in[0] {
				on.Ref = schema.Text(ref.Name)
			}
		}
	}
	return on, tips, true
}
