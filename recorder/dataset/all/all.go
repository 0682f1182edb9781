// Package all is the one list of data set backends: adding one is a folder beside this and a line here.
package all

import (
	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/recorder/dataset/file"
)

// Backends makes every backend.
func Backends(opts dataset.Options) []dataset.Backend {
	return []dataset.Backend{
		file.New(opts),
	}
}
