package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/datasettest"
	"github.com/runpin/runpin/recorder/dataset/file"
)

func TestConformance(t *testing.T) {
	for name, prefix := range map[string]string{"Path": "", "URI": "file://"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := func(uri, path string) string {
				return filepath.Join(strings.TrimPrefix(uri, prefix), filepath.FromSlash(path))
			}
			try := func(t testing.TB, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			put := func(t testing.TB, uri, path, content string) {
				try(t, os.MkdirAll(filepath.Dir(at(uri, path)), 0o777))
				try(t, os.WriteFile(at(uri, path), []byte(content), 0o666))
			}
			datasettest.Run(t, datasettest.Kit{
				New: func(_ testing.TB, opts dataset.Options) dataset.Backend { return file.New(opts) },
				Make: func(t testing.TB, files map[string]string) string {
					uri := prefix + filepath.ToSlash(filepath.Join(t.TempDir(), "set"))
					for path, content := range files {
						put(t, uri, path, content)
					}
					return uri
				},
				Put:     put,
				Delete:  func(t testing.TB, uri, path string) { try(t, os.Remove(at(uri, path))) },
				Destroy: func(t testing.TB, uri string) { try(t, os.RemoveAll(at(uri, ""))) },
				PutUnnoticed: func(t testing.TB, uri, path, content string) {
					info, err := os.Stat(at(uri, path))
					try(t, err)
					f, err := os.OpenFile(at(uri, path), os.O_WRONLY, 0)
					try(t, err)
					_, err = f.WriteString(content)
					try(t, err)
					try(t, f.Close())
					try(t, os.Chtimes(at(uri, path), info.ModTime(), info.ModTime()))
				},
				WithSecret: func(_ testing.TB, secret string) string { return "file://me:" + secret + "@host/data" },
			})
		})
	}
}
