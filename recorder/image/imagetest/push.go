package imagetest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/runpin/runpin/schema"
)

// Image says what an image to push is made of. The same Image gives the same digests.
type Image struct {
	Files      map[string]string // path to content; a file below bin/ is executable
	Entrypoint []string
	Cmd        []string
	Env        []string
	Labels     map[string]string
	Platform   string // os/arch[/variant], linux/amd64 for ""; "-" leaves it out of the configuration
}

// Pushed is what was pushed: Digest names it, Children are the manifests of an index by platform, Config is that of a single image.
type Pushed struct {
	Digest   schema.Digest
	Config   schema.Digest
	Children map[string]Pushed
}

// PushImage pushes one image under repo:tag; with "" it has no tag.
func (r *Registry) PushImage(repo, tag string, image Image) (Pushed, error) {
	layer, err := image.layer()
	if err != nil {
		return Pushed{}, err
	}
	config := v1.ConfigFile{
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{hash(layer)}},
		Config: v1.Config{Entrypoint: image.Entrypoint, Cmd: image.Cmd, Env: image.Env, Labels: image.Labels},
	}
	if image.Platform != "-" {
		p := platform(image.Platform)
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	}
	configBytes, err := json.Marshal(config)
	if err != nil {
		return Pushed{}, err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: hash(configBytes), Size: int64(len(configBytes))},
		Layers: []v1.Descriptor{{MediaType: types.OCIUncompressedLayer, Digest: hash(layer), Size: int64(len(layer))}},
	}
	for _, blob := range [][]byte{layer, configBytes} {
		if err := r.pushBlob(repo, blob); err != nil {
			return Pushed{}, err
		}
	}
	d, err := r.PushManifest(repo, tag, string(manifest.MediaType), manifest)
	return Pushed{Digest: d, Config: schema.SHA256(configBytes)}, err
}

// PushRandom pushes an image with one file of random content.
func (r *Registry) PushRandom(repo, tag string) (Pushed, error) {
	return r.PushImage(repo, tag, Image{Files: map[string]string{"random": strconv.FormatUint(rand.Uint64(), 36)}})
}

// PushIndex pushes one image for each platform, and an index of them with an attestation, as BuildKit does.
func (r *Registry) PushIndex(repo, tag string, annotations map[string]string, images ...Image) (Pushed, error) {
	out := Pushed{Children: map[string]Pushed{}}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: annotations}
	for _, image := range images {
		child, err := r.PushImage(repo, "", image)
		if err != nil {
			return out, err
		}
		p := platform(image.Platform)
		desc, err := r.descriptor(repo, child.Digest)
		if err != nil {
			return out, err
		}
		desc.Platform = &p
		index.Manifests = append(index.Manifests, desc)
		out.Children[p.String()] = child
	}
	attestation, err := r.PushImage(repo, "", Image{Files: map[string]string{"attestation": tag}, Platform: "unknown/unknown"})
	if err != nil {
		return out, err
	}
	desc, err := r.descriptor(repo, attestation.Digest)
	if err != nil {
		return out, err
	}
	desc.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	desc.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	index.Manifests = append(index.Manifests, desc)
	out.Digest, err = r.PushManifest(repo, tag, string(index.MediaType), index)
	return out, err
}

// PushManifest pushes a manifest of any kind: manifest is JSON text ([]byte or string) or a value to marshal.
func (r *Registry) PushManifest(repo, tag, mediaType string, manifest any) (schema.Digest, error) {
	var body []byte
	switch m := manifest.(type) {
	case []byte:
		body = m
	case string:
		body = []byte(m)
	default:
		var err error
		if body, err = json.Marshal(m); err != nil {
			return "", err
		}
	}
	d := schema.SHA256(body)
	if tag == "" {
		tag = string(d)
	}
	_, err := r.direct(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, mediaType, body, http.StatusCreated)
	return d, err
}

// MoveTag makes repo:tag name another manifest of the repository.
func (r *Registry) MoveTag(repo, tag string, to schema.Digest) error {
	rec, err := r.direct(http.MethodGet, "/v2/"+repo+"/manifests/"+string(to), "", nil, http.StatusOK)
	if err != nil {
		return err
	}
	_, err = r.direct(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, rec.Header().Get("Content-Type"), rec.Body.Bytes(), http.StatusCreated)
	return err
}

// DeleteTag deletes a tag and leaves what it named.
func (r *Registry) DeleteTag(repo, tag string) error {
	_, err := r.direct(http.MethodDelete, "/v2/"+repo+"/manifests/"+tag, "", nil, http.StatusAccepted)
	return err
}

// Delete deletes a manifest and the tags that name it, as the specification asks and pkg/registry alone does not.
func (r *Registry) Delete(repo string, d schema.Digest) error {
	rec, err := r.direct(http.MethodGet, "/v2/"+repo+"/tags/list", "", nil, http.StatusOK)
	if err != nil {
		return err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil {
		return err
	}
	for _, tag := range list.Tags {
		rec, err := r.direct(http.MethodHead, "/v2/"+repo+"/manifests/"+tag, "", nil, http.StatusOK)
		if err != nil {
			return err
		}
		if rec.Header().Get("Docker-Content-Digest") == string(d) {
			if err := r.DeleteTag(repo, tag); err != nil {
				return err
			}
		}
	}
	_, err = r.direct(http.MethodDelete, "/v2/"+repo+"/manifests/"+string(d), "", nil, http.StatusAccepted)
	return err
}

func (r *Registry) pushBlob(repo string, b []byte) error {
	_, err := r.direct(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+string(schema.SHA256(b)), "application/octet-stream", b, http.StatusCreated)
	return err
}

func (r *Registry) descriptor(repo string, d schema.Digest) (v1.Descriptor, error) {
	rec, err := r.direct(http.MethodGet, "/v2/"+repo+"/manifests/"+string(d), "", nil, http.StatusOK)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: types.MediaType(rec.Header().Get("Content-Type")), Digest: hash(rec.Body.Bytes()), Size: int64(rec.Body.Len())}, nil
}

// direct asks the registry past faults, authentication and counts.
func (r *Registry) direct(method, path, contentType string, body []byte, want int) (*httptest.ResponseRecorder, error) {
	req := httptest.NewRequest(method, "http://"+r.Host+path, bytes.NewReader(body))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	rec := httptest.NewRecorder()
	r.inner.ServeHTTP(rec, req)
	if rec.Code != want {
		return rec, fmt.Errorf("imagetest: %s %s: %d %s", method, path, rec.Code, strings.TrimSpace(rec.Body.String()))
	}
	return rec, nil
}

// layer gives a tar archive of the files, the same for the same files.
func (i Image) layer() ([]byte, error) {
	var paths []string
	for path := range i.Files {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, path := range paths {
		mode := int64(0o644)
		if strings.HasPrefix(path, "bin/") {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(i.Files[path])), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(i.Files[path])); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

func platform(s string) v1.Platform {
	if s == "" {
		s = "linux/amd64"
	}
	parts := append(strings.SplitN(s, "/", 3), "", "")
	return v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

func hash(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: schema.SHA256(b).Hex()}
}
