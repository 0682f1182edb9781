package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// transportLayer is the one http.RoundTripper below the library. For each request it enforces the host policy, waits as the host asked,
// takes one of the host's slots, sends, bounds and proves the answer, and sends again where that may help.
type transportLayer struct {
	base    http.RoundTripper
	policy  hostPolicy
	hosts   *hosts
	maxWait time.Duration
	budget  time.Duration
	wait    func(context.Context, time.Duration) error
	now     func() time.Time
}

func newBase(headerTimeout time.Duration) http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // a digest is of the bytes as they are stored
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transportLayer) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.policy.check(req); err != nil {
		return nil, err
	}
	h := t.hosts.get(req.URL.Host)
	if req.Method == http.MethodGet && req.URL.Path == "/v2/" {
		return t.ping(h, req)
	}
	return t.send(h, req)
}

// ping answers from memory once the host has answered.
func (t *transportLayer) ping(h *host, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	p := h.pingFor(req.URL.Scheme)
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if p.answer != nil {
		return p.answer.response(req), nil
	}
	if req.URL.Scheme == "https" && t.policy.allowsHTTP(req.URL.Host) {
		if !h.speaksHTTP() && Loopback(req.URL.Host) {
			// The library tries https first. On this machine plain http is the rule and nobody listens in, so try that before.
			plain := req.Clone(ctx)
			plain.URL.Scheme = "http"
			if _, err := t.ping(h, plain); timedOut(err) {
				return nil, err
			}
		}
		if h.speaksHTTP() {
			return nil, errSpeaksHTTP
		}
	}
	b, _ := ctx.Value(budgetKey{}).(*budget)
	if b != nil && b == p.failedFor {
		return nil, p.failed
	}
	res, err := t.send(h, req)
	if err != nil {
		if req.URL.Scheme == "http" {
			err = &httpPingError{err}
			p.failed, p.failedFor = err, b
		}
		return nil, err
	}
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusUnauthorized {
		body, _ := io.ReadAll(res.Body) // in memory already
		p.answer = &savedAnswer{status: res.StatusCode, header: res.Header.Clone(), body: body}
		if req.URL.Scheme == "http" {
			h.setSpeaksHTTP()
		}
		return p.answer.response(req), nil
	}
	return res, nil
}

func timedOut(err error) bool {
	var busy *busyError
	var slow interface{ Timeout() bool }
	return errors.As(err, &busy) || errors.As(err, &slow) && slow.Timeout()
}

// httpPingError marks what went wrong over plain http. Where that is allowed the library tries https as well and joins both errors;
// this one is what matters.
type httpPingError struct{ error }

func (e *httpPingError) Unwrap() error { return e.error }

var errSpeaksHTTP = errors.New("the registry answered over plain http before")

type savedAnswer struct {
	status int
	header http.Header
	body   []byte
}

func (a *savedAnswer) response(req *http.Request) *http.Response {
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: req,
	}
}

// send sends the request until there is an answer to give back, or no more point in it.
func (t *transportLayer) send(h *host, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	b, _ := ctx.Value(budgetKey{}).(*budget)
	if b == nil {
		b = &budget{total: t.budget, deadline: time.Now().Add(t.budget)}
	}
	var waited time.Duration
	pause := func(d time.Duration) (bool, error) {
		if d <= 0 {
			return true, nil
		}
		if d > t.maxWait || !b.take(d) {
			return false, nil
		}
		waited += d
		return true, t.wait(ctx, d)
	}
	for try := 1; ; try++ {
		asked := h.patience(t.now())
		if ok, err := pause(asked); err != nil {
			return nil, err
		} else if !ok {
			busy := &busyError{host: req.URL.Host, status: http.StatusTooManyRequests, waited: waited, tooLong: asked > t.maxWait, overtime: asked <= t.maxWait}
			if busy.tooLong {
				busy.asked = asked
			}
			return nil, busy
		}
		if try > 1 && req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(ctx)
			req.Body = body
		}
		res, err := t.once(h, req)
		if errors.Is(err, errHeldBack) {
			try--
			continue
		}
		if ctx.Err() != nil {
			closeBody(res)
			return nil, context.Cause(ctx)
		}
		d, more := t.again(req, res, err, try)
		if err != nil && !more {
			return nil, err
		}
		if err == nil && d == 0 {
			return res, nil
		}
		busy := t.busy(req, res, try)
		if more {
			switch { // the other requests to this host are held back too
			case busy != nil && busy.asked > 0:
				h.leaveAlone(t.now().Add(busy.asked))
			case busy != nil && busy.status == http.StatusTooManyRequests:
				h.leaveAlone(t.now().Add(d))
			}
			ok, werr := pause(d)
			if werr != nil {
				closeBody(res)
				return nil, werr
			}
			if ok {
				closeBody(res)
				continue
			}
		}
		if busy == nil {
			return res, err // err is set: a broken connection, and no budget left
		}
		busy.waited, busy.tooLong, busy.overtime = waited, more && d > t.maxWait, more && d <= t.maxWait
		closeBody(res)
		return nil, busy
	}
}

func (t *transportLayer) busy(req *http.Request, res *http.Response, try int) *busyError {
	if res == nil {
		return nil
	}
	body, _ := io.ReadAll(res.Body) // in memory already
	asked, _ := retryAfter(res.Header, t.now())
	return &busyError{host: req.URL.Host, status: res.StatusCode, code: errorCode(body), tries: try, asked: asked}
}

func closeBody(res *http.Response) {
	if res != nil {
		res.Body.Close()
	}
}

// errHeldBack: the host asked to be left alone before the request had its turn.
var errHeldBack = errors.New("held back")

// once sends the request once. Answers that are errors, and documents that were asked for, are in memory when it returns.
func (t *transportLayer) once(h *host, req *http.Request) (*http.Response, error) {
	if err := h.acquire(req.Context()); err != nil {
		return nil, err
	}
	release := sync.OnceFunc(h.release)
	// Much can be found out while a request waits for its turn.
	if h.patience(t.now()) > 0 {
		release()
		return nil, errHeldBack
	}
	if h.silent(t.now()) {
		release()
		return nil, &silentError{req.URL.Host}
	}
	res, err := t.base.RoundTrip(req)
	if req.Context().Err() == nil && (err == nil || timedOut(err)) {
		h.heard(err == nil, t.now())
	}
	if err != nil {
		release()
		return nil, err
	}
	f := fetchOf(req)
	switch {
	case res.StatusCode >= 400 || req.URL.Path == "/v2/":
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxError))
		setBody(res, scrubAnswer(req, body))
	case f != nil && res.StatusCode == http.StatusOK:
		if err := f.receive(req, res); err != nil {
			res.Body.Close()
			release()
			return nil, err
		}
	case req.Method != http.MethodHead:
		res.Body = &slotBody{ReadCloser: res.Body, release: release}
		return res, nil
	}
	release()
	return res, nil
}

// slotBody keeps the host's slot until the answer has been read.
type slotBody struct {
	io.ReadCloser
	release func()
}

func (b *slotBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
