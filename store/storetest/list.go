package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// describe names the fields of a filter that are set.
func describe(f store.Filter) string {
	var out []string
	for _, part := range strings.Fields(fmt.Sprintf("%+v", f)) {
		if name, value, ok := strings.Cut(strings.Trim(part, "{}"), ":"); ok && value != "" && value != "[]" && value != "0" && value != "false" && name != "_" {
			out = append(out, name+"="+value)
		}
	}
	return "{" + strings.Join(out, " ") + "}"
}

var listTests = map[string]func(*testing.T, Opener){
	"every filter": func(t *testing.T, open Opener) {
		s := open(t, frozen(Epoch.Add(time.Hour)))
		a, b, c := NewSample(1), NewSample(2), NewSample(3)
		b.Plan.Project, b.Plan.User = "nlp", "bob"
		b.Plan.Images[0].Ref, b.Plan.Images[0].Tag = "registry.example/team/trainer:2.0", "2.0"
		c.Plan.Images[0].Ref, c.Plan.Images[0].Repository = "alpine", "alpine"
		b.Plan.Parent, c.Plan.RerunOf = a.ID, a.ID
		c.Plan.Params = map[string]schema.Text{"lr": "1e-1", "seed": "9007199254740993", "odd": "\xff\x00", "empty": "", "long": schema.Text(strings.Repeat("x", 5000))}
		b.Plan.Params["seed"] = "9007199254740992"
		c.Plan.Datasets[0].FileDigest = Digest("single")
		c.Plan.Datasets[0].VersionKind, c.Plan.Datasets[0].VersionID = "commit", "v77"
		save(t, s, a.Base(), a.Running(time.Second, &schema.Lease{PID: 1}), a.Label(time.Second, "team", "x", "empty", ""))
		save(t, s, b.Base(), b.Output(time.Second, "loss", "0.5", "acc", "NaN", "note", "text"), b.Ended(time.Second, schema.Succeeded))
		save(t, s, c.Base(), c.Output(time.Second, "loss", "0.05", "acc", "+Inf"), c.Label(time.Second, "team", "y"))
		observed := a.Doc(schema.KindObservation, time.Minute)
		observed.Observation = &schema.Observation{Images: []schema.ImagePin{{Name: "image", Ref: "x", ConfigDigest: Digest("seen"), Use: schema.Observed}}}
		save(t, s, observed)
		id := func(d schema.Digest, n int) string { return string(d[:7+n]) }
		for _, test := range []struct {
			f    store.Filter
			want []*Sample
		}{
			{store.Filter{}, []*Sample{a, b, c}},
			{store.Filter{Project: "vision"}, []*Sample{a, c}},
			{store.Filter{Project: "visio"}, nil},
			{store.Filter{User: "bob"}, []*Sample{b}},
			{store.Filter{User: "ada", Project: "vision"}, []*Sample{a, c}},
			{store.Filter{Status: schema.Running}, []*Sample{a}},
			{store.Filter{Status: schema.Succeeded}, []*Sample{b}},
			{store.Filter{Status: schema.Planned}, []*Sample{c}},
			{store.Filter{Status: schema.Failed}, nil},
			{store.Filter{Status: schema.Lost}, nil},
			{store.Filter{Image: string(Digest("index 1"))}, []*Sample{a}},
			{store.Filter{Image: string(Digest("platform 2"))}, []*Sample{b}},
			{store.Filter{Image: string(Digest("config 3"))}, []*Sample{c}},
			{store.Filter{Image: string(Digest("seen"))}, []*Sample{a}},
			{store.Filter{Image: id(Digest("index 1"), 8)}, []*Sample{a}},
			{store.Filter{Image: id(Digest("index 1"), 63)}, []*Sample{a}},
			{store.Filter{Image: "registry.example/team/trainer"}, []*Sample{a, b}},
			{store.Filter{Image: "registry.example/team/trainer:1.4"}, []*Sample{a}},
			{store.Filter{Image: "registry.example/team/train"}, nil},
			{store.Filter{Image: "registry.example/team/trainer@" + string(Digest("index 1"))}, []*Sample{a}},
			{store.Filter{Image: "alpine"}, []*Sample{c}},
			{store.Filter{Commit: string(Object("commit 1"))}, []*Sample{a}},
			{store.Filter{Commit: string(Object("commit 1"))[:7]}, []*Sample{a}},
			{store.Filter{Commit: strings.ToUpper(string(Object("tree 2")))[:12]}, []*Sample{b}},
			{store.Filter{Dataset: "train"}, []*Sample{a, b, c}},
			{store.Filter{Dataset: "trai"}, nil},
			{store.Filter{Dataset: string(Digest("content 1"))}, []*Sample{a}},
			{store.Filter{Dataset: id(Digest("content 1"), 12)}, []*Sample{a}},
			{store.Filter{Dataset: string(Digest("single"))}, []*Sample{c}},
			{store.Filter{Dataset: "v77"}, []*Sample{c}},
			{store.Filter{File: string(Digest("single"))}, []*Sample{c}},
			{store.Filter{File: Digest("single").Hex()}, []*Sample{c}},
			{store.Filter{Output: string(Digest("model " + string(b.ID)))}, []*Sample{b}},
			{store.Filter{Params: []string{"lr=0.1"}}, []*Sample{a, c}},
			{store.Filter{Params: []string{"lr=0.10"}}, []*Sample{a, c}},
			{store.Filter{Params: []string{"lr=0.1", "seed=1"}}, []*Sample{a}},
			{store.Filter{Params: []string{"seed=9007199254740993"}}, []*Sample{c}},
			{store.Filter{Params: []string{"seed=9007199254740992"}}, []*Sample{b}},
			{store.Filter{Params: []string{"odd=\xff\x00"}}, []*Sample{c}},
			{store.Filter{Params: []string{"empty="}}, []*Sample{c}},
			{store.Filter{Params: []string{"empty"}}, []*Sample{c}},
			{store.Filter{Params: []string{"long=" + strings.Repeat("x", 5000)}}, []*Sample{c}},
			{store.Filter{Params: []string{"long=" + strings.Repeat("x", 4999)}}, nil},
			{store.Filter{Metrics: []string{"loss<0.1"}}, []*Sample{c}},
			{store.Filter{Metrics: []string{"loss <= 5e-1"}}, []*Sample{b, c}},
			{store.Filter{Metrics: []string{"loss>0.05"}}, []*Sample{b}},
			{store.Filter{Metrics: []string{"loss>=0.05"}}, []*Sample{b, c}},
			{store.Filter{Metrics: []string{"loss=0.50"}}, []*Sample{b}},
			{store.Filter{Metrics: []string{"loss==0.5"}}, []*Sample{b}},
			{store.Filter{Metrics: []string{"acc>0"}}, []*Sample{c}},
			{store.Filter{Metrics: []string{"acc<1e308"}}, nil},
			{store.Filter{Metrics: []string{"acc=inf"}}, []*Sample{c}},
			{store.Filter{Metrics: []string{"note=text"}}, []*Sample{b}},
			{store.Filter{Metrics: []string{"loss<1", "loss>0.1"}}, []*Sample{b}},
			{store.Filter{Labels: []string{"team=x"}}, []*Sample{a}},
			{store.Filter{LabelPrefix: "team=x"}, []*Sample{a}},
			{store.Filter{LabelPrefix: "te=x"}, nil},
			{store.Filter{Labels: []string{"team"}}, []*Sample{a, c}},
			{store.Filter{Labels: []string{"empty="}}, []*Sample{a}},
			{store.Filter{Labels: []string{"team=x", "team=y"}}, nil},
			{store.Filter{SameAs: run(t, s, b.ID).Fingerprint}, []*Sample{b}},
			{store.Filter{Parent: a.ID}, []*Sample{b}},
			{store.Filter{RerunOf: a.ID}, []*Sample{c}},
			{store.Filter{Since: b.Plan.Created}, []*Sample{b, c}},
			{store.Filter{Until: b.Plan.Created}, []*Sample{a}},
			{store.Filter{Project: "vision", Metrics: []string{"loss<1"}, Labels: []string{"team=y"}, Image: "alpine"}, []*Sample{c}},
		} {
			wantRuns(t, s, test.f, test.want...)
			test.f.Sort = "metric:loss"
			wantRuns(t, s, test.f, test.want...)
			test.f.Sort = "param:lr"
			wantRuns(t, s, test.f, test.want...)
		}
		for _, f := range []store.Filter{{Status: "done"}, {Image: "sha256:abcd"}, {Image: "sha256:" + strings.Repeat("X", 64)}, {Commit: "abc"}, {Commit: "main!"}, {Output: "model"}, {Params: []string{"=x"}},
			{Metrics: []string{"loss"}}, {Metrics: []string{"loss<x"}}, {Metrics: []string{"loss=NaN"}}, {Metrics: []string{"<1"}}, {Labels: []string{"=x"}}, {Sort: "size"}, {Sort: "param:"}, {Limit: -1}, {Offset: -1}} {
			_, err := s.List(context.Background(), f)
			if schema.KindOf(err) != schema.Invalid {
				t.Errorf("%s: %v", describe(f), err)
			}
		}
		wantSound(t, s)
	},
	"order": func(t *testing.T, open Opener) {
		s := open(t, frozen(Epoch.Add(time.Hour)))
		var all []*Sample
		for i := range 6 {
			a := NewSample(i)
			a.Plan.Params = map[string]schema.Text{"lr": schema.Text([]string{"10", "9", "abc", "1e-3", "NaN", ""}[i])}
			if i == 5 {
				a.Plan.Params, a.Plan.Name = nil, "aaa"
			}
			all = append(all, a)
			docs := []schema.Document{a.Base()}
			if i < 4 {
				docs = append(docs, a.Running(time.Duration(10-i)*time.Hour, &schema.Lease{PID: 1}), a.Output(time.Second, "loss", []string{"10", "9", "1e-3", "nan"}[i]))
			}
			if i < 2 {
				docs = append(docs, a.Ended(time.Duration(20+i)*time.Hour, schema.Succeeded))
			}
			save(t, s, docs...)
		}
		pick := func(order ...int) (out []*Sample) {
			for _, i := range order {
				out = append(out, all[i])
			}
			return out
		}
		for _, test := range []struct {
			f    store.Filter
			want []int
		}{
			{store.Filter{}, []int{5, 4, 3, 2, 1, 0}},
			{store.Filter{Sort: "created", Reverse: true}, []int{0, 1, 2, 3, 4, 5}},
			{store.Filter{Sort: "started"}, []int{0, 1, 2, 3, 5, 4}},
			{store.Filter{Sort: "started", Reverse: true}, []int{3, 2, 1, 0, 5, 4}},
			{store.Filter{Sort: "finished"}, []int{1, 0, 5, 4, 3, 2}},
			{store.Filter{Sort: "name"}, []int{5, 0, 1, 2, 3, 4}},
			{store.Filter{Sort: "name", Reverse: true}, []int{4, 3, 2, 1, 0, 5}},
			{store.Filter{Sort: "metric:loss"}, []int{2, 1, 0, 3, 5, 4}},
			{store.Filter{Sort: "metric:loss", Reverse: true}, []int{0, 1, 2, 3, 5, 4}},
			{store.Filter{Sort: "metric:loss", Project: "vision"}, []int{2, 1, 0, 3, 5, 4}},
			{store.Filter{Sort: "param:lr"}, []int{3, 1, 0, 4, 2, 5}},
			{store.Filter{Sort: "param:lr", Reverse: true}, []int{0, 1, 3, 2, 4, 5}},
			{store.Filter{Limit: 2}, []int{5, 4}},
			{store.Filter{Limit: 2, Offset: 3}, []int{2, 1}},
			{store.Filter{Offset: 5}, []int{0}},
			{store.Filter{Offset: 9}, nil},
			{store.Filter{Limit: 2, Before: all[3].ID}, []int{2, 1}},
			{store.Filter{Before: all[0].ID}, nil},
			{store.Filter{Sort: "metric:loss", Limit: 2, Offset: 2}, []int{0, 3}},
			{store.Filter{Sort: "started", Limit: 3, Offset: 3}, []int{3, 5, 4}},
			{store.Filter{Status: schema.Running, Limit: 1, Offset: 1}, []int{2}},
			{store.Filter{Params: []string{"lr"}, Sort: "name", Limit: 2}, []int{0, 1}},
		} {
			wantOrder(t, s, test.f, pick(test.want...)...)
		}
	},
	"files of data sets and of the code": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a, b, c, d := NewSample(1), NewSample(2), NewSample(3), NewSample(4)
		short, long := Manifest("short", 20), Manifest("long", 5000)
		a.UseManifest(short, 20)
		b.UseManifest(long, 5000)
		escaped := schema.NewBlob(schema.BlobManifest, []byte(Digest("odd").Hex()+`  a\nb\\c`+"\n"))
		c.UseManifest(escaped, 1)
		c.Plan.Datasets[0].DigestKind = schema.DirHashEscaped
		changes := schema.Changes{Schema: schema.ChangesV1, Tree: Object("tree 4"), Files: []schema.Change{{Path: "src/net.py", Mode: "100644", Object: Object("net"), Digest: Digest("net.py"), Bytes: 3}}}
		list, err := schema.Canonical(changes)
		if err != nil {
			t.Fatal(err)
		}
		blob := schema.NewBlob(schema.BlobChanges, list)
		d.Plan.Code[0].Changes, d.Plan.Code[0].Dirty, d.Plan.Code[0].CommitTree = &blob.Ref, true, Object("other")
		for _, r := range []schema.Report{{Documents: []schema.Document{a.Base()}, Blobs: []schema.Blob{short}}, {Documents: []schema.Document{b.Base()}, Blobs: []schema.Blob{long}},
			{Documents: []schema.Document{c.Base()}, Blobs: []schema.Blob{escaped}}, {Documents: []schema.Document{d.Base()}, Blobs: []schema.Blob{blob}}} {
			if err := s.Save(context.Background(), r); err != nil {
				t.Fatal(err)
			}
		}
		look := func(s Store) {
			t.Helper()
			wantRuns(t, s, store.Filter{File: "short/000007.bin"}, a)
			wantRuns(t, s, store.Filter{File: string(Digest("short7"))}, a)
			wantRuns(t, s, store.Filter{File: "long/004999.bin"}, b)
			wantRuns(t, s, store.Filter{File: Digest("long4999").Hex()}, b)
			wantRuns(t, s, store.Filter{File: "a\nb\\c"}, c)
			wantRuns(t, s, store.Filter{File: "src/net.py"}, d)
			wantRuns(t, s, store.Filter{File: string(Digest("net.py"))}, d)
			wantRuns(t, s, store.Filter{File: "short/000007"})
			wantRuns(t, s, store.Filter{File: "short/000007.bin", User: "nobody"})
		}
		look(open(t, store.Options{ReadOnly: true})) // long ones are not indexed yet, and are found all the same
		look(s)
		look(open(t, store.Options{ReadOnly: true}))
		wantSound(t, s)
		reindex(t, s)
		wantSound(t, s)
		look(s)
	},
	"a manifest that arrives after the run": func(t *testing.T, open Opener) {
		s := open(t, store.Options{})
		a := NewSample(1)
		m := Manifest("late", 3)
		a.UseManifest(m, 3)
		save(t, s, a.Base())
		wantRuns(t, s, store.Filter{File: "late/000001.bin"})
		if err := s.Save(context.Background(), schema.Report{Blobs: []schema.Blob{m}}); err != nil {
			t.Fatal(err)
		}
		wantRuns(t, s, store.Filter{File: "late/000001.bin"}, a)
		wantSound(t, s)
	},
}
