package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// ServerOptions of [NewServer]. Fields that are zero have good values.
type ServerOptions struct {
	_       struct{}
	Uploads string // directory for large blobs while they arrive; needed
	// Open says that no token is asked for, while there is none: only somebody on this machine can ask, which the listener sees to.
	Open        bool
	BehindProxy bool                             // the address of a client is what the proxy says it is
	Rate        float64                          // requests a second of one token, and of one address; 5,000
	Concurrent  int                              // requests at a time; 512
	MaxUploads  int64                            // bytes of all uploads that wait for their report; 16 GiB. One token gets no more than it leaves for others
	Version     string                           // of this program
	Now         func() time.Time                 // time.Now
	Log         func(format string, args ...any) // one line for each request; nil for none
}

// Server offers a store over HTTP. It is an http.Handler.
type Server struct {
	db       *store.Store
	options  ServerOptions
	batch    *store.Batcher
	uploads  *uploads
	mux      *http.ServeMux
	slots    chan struct{}
	memory   *budget
	tokens   *rates
	places   *rates
	who      tokenCache
	stop     context.CancelFunc
	patience time.Duration // for a body, besides what it has by its size

	mu       sync.Mutex
	projects map[schema.RunID]string // of runs whose base document is here
}

// maxMemory bounds the bodies of reports that are held at a time, all clients together.
const maxMemory = 256 << 20

// NewServer makes a server for a store. Close it before the store.
func NewServer(db *store.Store, options ServerOptions) (*Server, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Rate <= 0 {
		options.Rate = 5000
	}
	if options.Concurrent <= 0 {
		options.Concurrent = 512
	}
	if options.MaxUploads <= 0 {
		options.MaxUploads = 16 << 30
	}
	up, err := openUploads(options.Uploads, options.MaxUploads, options.Now)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{db: db, options: options, batch: store.NewBatcher(db), uploads: up, slots: make(chan struct{}, options.Concurrent), memory: &budget{room: shares{total: maxMemory}},
		tokens: newRates(options.Rate, time.Now), places: newRates(options.Rate, time.Now), stop: stop, patience: 30 * time.Second, projects: map[schema.RunID]string{}}
	go up.keepClean(ctx)
	s.mux = s.routes()
	return s, nil
}

// Close waits for reports that were accepted. No request may come any more.
func (s *Server) Close() {
	s.stop()
	s.batch.Close()
}

// handler answers a request of somebody who may ask it.
type handler func(w http.ResponseWriter, r *http.Request, by bearer) error

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, route := range map[string]struct {
		scope store.TokenScope
		do    handler
	}{
		"POST /v1/reports":             {store.ScopeAppend, s.postReport},
		"POST /v1/blobs/missing":       {store.ScopeAppend, s.postMissing},
		"HEAD /v1/uploads/{digest}":    {store.ScopeAppend, s.headUpload},
		"PUT /v1/uploads/{digest}":     {store.ScopeAppend, s.putUpload},
		"POST /v1/runs/{run}/beat":     {store.ScopeAppend, s.postBeat},
		"POST /v1/find":                {store.ScopeRead, s.postFind},
		"POST /v1/list":                {store.ScopeRead, s.postList},
		"GET /v1/runs/{run}":           {store.ScopeRead, s.getRun},
		"GET /v1/runs/{run}/documents": {store.ScopeRead, s.getDocuments},
		"GET /v1/blobs/{digest}":       {store.ScopeRead, s.getBlob},
		"GET /v1/stats":                {store.ScopeAdmin, s.getStats},
		"GET /v1/check":                {store.ScopeAdmin, s.getCheck},
		"GET /v1/whoami":               {"", s.getWhoami},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			by, err := s.admit(r, route.scope)
			if err == nil {
				note(w, by)
				err = route.do(w, r, by)
			}
			s.finish(w, r, err)
		})
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		s.finish(w, r, writeJSON(w, map[string]string{"status": "ok"}))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.finish(w, r, &statusError{status: http.StatusNotFound, err: &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: "the address",
			Err: errors.New("this server answers nothing there"), Hint: "client and server may be of different versions"}})
	})
	return mux
}

// finish sends what went wrong. Once an answer has begun, all that is left is to break it off, so that the client sees that it is not whole.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	rec := w.(*recorded)
	if schema.KindOf(err) == schema.Internal {
		s.logf("error: %s %s: %s", r.Method, r.URL.Path, oneLine(err.Error()))
	}
	if rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeError(w, err)
}

func (s *Server) logf(format string, args ...any) {
	if s.options.Log != nil {
		s.options.Log(format, args...)
	}
}

// ServeHTTP answers a request within the limits, and logs it: without its query and its headers, so without anything secret.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	rec := &recorded{ResponseWriter: w}
	rec.Header().Set(protocolHeader, protocolVersion)
	rec.Header().Set("Cache-Control", "no-store")
	rec.Header().Set("X-Content-Type-Options", "nosniff")
	defer func() {
		if s.options.Log != nil {
			s.logf("%s %s %s %d %d bytes %.1f ms %s", s.place(r), r.Method, oneLine(schema.Shorten(r.URL.Path, 120)), rec.status, rec.bytes,
				float64(time.Since(begun).Microseconds())/1000, rec.by)
		}
	}()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		writeError(rec, busy("the server answers as many requests as it can"))
		return
	}
	if ok, after := s.places.take(s.place(r)); !ok {
		writeError(rec, tooMany(after))
		return
	}
	// Whoever sends slowly holds a slot no longer than this; a body has time by its size.
	_ = http.NewResponseController(w).SetReadDeadline(begun.Add(s.patience + time.Duration(max(0, r.ContentLength)/(64<<10))*time.Second))
	s.mux.ServeHTTP(rec, r)
}

func busy(why string) error {
	return &statusError{status: http.StatusServiceUnavailable, after: 1, err: &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: "the server", Err: errors.New(why), Hint: "try again later"}}
}

func tooMany(after time.Duration) error {
	return &statusError{status: http.StatusTooManyRequests, after: int(after/time.Second) + 1, err: &schema.Error{Op: "store.http", Kind: schema.Unavailable, Subject: "the server",
		Err: errors.New("too many requests"), Hint: "try again later"}}
}

// recorded knows what was answered, for the log.
type recorded struct {
	http.ResponseWriter
	status int
	bytes  int64
	by     string
}

func (w *recorded) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorded) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	// Whoever reads slowly has this long for each piece.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(time.Minute))
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorded) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func note(w http.ResponseWriter, by bearer) {
	if rec, ok := w.(*recorded); ok {
		rec.by = by.String()
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	_, err = w.Write(b)
	return err
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
