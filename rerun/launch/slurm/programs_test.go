//go:build unix

package slurm

import (
	"os"
	"path/filepath"
	"testing"
)

// programs makes scripts that stand in for programs of Slurm's, and gives their directory.
func programs(t *testing.T, does map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, action := range does {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+action+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
