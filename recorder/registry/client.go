package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/runpin/runpin/schema"
)

// Options of a [Client]. The zero value of each is a sensible default.
type Options struct {
	Version            string            // of runpin, for the User-Agent
	CacheDir           string            // where immutable answers are kept; "" keeps none. The folder may be deleted at any time
	InsecureRegistries []string          // host[:port] that may be spoken to over plain http, beside loopback
	Budget             time.Duration     // how long one call may take, waiting for the registry included; 2 minutes
	MaxWait            time.Duration     // the longest single wait that a registry may ask for; 60 seconds
	HeaderTimeout      time.Duration     // from a request to the head of its answer; 30 seconds
	PerHost            int               // requests to one host at the same time; 8
	Keychain           authn.Keychain    // instead of environment, Docker, Podman, Google and GitHub
	Transport          http.RoundTripper // instead of the network, for tests

	// For tests that must not sleep. Now is used only together with Wait: a clock that stands still would never end a wait.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
}

// Client asks registries. It is safe for concurrent use; a process needs one. Making one costs nothing: the first call sets it up.
type Client struct {
	o     Options
	cache cache
	keys  *keychain
	pol   hostPolicy

	once   sync.Once
	puller *remote.Puller
	err    error
}

// New gives a client.
func New(o Options) *Client {
	if o.Budget <= 0 {
		o.Budget = 2 * time.Minute
	}
	if o.MaxWait <= 0 {
		o.MaxWait = time.Minute
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = 30 * time.Second
	}
	if o.PerHost <= 0 {
		o.PerHost = 8
	}
	if o.Now == nil || o.Wait == nil {
		o.Now, o.Wait = time.Now, sleep
	}
	return &Client{o: o, cache: cache{o.CacheDir}, keys: newKeychain(o.Keychain), pol: newHostPolicy(o.InsecureRegistries)}
}

// newTransport gives what the library sends its requests through.
func (c *Client) newTransport() http.RoundTripper {
	base := c.o.Transport
	if base == nil {
		base = newBase(c.o.HeaderTimeout)
	}
	return &transportLayer{
		base: base, policy: c.pol, hosts: &hosts{perHost: c.o.PerHost, all: map[string]*host{}},
		maxWait: c.o.MaxWait, budget: c.o.Budget, wait: c.o.Wait, now: c.o.Now,
	}
}

// Puller gives the process's one remote.Puller, for what this package does not offer (layers, referrers). Requests made through it
// obey the same host policy, patience and credentials; only documents asked for through the methods of Client are bounded in size.
func (c *Client) Puller() (*remote.Puller, error) {
	c.once.Do(func() {
		agent := "runpin"
		if c.o.Version != "" {
			agent += "/" + c.o.Version
		}
		c.puller, c.err = remote.NewPuller(
			remote.WithTransport(c.newTransport()),
			remote.WithAuthFromKeychain(c.keys),
			remote.WithUserAgent(agent),
			remote.WithJobs(c.o.PerHost),
			// Our transport retries: the library would not read Retry-After (registry.md §4.1).
			remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
			remote.WithRetryStatusCodes(),
			remote.WithRetryPredicate(func(error) bool { return false }),
		)
	})
	return c.puller, c.err
}

// Remote gives the library's form of the reference, digest before tag, which speaks plain http only where that is allowed.
func (c *Client) Remote(ref Reference) (name.Reference, error) {
	repo, err := c.repository(ref)
	if err != nil {
		return nil, err
	}
	if ref.Digest != "" {
		return repo.Digest(string(ref.Digest)), nil
	}
	return repo.Tag(ref.EffectiveTag()), nil
}

func (c *Client) repository(ref Reference) (name.Repository, error) {
	var opts []name.Option
	if c.pol.allowsHTTP(ref.repo.RegistryStr()) {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(ref.repo.Name(), opts...)
	if err != nil {
		return repo, &schema.Error{Op: "registry.parse", Kind: schema.Unpinnable, Subject: "image " + ref.String(), Err: errors.New("not an image reference")}
	}
	return repo, nil
}

// Descriptor is what a reference names: the digest and media type of a manifest. Bytes is its size.
type Descriptor struct {
	Digest    schema.Digest
	MediaType string // as the registry says; parameters cut off
	Bytes     int64
}

// Head asks what ref names now. It is never answered from the cache: a tag may have moved, a digest may have been deleted. One HEAD
// is sent, which rate limits do not count (registry.md §5.4); a GET follows when the answer lacks a header, or is an error, whose
// reason only a GET tells.
func (c *Client) Head(ctx context.Context, ref Reference) (Descriptor, error) {
	remoteRef, err := c.Remote(ref)
	if err != nil {
		return Descriptor{}, err
	}
	f := fetch{what: "manifest", path: "/manifests/" + remoteRef.Identifier(), limit: maxManifest, want: ref.Digest}
	return call(ctx, c, "head", ref, func(ctx context.Context, p *remote.Puller) (Descriptor, error) {
		ctx = withFetch(ctx, f)
		d, err := p.Head(ctx, remoteRef)
		if err == nil {
			return descriptor(*d)
		}
		if !worthGet(err) {
			return Descriptor{}, err
		}
		got, gerr := p.Get(ctx, remoteRef)
		if gerr != nil {
			return Descriptor{}, gerr
		}
		out, err := descriptor(got.Descriptor)
		if err == nil && !isSchema1(out.MediaType) {
			c.cache.put(out.Digest, got.Manifest)
		}
		return out, err
	})
}

// worthGet reports whether a GET may say more than the failed HEAD did: it will not when the network or the registry is down.
func worthGet(err error) bool {
	var (
		answer *transport.Error
		busy   *busyError
		creds  *credentialError
		net    interface{ Timeout() bool } // every *url.Error has it
	)
	if errors.As(err, &answer) {
		return true
	}
	return !errors.As(err, &busy) && !errors.As(err, &creds) && !errors.Is(err, ErrDigestMismatch) && !errors.As(err, &net)
}

func descriptor(d v1.Descriptor) (Descriptor, error) {
	digest, err := schema.ParseDigest(d.Digest.String())
	if err != nil {
		return Descriptor{}, fmt.Errorf("the registry answered a digest of a kind that is not supported: %s", scrubText(d.Digest.String()))
	}
	mediaType, _, _ := strings.Cut(string(d.MediaType), ";")
	return Descriptor{Digest: digest, MediaType: strings.TrimSpace(mediaType), Bytes: d.Size}, nil
}

// Manifest gives the bytes of the manifest d in the repository of ref, from the cache where it has them. They have that digest.
func (c *Client) Manifest(ctx context.Context, ref Reference, d schema.Digest) ([]byte, error) {
	if err := valid(ref, d); err != nil {
		return nil, err
	}
	if b, ok := c.cache.get(d, maxManifest); ok {
		return b, nil
	}
	ref = ref.WithDigest(d)
	remoteRef, err := c.Remote(ref)
	if err != nil {
		return nil, err
	}
	f := fetch{what: "manifest", path: "/manifests/" + string(d), limit: maxManifest, want: d}
	return call(ctx, c, "manifest", ref, func(ctx context.Context, p *remote.Puller) ([]byte, error) {
		got, err := p.Get(withFetch(ctx, f), remoteRef)
		if err != nil {
			return nil, err
		}
		c.cache.put(d, got.Manifest)
		return got.Manifest, nil
	})
}

// Config gives the bytes of the image configuration d in the repository of ref, from the cache where it has them. They have that digest.
func (c *Client) Config(ctx context.Context, ref Reference, d schema.Digest) ([]byte, error) {
	if err := valid(ref, d); err != nil {
		return nil, err
	}
	if b, ok := c.cache.get(d, maxConfig); ok {
		return b, nil
	}
	ref = ref.WithDigest(d)
	repo, err := c.repository(ref)
	if err != nil {
		return nil, err
	}
	f := fetch{what: "image configuration", path: "/blobs/" + string(d), limit: maxConfig, want: d}
	return call(ctx, c, "config", ref, func(ctx context.Context, p *remote.Puller) ([]byte, error) {
		layer, err := p.Layer(withFetch(ctx, f), repo.Digest(string(d)))
		if err != nil {
			return nil, err
		}
		r, err := layer.Compressed() // the blob as it is
		if err != nil {
			return nil, err
		}
		defer r.Close()
		b, err := io.ReadAll(io.LimitReader(r, maxConfig))
		if err != nil {
			return nil, err
		}
		if got := digestLikeOf(d, b); got != d {
			return nil, &mismatchError{f.what, d, got}
		}
		c.cache.put(d, b)
		return b, nil
	})
}

// HasBlob asks whether the repository of ref has the blob d. One HEAD is sent; a GET, whose body is not read, follows when the answer to that is an error: there are
// registries without HEAD for blobs, and storage behind a redirect whose signed URL is for GET alone.
func (c *Client) HasBlob(ctx context.Context, ref Reference, d schema.Digest) (bool, error) {
	if err := valid(ref, d); err != nil {
		return false, err
	}
	ref = ref.WithDigest(d)
	repo, err := c.repository(ref)
	if err != nil {
		return false, err
	}
	return call(ctx, c, "blob", ref, func(ctx context.Context, p *remote.Puller) (bool, error) {
		layer, err := p.Layer(ctx, repo.Digest(string(d)))
		if err != nil {
			return false, err
		}
		there, err := partial.Exists(layer)
		if err == nil || !worthGet(err) {
			return there, err
		}
		body, err := layer.Compressed()
		var answer *transport.Error
		if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		_ = body.Close()
		return true, nil
	})
}

// valid refuses what is no digest: without one a reference would name a tag.
func valid(ref Reference, d schema.Digest) error {
	if d.Valid() {
		return nil
	}
	return &schema.Error{Op: "registry.digest", Kind: schema.Unpinnable, Subject: "image " + ref.String(), Err: errors.New("a manifest of it names something without a valid digest")}
}

// call runs f within the budget. It returns as soon as ctx ends, even where the library waits for another call's ping; and it asks
// again when what failed was another call, on whose ping this one waited, being cancelled.
func call[T any](ctx context.Context, c *Client, op string, ref Reference, f func(context.Context, *remote.Puller) (T, error)) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	var zero T
	puller, err := c.Puller()
	if err != nil {
		return zero, &schema.Error{Op: "registry." + op, Kind: schema.Internal, Subject: "image " + ref.String(), Err: err}
	}
	ctx, cancel := c.Bounded(ctx)
	defer cancel()
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		for range 3 {
			o.v, o.err = f(ctx, puller)
			foreign := errors.Is(o.err, context.Canceled) || errors.Is(o.err, errSlow)
			if o.err == nil || !foreign || ctx.Err() != nil {
				break
			}
		}
		done <- o
	}()
	select {
	case o := <-done:
		return o.v, c.classify(ctx, op, ref, o.err)
	case <-ctx.Done():
		return zero, c.classify(ctx, op, ref, context.Cause(ctx))
	}
}
