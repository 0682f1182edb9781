package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/runpin/runpin/rerun/jobspec"
)

// What is pinned and stamped, and what is rendered, means to the parser of docker compose what it meant before, with the images by digest.
func TestComposeParser(t *testing.T) {
	files, _ := filepath.Glob("../jobspec/testdata/compose*/stamped.yaml")
	rendered, _ := filepath.Glob("testdata/compose/*")
	if files = append(files, rendered...); len(files) < 5 {
		t.Fatalf("%q", files)
	}
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "../"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := jobspec.Read("compose.yaml", data)
			if err != nil {
				t.Fatal(err)
			}
			project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{WorkingDir: t.TempDir(), ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: data}},
				Environment: types.Mapping{"RUNPIN_SECRET_TOKEN": "x", "RUNPIN_SECRET_KEY": "y", "RUNPIN_SECRET_API_TOKEN": "z"}}, func(o *loader.Options) { o.SetProjectName("test", true) })
			if err != nil {
				t.Fatal(err)
			}
			pinned := map[string]bool{}
			for _, ref := range s.References {
				pinned[ref.Value] = ref.Pinned
			}
			for name, service := range project.Services {
				if !pinned[service.Image] {
					t.Errorf("service %s runs %q, which is not one of %v", name, service.Image, pinned)
				}
				if id := service.Environment[jobspec.StampVariable]; strings.Contains(file, "stamped") && (id == nil || *id != "01JDABCDEFGHJKMNPQRSTVWXYZ") {
					t.Errorf("service %s: %v", name, service.Environment)
				}
			}
		})
	}
}
