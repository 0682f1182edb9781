package schema

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzFold lets random documents of a run arrive in random orders.
func FuzzFold(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint8(10))
	f.Add(uint64(3), uint64(4), uint8(40))
	f.Fuzz(func(t *testing.T, seed, order uint64, n uint8) {
		docs := randomDocuments(rand.New(rand.NewPCG(seed, 0)), int(n%64))
		want, err := Fold(docs)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(order, 1))
		shuffled := append(slices.Clone(docs), docs[:rng.IntN(len(docs))]...)
		rng.Shuffle(len(shuffled), reflect.Swapper(shuffled))
		got, err := Fold(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := runJSON(t, want), runJSON(t, got); a != b {
			t.Fatalf("order matters:\n%s\n%s", a, b)
		}
		// Through their bytes they fold to the same.
		for i := range docs {
			b, err := docs[i].Encode()
			if err != nil {
				t.Fatal(err)
			}
			if docs[i], err = DecodeDocument(b); err != nil {
				t.Fatal(err)
			}
		}
		if got, err = Fold(docs); err != nil || runJSON(t, got) != runJSON(t, want) {
			t.Fatalf("through bytes it is another run: %v", err)
		}
	})
}

// randomDocuments gives a base document and n events of all kinds, by several ranks whose clocks differ by up to an hour.
func randomDocuments(rng *rand.Rand, n int) []Document {
	templates := fixtureDocuments()
	docs := []Document{templates[0]}
	digests := []Digest{"", fixedDigest("1"), fixedDigest("2"), fixedDigest("3")}
	for i := range n {
		d := templates[1+rng.IntN(len(templates)-1)]
		ms := rng.Int64N(7_200_000)
		d.ID, d.At = DocumentID(fixedID(ms, byte(10+i))), fixedTime(ms)
		if d.Reporter.Rank = nil; rng.IntN(3) > 0 {
			d.Reporter.Rank = ptr(rng.IntN(4))
		}
		d.Reporter.Attempt, d.Reporter.AttemptID = rng.IntN(3), []string{"", "pod-a", "pod-b"}[rng.IntN(3)]
		d.Reporter.Kind = []string{"joiner", "collector", "user"}[rng.IntN(3)]
		switch d.Kind {
		case KindStatus:
			s := StatusChange{To: []Status{Planned, Running, Succeeded, Failed}[rng.IntN(4)], Started: fixedTime(rng.Int64N(20_000)), Attempt: rng.IntN(3)}
			if rng.IntN(4) == 0 {
				s.Started = Time{}
			}
			if s.To.Ended() {
				s.Finished, s.ExitCode, s.Fingerprint = fixedTime(rng.Int64N(30_000)), ptr(rng.IntN(3)), Fingerprint("fp1:"+strings.Repeat(string("ab"[rng.IntN(2)]), 64))
			} else if rng.IntN(2) == 0 {
				s.Lease = &Lease{PID: rng.IntN(9)}
			}
			d.Status = &s
		case KindObservation:
			o := *d.Observation
			o.Images = []ImagePin{{Name: []string{"image", "other"}[rng.IntN(2)], Ref: "a", Use: Observed, ConfigDigest: digests[rng.IntN(4)], PlatformDigest: digests[rng.IntN(4)], IndexDigest: digests[rng.IntN(4)]}}
			o.Attempt = &Attempt{Number: rng.IntN(3), ID: d.Reporter.AttemptID, Rank: d.Reporter.Rank, Started: fixedTime(rng.Int64N(20_000)), Reason: string("xyz"[rng.IntN(3)])}
			if o.Environment != nil && rng.IntN(2) == 0 {
				shared, node, err := SharedEnvironment(d.Run, *o.Environment)
				if err != nil {
					panic(err)
				}
				o.Environment, o.Node = nil, &node
				if rng.IntN(4) > 0 {
					docs = append(docs, shared)
				}
			}
			d.Observation = &o
		case KindOutput:
			d.Output = &OutputEvent{Metrics: map[string]Text{"loss": Text(string("123"[rng.IntN(3)]))}, Outputs: []Output{{Name: string("mn"[rng.IntN(2)]), URI: Text(string("123"[rng.IntN(3)]))}}}
		case KindLabel:
			d.Label = &Label{Set: map[string]string{string("ab"[rng.IntN(2)]): string("123"[rng.IntN(3)])}, Remove: []string{string("ab"[rng.IntN(2)])}}
		}
		docs = append(docs, d)
	}
	return docs
}

func FuzzDecodeDocument(f *testing.F) {
	for _, d := range fixtureDocuments() {
		b, _ := d.Encode()
		f.Add(b)
		f.Add([]byte(strings.Replace(string(b), `{"at"`, `{"A":1,"at"`, 1)))
		f.Add([]byte(strings.Replace(string(b), `"kind":"`, `"kind":"x`, 1)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := DecodeDocument(in)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Fatalf("kind %s: %v", KindOf(err), err)
			}
			return
		}
		out, err := d.Encode()
		if err != nil || string(out) != string(in) {
			t.Fatalf("%s\ncomes out as\n%s\n%v", in, out, err)
		}
		if _, err := json.Marshal(d); err != nil {
			t.Fatal(err)
		}
		if d.Kind == KindRun {
			if _, err := Fold([]Document{d}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
