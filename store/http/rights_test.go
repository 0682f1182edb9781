package http

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// status asks without a body and gives the kind of the answer's error.
func TestRights(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, filepath.Join(dir, "s.db"), store.Options{})
	of := func(project string, scopes ...store.TokenScope) string {
		return token(t, db, store.Token{Scopes: scopes, Project: project})
	}
	url := listen(t, db, ServerOptions{Open: true}) // which says nothing while there are tokens
	as := func(secret string) *Client { return client(t, url, ClientOptions{Token: secret}) }
	admin, appender, reader := as(of("", store.ScopeAdmin)), as(of("", store.ScopeAppend)), as(of("", store.ScopeRead))
	vision, nlp := as(of("vision", store.ScopeAppend, store.ScopeRead)), as(of("nlp", store.ScopeAppend, store.ScopeRead))
	a, b := storetest.NewSample(1), storetest.NewSample(2)
	b.Plan.Project, b.Plan.Name = "nlp", a.Plan.Name // the same name
	job := schema.NewBlob(schema.BlobJobSpec, []byte("kind: Job\n"))
	a.Plan.Job = &schema.JobSpec{Format: "kubernetes", Path: schema.Path{Typed: "j.yaml", Base: schema.BaseWorkDir, Rel: "j.yaml"}, Blob: &job.Ref, TemplateDigest: storetest.Digest("t")}
	erasure := a.Doc(schema.KindErasure, time.Hour)
	erasure.Erasure = &schema.Erasure{Blobs: []schema.Digest{job.Ref.Digest}, Reason: "personal data"}
	release := a.Doc(schema.KindRelease, 0)
	release.Run, release.Release = "", &schema.Release{Action: "tag", Image: "registry.example/x", Digest: storetest.Digest("x"), Tags: []string{"1.0"}}
	save := func(c *Client, docs ...schema.Document) error { return c.Save(ctx, storetest.Report(docs...)) }
	find := func(c *Client, query string) error {
		_, err := c.Find(ctx, query, store.Scope{})
		return err
	}
	show := func(c *Client, s *storetest.Sample) error {
		_, err := c.Run(ctx, s.ID)
		return err
	}
	open := func(c *Client) error {
		r, err := c.OpenBlob(ctx, job.Ref)
		if err == nil {
			err = r.Close()
		}
		return err
	}
	stats := func(c *Client) error {
		_, err := c.Stats(ctx)
		return err
	}
	for i, step := range []struct {
		what string
		do   func() error
		want schema.Kind
	}{
		{"a rank reports before its run is known", func() error { return save(vision, a.Label(time.Second, "k", "v")) }, ""},
		{"another project's plan", func() error { return save(nlp, a.Base()) }, schema.Invalid},
		{"its own plan", func() error {
			return vision.Save(ctx, schema.Report{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{job}})
		}, ""},
		{"its own, by any appender", func() error { return save(appender, b.Base()) }, ""},
		{"an event on another project's run", func() error { return save(nlp, a.Label(2*time.Second, "k", "w")) }, schema.Invalid},
		{"a beat for another project's run", func() error { return nlp.Beat(ctx, a.ID, schema.At(a.At)) }, schema.Invalid},
		{"a beat for its own", func() error { return vision.Beat(ctx, a.ID, schema.At(a.At)) }, ""},
		{"both in one report", func() error { return save(nlp, b.Label(time.Second, "k", "w"), a.Label(2*time.Second, "k", "w")) }, schema.Invalid},
		{"a reader writes", func() error { return save(reader, b.Label(time.Second, "k", "w")) }, schema.Invalid},
		{"an appender reads", func() error { return show(appender, a) }, schema.Invalid},
		{"an appender searches", func() error { return find(appender, "latest") }, schema.Invalid},
		{"an appender reads a blob", func() error { return open(appender) }, schema.Invalid},
		{"a reader reads", func() error { return show(reader, a) }, ""},
		{"a reader reads a blob", func() error { return open(reader) }, ""},
		{"a reader counts", func() error { return stats(reader) }, schema.Invalid},
		{"an admin counts", func() error { return stats(admin) }, ""},
		{"another project's run", func() error { return show(nlp, a) }, schema.NotFound},
		{"its documents", func() error { _, err := nlp.Documents(ctx, a.ID); return err }, schema.NotFound},
		{"by its id", func() error { return find(nlp, string(a.ID)) }, schema.NotFound},
		{"by its tail", func() error { return find(nlp, string(a.ID[16:])) }, schema.NotFound},
		{"its own by a name that two have", func() error { return find(nlp, a.Plan.Name) }, ""},
		{"a name that two have", func() error { return find(reader, a.Plan.Name) }, schema.Conflict},
		{"its own by its tail", func() error { return find(nlp, strings.ToLower(string(b.ID[16:]))) }, ""},
		{"the latest of its own", func() error { return find(vision, "latest") }, ""},
		{"the one before", func() error { return find(vision, "latest~1") }, schema.NotFound},
		{"another project's list", func() error { _, err := nlp.List(ctx, store.Filter{Project: "vision"}); return err }, schema.Invalid},
		{"a blob of another project", func() error { return open(nlp) }, schema.Invalid},
		{"a blob of another project, by its run", func() error { nlp.runs[job.Ref.Digest] = a.ID; return open(nlp) }, schema.NotFound},
		{"a blob of another project, by a run of its own", func() error { nlp.runs[job.Ref.Digest] = b.ID; return open(nlp) }, schema.Gone},
		{"a blob of its own", func() error { return errors.Join(show(vision, a), open(vision)) }, ""},
		{"a release of no run", func() error { return save(vision, release) }, schema.Invalid},
		{"an erasure", func() error { return save(appender, erasure) }, schema.Invalid},
		{"an erasure by an admin", func() error { return save(admin, erasure) }, ""},
		{"nobody reads", func() error { return show(as(""), a) }, schema.Invalid},
		{"a word that is no token", func() error { return show(as("rpt_x"), a) }, schema.Invalid},
	} {
		if err := step.do(); schema.KindOf(err) != step.want {
			t.Errorf("%d, %s: %v of kind %q, want %q", i, step.what, err, schema.KindOf(err), step.want)
		} else if err != nil && schema.HintOf(err) == "" {
			t.Errorf("%d, %s: %v has no hint", i, step.what, err)
		}
	}
	// Whether a token that is known may not do this can be told from a token that is not known.
	if err := show(appender, a); !errors.Is(err, ErrDenied) {
		t.Errorf("an appender reads: %v", err)
	}
	for _, err := range []error{show(as("rpt_x"), a), show(nlp, a)} {
		if errors.Is(err, ErrDenied) {
			t.Errorf("%v", err)
		}
	}
	runs, err := nlp.List(ctx, store.Filter{})
	if err != nil || len(runs) != 1 || runs[0].ID != b.ID || len(runs[0].Labels) != 0 {
		t.Errorf("%+v, %v", runs, err)
	}
	run, err := db.Run(ctx, a.ID)
	if err != nil || run.Labels["k"] != "v" {
		t.Errorf("%v, %v", run.Labels, err)
	}
}

// TestAnotherProjectsUpload: what one token has uploaded is no use to another, and whether a project has a blob cannot be asked.
func TestAnotherProjectsUpload(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, filepath.Join(dir, "s.db"), store.Options{})
	_, report, blob := largeReport(t)
	if err := db.Save(ctx, report); err != nil {
		t.Fatal(err)
	}
	url := listen(t, db, ServerOptions{})
	ask := func(project string) []schema.Digest {
		c := client(t, url, ClientOptions{Token: token(t, db, store.Token{Scopes: []store.TokenScope{store.ScopeAppend}, Project: project})})
		var answer missingBlobs
		q := missingQuery{Blobs: []askedBlob{{blob.Ref.Digest, blob.Ref.Kind, blob.Ref.Bytes}}}
		if err := c.json(ctx, request{method: "POST", path: "/v1/blobs/missing"}, q, &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Missing
	}
	if len(ask("")) != 0 || len(ask("nlp")) != 1 {
		t.Error("a project learns what another has")
	}
}

// TestExpiryAndRevocation uses a clock of its own.
func TestExpiryAndRevocation(t *testing.T) {
	now := storetest.Epoch
	clock := func() time.Time { return now }
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{Now: clock})
	url := listen(t, db, ServerOptions{Now: clock})
	secret := token(t, db, store.Token{Scopes: []store.TokenScope{store.ScopeRead}, Expires: schema.At(now.Add(time.Hour))})
	c := client(t, url, ClientOptions{Token: secret})
	who, err := c.Whoami(ctx)
	if err != nil || !strings.Contains(secret, who.Token) || len(who.Scopes) != 1 {
		t.Fatalf("%+v, %v", who, err)
	}
	now = now.Add(time.Hour)
	_, err = c.Whoami(ctx)
	wantKind(t, err, schema.Invalid)
	if err := db.RevokeToken(ctx, who.Token); err != nil {
		t.Fatal(err)
	}
	wantKind(t, db.RevokeToken(ctx, "nosuchtokn"), schema.NotFound)
	_, ok, err := db.FindToken(ctx, secret[:len(secret)-1]+"A")
	if other := secret[len(secret)-1] != 'A'; err != nil || ok && other {
		t.Error("a secret that differs in its last letter is taken", err)
	}
}

// TestRate empties a bucket; the client waits as it is told and gets through.
func TestRate(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	secret := token(t, db, store.Token{Scopes: []store.TokenScope{store.ScopeRead}})
	url := listen(t, db, ServerOptions{Rate: 2})
	refused := 0
	for range 10 {
		if status, _ := raw(t, "GET", url+"/v1/whoami", secret, nil); status == 429 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing is refused")
	}
	if _, err := client(t, url, ClientOptions{Token: secret, Budget: 10 * time.Second}).Whoami(ctx); err != nil {
		t.Error(err)
	}
}

func TestBuckets(t *testing.T) {
	now := storetest.Epoch
	r := newRates(10, func() time.Time { return now })
	took := func(who string) (n int) {
		for range 100 {
			if ok, _ := r.take(who); ok {
				n++
			}
		}
		return n
	}
	if a, b := took("a"), took("b"); a != 20 || b != 20 {
		t.Error(a, b)
	}
	now = now.Add(time.Second)
	if a := took("a"); a != 10 {
		t.Error(a)
	}
	for i := range 3 * maxBuckets {
		r.take(strings.Repeat("x", i%7) + string(rune(i)))
	}
	if len(r.of) > maxBuckets {
		t.Error(len(r.of))
	}
}

// TestManyClientsAtOnce saves from many sides, a few of them with a report that is refused; each hears of its own.
func TestManyClientsAtOnce(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "s.db"), store.Options{})
	url := listen(t, db, ServerOptions{Open: true})
	c := client(t, url, ClientOptions{Budget: 30 * time.Second})
	taken := storetest.NewSample(0)
	if err := c.Save(ctx, storetest.Report(taken.Base())); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := 1; i <= 64; i++ {
		wg.Go(func() {
			for j := range 4 {
				a := storetest.NewSample(i*10 + j)
				docs := []schema.Document{a.Base(), a.Ended(time.Minute, schema.Succeeded)}
				want := schema.Kind("")
				if i%16 == 0 && j == 2 { // the id of another run's base document, with other bytes
					other := taken.Base()
					plan := *other.Plan
					plan.Name = a.Plan.Name
					other.Plan = &plan
					docs, want = append(docs, other), schema.Conflict
				}
				if err := c.Save(context.Background(), storetest.Report(docs...)); schema.KindOf(err) != want {
					t.Errorf("%d: %v, want %q", i, err, want)
				}
			}
		})
	}
	wg.Wait()
	wantWhole(t, db, 1+64*4-4, 0)
}
