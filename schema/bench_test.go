package schema

import "testing"

// Figures of the hot paths: a store folds a run for every row that it shows, and checks the form of every document that it takes.

func BenchmarkFold(b *testing.B) {
	docs := fixtureDocuments()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Fold(docs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFoldRanks(b *testing.B) { // 64 ranks, 5 reports each
	env := fixtureEnvironment()
	s := newStory(fixturePlan())
	for rank := range 64 {
		r := ptr(rank)
		s.status(10, r, StatusChange{To: Running}).observe(20, r, Observation{Environment: &env}).observe(30, r, Observation{Attempt: &Attempt{Rank: r}}).
			add(40, r, func(d *Document) { d.Output = &OutputEvent{Metrics: map[string]Text{"loss": "1"}} }).status(50, r, StatusChange{To: Succeeded})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Fold(s.docs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonicalBytes(b *testing.B) {
	doc, err := fixtureOf(KindRun).Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CanonicalBytes(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkEncode(b *testing.B, d Document) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkDecode(b *testing.B, d Document) {
	doc, err := d.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeDocument(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeBase(b *testing.B)   { benchmarkEncode(b, fixtureOf(KindRun)) }
func BenchmarkEncodeStatus(b *testing.B) { benchmarkEncode(b, fixtureOf(KindStatus)) }
func BenchmarkDecodeBase(b *testing.B)   { benchmarkDecode(b, fixtureOf(KindRun)) }
func BenchmarkDecodeStatus(b *testing.B) { benchmarkDecode(b, fixtureOf(KindStatus)) }

func BenchmarkFingerprint(b *testing.B) {
	r := comparableFixture(b)
	b.ReportAllocs()
	for b.Loop() {
		if fp, _ := r.Fingerprinted(); fp == "" {
			b.Fatal("no fingerprint")
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	x := comparableFixture(b)
	y := cloneRun(b, x)
	y.Params["lr"] = "9"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compare(x, y, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewDocumentID(b *testing.B) {
	for b.Loop() {
		NewDocumentID(fixtureTime)
	}
}
