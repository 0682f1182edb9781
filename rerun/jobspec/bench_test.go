package jobspec

import (
	"os"
	"strings"
	"testing"
)

// DESIGN §8: a pinned spec from a record takes at most 5 ms in process.
func BenchmarkPin(b *testing.B) {
	job, err := os.ReadFile("testdata/job/spec.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name string
		data []byte
	}{
		{"job", job},
		{"hundred", []byte(strings.Repeat("---\n"+string(job), 100))},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.SetBytes(int64(len(bc.data)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := Read("job.yaml", bc.data)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Pin(testPins(b, s), &Stamp{RunID: testRun}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
