package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxAnswer bounds one answer that is no watch and no log: a namespace with very many pods stays below it.
const maxAnswer = 256 << 20

// transport bounds answers, and remembers what a request proved itself with, so that no message holds it.
type transport struct {
	next    http.RoundTripper
	secrets *secrets
}

// RoundTrip sends the request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, credential, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		t.secrets.keep(credential)
	}
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Query().Get("watch") == "" && !strings.HasSuffix(r.URL.Path, "/log") {
		answer.Body = &bounded{ReadCloser: answer.Body, left: maxAnswer}
	}
	return answer, nil
}

type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("its answer is too long")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// secrets are texts that no message may hold.
type secrets struct {
	mu  sync.Mutex
	all [][]byte
}

// maxSecrets bounds what is remembered: tokens are renewed.
const maxSecrets = 16

func (s *secrets) keep(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if len(text) < 6 {
			continue
		}
		known := false
		for _, have := range s.all {
			known = known || string(have) == text
		}
		if !known {
			s.all = append(s.all, []byte(text))
		}
	}
	s.all = s.all[max(0, len(s.all)-maxSecrets):]
}

func (s *secrets) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []byte(text)
	for _, secret := range s.all {
		out = bytes.ReplaceAll(out, secret, []byte("…"))
	}
	return string(out)
}
