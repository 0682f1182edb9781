package imagetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
)

// Do answers a request in place of the registry; next is the registry.
type Do func(w http.ResponseWriter, req *http.Request, next http.Handler)

// Fault makes the requests that match it go wrong. Of several the one injected last decides.
type Fault struct {
	Method string // "" for any
	Path   string // a part of the path, "/manifests/" say; "" for any
	After  int    // the first of them that are still served properly
	Times  int    // how many go wrong then; 0 for all
	Do     Do
}

type fault struct {
	Fault
	seen atomic.Int64
}

func (f *fault) matches(req *http.Request) bool {
	if f.Method != "" && f.Method != req.Method || !strings.Contains(req.URL.Path, f.Path) {
		return false
	}
	n := int(f.seen.Add(1))
	return n > f.After && (f.Times == 0 || n <= f.After+f.Times)
}

// Inject adds a fault and gives a function that takes it away.
func (r *Registry) Inject(f Fault) (remove func()) {
	mine := &fault{Fault: f}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append([]*fault{mine}, r.faults...)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, f := range r.faults {
			if f == mine {
				r.faults = append(r.faults[:i:i], r.faults[i+1:]...)
				return
			}
		}
	}
}

// Heal takes all faults and authentication away.
func (r *Registry) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults, r.auth = nil, nil
}

// Answer is an error answer with the registry's code ("MANIFEST_UNKNOWN", or "" for none) and headers in pairs.
func Answer(status int, code string, headers ...string) Do {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		if code != "" && req.Method != http.MethodHead {
			json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": "injected"}}})
		}
	}
}

// TooMany is 429 with Retry-After, or without where that is "".
func TooMany(retryAfter string) Do {
	if retryAfter == "" {
		return Answer(http.StatusTooManyRequests, "TOOMANYREQUESTS")
	}
	return Answer(http.StatusTooManyRequests, "TOOMANYREQUESTS", "Retry-After", retryAfter)
}

// Body answers 200 with a body and a content type.
func Body(contentType, body string) Do {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if req.Method != http.MethodHead {
			fmt.Fprint(w, body)
		}
	}
}

// NoHeader serves properly, without the named headers.
func NoHeader(names ...string) Do {
	return altered(func(rec *httptest.ResponseRecorder) {
		for _, name := range names {
			rec.Header().Del(name)
		}
	})
}

// WithHeader serves properly, with the header set to value.
func WithHeader(name, value string) Do {
	return altered(func(rec *httptest.ResponseRecorder) { rec.Header().Set(name, value) })
}

// WrongBytes serves other bytes of the same length, under the same headers.
func WrongBytes() Do {
	return altered(func(rec *httptest.ResponseRecorder) {
		if b := rec.Body.Bytes(); len(b) > 0 {
			b[len(b)/2] ^= 1
		}
	})
}

func altered(change func(*httptest.ResponseRecorder)) Do {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, req)
		change(rec)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	}
}

// Truncated announces the whole answer, sends half, and closes the connection.
func Truncated() Do {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, req)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Endless sends bytes until nobody listens any more.
func (r *Registry) Endless() Do {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for {
			select {
			case <-r.stop:
				return
			case <-req.Context().Done():
				return
			default:
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
}

// Hang does not answer until the client gives up or the registry is closed.
func (r *Registry) Hang() Do {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		select {
		case <-r.stop:
		case <-req.Context().Done():
		}
	}
}

// HangInBody sends the head and half of the answer, and then nothing.
func (r *Registry) HangInBody() Do {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, req)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		w.(http.Flusher).Flush()
		r.Hang()(w, req, next)
	}
}

// Reset breaks the connection without an answer.
func Reset() Do {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // RST instead of FIN
		}
		conn.Close()
	}
}

type auth struct {
	user, password string
	bearer         bool
	token          string
	host           string
}

// RequireBasic asks for a user and a password from now on.
func (r *Registry) RequireBasic(user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = &auth{user: user, password: password, host: r.Host}
}

// RequireBearer asks for a token from now on, which /token gives out for the user and the password.
func (r *Registry) RequireBearer(user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = &auth{user: user, password: password, host: r.Host, bearer: true, token: "token-of-" + user}
}

func (a *auth) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		known := user == a.user && password == a.password
		switch {
		case !a.bearer && known, a.bearer && req.Header.Get("Authorization") == "Bearer "+a.token:
			next.ServeHTTP(w, req)
		case a.bearer && req.URL.Path == "/token" && known:
			json.NewEncoder(w).Encode(map[string]string{"token": a.token})
		case a.bearer && req.URL.Path == "/token":
			// Some servers repeat what they were sent: no message of ours may.
			sent, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(req.Header.Get("Authorization"), "Basic "))
			Answer(http.StatusUnauthorized, "UNAUTHORIZED "+string(sent))(w, req, nil)
		case a.bearer:
			Answer(http.StatusUnauthorized, "UNAUTHORIZED", "WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="imagetest"`, a.host))(w, req, nil)
		default:
			Answer(http.StatusUnauthorized, "UNAUTHORIZED", "WWW-Authenticate", `Basic realm="imagetest"`)(w, req, nil)
		}
	})
}
