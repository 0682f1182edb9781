package http

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// bearer is who asks: a token, or anybody on this machine.
type bearer struct {
	token store.Token
	open  bool
}

func (b bearer) String() string {
	if b.open {
		return "local"
	}
	return b.token.ID
}

func (b bearer) may(scope store.TokenScope) bool {
	if b.open {
		return scope != store.ScopeAdmin
	}
	return scope == "" || b.token.May(scope)
}

// project gives the only project that the bearer sees; "" for all.
func (b bearer) project() string { return b.token.Project }

// admit says who asks, and refuses those who may not.
func (s *Server) admit(r *http.Request, scope store.TokenScope) (bearer, error) {
	var by bearer
	if err := s.checkBrowser(r); err != nil {
		return by, err
	}
	secret, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !given {
		open := false
		if s.options.Open && r.Header.Get("Authorization") == "" {
			has, err := s.who.hasTokens(r.Context(), s.db)
			if err != nil {
				return by, err
			}
			open = !has
		}
		if !open {
			return by, denied(http.StatusUnauthorized, "this store asks for a token", "set RUNPIN_TOKEN, or RUNPIN_TOKEN_FILE to a file that holds one; `runpin serve token create` makes one")
		}
		by.open = true
	} else {
		token, ok, err := s.who.find(r.Context(), s.db, secret)
		if err != nil {
			return by, err
		}
		if !ok || !token.Good(s.options.Now()) {
			return by, denied(http.StatusUnauthorized, "the token is not known here, has expired or was revoked", "look at RUNPIN_TOKEN; `runpin serve token list`, where the store lies, shows which are good")
		}
		by.token = token
		if ok, after := s.tokens.take(token.ID); !ok {
			return by, tooMany(after)
		}
	}
	if !by.may(scope) {
		hint := "use a token of that scope: `runpin serve token create --scope " + string(scope) + "`"
		return by, denied(http.StatusForbidden, "this needs the scope "+string(scope), hint)
	}
	return by, nil
}

// denied is of kind Invalid: a setting of the caller (the token) is not right, trying again does not help, and it says nothing about a run.
func denied(status int, why, hint string) error {
	return &statusError{status: status, err: &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: "the store", Err: errors.New(why), Hint: hint}}
}

// checkBrowser refuses what a page in a browser asks on behalf of somebody else. A page whose name was rebound to this machine gives itself away by its Host;
// that matters where no token is asked for.
func (s *Server) checkBrowser(r *http.Request) error {
	refused := denied(http.StatusForbidden, "a page of another site asks", "use the address that `runpin serve` printed")
	if s.options.Open {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !IsLoopback(host) {
			return refused
		}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return refused
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return refused
	}
	return nil
}

// IsLoopback reports whether a host name or address, without a port, is this machine's own.
func IsLoopback(host string) bool {
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// place gives the address of a client. Of what came through proxies, only the last is known to be true.
func (s *Server) place(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if forwarded := r.Header.Values("X-Forwarded-For"); s.options.BehindProxy && len(forwarded) > 0 {
		all := strings.Split(forwarded[len(forwarded)-1], ",")
		if ip := net.ParseIP(strings.TrimSpace(all[len(all)-1])); ip != nil {
			return ip.String()
		}
	}
	return host
}

// tokenAge is how long what is known of a token is trusted: a token that is revoked is refused after this time at the latest.
const tokenAge = 2 * time.Second

// tokenCache spares the store a look for each request.
type tokenCache struct {
	mu    sync.Mutex
	known map[string]cachedToken // by the SHA-256 of the secret
	any   bool
	asked time.Time
}

type cachedToken struct {
	token store.Token
	at    time.Time
}

func (c *tokenCache) find(ctx context.Context, db *store.Store, secret string) (store.Token, bool, error) {
	key := string(schema.SHA256([]byte(secret)))
	c.mu.Lock()
	hit, ok := c.known[key]
	c.mu.Unlock()
	if ok && time.Since(hit.at) < tokenAge {
		return hit.token, true, nil
	}
	token, ok, err := db.FindToken(ctx, secret)
	if err != nil || !ok { // what is not known is not kept: anybody can make that up
		return token, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) > 10_000 {
		c.known = map[string]cachedToken{}
	}
	c.known[key] = cachedToken{token, time.Now()}
	return token, true, nil
}

func (c *tokenCache) hasTokens(ctx context.Context, db *store.Store) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) < tokenAge {
		return c.any, nil
	}
	has, err := db.HasTokens(ctx)
	if err == nil {
		c.any, c.asked = has, time.Now()
	}
	return has, err
}
