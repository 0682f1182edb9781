package rerun

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// A data set of up to this size is copied into a rerun; a larger one is links to the original.
const maxCopied, maxCopiedFiles = 64 << 20, 2000

func small(pin schema.DatasetPin) bool { return pin.Bytes <= maxCopied && pin.Files <= maxCopiedFiles }

// placement says where a data set goes.
type placement struct {
	pin  *schema.DatasetPin
	dest string // "" where it is read in its own place
	copy bool   // else its files may be links
}

func (p *Prepared) placed(pin schema.DatasetPin, dir string) string {
	if pin.Path == nil {
		return ""
	}
	return p.place(*pin.Path, dir)
}

// layOut works out where everything goes, without touching anything.
func (p *Prepared) layOut(req Request, dir, by string, now schema.Time) ([]placement, error) {
	p.Root = codeDir(dir)
	slices.SortStableFunc(p.Datasets, func(a, b schema.DatasetPin) int { return len(p.placed(a, dir)) - len(p.placed(b, dir)) }) // one may lie in another
	var places []placement
	for i := range p.Datasets {
		place, err := p.layOutDataset(&p.Datasets[i], req, dir)
		if err != nil {
			return nil, err
		}
		place.pin.Use, place.pin.Origin = schema.Enforced, schema.Origin{Kind: schema.FromContent, By: by, At: now}
		places = append(places, place)
	}
	for i := range p.Outputs {
		o := &p.Outputs[i]
		if o.Path == nil {
			continue
		}
		if p.chosen[o.Name] {
			p.Paths[o.Name] = string(o.Path.Typed)
			continue
		}
		o.Path, p.Paths[o.Name] = p.moved(*o.Path, dir, o.Name)
		if err := besideGit(string(o.Path.Located), dir, "output "+o.Name); err != nil {
			return nil, err
		}
	}
	switch {
	case p.Metrics == nil:
	case p.chosen[metricsName]:
		p.Paths[metricsName] = string(p.Metrics.Typed)
	default:
		p.Metrics, p.Paths[metricsName] = p.moved(*p.Metrics, dir, metricsName)
	}
	return places, nil
}

func (p *Prepared) layOutDataset(pin *schema.DatasetPin, req Request, dir string) (placement, error) {
	place := placement{pin: pin}
	if pin.Path == nil {
		return place, &schema.Error{Op: "rerun.restore", Kind: schema.Unpinnable, Subject: "dataset:" + pin.Name, Err: fmt.Errorf("scheme %q cannot be restored by this version", pin.Scheme)}
	}
	source := string(pin.Path.Located)
	if at := req.At[pin.Name]; at != "" {
		abs, err := filepath.Abs(strings.TrimPrefix(strings.TrimPrefix(at, "file:"), "//"))
		if err != nil {
			return place, err
		}
		source = abs
	}
	if at := req.At[pin.Name]; at != "" && !p.relocated["dataset:"+pin.Name] {
		p.Relaxed = append(p.Relaxed, schema.Reason{Code: "dataset-elsewhere", Subject: schema.Text("dataset:" + pin.Name), Text: "read from another place; its digest was proved equal"})
	}
	recorded := *pin.Path
	moved := recorded
	moved.Located = schema.Text(source)
	pin.Path = &moved
	p.Sources[pin.Name] = source
	dest := p.place(recorded, dir)
	if p.InContainer() {
		return place, nil // mounted read-only from where it is
	}
	if dest == "" {
		p.Paths[pin.Name] = source
		return place, nil
	}
	p.Paths[pin.Name] = string(recorded.Typed)
	if filepath.IsAbs(string(recorded.Typed)) {
		p.Paths[pin.Name] = dest
	}
	if err := besideGit(dest, dir, "dataset:"+pin.Name); err != nil {
		return place, err
	}
	place.dest = dest
	// Outputs that lie inside a data set must not be written into the original: then the bytes are copied.
	// So are they when the command starts a container itself: links would lead to paths that it does not mount.
	// A small one is copied always: what lists files and does not follow links (find -type f) must find what it found, and what it writes into it must stay here.
	place.copy = req.Copy || p.startsContainerItself() || small(*pin) || slices.ContainsFunc(p.Outputs, func(o schema.Output) bool {
		return o.Path != nil && strings.HasPrefix(p.place(*o.Path, dir)+string(filepath.Separator), dest+string(filepath.Separator))
	})
	return place, nil
}

// moved gives the place of an output in the directory of the rerun, and how the command is told of it.
func (p *Prepared) moved(recorded schema.Path, dir, name string) (*schema.Path, string) {
	typed := string(recorded.Typed)
	at := p.place(recorded, dir)
	told := typed
	switch {
	case at == "":
		at = filepath.Join(dir, "outputs", name, filepath.Base(typed))
		told = at
	case filepath.IsAbs(typed):
		told = at
	}
	recorded.Located = schema.Text(at)
	return &recorded, told
}

// besideGit refuses a place inside git's own directory: what lies there is executed by git.
func besideGit(at, dir, subject string) error {
	rel, err := filepath.Rel(dir, at)
	if err != nil {
		return err
	}
	for _, part := range strings.Split(filepath.ToSlash(rel), "/") {
		if strings.EqualFold(strings.TrimRight(part, ". "), ".git") {
			return &schema.Error{Op: "rerun.restore", Kind: schema.Invalid, Subject: subject, Err: fmt.Errorf("its place %q lies in git's own directory", rel)}
		}
	}
	return nil
}

// codeDir is where the code lies in the directory of a rerun.
func codeDir(dir string) string { return filepath.Join(dir, "code") }

// commandDir is where the command starts.
func (p *Prepared) commandDir() string { return p.commandDirIn(p.Root) }

func (p *Prepared) commandDirIn(root string) string {
	if p.WorkDir == nil || p.WorkDir.Base != schema.BaseCheckout {
		return root
	}
	return filepath.Join(root, filepath.FromSlash(string(p.WorkDir.Rel)))
}

// place gives where a recorded path belongs in the rerun, or "" when it lay elsewhere (an absolute path, or one that leaves dir).
func (p *Prepared) place(pt schema.Path, dir string) string {
	root, at := codeDir(dir), ""
	switch {
	case pt.Base == schema.BaseCheckout:
		at = filepath.Join(root, filepath.FromSlash(string(pt.Rel)))
	case pt.Base == schema.BaseWorkDir:
		at = filepath.Join(p.commandDirIn(root), filepath.FromSlash(string(pt.Rel)))
	default:
		return ""
	}
	if at == dir || at == root || !strings.HasPrefix(at, dir+string(filepath.Separator)) {
		return ""
	}
	return at
}
