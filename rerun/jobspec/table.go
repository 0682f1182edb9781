package jobspec

import (
	"slices"
	"strings"
)

// Row says where one kind of job spec holds what, for people. Places are paths as in the package's table: [] is every element of a list, * every key.
type Row struct {
	Format    string // as records keep it
	Group     string // API group, of a kind of Kubernetes
	Name      string
	Images    []string
	Code      []string
	Datasets  []string
	Elsewhere []string // what starts work that the file does not show, and is a problem
	Shape     Shape
	Stamp     string // where the run's id goes, "" nowhere
	Notes     []string
}

// Table gives the kinds of job specs that runpin can pin, those of Kubernetes first.
func Table() []Row {
	var rows []Row
	for _, k := range kinds {
		rows = append(rows, k.row())
	}
	for _, k := range formats {
		rows = append(rows, k.row())
	}
	for _, f := range textFormats {
		rows = append(rows, f.row)
	}
	return rows
}

func (k kind) row() Row {
	r := Row{Format: k.format, Group: k.group, Name: k.name, Shape: TagAndDigest}
	if r.Format == "" {
		r.Format = FormatKubernetes
	}
	if k.note != "" {
		r.Notes = append(r.Notes, k.note)
	}
	if k.needs != nil {
		r.Notes = append(r.Notes, "without an image it "+k.needs.reason)
	}
	stamps := map[string]bool{}
	r.add(k.parts, stamps)
	if len(stamps) > 0 && k.format == "" {
		r.Stamp = "annotation " + StampAnnotation + ", variable " + StampVariable
	} else if len(stamps) > 0 {
		r.Stamp = "variable " + StampVariable
	}
	for _, list := range []*[]string{&r.Images, &r.Code, &r.Datasets, &r.Elsewhere} {
		seen := map[string]bool{}
		*list = slices.DeleteFunc(*list, func(s string) bool { was := seen[s]; seen[s] = true; return was })
	}
	return r
}

func (r *Row) add(parts []part, stamps map[string]bool) {
	for _, p := range parts {
		if p.shape == DigestOnly {
			r.Shape = DigestOnly
		}
		switch p.what {
		case anObject:
			r.Images = append(r.Images, "each object of "+p.path)
		case aPod:
			r.Images = append(r.Images, strings.TrimPrefix(p.path+".spec", ".")+" (PodSpec)")
			r.Code = append(r.Code, "git-sync")
			stamps[p.path] = true
		case aContainer:
			if !p.bare || p.path != "" {
				r.Images = append(r.Images, p.path+".image")
			}
			stamps[p.path] = true
		case anImage:
			place := p.path
			if p.key != "" {
				place += " or ." + p.key
			}
			r.Images = append(r.Images, place)
		case anImageVolume:
			r.Images = append(r.Images, p.path+".source of type image")
		case anImageMap:
			r.Images = append(r.Images, p.path+" {"+p.keys.repository+", "+p.keys.tag+", "+p.keys.digest+"}")
		case aGitArtifact:
			r.Code = append(r.Code, p.path+".revision")
		case aGitParam:
			r.Code = append(r.Code, p.path+" revision")
		case aURL, aUses:
			r.Code = append(r.Code, p.path)
		case aDataset:
			place := p.path
			if p.key != "" {
				place += "." + p.key
			}
			r.Datasets = append(r.Datasets, place)
		case elsewhere:
			r.Elsewhere = append(r.Elsewhere, p.path)
		case aText:
			if len(p.parts) == 0 {
				r.Images = append(r.Images, "objects in the text "+p.path)
				continue
			}
			below := make([]part, 0, len(p.parts))
			for _, inner := range p.parts {
				inner.path = p.path + "|." + inner.path
				below = append(below, inner)
			}
			r.add(below, map[string]bool{})
		}
	}
}
