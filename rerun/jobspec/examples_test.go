package jobspec

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Every job spec of examples/ can be pinned and stamped, and has the images that it shows.
func TestExamples(t *testing.T) {
	images := map[string]int{"kubernetes-job/job.yaml": 2, "pytorchjob/pytorchjob.yaml": 2, "argo/workflow.yaml": 4, "slurm/train.sbatch": 0, "slurm/train-container.sbatch": 2,
		"collector/deployment.yaml": 1}
	examples := filepath.Join("..", "..", "examples")
	var paths []string
	for _, pattern := range []string{"*/*.yaml", "*/*.sbatch"} {
		found, _ := filepath.Glob(filepath.Join(examples, pattern))
		paths = append(paths, found...)
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return filepath.Base(path) == "role.yaml" }) // rights, no job
	if len(paths) != len(images) {
		t.Errorf("%d specs, want %d: %v", len(paths), len(images), paths)
	}
	for _, path := range paths {
		name, _ := filepath.Rel(examples, path)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Read(name, data)
			if err != nil {
				t.Fatal(err)
			}
			values := testPins(t, s)
			pinned, err := s.Pin(values, nil)
			if err != nil {
				t.Fatal(err)
			}
			stamped, err := s.Pin(values, &Stamp{RunID: testRun})
			if err != nil {
				t.Fatal(err)
			}
			again(t, s, pinned, stamped)
			got := 0
			for _, r := range s.References {
				if r.Kind == KindImage {
					got++
				}
			}
			if want, known := images[filepath.ToSlash(name)]; !known || got != want {
				t.Errorf("%d images, want %d", got, want)
			}
			if !bytes.Contains(stamped, []byte(StampVariable)) || bytes.Contains(pinned, []byte(testRun)) {
				t.Errorf("the stamp is not where it belongs:\n%s", stamped)
			}
		})
	}
}
