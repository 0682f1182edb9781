package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// ParseParams reads parameters from a JSON or YAML file called name, flattened with dots; list items are named by their index. The text of every
// scalar is kept as it is written (0.10, 1e-4, big integers), null is "null", an empty list "[]" and an empty map "{}". Anchors, aliases and
// merge keys are followed within the bounds of the file: MaxFileBytes bytes, MaxEntries params. Errors name the line.
func ParseParams(file []byte, name string) (map[string]schema.Text, error) {
	const op = "process.params"
	if len(file) > MaxFileBytes {
		return nil, fileError(op, name, 0, fmt.Errorf("%d bytes, at most %d are read", len(file), MaxFileBytes), "declare large inputs with --dataset")
	}
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	f := &flat{values: map[string]schema.Text{}, keep: func(scalarKind, string) bool { return true }}
	trimmed := bytes.TrimSpace(file)
	if len(trimmed) == 0 {
		return f.values, nil
	}
	ext := strings.ToLower(path.Ext(name))
	if ext == ".json" || trimmed[0] == '{' && ext != ".yaml" && ext != ".yml" {
		r := &jsonReader{b: file, into: f, lists: true}
		if err := r.document(); err != nil {
			return nil, fileError(op, name, r.line(), err, "")
		}
		return f.values, nil
	}
	if line, err := yamlInto(file, f); err != nil {
		return nil, fileError(op, name, line, err, "write JSON or YAML: one map of names to values")
	}
	return f.values, nil
}

// yamlWalk flattens YAML nodes. budget bounds what aliases can be made to expand to.
type yamlWalk struct {
	into   *flat
	budget int
	line   int
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

func yamlInto(file []byte, f *flat) (int, error) {
	dec := yaml.NewDecoder(bytes.NewReader(file))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		line := 0
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		return line, fmt.Errorf("not valid YAML")
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("more than one document")
	}
	if len(doc.Content) != 1 {
		return 0, nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return 0, nil
	}
	if root.Kind != yaml.MappingNode {
		return root.Line, fmt.Errorf("not a map of names to values")
	}
	w := &yamlWalk{into: f, budget: 5 * MaxEntries}
	err := w.node(root, "", 0)
	return w.line, err
}

func (w *yamlWalk) node(n *yaml.Node, name string, depth int) error {
	w.line = n.Line
	if w.budget--; w.budget < 0 {
		return fmt.Errorf("more than %d values, aliases followed", 5*MaxEntries)
	}
	if depth > maxNesting {
		return fmt.Errorf("nested more than %d deep", maxNesting)
	}
	if len(name) > 2*maxNameBytes {
		return fmt.Errorf("the name %q… is longer than %d bytes", shortWord(name), maxNameBytes)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.node(n.Alias, name, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, name, depth)
	case yaml.SequenceNode:
		if len(n.Content) == 0 {
			return w.into.add(name, kindString, "[]", false)
		}
		for i, item := range n.Content {
			if err := w.node(item, join(name, strconv.Itoa(i)), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	kind, text := kindString, n.Value
	switch n.ShortTag() {
	case "!!int", "!!float":
		kind = kindNumber
	case "!!bool":
		kind = kindBool
	case "!!null":
		kind, text = kindNull, "null"
	}
	return w.into.add(name, kind, text, false)
}

func (w *yamlWalk) mapping(n *yaml.Node, name string, depth int) error {
	if len(n.Content) == 0 && name != "" {
		return w.into.add(name, kindString, "{}", false)
	}
	own := map[string]bool{}
	pairs, err := w.pairs(n, own, depth)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := w.node(p.value, join(name, p.key), depth+1); err != nil {
			return err
		}
	}
	return nil
}

type yamlPair struct {
	key   string
	value *yaml.Node
}

// pairs lists the entries of a map, with those that merge keys (<<) bring in and that it does not have itself.
func (w *yamlWalk) pairs(n *yaml.Node, own map[string]bool, depth int) ([]yamlPair, error) {
	var out []yamlPair
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		w.line = k.Line
		if w.budget--; w.budget < 0 || depth > maxNesting {
			return nil, fmt.Errorf("too much is nested or merged")
		}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch {
		case k.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("a key is not a plain value")
		case k.Value == "<<" && k.ShortTag() == "!!merge":
			merged = append(merged, v)
		case own[k.Value]:
			return nil, fmt.Errorf("%q is given twice", shortWord(k.Value))
		case k.Value == "":
			return nil, fmt.Errorf("a key is empty")
		default:
			own[k.Value] = true
			out = append(out, yamlPair{k.Value, v})
		}
	}
	for _, v := range merged {
		more, err := w.merge(v, own, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func (w *yamlWalk) merge(v *yaml.Node, own map[string]bool, depth int) ([]yamlPair, error) {
	if w.budget--; w.budget < 0 || depth > maxNesting {
		return nil, fmt.Errorf("too much is nested or merged")
	}
	if v.Kind == yaml.AliasNode {
		v = v.Alias
	}
	var out []yamlPair
	switch v.Kind {
	case yaml.SequenceNode:
		for _, item := range v.Content {
			more, err := w.merge(item, own, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	case yaml.MappingNode:
		theirs := map[string]bool{}
		pairs, err := w.pairs(v, theirs, depth)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			if !own[p.key] {
				own[p.key] = true
				out = append(out, p)
			}
		}
	default:
		return nil, fmt.Errorf("<< takes a map")
	}
	return out, nil
}
