package jobspec

import (
	"regexp"
	"strings"
)

// versionedURI says how a scheme writes a version into a URI, and which versions cannot move.
type versionedURI struct {
	scheme    string
	separator string // what stands before the version
	fixed     *regexp.Regexp
}

// The forms in common use; a scheme that is not listed has no place for a version (S3's version ids stand outside the URI).
var versionedURIs = []versionedURI{
	{"hf://", "@", regexp.MustCompile(`^[0-9a-f]{40}$`)},
	{"gs://", "#", regexp.MustCompile(`^[0-9]+$`)},
	{"s3://", "?versionId=", regexp.MustCompile(`^[^&#]+$`)},
	{"azureml:", ":", regexp.MustCompile(`^[^@:]+$`)},
}

// buckets are the schemes of Argo's artifacts.
var buckets = map[string]string{"s3": "s3://", "gcs": "gs://", "oss": "oss://"}

// dataset notes the URI of a dataset. Where its scheme has a place for a version and it has none, or one that moves, it is soft: nothing here can
// tell which version it stands for now.
func (r *reader) dataset(h hit, p part) {
	v := h.value
	if p.key != "" { // the place is a mapping
		v = v.get(p.key)
		h.field = join(h.field, p.key)
	}
	if v == nil || v.isNull() || !v.isString() || v.node.Value == "" || isTemplate(v.node.Value) {
		return // what fills it in is not known; the linter says so by the absence of a version
	}
	name := h.named
	if name == "" {
		name = KindDataset
		if parts := strings.Split(h.field, "."); len(parts) > 1 {
			name = parts[len(parts)-2]
		}
	}
	uri := v.node.Value
	if bucket := h.value.get("bucket").text(); p.key == "key" && bucket != "" && !isTemplate(bucket) {
		uri = buckets[p.path[strings.LastIndexByte(p.path, '.')+1:]] + bucket + "/" + strings.TrimPrefix(uri, "/")
		r.note(Reference{Name: name, Kind: KindDataset, URL: uri, Field: h.field, Soft: true}, v)
		return
	}
	r.note(datasetReference(name, uri, h.field), v)
}

func datasetReference(name, uri, field string) Reference {
	ref := Reference{Name: name, Kind: KindDataset, URL: uri, Field: field, Soft: true}
	for _, form := range versionedURIs {
		rest, ok := strings.CutPrefix(uri, form.scheme)
		if !ok {
			continue
		}
		if at := strings.LastIndex(rest, form.separator); at > 0 {
			ref.URL, ref.Value = form.scheme+rest[:at], rest[at+len(form.separator):]
			if form.scheme == "hf://" {
				if version, file, cut := strings.Cut(ref.Value, "/"); cut { // hf://datasets/org/name@REV/path
					ref.Value, ref.suffix = version, "/"+file
				}
			}
			ref.prefix = ref.URL + form.separator
			ref.Pinned = form.fixed.MatchString(ref.Value)
			ref.Soft = false
		}
	}
	return ref
}

// azureAsset notes an environment or a component of a workspace, NAME:VERSION. A version cannot be changed once it is there; @latest moves.
func (r *reader) azureAsset(h hit, asset string) {
	name, version, ok := strings.Cut(asset, ":")
	switch {
	case strings.HasPrefix(h.value.node.Value, "azureml://"):
		ok = strings.Contains(h.value.node.Value, "/versions/")
	case strings.Contains(asset, "@"):
		ok = false
	default:
		ok = ok && name != "" && version != ""
	}
	if !ok {
		r.problem(h.value, h.field, ProblemFloating, "names no version, so it follows the newest; write azureml:NAME:VERSION")
		return
	}
	r.settled = true
	r.told[h.value.node] = true
}
