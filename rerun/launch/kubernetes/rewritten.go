package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/runpin/runpin/schema"
)

// unchanged refuses an object that the cluster made of ours with another image, or without its digest, and takes it away again: an admission webhook rewrites objects
// without a word, and what would run then is not what is pinned.
func (l *Launcher) unchanged(ctx context.Context, p *plan, m made, sent, got *unstructured.Unstructured) error {
	field, want, have := l.rewritten(sent.Object, got.Object)
	if field == "" {
		return nil
	}
	if have = clean(have, 300); have == "" {
		have = "nothing"
	}
	err := &schema.Error{Op: op, Kind: schema.Drift, Subject: m.what.String(),
		Err:  fmt.Errorf("the cluster made %s of %s in %s, so that something else than the pinned image would run", have, clean(want, 300), clean(field, 200)),
		Hint: "something on the cluster replaces images: look for an admission webhook, or submit where there is none"}
	ctx, cancel := l.afterwards(ctx)
	defer cancel()
	if l.remove(ctx, m.at, m.what.name, m.uid, metav1.DeletePropagationBackground) != nil {
		return annotate(err, fmt.Sprintf("and it could not be removed again: `kubectl -n %s delete %s`", p.namespace, m.what))
	}
	return err
}

// rewritten gives the first field in which an object names something by digest and what was made of it names something else. Another name of the same image, such as that of a
// mirror, is none.
func (l *Launcher) rewritten(sent, got map[string]any) (field, want, have string) {
	x := &expected{pins: l.options.Images}
	wanted, there := byDigest(sent), map[string]string{}
	leaves(got, "", 0, func(path, text string) { there[path] = text })
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		pinned, made := digestOf(wanted[path]), digestOf(there[path])
		if made == pinned {
			continue
		}
		if same, _ := x.allows([]schema.Digest{pinned}, made, true); made == "" || !same {
			return path, wanted[path], there[path]
		}
	}
	return "", "", ""
}

// byDigest gives the texts of an object that end in a digest, by their fields.
func byDigest(object map[string]any) map[string]string {
	found := map[string]string{}
	leaves(object, "", 0, func(path, text string) {
		if digestOf(text) != "" {
			found[path] = text
		}
	})
	return found
}

// leaves tells each text of an object but for its metadata and status. What has a name in a list is known by it: a cluster puts things before others.
func leaves(v any, path string, depth int, tell func(path, text string)) {
	if depth > 64 {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if depth > 0 || key != "metadata" && key != "status" {
				leaves(inner, strings.TrimPrefix(path+"."+key, "."), depth+1, tell)
			}
		}
	case []any:
		for i, inner := range v {
			key := fmt.Sprint(i)
			if m, ok := inner.(map[string]any); ok {
				if name, ok := m["name"].(string); ok && name != "" {
					key = name
				}
			}
			leaves(inner, path+"["+key+"]", depth+1, tell)
		}
	case string:
		tell(path, v)
	}
}
