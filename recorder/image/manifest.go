package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// descriptor points at a manifest, a configuration or a layer (image-spec, descriptor.md).
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       schema.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls"`
	Annotations  map[string]string `json:"annotations"`
	ArtifactType string            `json:"artifactType"`
	Platform     *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
		OSVersion    string `json:"os.version"`
	} `json:"platform"`
}

// image gives the platform of a child of an index, and false when the child is no image that can be chosen by platform: an
// attestation, a nested index, an artifact, or one without a platform or a digest.
func (d descriptor) image() (platform, bool) {
	if d.Platform == nil || d.Digest == "" || types.MediaType(d.MediaType).IsIndex() {
		return platform{}, false
	}
	if _, ok := d.Annotations["vnd.docker.reference.digest"]; ok {
		return platform{}, false
	}
	p := normal(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
	return p, p.known() && !p.attestation()
}

// document is a manifest of any kind: what it is shows in its fields, because its media type may be missing or wrong.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        *[]descriptor     `json:"layers"`
	Manifests     *[]descriptor     `json:"manifests"`
	FSLayers      json.RawMessage   `json:"fsLayers"`
	Annotations   map[string]string `json:"annotations"`
}

const schema1Text = "it is a manifest of schema version 1, which registries and engines no longer support"

// parseManifest reads a manifest and refuses what is none, and what can be read in two ways (CVE-2021-41190).
func parseManifest(b []byte) (document, error) {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("what the registry answered is not a manifest")
	}
	isIndex, isImage := d.Manifests != nil, d.Config != nil || d.Layers != nil
	switch {
	case d.SchemaVersion == 1 || d.FSLayers != nil:
		return d, errors.New(schema1Text)
	case isIndex && isImage:
		return d, fmt.Errorf("its manifest claims to be an index and an image at once")
	case isIndex && types.MediaType(d.MediaType).IsImage(), isImage && types.MediaType(d.MediaType).IsIndex():
		return d, fmt.Errorf("its manifest is not of the media type that it names, %s", d.MediaType)
	case !isIndex && (d.Config == nil || d.Config.Digest == ""):
		if d.ArtifactType != "" {
			return d, fmt.Errorf("it is an artifact of type %q, not a container image", schema.Shorten(d.ArtifactType, 120))
		}
		return d, fmt.Errorf("what the registry answered is not a manifest")
	}
	return d, nil
}

func (d document) isIndex() bool { return d.Manifests != nil }

// mediaType gives the media type: what the manifest itself says, and where it does not (OCI allows that) what it is.
func (d document) mediaType() string {
	switch {
	case d.MediaType != "":
		return d.MediaType
	case d.isIndex():
		return string(types.OCIImageIndex)
	}
	return string(types.OCIManifestSchema1)
}

// artifact refuses a manifest whose configuration is not that of an image.
func (d document) artifact() error {
	switch types.MediaType(d.Config.MediaType) {
	case types.OCIConfigJSON, types.DockerConfigJSON, "application/octet-stream": // the last by Docker before 1.11
		return nil
	}
	kind := d.ArtifactType
	if kind == "" {
		kind = d.Config.MediaType
	}
	return fmt.Errorf("it is an artifact of type %q, not a container image", schema.Shorten(kind, 120))
}

// configFile is the part of an image configuration that a pin needs (image-spec, config.md).
type configFile struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	Config       struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

func parseConfig(b []byte) (configFile, error) {
	var c configFile
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("its configuration is not that of a container image")
	}
	return c, nil
}

// maxLabels bounds what the labels of one image take in a record, in bytes.
const maxLabels = 256 << 10

// labels merges what is said about an image: labels of the configuration win over annotations of its manifest, and these over
// annotations of the index. One that holds a secret stays out, and when they are too large for a record only those of the OCI and
// label-schema names stay; a reason says so.
func labels(layers ...map[string]string) (all map[string]string, reasons []schema.Reason) {
	all = map[string]string{}
	size := 0
	for _, layer := range layers {
		for k, v := range layer {
			all[k] = v
		}
	}
	var secret []string
	for k, v := range all {
		if _, had := redact.URL(v); had || redact.Param(k, v) {
			secret = append(secret, k)
			delete(all, k)
		}
		size += len(k) + len(v)
	}
	sort.Strings(secret)
	for _, k := range secret {
		reasons = append(reasons, schema.Reason{Code: ReasonLabelWithheld, Subject: schema.Text(k), Text: "the label holds a secret and is not recorded"})
	}
	if len(all) == 0 {
		return nil, reasons
	}
	if size <= maxLabels {
		return all, reasons
	}
	left := 0
	for k, v := range all {
		if !strings.HasPrefix(k, "org.opencontainers.image.") && !strings.HasPrefix(k, "org.label-schema.") || len(k)+len(v) > 4<<10 {
			delete(all, k)
			left++
		}
	}
	return all, append(reasons, schema.Reason{Code: ReasonLabelsLeftOut, Text: fmt.Sprintf("%d of the labels are not recorded: together they have %d bytes", left, size)})
}
