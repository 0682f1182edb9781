package resolve

import (
	"testing"

	"github.com/runpin/runpin/rerun/jobspec"
)

// BenchmarkPin pins 1,000 files with 5,000 references, 200 of them distinct, of a registry that answers at once; parse is one reading of the same files.
func BenchmarkPin(b *testing.B) {
	files := manyFiles(1000, 5, 200)
	b.Run("pin", func(b *testing.B) {
		for b.Loop() {
			_, r := newWorld()
			if _, err := r.Pin(b.Context(), files); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			for _, f := range files {
				if _, err := jobspec.Read(f.Name, f.Data); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
