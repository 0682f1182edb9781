package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
)

// ClientOptions of [Open]. The zero value asks without a token.
type ClientOptions struct {
	_        struct{}
	Token    string
	CAFile   string        // certificates to trust instead of the system's
	Insecure bool          // http:// also to other machines
	Budget   time.Duration // how long a request is tried; 15 s
	Version  string        // of this program
	// Transport is for tests; nil for a good one.
	Transport http.RoundTripper
}

// Client is a store behind a [Server]. It is safe for concurrent use.
type Client struct {
	base    string
	http    *http.Client
	options ClientOptions
	page    int // runs in one answer

	mu   sync.Mutex
	down time.Time                      // when the server last did not answer within the budget
	runs map[schema.Digest]schema.RunID // a run that refers to a digest, of those that were read
}

// ParseURL checks the address of a store and gives it in one form. What looks like a password in it is refused: addresses are shown, logged and handed on.
func ParseURL(location string, insecure bool) (string, error) {
	u, err := url.Parse(location)
	bad := func(why, hint string) (string, error) {
		return "", &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: "the address of the store", Err: errors.New(why), Hint: hint}
	}
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return bad("it is malformed", "write it like https://runpin.example.org")
	case u.User != nil:
		return bad("it holds a user name or password", "put the token into RUNPIN_TOKEN, or into a file that RUNPIN_TOKEN_FILE names")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("it holds a query", "leave out what follows ? or #; a token belongs into RUNPIN_TOKEN")
	case u.Scheme == "http" && !insecure && !IsLoopback(u.Hostname()):
		return bad("what is sent over http:// can be read and changed on its way, the token included", "use https://, or set RUNPIN_INSECURE_STORE=1 where the network is trusted")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad(fmt.Sprintf("there is no store over %q", schema.Shorten(u.Scheme, 20)), "write it like https://runpin.example.org")
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

// Open makes a client for the store at an address. Nothing is asked yet.
func Open(location string, options ClientOptions) (*Client, error) {
	base, err := ParseURL(location, options.Insecure)
	if err != nil {
		return nil, err
	}
	if options.Budget <= 0 {
		options.Budget = 15 * time.Second
	}
	transport := options.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64
		t.ResponseHeaderTimeout = 2 * time.Minute
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if options.CAFile != "" {
			pem, err := os.ReadFile(options.CAFile)
			pool := x509.NewCertPool()
			if err == nil && !pool.AppendCertsFromPEM(pem) {
				err = errors.New("it holds no certificate")
			}
			if err != nil {
				return nil, &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: "RUNPIN_CA_FILE", Err: err, Hint: "name a file of PEM certificates"}
			}
			t.TLSClientConfig.RootCAs = pool
		}
		transport = t
	}
	// A redirect could carry the token elsewhere, and a store does not move by itself.
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, options: options, page: maxPage, runs: map[schema.Digest]schema.RunID{}, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// Close gives the connections back.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// request is what is asked, as often as needed.
type request struct {
	method, path string
	body         []byte
	header       map[string]string
	once         bool // not tried again
}

// firstPause is before a second try.
const firstPause = 50 * time.Millisecond

func nextPause(pause time.Duration) time.Duration { return min(2*pause, 2*time.Second) }

// do asks until there is an answer, within the budget. The answer's body is the caller's to close.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	deadline := time.Now().Add(c.options.Budget)
	c.mu.Lock()
	once := q.once || time.Since(c.down) < c.options.Budget // it was waited for just now
	c.mu.Unlock()
	for pause := firstPause; ; pause = nextPause(pause) {
		resp, retry, err := c.ask(ctx, q)
		if err == nil {
			return resp, nil
		}
		wait := max(pause, min(retry, 10*time.Second))
		if ctx.Err() != nil {
			return nil, &schema.Error{Op: "store.http", Kind: schema.Interrupted, Subject: c.base, Err: ctx.Err(), Hint: "do it again: saving twice is saving once"}
		}
		if schema.KindOf(err) != schema.Unavailable || retry < 0 || once || time.Now().Add(wait).After(deadline) {
			if schema.KindOf(err) == schema.Unavailable && !q.once {
				c.mu.Lock()
				c.down = time.Now()
				c.mu.Unlock()
			}
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// ask asks once. retry is how long the server wants to be left alone; negative where asking again is of no use.
func (c *Client) ask(ctx context.Context, q request) (resp *http.Response, retry time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, -1, invalid(c.base, "", err)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	r.Header.Set("User-Agent", "runpin/"+c.options.Version)
	if c.options.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	resp, err = c.http.Do(r)
	if err != nil {
		return nil, 0, c.unreachable(err)
	}
	if resp.Header.Get(protocolHeader) != protocolVersion {
		defer resp.Body.Close()
		retry = -1
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests { // a proxy, while the server is away
			retry = retryAfter(resp)
		}
		return nil, retry, &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: c.base, Err: fmt.Errorf("what answers there (%s) is not a store of runpin", schema.Shorten(resp.Status, 60)),
			Hint: "is it the address that `runpin serve` printed, and is the server running?"}
	}
	if resp.StatusCode < 300 || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return resp, 0, nil
	}
	defer resp.Body.Close()
	return nil, retryAfter(resp), c.readError(resp)
}

func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the method and the address
	}
	return &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: c.base, Err: err, Hint: "is the server running, and is it reached from here?"}
}

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds), 3600) * time.Second
}

// readError gives the error that the server had.
func (c *Client) readError(resp *http.Response) error {
	var body wireError
	err := json.NewDecoder(io.LimitReader(resp.Body, maxErrorBytes)).Decode(&body)
	e := body.Error
	if _, known := statuses[e.Kind]; err != nil || !known {
		e.Kind = schema.Unavailable
		for kind, status := range statuses {
			if status == resp.StatusCode && resp.StatusCode < 500 && resp.StatusCode != http.StatusUnprocessableEntity {
				e.Kind = kind
			}
		}
		e.Subject, e.Message, e.Hint = c.base, "the server answers "+schema.Shorten(resp.Status, 60), "look at the server's log"
	}
	cause := errors.New(e.Message)
	switch resp.StatusCode {
	case http.StatusForbidden:
		cause = deniedError(e.Message)
	case http.StatusUnauthorized:
		cause = unknownTokenError(e.Message)
	}
	return &schema.Error{Op: e.Op, Kind: e.Kind, Subject: e.Subject, Hint: e.Hint, Err: cause}
}

// ErrDenied is the cause where the server knows the token, and it may not do this: one that may append reads nothing.
var ErrDenied = errors.New("denied")

type deniedError string

func (e deniedError) Error() string        { return string(e) }
func (e deniedError) Is(target error) bool { return target == ErrDenied }

// Denied tells who asks about the rights and not about what was sent (store/spool).
func (e deniedError) Denied() bool { return true }

type unknownTokenError string

func (e unknownTokenError) Error() string { return string(e) }

// Denied is as for deniedError.
func (e unknownTokenError) Denied() bool { return true }

// json asks and reads an answer; a truncated one is asked for again.
func (c *Client) json(ctx context.Context, q request, question, answer any) error {
	if question != nil {
		var err error
		if q.body, err = json.Marshal(question); err != nil {
			return err
		}
		q.header = map[string]string{"Content-Type": jsonType}
	}
	body, err := c.whole(ctx, q)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: c.base, Err: fmt.Errorf("the answer makes no sense: %w", err), Hint: "client and server may be of different versions"}
	}
	return nil
}

// whole gives an answer that has arrived whole.
func (c *Client) whole(ctx context.Context, q request) ([]byte, error) {
	for try := 1; ; try++ {
		resp, err := c.do(ctx, q)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
		resp.Body.Close()
		if err == nil {
			return body, nil
		}
		if ctx.Err() != nil {
			return nil, &schema.Error{Op: "store.http", Kind: schema.Interrupted, Subject: c.base, Err: ctx.Err()}
		}
		if try == 3 || q.once {
			return nil, c.unreachable(err)
		}
	}
}
