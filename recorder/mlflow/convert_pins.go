package mlflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

var declared = schema.Origin{Kind: schema.FromDeclared, By: "mlflow"}

// images: only MLflow Projects and runpin itself name one. The URI may be a tag as the user wrote it; the id is what one machine's Docker called the image.
func (v *conversion) images() {
	uri, id := v.run.Tags["mlflow.docker.image.uri"], v.run.Tags["mlflow.docker.image.id"]
	if ref, _ := redact.URL(uri); ref != "" && utf8.ValidString(ref) && !redact.Param("image", ref) {
		pin := schema.ImagePin{Name: "image", Ref: schema.Text(ref), Use: schema.Claimed, Origin: declared}
		name, digest, pinned := strings.Cut(ref, "@")
		pin.Repository = name
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			pin.Repository, pin.Tag = name[:i], name[i+1:]
		}
		if d, err := schema.ParseDigest(digest); pinned && err == nil {
			pin.PlatformDigest = d
			pin.Reasons = append(pin.Reasons, reason("mlflow-image-unresolved", "image:image", "no registry was asked: whether the digest is of one platform or of an index is not known"))
		} else {
			pin.Reasons = append(pin.Reasons, reason("mlflow-image-tag", "image:image", "MLflow kept the name of the image and no digest that can be pulled"))
		}
		if d, err := schema.ParseDigest(id); err == nil {
			pin.Reasons = append(pin.Reasons, reason("mlflow-image-id", "image:image", "Docker on the machine of the run called the image %s: a hint, which cannot be pulled", d))
		}
		v.plan.Images = []schema.ImagePin{pin}
		return
	}
	v.reason("mlflow-no-image", "image", "MLflow does not say which image the run was in, if any")
}

// code: MLflow names a commit and nothing of the changes on top of it. The pin is there even without a commit: a run of which the code is not known has no fingerprint.
func (v *conversion) code() {
	tags := v.run.Tags
	pin := schema.CodePin{Name: "code", Kind: schema.CodeGit, Use: schema.Claimed, Origin: declared}
	remote, had := redact.URL(tags["mlflow.source.git.repoURL"])
	if had {
		v.withhold("url", "mlflow.source.git.repoURL")
	}
	if utf8.ValidString(remote) && !redact.Param("url", remote) {
		pin.Remote = remote
	}
	source := tags["mlflow.source.name"]
	if source == "" {
		source = v.run.SourceName
	}
	if clean, _ := redact.URL(source); !redact.Param("source", clean) {
		pin.Ref = schema.Text(clean)
	}
	if pin.Ref == "" {
		pin.Ref = schema.Text(pin.Remote)
	}
	commit := strings.TrimSpace(tags["mlflow.source.git.commit"])
	if id, err := schema.ParseObjectID(commit); err == nil {
		pin.Commit = id
		pin.Reasons = append(pin.Reasons,
			reason("mlflow-no-tree", "code:code", "MLflow keeps the commit alone: the tree of the checkout is not known"),
			reason("mlflow-dirty-unknown", "code:code", "%s", dirtyText(tags["mlflow.source.git.dirty"])))
	} else {
		pin.Reasons = append(pin.Reasons, reason("mlflow-no-commit", "code:code", "MLflow does not say which commit the code was"))
	}
	if branch := strings.TrimSpace(tags["mlflow.source.git.branch"]); branch != "" && len(branch) <= 250 {
		pin.RefName = schema.Text("refs/heads/" + strings.TrimPrefix(branch, "refs/heads/"))
	}
	v.plan.Code = []schema.CodePin{pin}
}

func dirtyText(tag string) string {
	switch strings.ToLower(tag) {
	case "true":
		return "the checkout had changes on top of the commit, says MLflow; they are not here"
	case "false":
		return "MLflow saw no changes to tracked files; untracked ones it does not look at"
	}
	return "whether the checkout had changes on top of the commit is not known"
}

// datasets: MLflow's digest is MD5 cut to eight digits, of at most 10,000 rows of simple columns (mlflow/data/digest_utils.py): a sign of change, no proof of identity.
func (v *conversion) datasets() {
	taken := map[string]bool{}
	for i, d := range v.run.Datasets {
		name := pinName(d.Name, i, taken)
		pin := schema.DatasetPin{Name: name, Role: schema.RoleData, VersionKind: "mlflow-digest", Strength: schema.StrengthDeclared, Use: schema.Claimed, Origin: declared}
		if d.Digest == "" || !utf8.ValidString(d.Digest) || redact.Param("digest", d.Digest) {
			pin.VersionKind = ""
		} else {
			pin.VersionID = d.Digest
		}
		uri := sourceURI(d)
		clean, had := redact.URL(uri)
		if had {
			v.withhold("url", "dataset."+name)
		}
		if redact.Param("uri", clean) {
			clean = ""
			v.withhold("url", "dataset."+name)
		}
		pin.URI, pin.Scheme = schema.Text(clean), scheme(d.SourceType, clean)
		text := "MLflow's digest is of a sample of the rows: equal digests do not prove equal data"
		if pin.VersionID == "" {
			text = "MLflow has no digest of the data set"
		}
		pin.Reasons = append(pin.Reasons, reason("mlflow-digest", "dataset:"+name, "%s", text))
		if d.Context != "" && utf8.ValidString(d.Context) {
			pin.Reasons = append(pin.Reasons, reason("mlflow-context", "dataset:"+name, "MLflow calls it %s, used for %s", quote(d.Name), quote(d.Context)))
		}
		if clean == "" {
			pin.Reasons = append(pin.Reasons, reason("mlflow-no-location", "dataset:"+name, "MLflow does not say where the data set lies"))
		}
		v.plan.Datasets = append(v.plan.Datasets, pin)
	}
	if len(v.run.Datasets) == 0 {
		v.reason("mlflow-no-dataset", "dataset", "MLflow names no data set that the run used")
	}
}

// sourceURI finds the place in the JSON that describes a source. The forms are those of mlflow/data/*_source.py.
func sourceURI(d Dataset) string {
	var source map[string]json.RawMessage
	if len(d.Source) > maxValue || json.Unmarshal([]byte(d.Source), &source) != nil {
		return ""
	}
	text := func(key string) (s string) {
		_ = json.Unmarshal(source[key], &s)
		return s
	}
	if d.SourceType == "hugging_face" {
		if path := text("path"); path != "" {
			uri := "hf://datasets/" + path
			if revision := text("revision"); revision != "" {
				uri += "@" + revision
			}
			return uri
		}
	}
	for _, key := range []string{"uri", "url", "path", "delta_table_name", "table_name"} {
		if s := text(key); s != "" {
			return s
		}
	}
	return ""
}

// scheme names the kind of place; "mlflow" where it is none that has a name.
func scheme(sourceType, uri string) string {
	if i := strings.Index(uri, "://"); i > 1 {
		if s := strings.ToLower(uri[:i]); strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" {
			return s
		}
	}
	if sourceType == "local" {
		return "file"
	}
	return "mlflow"
}

// pinName makes a name of a record (DESIGN §5) of one of MLflow's, which may be any text.
func pinName(name string, n int, taken map[string]bool) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || b.Len() > 0 && r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "_") {
			b.WriteByte('_')
		}
		if b.Len() >= 40 {
			break
		}
	}
	base := strings.Trim(b.String(), "_")
	if base == "" {
		base = fmt.Sprintf("dataset%d", n+1)
	}
	unique := base
	for i := 2; taken[unique]; i++ {
		unique = fmt.Sprintf("%s_%d", base, i)
	}
	taken[unique] = true
	return unique
}
