package rerun

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// maxWarned bounds the links that a person is told of.
const maxWarned = 3

// moveLinks points links of the restored code that lead into the original's checkout by an absolute path into the restored one: otherwise the user's edited files
// would run, and be written to. Links that lead elsewhere are told of: what they lead to is no part of what was recorded.
func (r *Rerunner) moveLinks(p *Prepared, w *workspace) error {
	old := p.originalRoot()
	told := 0
	return filepath.WalkDir(p.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if d.Type()&fs.ModeSymlink == 0 {
			return nil
		}
		target, err := os.Readlink(path)
		if err != nil || !filepath.IsAbs(target) {
			return err
		}
		rel, err := filepath.Rel(w.dir, path)
		if err != nil {
			return err
		}
		inside, ok := strings.CutPrefix(filepath.Clean(target), filepath.Clean(old))
		if old == "" || !ok || inside != "" && !strings.HasPrefix(inside, string(filepath.Separator)) {
			if told++; told <= maxWarned {
				r.Warn("%s is a link to %s: what lies there is no part of the recorded code", rel, schema.Shorten(target, 300))
			}
			return nil
		}
		to, err := filepath.Rel(filepath.Dir(path), filepath.Join(p.Root, inside))
		if err != nil {
			return err
		}
		if err := w.root.Remove(rel); err != nil {
			return err
		}
		if err := w.root.Symlink(to, rel); err != nil {
			return err
		}
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "link-moved", Subject: schema.Text(filepath.ToSlash(rel)), Text: "it led into the checkout of the original; it leads to the same place of the restored code"})
		return nil
	})
}
