package http

import (
	"bufio"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// TestSlowSenders fill every slot with bodies that never come to an end; the server lets go of them, and answers others again.
func TestSlowSenders(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	s, err := NewServer(db, ServerOptions{Uploads: t.TempDir(), Open: true, Concurrent: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.patience = 200 * time.Millisecond
	h := httptest.NewServer(s)
	t.Cleanup(func() { h.Close(); s.Close() })
	for range 2 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nrunpin"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a report that is not whole: %s", resp.Status)
			}
		}()
	}
	if _, err := client(t, h.URL, ClientOptions{Budget: 20 * time.Second}).Whoami(ctx); err != nil {
		t.Error(err)
	}
	for s.memory.used() != 0 { // the last of them gives back what it held
		time.Sleep(time.Millisecond)
	}
	wantWhole(t, db, 0, 0)
}

// TestUploadsAreBounded: what waits has a cap, and goes after a day.
func TestUploadsAreBounded(t *testing.T) {
	_, report, _ := largeReport(t)
	now := storetest.Epoch
	clock := func() time.Time { return now }
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	dir := t.TempDir()
	url := listen(t, db, ServerOptions{Uploads: dir, Open: true, MaxUploads: 20 << 20})
	wantKind(t, client(t, url, ClientOptions{Budget: time.Millisecond}).Save(ctx, report), schema.Unavailable)
	wantWhole(t, db, 0, 0)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	info, err := left[0].Info()
	if err != nil || info.Size() > 10<<20 {
		t.Error(info, err)
	}
	now = time.Now().Add(maxUploadAge + time.Minute)
	if _, err := openUploads(dir, 1, clock); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error("it is still there after a day")
	}
}

// TestPages asks for more runs than one answer holds.
func TestPages(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	c := client(t, listen(t, db, ServerOptions{Open: true}), ClientOptions{})
	c.page = 3
	for i := range 10 {
		if err := c.Save(ctx, storetest.Report(storetest.NewSample(i).Base())); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []store.Filter{{}, {Limit: 2}, {Limit: 3}, {Limit: 7}, {Limit: 100}, {Offset: 4}, {Offset: 8, Limit: 1}, {Sort: "param:seed", Limit: 5}} {
		want, err := db.List(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.List(ctx, f)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%+v: %d runs instead of %d, %v", f, len(got), len(want), err)
		}
		for i := range want {
			if got[i].ID != want[i].ID {
				t.Errorf("%+v: run %d is %s, want %s", f, i, got[i].Name, want[i].Name)
			}
		}
	}
}

// TestTLS trusts a certificate that the system does not know only where it is told to.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, filepath.Join(dir, "s.db"), store.Options{})
	s, err := NewServer(db, ServerOptions{Uploads: t.TempDir(), Open: true})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewTLSServer(s)
	t.Cleanup(func() { h.Close(); s.Close() })
	_, err = client(t, h.URL, ClientOptions{Budget: time.Millisecond}).Whoami(ctx)
	wantKind(t, err, schema.Unavailable)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, h.URL, ClientOptions{CAFile: ca}).Whoami(ctx); err != nil {
		t.Error(err)
	}
	_, err = Open(h.URL, ClientOptions{CAFile: filepath.Join(dir, "s.db")})
	wantKind(t, err, schema.Invalid)
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://h.example.org": "https://h.example.org", "https://h.example.org/runs/": "https://h.example.org/runs", "http://127.0.0.1:7474/": "http://127.0.0.1:7474",
		"http://[::1]:1": "http://[::1]:1", "http://localhost:80": "http://localhost:80",
		"http://h.example.org": "", "http://127.0.0.1.example.org": "", "https://u:p@h": "", "https://t@h": "", "https://h?token=x": "", "https://h#x": "", "ftp://h": "", "https://": "", "https://%zz": "",
	} {
		got, err := ParseURL(in, false)
		if got != want || (want == "") != (schema.KindOf(err) == schema.Invalid) {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	if _, err := ParseURL("http://h.example.org", true); err != nil {
		t.Error(err)
	}
}
