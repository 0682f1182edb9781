package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// withID gives a sample an id whose random tail is given.
func withID(n int, tail string) *Sample {
	s := NewSample(n)
	s.ID = s.ID[:10] + schema.RunID(tail)
	return s
}

var findTests = map[string]func(*testing.T, Opener){
	"ids": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a, b := withID(1, "AAAA0000BBBBCCCC"), withID(60*24*400, "AAAA0000BBBBDDDD")
		save(t, s, a.Base(), b.Base())
		for _, query := range []string{string(a.ID), strings.ToLower(string(a.ID)), string(a.ID[:24]), "BCCCC", "cccc", "0000bbbbcccc", string(a.ID[1:]), string(a.ID[:8])} {
			wantFound(t, s, query, store.Scope{}, a)
		}
		wantFound(t, s, "dddd", store.Scope{}, b)
		wantNotFound(t, s, "zzzz", schema.NotFound, "zzzz")
		wantNotFound(t, s, "ccc", schema.NotFound) // too short to be meant as an id
		wantNotFound(t, s, "", schema.NotFound)
		wantNotFound(t, s, "AAAA", schema.NotFound) // neither the head nor the end
		wantNotFound(t, s, string(NewSample(3).ID), schema.NotFound)
		wantNotFound(t, s, "'; DROP TABLE runs; --", schema.NotFound)
		wantNotFound(t, s, strings.Repeat("x", 100_000), schema.NotFound)
		wantNotFound(t, s, "%", schema.NotFound)
		wantNotFound(t, s, "\xff\x00", schema.NotFound)
	},
	"ambiguous": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		var all []*Sample
		for i := range 15 {
			all = append(all, withID(i, "0000000000"+strings.Repeat(string("ABCDEFGHJKMNPQR"[i]), 2)+"TTTT"))
			save(t, s, all[i].Base())
		}
		wantNotFound(t, s, "tttt", schema.Conflict, string(all[14].ID), "run-14", "2026-03-01T12:14:00.000Z", "more")
		_, err := s.Find(context.Background(), "tttt", store.Scope{})
		if n := strings.Count(err.Error(), "2026-"); n != 10 {
			t.Errorf("%d candidates are named", n)
		}
		wantFound(t, s, "aatttt", store.Scope{}, all[0])
	},
	"names": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a, b, c := withID(1, "AAAA0000BBBBCCCC"), withID(2, "AAAA0000BBBBDDDD"), withID(3, "AAAA0000BBBBEEEE")
		a.Plan.Name, b.Plan.Name, c.Plan.Name = "cccc", "dup", "dup"
		d := withID(4, "AAAA0000BBBBFFFF")
		d.Plan.Name = "dddd" // the end of b's id
		save(t, s, a.Base(), b.Base(), c.Base(), d.Base())
		wantFound(t, s, "cccc", store.Scope{}, a)
		wantFound(t, s, "dddd", store.Scope{}, d) // a unique name stands over a fragment
		wantNotFound(t, s, "dup", schema.Conflict, string(b.ID), string(c.ID))
		wantNotFound(t, s, "DUP", schema.NotFound)
		e := withID(5, "AAAA0000BBBBGGGG")
		e.Plan.Name = "dddd"
		save(t, s, e.Base())
		wantNotFound(t, s, "dddd", schema.Conflict, string(b.ID), string(d.ID), string(e.ID)) // not unique any more
	},
	"latest": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		wantNotFound(t, s, "latest", schema.NotFound)
		var all []*Sample
		for i := range 6 {
			a := NewSample(i)
			if i%2 == 1 {
				a.Plan.User = "bob"
			}
			if i >= 3 {
				a.Plan.Project = "nlp"
			}
			all = append(all, a)
		}
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			save(t, s, all[i].Base())
		}
		wantFound(t, s, "latest", store.Scope{}, all[5])
		wantFound(t, s, "latest~0", store.Scope{}, all[5])
		wantFound(t, s, "latest~5", store.Scope{}, all[0])
		wantFound(t, s, "latest", store.Scope{User: "ada"}, all[4])
		wantFound(t, s, "latest~1", store.Scope{User: "ada"}, all[2])
		wantFound(t, s, "latest", store.Scope{Project: "vision"}, all[2])
		wantFound(t, s, "latest", store.Scope{Project: "vision", User: "bob"}, all[1])
		wantNotFound(t, s, "latest~6", schema.NotFound, "latest~6")
		wantNotFound(t, s, "latest~x", schema.Invalid)
		wantNotFound(t, s, "latest~-1", schema.Invalid)
		wantNotFound(t, s, "latest~99999999999999999999", schema.Invalid)
		_, err := s.Find(context.Background(), "latest", store.Scope{User: "eve"})
		wantKind(t, err, schema.NotFound)
	},
}

func wantFound(t testing.TB, s Store, query string, scope store.Scope, want *Sample) {
	t.Helper()
	id, err := s.Find(context.Background(), query, scope)
	if err != nil || id != want.ID {
		t.Errorf("%q: got %s, %v; want %s", query, id, err, want.ID)
	}
}

func wantNotFound(t testing.TB, s Store, query string, kind schema.Kind, texts ...string) {
	t.Helper()
	id, err := s.Find(context.Background(), query, store.Scope{})
	if schema.KindOf(err) != kind {
		t.Errorf("%q: got %s, %v; want kind %s", query, id, err, kind)
		return
	}
	if schema.HintOf(err) == "" {
		t.Errorf("%q: %v has no hint", query, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v does not name %q", query, err, text)
		}
	}
}
