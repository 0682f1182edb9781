package http

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// spoiler changes what a client sends or is answered.
type spoiler struct {
	mu    sync.Mutex
	spoil func(n int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error)
	asked int
	seen  []string
}

func (s *spoiler) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.seen = append(s.seen, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	return s.spoil(n, r, func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) })
}

var errBroken = errors.New("the connection is broken")

func largeReport(t *testing.T) (*storetest.Sample, schema.Report, schema.Blob) {
	t.Helper()
	a := storetest.NewSample(1)
	var content bytes.Buffer
	for i := 0; content.Len() < 20<<20; i++ {
		content.WriteString(storetest.Digest(string(rune(i))).Hex() + "\n")
	}
	blob := schema.NewBlob(schema.BlobBundle, content.Bytes())
	a.Plan.Code[0].Bundle = &blob.Ref
	return a, schema.Report{Documents: []schema.Document{a.Base(), a.Ended(time.Minute, schema.Succeeded)}, Blobs: []schema.Blob{blob}}, blob
}

func wantWhole(t *testing.T, db *store.Store, runs, blobs int64) {
	t.Helper()
	report, err := db.Check(ctx)
	if err != nil || len(report.Problems) > 0 || report.Runs != runs || report.Blobs != blobs {
		t.Fatalf("%+v, %v; want %d runs and %d blobs", report, err, runs, blobs)
	}
}

// TestKilledBetweenBlobAndDocument breaks the connection for good at each request of a report in turn. Whatever was sent, nothing of it can be seen, and a
// second try stores all of it once.
func TestKilledBetweenBlobAndDocument(t *testing.T) {
	a, report, blob := largeReport(t)
	for at := 1; ; at++ {
		for _, answered := range []bool{false, true} { // does the server get the request whose answer is lost?
			db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
			up := t.TempDir()
			url := listen(t, db, ServerOptions{Uploads: up, Open: true})
			broken := &spoiler{spoil: func(n int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
				if n < at {
					return do()
				}
				if n == at && answered {
					if resp, err := do(); err == nil {
						resp.Body.Close()
					}
				}
				return nil, errBroken
			}}
			err := client(t, url, ClientOptions{Transport: broken, Budget: time.Millisecond}).Save(ctx, report)
			if err == nil {
				if at < 5 {
					t.Fatalf("a report with a large blob takes %d requests only", at-1)
				}
				return
			}
			wantKind(t, err, schema.Unavailable)
			last := broken.seen[at-1] == "POST /v1/reports"
			if last && answered {
				wantWhole(t, db, 1, 1) // only the answer was lost
			} else {
				wantWhole(t, db, 0, 0)
			}
			again := &spoiler{spoil: func(_ int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error) { return do() }}
			if err := client(t, url, ClientOptions{Transport: again}).Save(ctx, report); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, db, 1, 1)
			if last && !answered {
				for _, r := range again.seen {
					if strings.HasPrefix(r, "PUT ") {
						t.Error("what had arrived is sent again")
					}
				}
			}
			u, err := openUploads(up, 1<<30, func() time.Time { return time.Now().Add(maxUploadAge + time.Minute) })
			if left, readErr := os.ReadDir(up); err != nil || readErr != nil || len(left) > 0 || u.room.used != 0 {
				t.Errorf("uploads that the store has taken in are left: %v, %v", left, errors.Join(err, readErr))
			}
			run, err := db.Run(ctx, a.ID)
			if err != nil || run.Status != schema.Succeeded || len(run.Code) != 1 || run.Code[0].Bundle.Digest != blob.Ref.Digest {
				t.Errorf("%+v, %v", run, err)
			}
		}
	}
}

// TestUploadGoesOnWhereItBrokeOff cuts a part in the middle: the server keeps what arrived, and the client sends the rest.
func TestUploadGoesOnWhereItBrokeOff(t *testing.T) {
	_, report, _ := largeReport(t)
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{Open: true})
	sent, cut := int64(0), false
	half := &spoiler{spoil: func(_ int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		if r.Method == http.MethodPut {
			if !cut && sent > 0 {
				cut = true
				r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 1<<20), brokenReader{}))
			}
			sent += r.ContentLength
		}
		return do()
	}}
	if err := client(t, url, ClientOptions{Transport: half}).Save(ctx, report); err != nil {
		t.Fatal(err)
	}
	// The part that was cut is lost, and one more where the server is still writing what arrived of it when it is asked.
	if !cut || sent > 20<<20+2*partBytes+1<<20 {
		t.Errorf("%d bytes were sent for 20 MiB", sent)
	}
	wantWhole(t, db, 1, 1)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// TestAnswersThatAreBad asks servers and proxies that answer badly.
func TestAnswersThatAreBad(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		kind   schema.Kind
		most   int // requests
	}{
		"a page":      {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>welcome</html>") }, schema.Unavailable, 1},
		"not found":   {http.NotFound, schema.Unavailable, 1},
		"bad gateway": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }, schema.Unavailable, 20},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.org/", http.StatusFound)
		}, schema.Unavailable, 1},
		"garbage": {func(w http.ResponseWriter, r *http.Request) { own(w); io.WriteString(w, `{"run": [`) }, schema.Unavailable, 1},
		"cut short": {func(w http.ResponseWriter, r *http.Request) {
			own(w)
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{`)
		}, schema.Unavailable, 3},
		"an odd error": {func(w http.ResponseWriter, r *http.Request) {
			own(w)
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `[]`)
		}, schema.Conflict, 1},
		"an odd kind": {func(w http.ResponseWriter, r *http.Request) {
			own(w)
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error":{"kind":"great"}}`)
		}, schema.NotFound, 1},
		"not an id": {func(w http.ResponseWriter, r *http.Request) { own(w); io.WriteString(w, `{"run":"../../etc"}`) }, schema.Unavailable, 1},
		"nothing":   {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, schema.Unavailable, 20},
		"too many":  {func(w http.ResponseWriter, r *http.Request) { own(w); writeError(w, tooMany(time.Hour)) }, schema.Unavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.answer(w, r) }))
			defer h.Close()
			_, err := client(t, h.URL, ClientOptions{Token: "secret", Budget: 300 * time.Millisecond}).Find(ctx, "latest", store.Scope{})
			wantKind(t, err, c.kind)
			if n := asked.Load(); n > int64(c.most) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%d requests; %v", n, err)
			}
		})
	}
}

func own(w http.ResponseWriter) { w.Header().Set(protocolHeader, protocolVersion) }

// TestTriesAgain holds the client to what is worth another try, and to waiting as it is told.
func TestTriesAgain(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{Open: true})
	lost := &spoiler{spoil: func(n int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		resp, err := do()
		if n <= 2 && err == nil { // the server has it, and the answer is lost, twice
			resp.Body.Close()
			return nil, errBroken
		}
		return resp, err
	}}
	a := storetest.NewSample(1)
	if err := client(t, url, ClientOptions{Transport: lost, Budget: 5 * time.Second}).Save(ctx, storetest.Report(a.Base(), a.Output(time.Second, "loss", "1"))); err != nil {
		t.Fatal(err)
	}
	stats, err := db.Stats(ctx)
	if err != nil || stats.Documents != 2 || lost.asked != 3 {
		t.Errorf("%+v after %d requests, %v", stats, lost.asked, err)
	}
}

// TestBlobReadingGoesOn breaks a download in the middle, then damages one.
func TestBlobReadingGoesOn(t *testing.T) {
	_, report, blob := largeReport(t)
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	if err := db.Save(ctx, report); err != nil {
		t.Fatal(err)
	}
	url := listen(t, db, ServerOptions{Open: true})
	for _, damage := range []bool{false, true} {
		breaking := &spoiler{spoil: func(n int, r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			resp, err := do()
			if err == nil && n == 1 {
				inner := resp.Body
				spoiled := io.MultiReader(io.LimitReader(inner, 3<<20+7), brokenReader{})
				if damage {
					spoiled = io.MultiReader(strings.NewReader("x"), io.LimitReader(inner, 1<<20), brokenReader{})
				}
				resp.Body = struct {
					io.Reader
					io.Closer
				}{spoiled, inner}
			}
			return resp, err
		}}
		r, err := client(t, url, ClientOptions{Transport: breaking}).OpenBlob(ctx, blob.Ref)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if damage && schema.KindOf(err) != schema.Unavailable || !damage && (err != nil || schema.SHA256(got) != blob.Ref.Digest) {
			t.Errorf("damaged %v: %d bytes, %v", damage, len(got), err)
		}
		if breaking.asked != 2 {
			t.Errorf("%d requests", breaking.asked)
		}
	}
}

// raw sends a request by hand and gives the status.
func raw(t *testing.T, method, url, token string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// TestHostileRequests sends what no client of ours does.
func TestHostileRequests(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, filepath.Join(dir, "s.db"), store.Options{})
	up := filepath.Join(dir, "uploads")
	url := listen(t, db, ServerOptions{Uploads: up, Open: true})
	good := string(storetest.Digest("x"))
	for _, c := range []struct {
		method, path, body string
		header             []string
		want               int
	}{
		{"GET", "/v1/blobs/..%2f..%2f..%2fetc%2fpasswd", "", nil, 400},
		{"PUT", "/v1/uploads/sha256:..%2f..%2fx?kind=file", "x", []string{"Content-Range", "bytes 0-0/1"}, 400},
		{"PUT", "/v1/uploads/" + good + "?kind=file", "x", nil, 400},
		{"PUT", "/v1/uploads/" + good + "?kind=film", "x", []string{"Content-Range", "bytes 0-0/1"}, 400},
		{"PUT", "/v1/uploads/" + good + "?kind=file", "x", []string{"Content-Range", "bytes 0-0/99999999999999"}, 400},
		{"PUT", "/v1/uploads/" + good + "?kind=file", "x", []string{"Content-Range", "bytes -5-0/1"}, 400},
		{"PUT", "/v1/uploads/" + good + "?kind=file", "x", []string{"Content-Range", "bytes 9223372036854775807-9223372036854775807/10"}, 416},
		{"PUT", "/v1/uploads/" + good + "?kind=file", "wrong", []string{"Content-Range", "bytes 0-4/5"}, 400},
		{"POST", "/v1/reports", "not a report", nil, 400},
		{"POST", "/v1/reports", wireMagic + "end 0\n", nil, 204},
		{"POST", "/v1/reports", wireMagic + "document x -1\n\nend 1\n", nil, 400},
		{"POST", "/v1/reports", wireMagic + "uploaded file " + good + " 10\n\nend 1\n", nil, 503},
		{"POST", "/v1/list", `{"limit":-1}`, nil, 400},
		{"POST", "/v1/list", `{"sort":"'; DROP TABLE runs; --"}`, nil, 400},
		{"POST", "/v1/list", `{"future":1}`, nil, 400},
		{"POST", "/v1/list", `{"params":["` + strings.Repeat("x", 2<<20) + `"]}`, nil, 400},
		{"POST", "/v1/list", strings.Repeat(`{"a":`, 100000), nil, 400},
		{"POST", "/v1/find", `{"query":"latest~99999999999999999999"}`, nil, 400},
		{"GET", "/v1/runs/..%2fx", "", nil, 400},
		{"GET", "/v1/nothing", "", nil, 404},
		{"DELETE", "/v1/runs/x", "", nil, 404},
		{"GET", "/v1/stats", "", nil, 403}, // nobody is admin without a token
		{"GET", "/healthz", "", nil, 200},
		// A page in a browser of this machine.
		{"POST", "/v1/list", `{}`, []string{"Host", "evil.example.org"}, 403},
		{"POST", "/v1/list", `{}`, []string{"Origin", "https://evil.example.org"}, 403},
		{"POST", "/v1/list", `{}`, []string{"Origin", "null"}, 403},
		{"GET", "/v1/whoami", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/v1/whoami", "", []string{"Host", "localhost:1"}, 200},
	} {
		if got, body := raw(t, c.method, url+c.path, "", strings.NewReader(c.body), c.header...); got != c.want {
			t.Errorf("%s %s %.60s %v: %d, want %d\n%s", c.method, c.path, c.body, c.header, got, c.want, body)
		}
	}
	if got, _ := raw(t, "POST", url+"/v1/reports", "", io.MultiReader(strings.NewReader(wireMagic+"end 0\n"))); got != http.StatusLengthRequired {
		t.Errorf("a report of no length: %d", got)
	}
	entries, err := os.ReadDir(up)
	if err != nil || len(entries) != 0 {
		t.Errorf("something is left: %v, %v", entries, err)
	}
	wantWhole(t, db, 0, 0)
}

// TestOversizedReport is refused by its announced length: nothing of it is read.
func TestOversizedReport(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{Open: true})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 413") {
		t.Errorf("%q, %v", answer[:n], err)
	}
}

// TestManyBombs: each blob is as large as it says and small on the way; together they would fill the memory.
func TestManyBombs(t *testing.T) {
	var blobs []inlineBlob
	for i := range maxUnpacked>>20 + 1 {
		content := make([]byte, 1<<20)
		content[0] = byte(i)
		blobs = append(blobs, inlineBlob{schema.BlobRef{Kind: schema.BlobFile, Digest: schema.SHA256(content), Bytes: int64(len(content))}, content})
	}
	if _, err := decodeReport(encodeReport(nil, blobs[1:], nil)); err != nil {
		t.Error(err)
	}
	_, err := decodeReport(encodeReport(nil, blobs, nil))
	wantKind(t, err, schema.Invalid)
}

// TestBomb sends a small frame that unpacks to far more than it says.
func TestBomb(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{Open: true})
	content := make([]byte, 64<<20)
	for _, says := range []int64{10, 5 << 20} {
		body := encodeReport(nil, []inlineBlob{{schema.BlobRef{Kind: schema.BlobFile, Digest: schema.SHA256(content), Bytes: says}, content}}, nil)
		if got, answer := raw(t, "POST", url+"/v1/reports", "", bytes.NewReader(body)); got != http.StatusBadRequest && got != http.StatusInternalServerError {
			t.Errorf("%d: %s", got, answer)
		}
	}
	wantWhole(t, db, 0, 0)
}
