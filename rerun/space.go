package rerun

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// enoughSpace refuses to begin a copy that cannot be finished. What an interrupted rerun copied already takes no more, nor does what shares its blocks with the
// original.
func (p *Prepared) enoughSpace(places []placement, w *workspace) error {
	var need int64
	var names []string
	for _, place := range places {
		source := p.Sources[place.pin.Name]
		if !place.copy || sharesBlocks(source, w.dir) {
			continue
		}
		if w.again && w.root != nil {
			if _, err := w.root.Lstat(filepath.Join(keptName, place.pin.Name)); err == nil {
				continue
			}
		}
		need += place.pin.Bytes
		names = append(names, "dataset:"+place.pin.Name)
	}
	free, known := freeSpace(existing(w.dir))
	if !known || need <= free {
		return nil
	}
	return &schema.Error{Op: "rerun.restore", Kind: schema.Unavailable, Subject: strings.Join(names, ", "),
		Err: fmt.Errorf("the copy takes %d bytes, and %s has %d left", need, w.dir, free), Hint: "free some space, or restore elsewhere: --workdir DIR"}
}

// existing gives the nearest directory above dir that is there.
func existing(dir string) string {
	for {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			return resolved
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return dir
		}
		dir = parent
	}
}
