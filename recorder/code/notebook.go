package code

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
)

// sameNotebook reports whether a tracked notebook differs from the commit's in outputs and execution counts alone.
func (w *work) sameNotebook(ctx context.Context, f *standing) (bool, error) {
	if !strings.HasSuffix(f.Path, ".ipynb") || f.HeadMode != f.mode || f.id == f.HeadID {
		return false, nil
	}
	objects, err := w.judge.objects(ctx)
	if err != nil {
		return false, err
	}
	kind, old, err := objects.ReadObject(f.HeadID)
	if err != nil || kind != "blob" {
		return false, err
	}
	a, okA := notebookSource(old)
	b, okB := notebookSource(f.content)
	return okA && okB && bytes.Equal(a, b), nil
}

// volatileCell are the keys of a cell's metadata that running it sets (nbformat, and the extensions that time cells).
var volatileCell = []string{"execution", "ExecuteTime", "collapsed", "scrolled"}

// notebookSource gives a notebook without what running it changes (nbformat 4: outputs, execution_count).
func notebookSource(b []byte) ([]byte, bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var nb map[string]any
	if dec.Decode(&nb) != nil || dec.More() {
		return nil, false
	}
	cells, ok := nb["cells"].([]any)
	if !ok {
		return nil, false
	}
	for _, c := range cells {
		cell, ok := c.(map[string]any)
		if !ok {
			return nil, false
		}
		if cell["cell_type"] == "code" {
			delete(cell, "outputs")
			delete(cell, "execution_count")
		}
		if meta, ok := cell["metadata"].(map[string]any); ok {
			for _, key := range volatileCell {
				delete(meta, key)
			}
		}
	}
	out, err := json.Marshal(nb)
	return out, err == nil
}
