package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A hostPolicy decides which hosts may be spoken to over plain http. go-containerregistry decides that by the look of the name and
// so sends credentials in the clear to 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and *.localhost without being asked (registry.md §1).
// Here it is loopback and the hosts that the user listed, and nothing else.
type hostPolicy struct{ insecure map[string]bool }

func newHostPolicy(insecure []string) hostPolicy {
	p := hostPolicy{insecure: map[string]bool{}}
	for _, host := range insecure {
		p.insecure[strings.TrimSuffix(strings.ToLower(host), ":80")] = true
	}
	return p
}

func (p hostPolicy) allowsHTTP(host string) bool {
	return Loopback(host) || p.insecure[strings.TrimSuffix(strings.ToLower(host), ":80")]
}

// Loopback reports whether host[:port] is this machine: localhost or a loopback address. A name below .localhost is not, because
// resolvers need not honour RFC 6761.
func Loopback(host string) bool {
	bare := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		bare = h
	}
	bare = strings.Trim(bare, "[]")
	if strings.EqualFold(bare, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(bare)
	return err == nil && addr.Unmap().IsLoopback()
}

// plainHTTPError refuses to speak plain http.
type plainHTTPError struct{ host string }

func (e *plainHTTPError) Error() string {
	return fmt.Sprintf("plain http to %s is not allowed", e.host)
}

// redirectError refuses a redirect from another host to this machine.
type redirectError struct{ from, to string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("%s sends us on to %s, which is this machine: refused", e.from, e.to)
}

// check refuses a request that would leave what the policy allows.
func (p hostPolicy) check(req *http.Request) error {
	if first := firstRequest(req); first != req && Loopback(req.URL.Host) && !Loopback(first.URL.Host) {
		return &redirectError{from: first.URL.Host, to: req.URL.Host}
	}
	if req.URL.Scheme != "https" && !p.allowsHTTP(req.URL.Host) {
		return &plainHTTPError{host: req.URL.Host}
	}
	return nil
}

// firstRequest follows redirects back to the request that began them.
func firstRequest(req *http.Request) *http.Request {
	for range 20 {
		if req.Response == nil || req.Response.Request == nil {
			break
		}
		req = req.Response.Request
	}
	return req
}

// A host is what we know about one registry host in this process: how many requests are under way, until when it asked to be left
// alone, and what it answered to a ping.
type host struct {
	slots chan struct{}

	mu        sync.Mutex
	notBefore time.Time
	pings     map[string]*ping // by scheme
	plain     bool             // it answered a ping over plain http

	unanswered  int       // requests in a row that got no answer in time
	silentUntil time.Time // until when it is not asked because of that
}

// A ping is the answer to GET /v2/, which says how to authenticate. The library asks it once for each repository; the answer is the
// same for all of a registry, so one is enough. turn is held by whoever is asking.
type ping struct {
	turn   chan struct{}
	answer *savedAnswer // nil until there is one worth keeping

	failed    error   // the last failure over plain http,
	failedFor *budget // and of which call: within it, asking again is of no use
}

type hosts struct {
	perHost int
	mu      sync.Mutex
	all     map[string]*host
}

func (hs *hosts) get(name string) *host {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.all[name]
	if h == nil {
		h = &host{slots: make(chan struct{}, hs.perHost), pings: map[string]*ping{}}
		hs.all[name] = h
	}
	return h
}

// acquire takes one of the host's slots.
func (h *host) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *host) release() { <-h.slots }

// patience tells how long the host still wants to be left alone.
func (h *host) patience(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.notBefore.Sub(now)
}

func (h *host) leaveAlone(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.notBefore) {
		h.notBefore = until
	}
}

// A host that lets several requests in a row wait for nothing is left for a while: of a hundred questions each would wait as long.
const (
	maxUnanswered = 3
	silentTime    = time.Minute
)

// silentError is a host that is not asked because it did not answer before.
type silentError struct{ host string }

func (e *silentError) Error() string {
	return fmt.Sprintf("%s did not answer %d requests in a row, and is not asked for a while", e.host, maxUnanswered)
}
func (e *silentError) Timeout() bool { return true }

// heard notes whether a request was answered.
func (h *host) heard(answered bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if answered {
		h.unanswered, h.silentUntil = 0, time.Time{}
	} else if h.unanswered++; h.unanswered >= maxUnanswered {
		h.silentUntil = now.Add(silentTime)
	}
}

func (h *host) silent(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.silentUntil)
}

func (h *host) pingFor(scheme string) *ping {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pings[scheme]
	if p == nil {
		p = &ping{turn: make(chan struct{}, 1)}
		h.pings[scheme] = p
	}
	return p
}

func (h *host) speaksHTTP() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plain
}

func (h *host) setSpeaksHTTP() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plain = true
}
