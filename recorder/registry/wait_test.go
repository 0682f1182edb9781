package registry

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"", 0, false},
		{"30", 30 * time.Second, true},
		{" 0 ", 0, true},
		{"1.5", 1500 * time.Millisecond, true},
		{"706.487µs", 706487 * time.Nanosecond, true},
		{"Mon, 23 Nov 2026 12:01:00 GMT", time.Minute, true},
		{"Mon, 23 Nov 2026 11:00:00 GMT", 0, true},
		{"99999999999999999999", 1000 * time.Hour, true},
		{"-3", 0, false},
		{"NaN", 0, false},
		{"soon", 0, false},
	} {
		got, ok := retryAfter(http.Header{"Retry-After": {c.text}}, now)
		if got != c.want || ok != c.ok {
			t.Errorf("%q: %v %v, want %v %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "1e400", "-1", "Mon, 23 Nov 2026 12:01:00 GMT", "3h", "Inf", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := retryAfter(http.Header{"Retry-After": {s}}, time.Now()); d < 0 || !ok && d != 0 || d > 1000*time.Hour {
			t.Fatalf("%q: %v %v", s, d, ok)
		}
	})
}

func TestBackoffIsBounded(t *testing.T) {
	for try := 1; try < 100; try++ {
		if d := backoff(try); d < 200*time.Millisecond || d > 36*time.Second {
			t.Fatalf("try %d: %v", try, d)
		}
	}
}

func TestHostPolicy(t *testing.T) {
	p := newHostPolicy([]string{"Harbor.example:8080", "10.1.2.3", "plain.example:80"})
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "LOCALHOST:5000": true, "127.0.0.1:1": true, "127.9.9.9": true, "[::1]:5000": true, "[::ffff:127.0.0.1]:5000": true,
		"harbor.example:8080": true, "10.1.2.3": true, "10.1.2.3:80": true, "plain.example": true,
		"harbor.example": false, "10.1.2.3:5000": false, "10.1.2.4": false, "192.168.0.1:5000": false, "172.16.0.1": false,
		"registry.localhost": false, "registry.localhost:5000": false, "localhost.example": false, "registry.local": false, "0.0.0.0:5000": false, "127.0.0.1.example": false,
	} {
		if got := p.allowsHTTP(host); got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}

// recordingTransport refuses every request and notes its URL.
type recordingTransport struct{ urls chan string }

func (r recordingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	r.urls <- req.URL.Scheme + "://" + req.URL.Host
	return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: context.DeadlineExceeded}
}

// The library would speak plain http to all of these without being asked.
func TestNoPlainHTTPUnlessAllowed(t *testing.T) {
	for _, host := range []string{"10.0.0.1:5000", "192.168.1.1", "172.16.3.4:80", "registry.localhost", "registry.localhost:5000", "registry.example"} {
		for _, insecure := range []bool{false, true} {
			rec := recordingTransport{make(chan string, 20)}
			o := Options{Transport: rec}
			if insecure {
				o.InsecureRegistries = []string{host}
			}
			ref, err := ParseReference(host + "/a/b:1")
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(o).Head(t.Context(), ref)
			if err == nil {
				t.Fatal("no error")
			}
			close(rec.urls)
			schemes := map[string]bool{}
			for u := range rec.urls {
				schemes[strings.SplitN(u, ":", 2)[0]] = true
			}
			if !schemes["https"] || schemes["http"] != insecure {
				t.Errorf("%s, allowed %v: asked over %v", host, insecure, schemes)
			}
		}
	}
}

func TestRedirectToThisMachineIsRefused(t *testing.T) {
	p := newHostPolicy(nil)
	first, _ := http.NewRequest("GET", "https://registry.example/v2/a/blobs/x", nil)
	second, _ := http.NewRequest("GET", "http://localhost:8080/admin", nil)
	second.Response = &http.Response{Request: first}
	if err := p.check(second); err == nil {
		t.Error("followed")
	}
	third, _ := http.NewRequest("GET", "http://other.example/x", nil)
	third.Response = &http.Response{Request: first}
	if err := p.check(third); err == nil {
		t.Error("went down to plain http")
	}
	if err := p.check(first); err != nil {
		t.Error(err)
	}
}

func TestScrub(t *testing.T) {
	got := scrubText("at https://user:hunter2@host/x?token=hunter2&X-Amz-Signature=hunter2&n=1 \x1b[31mred\x00")
	if strings.Contains(got, "hunter2") || strings.ContainsAny(got, "\x1b\x00") || !strings.Contains(got, "host/x") || !strings.Contains(got, "n=1") {
		t.Errorf("%q", got)
	}
	req, _ := http.NewRequest("POST", "https://auth.example/token", strings.NewReader("grant_type=refresh_token&refresh_token=hunter2-refresh"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("user", "hunter2")
	body := scrubAnswer(req, []byte(`bad login user:hunter2 with hunter2-refresh dXNlcjpodW50ZXIy`))
	if strings.Contains(string(body), "hunter2") || strings.Contains(string(body), "dXNlcjpodW50ZXIy") {
		t.Errorf("%s", body)
	}
}
