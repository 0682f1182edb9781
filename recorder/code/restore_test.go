package code

import (
	"testing"

	"github.com/runpin/runpin/recorder/code/codetest"
	"github.com/runpin/runpin/schema"
)

// TestRestore is the suite that a rendered script passes too (cmd/runpin).
func TestRestore(t *testing.T) {
	codetest.RunRestore(t, codetest.Restorer{
		Capture: func(t *testing.T, repo *codetest.Repo) (schema.CodePin, *codetest.Blobs) {
			return capture(t, resolver(false), repo)
		},
		Restore: func(t *testing.T, pin schema.CodePin, blobs *codetest.Blobs, dir string) error {
			return resolver(false).RestoreCode(t.Context(), pin, blobs, dir)
		},
	})
}
