package recorder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// Pins are what another run found its data sets to be: the next member of a sweep need not read them again.
type Pins struct {
	From     schema.RunID
	Datasets []schema.DatasetPin
}

const (
	spotFiles    = 3       // files that are read again
	maxSpotBytes = 8 << 20 // of each; a larger one is passed over
	maxManifest  = 64 << 20
)

// reusePin gives the pin that another run has of the same data set, after a look at whether that still holds. One that cannot be vouched for is resolved anew.
func (p *Planned) reusePin(ctx context.Context, d DatasetRef) (schema.DatasetPin, bool) {
	if p.req.PinsFrom == nil {
		return schema.DatasetPin{}, false
	}
	uri, _ := redact.URL(d.URI)
	role := d.Role
	if role == "" {
		role = schema.RoleData
	}
	for _, pin := range p.req.PinsFrom.Datasets {
		if pin.Name != d.Name || string(pin.URI) != uri || pin.Role != role || !slices.Equal(pin.Include, schema.Texts(d.Include)) || !slices.Equal(pin.Exclude, schema.Texts(d.Exclude)) {
			continue
		}
		if pin.ContentDigest == "" && pin.VersionID == "" {
			return schema.DatasetPin{}, false
		}
		from := p.req.PinsFrom.From
		if change := p.r.Datasets.RecheckDataset(ctx, pin); change != nil {
			p.r.warnf("%s is not what run %s used (%s); it is resolved anew", change.Pin, from.Short(), change.Text)
			return schema.DatasetPin{}, false
		}
		how, err := p.spotCheck(ctx, pin)
		if err != nil {
			p.r.warnf("dataset:%s is not what run %s used (%v); it is resolved anew", pin.Name, from.Short(), err)
			return schema.DatasetPin{}, false
		}
		pin.Reasons = slices.DeleteFunc(slices.Clone(pin.Reasons), func(r schema.Reason) bool { return r.Code == "pins-reused" })
		pin.Reasons = append(pin.Reasons, schema.Reason{Code: "pins-reused", Subject: schema.Text("dataset:" + pin.Name), Text: fmt.Sprintf("taken from run %s; looked at again, unchanged%s", from, how)})
		return pin, true
	}
	return schema.DatasetPin{}, false
}

// spotCheck reads a few files of a directory again and compares them with the manifest: times and sizes, which the look before goes by, can be set. It fails
// only when a file differs; what it cannot look at it says.
func (p *Planned) spotCheck(ctx context.Context, pin schema.DatasetPin) (how string, err error) {
	if pin.Path == nil || pin.Manifest == nil || !pin.Directory || pin.DigestKind != schema.DirHash || p.r.Blobs == nil {
		return "", nil
	}
	sample, err := p.sampleManifest(ctx, *pin.Manifest)
	if err != nil {
		return ", no file was read again: " + err.Error(), nil
	}
	root, err := os.OpenRoot(string(pin.Path.Located))
	if err != nil {
		return ", no file was read again: " + err.Error(), nil
	}
	defer root.Close()
	read := 0
	for _, line := range sample {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		want, path, _ := strings.Cut(line, "  ")
		got, ok := hashSmall(root, path)
		switch {
		case !ok:
			continue // a large file, or a link out of the directory
		case got != want:
			return "", fmt.Errorf("%s has other content", path)
		}
		read++
	}
	return fmt.Sprintf(", and %d of its files were read again", read), nil
}

// sampleManifest draws a few lines of a manifest, each with the same chance.
func (p *Planned) sampleManifest(ctx context.Context, ref schema.BlobRef) ([]string, error) {
	if ref.Bytes > maxManifest {
		return nil, fmt.Errorf("its manifest is larger than %d bytes", maxManifest)
	}
	content, err := p.r.Blobs.OpenBlob(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	var sample []string
	lines := bufio.NewScanner(io.LimitReader(content, maxManifest))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(sample) < spotFiles {
			sample = append(sample, lines.Text())
		} else if at := rand.IntN(n); at < spotFiles {
			sample[at] = lines.Text()
		}
	}
	return sample, lines.Err()
}

func hashSmall(root *os.Root, path string) (string, bool) {
	info, err := root.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSpotBytes {
		return "", false
	}
	file, err := root.Open(path)
	if err != nil {
		return "", false
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, maxSpotBytes+1)); err != nil {
		return "", false
	}
	return hex.EncodeToString(hash.Sum(nil)), true
}
