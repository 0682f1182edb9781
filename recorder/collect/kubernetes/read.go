package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// MaxFileBytes and MaxPods bound what is read from a file of pods.
const (
	MaxFileBytes = 64 << 20
	MaxPods      = 20_000
)

// ReadPods reads what `kubectl get pods -o json` or `-o yaml` prints: pods and lists of pods, one document or several. Other objects are passed over. Errors are of kind
// Invalid; name is what they call the file.
func ReadPods(r io.Reader, name string) ([]Pod, error) {
	fail := func(err error) ([]Pod, error) {
		return nil, &schema.Error{Op: "collect.pods", Kind: schema.Invalid, Subject: name, Err: err, Hint: "give what `kubectl get pods -o json` or -o yaml prints"}
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return fail(err)
	}
	if len(data) > MaxFileBytes {
		return fail(fmt.Errorf("it has more than %d MiB", MaxFileBytes>>20))
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var pods []Pod
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		for dec := json.NewDecoder(bytes.NewReader(data)); ; {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err == io.EOF {
				break
			} else if err != nil {
				return fail(err)
			}
			if pods, err = object(raw, pods, 0); err != nil {
				return fail(err)
			}
		}
	} else {
		for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
			var node yaml.Node
			if err := dec.Decode(&node); err == io.EOF {
				break
			} else if err != nil {
				return fail(err)
			}
			if aliased(&node) { // kubectl writes none, and a small file can name gigabytes with them
				return fail(errors.New("it has YAML aliases"))
			}
			var v any
			if err := node.Decode(&v); err != nil {
				return fail(err)
			}
			if v == nil {
				continue
			}
			raw, err := json.Marshal(v)
			if err != nil {
				return fail(errors.New("it is no object of Kubernetes"))
			}
			if pods, err = object(raw, pods, 0); err != nil {
				return fail(err)
			}
		}
	}
	if len(pods) == 0 {
		return fail(errors.New("there is no pod in it"))
	}
	return pods, nil
}

func aliased(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliased)
}

// object takes the pods of one object.
func object(raw []byte, pods []Pod, depth int) ([]Pod, error) {
	var kind struct {
		Kind  string            `json:"kind"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return pods, errors.New("it is no object of Kubernetes")
	}
	switch {
	case kind.Kind == "Pod":
		var p Pod
		if err := json.Unmarshal(raw, &p); err != nil {
			return pods, fmt.Errorf("a pod cannot be read: %w", err)
		}
		if !p.named() {
			return pods, errors.New("a pod has no name that a pod can have")
		}
		if len(pods) == MaxPods {
			return pods, fmt.Errorf("it holds more than %d pods", MaxPods)
		}
		return append(pods, p), nil
	case strings.HasSuffix(kind.Kind, "List") && depth == 0:
		var err error
		for _, item := range kind.Items {
			if kind.Kind == "PodList" {
				item = withKind(item)
			}
			if pods, err = object(item, pods, depth+1); err != nil {
				return pods, err
			}
		}
	case kind.Kind == "":
		return pods, errors.New("an object has no kind")
	}
	return pods, nil
}

// withKind: an API server leaves the kind away inside a PodList.
func withKind(item []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(item, &fields) != nil || fields == nil || fields["kind"] != nil {
		return item
	}
	fields["kind"] = json.RawMessage(`"Pod"`)
	out, err := json.Marshal(fields)
	if err != nil {
		return item
	}
	return out
}
