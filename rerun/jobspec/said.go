package jobspec

import (
	"go.yaml.in/yaml/v3"
)

// Said is a text of a job spec, and what [Set] calls its place.
type Said struct{ Key, Text string }

// Texts gives every text of a spec, keys aside, as a reader of the file sees it: without quotes and escapes, aliases followed. A script is one text.
// A change of values leaves their number and their order.
func Texts(file string, data []byte) (all []Said, err error) {
	if isScript(file, data) {
		return []Said{{Text: string(data)}}, nil
	}
	s, err := Reader{}.parse(file, data)
	if err != nil {
		return nil, err
	}
	for _, d := range s.texts[0].docs {
		d.eachText(d.value, "", func(v *value, field string) { all = append(all, Said{"field." + field, v.node.Value}) })
	}
	return all, nil
}

func (d *document) eachText(v *value, field string, visit func(v *value, field string)) {
	if v == nil {
		return
	}
	if v.node.Kind == yaml.ScalarNode {
		visit(v, field)
	}
	for i, item := range v.items {
		d.eachText(item, indexed(field, i), visit)
	}
	for _, e := range v.entries {
		d.eachText(e.value, join(field, e.name), visit)
	}
}
