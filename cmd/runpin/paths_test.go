package main

import (
	"testing"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/process"
)

// Two rooms describe paths and may not import each other's room: data sets, and outputs with the working directory. They must agree, because a rerun puts both
// back by the same rule.
func TestDatasetAndOutputPathsAgree(t *testing.T) {
	for _, root := range []string{"/home/u/project", ""} {
		for _, typed := range []string{"data", "./data/", "../data", "../../x", "/mnt/data", "/home/u/project/data", "sub/../data", ".", "a b/c\nd"} {
			for _, dir := range []string{"/home/u/project", "/home/u/project/sub"} {
				if a, b := dataset.DescribePath(typed, dir, root), process.PathOf(typed, dir, root); a != b {
					t.Errorf("%q in %s below %q: data set %+v, output %+v", typed, dir, root, a, b)
				}
			}
		}
	}
}
