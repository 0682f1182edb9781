package code

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// asked is what a Resolver has been told while it checks code. Thousands of runs share a few commits and remotes: each is asked about once, however many want to
// know at the same time, and with Options.Remember once for all.
type asked struct {
	refs    memo[advertised]
	commits memo[found]
	blobs   memo[error]
	trees   treeCache

	mu     sync.Mutex
	hosts  map[string]chan struct{}
	failed map[string]int // by URL: questions in a row that a remote did not answer
}

// maxFailed is how many questions a remote may leave without an answer before the others about it are not asked: each would wait as long, and a server that limits
// its clients is not helped by more of them.
const maxFailed = 3

// answered notes whether a remote gave an answer, and silent tells whether it has given none for too long.
func (a *asked) answered(url string, yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = map[string]int{}
	}
	if a.failed[url]++; yes {
		delete(a.failed, url)
	}
}

func (a *asked) silent(url string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[url] >= maxFailed
}

// advertised is what a remote answers to git ls-remote.
type advertised struct {
	ids map[schema.ObjectID]bool
	err error
}

// memo asks each question once.
type memo[V any] struct {
	mu      sync.Mutex
	answers map[string]*answer[V]
}

type answer[V any] struct {
	done  chan struct{}
	value V
	whole bool // nobody gave up while it was being found out
}

// get gives the answer to the question key. With remember it is kept; without, only those who ask at the same time share it. When ctx ends it gives the zero
// value: the caller looks at ctx.
func (m *memo[V]) get(ctx context.Context, remember bool, key string, ask func() V) (zero V) {
	for ctx.Err() == nil {
		m.mu.Lock()
		a := m.answers[key]
		if a == nil {
			if m.answers == nil {
				m.answers = map[string]*answer[V]{}
			}
			a = &answer[V]{done: make(chan struct{})}
			m.answers[key] = a
			m.mu.Unlock()
			a.value = ask()
			a.whole = ctx.Err() == nil
			m.mu.Lock()
			if !remember || !a.whole {
				delete(m.answers, key)
			}
			m.mu.Unlock()
			close(a.done)
			return a.value
		}
		m.mu.Unlock()
		select {
		case <-a.done:
			if a.whole {
				return a.value
			}
		case <-ctx.Done():
		}
	}
	return zero
}

// perHost is how many processes talk to one git server at the same time; servers begin to refuse connections beyond some ten.
const perHost = 4

// atHost runs f when the server of the URL is not busy with others of us.
func (a *asked) atHost(ctx context.Context, remote string, f func() error) error {
	host := hostOf(remote)
	a.mu.Lock()
	slots := a.hosts[host]
	if slots == nil {
		if a.hosts == nil {
			a.hosts = map[string]chan struct{}{}
		}
		slots = make(chan struct{}, perHost)
		a.hosts[host] = slots
	}
	a.mu.Unlock()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hostOf gives the server of a remote, "" for a path.
func hostOf(remote string) string {
	if strings.Contains(remote, "://") {
		if u, err := url.Parse(remote); err == nil {
			return strings.ToLower(u.Host)
		}
		return ""
	}
	host, _, scpLike := strings.Cut(remote, ":")
	if !scpLike || strings.ContainsAny(host, "/\\") {
		return ""
	}
	return strings.ToLower(host[strings.LastIndexByte(host, '@')+1:])
}

// maxTrees bounds, in bytes, the trees and commits that are kept in memory.
const maxTrees = 96 << 20

// treeCache keeps trees and commits by their ids, which are proved, so that it does not matter who gave them.
type treeCache struct {
	mu      sync.Mutex
	objects map[schema.ObjectID]treeObject
	bytes   int
}

type treeObject struct {
	kind    string
	content []byte
}

func (c *treeCache) get(id schema.ObjectID) (treeObject, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[id]
	return o, ok
}

// put keeps an object; what does not fit makes room by dropping everything.
func (c *treeCache) put(id schema.ObjectID, o treeObject) {
	if o.kind != "tree" && o.kind != "commit" || len(o.content) > maxTrees/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, had := c.objects[id]; had {
		return
	}
	if c.objects == nil || c.bytes+len(o.content) > maxTrees {
		c.objects, c.bytes = map[schema.ObjectID]treeObject{}, 0
	}
	c.objects[id] = o
	c.bytes += len(o.content) + 200
}

// treeReader reads trees and commits from memory, and those that are not there from objects. open is called when the first of them is needed, and may be nil.
type treeReader struct {
	cache *treeCache
	open  func() (*git.Scratch, error)
	ctx   context.Context
	store *git.Scratch
	batch *git.Batch
}

// ReadObject implements [git.ObjectReader].
func (t *treeReader) ReadObject(id schema.ObjectID) (string, []byte, error) {
	if o, ok := t.cache.get(id); ok {
		return o.kind, o.content, nil
	}
	if t.open == nil {
		return "", nil, fmt.Errorf("%s: %w", id, git.ErrMissing)
	}
	if t.batch == nil {
		store, err := t.open()
		if err != nil {
			return "", nil, err
		}
		t.store = store
		if t.batch, err = store.Objects(t.ctx); err != nil {
			return "", nil, err
		}
	}
	kind, content, err := t.batch.ReadObject(id)
	if err == nil && git.HashObject(kind, content, git.IDSize(id)) != id {
		err = fmt.Errorf("the object %s is damaged", id)
	}
	if err == nil {
		t.cache.put(id, treeObject{kind, content})
	}
	return kind, content, err
}

func (t *treeReader) close() {
	if t.batch != nil {
		_ = t.batch.Close()
	}
	if t.store != nil {
		_ = t.store.Close()
	}
}

// keepTrees reads a commit and all its trees into memory, from a store that is about to be removed. What is missing there stays missing.
func (c *treeCache) keepTrees(ctx context.Context, store *git.Scratch, commit schema.ObjectID) {
	r := &treeReader{cache: c, ctx: ctx}
	var err error
	if r.batch, err = store.Objects(ctx); err != nil {
		return
	}
	defer r.close()
	r.open = func() (*git.Scratch, error) { return store, nil }
	tree, _, err := git.CommitTree(r, commit)
	if err != nil {
		return
	}
	_, _ = git.FlattenTree(r, tree, maxPaths)
}
