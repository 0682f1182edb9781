package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// isImageFile recognises the path of an image file: enroot's and pyxis' .sqsh, .squashfs, and Apptainer's .sif. A reference can end
// so too (repository "a/b.sif"), so a plain name must exist to be taken for a file.
func isImageFile(s string) bool {
	switch strings.ToLower(filepath.Ext(s)) {
	case ".sqsh", ".squashfs", ".sif":
	default:
		return false
	}
	if filepath.IsAbs(s) || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || !strings.Contains(s, "/") {
		return true
	}
	_, err := os.Stat(s)
	return err == nil
}

// resolveFile hashes an image file. Its platform is not read from it.
func (r *Resolver) resolveFile(ctx context.Context, pin schema.ImagePin) (schema.ImagePin, error) {
	path := pin.Ref.String()
	d, err := hashFile(ctx, path)
	if err != nil {
		var known *schema.Error
		if errors.As(err, &known) {
			return schema.ImagePin{}, err
		}
		return schema.ImagePin{}, r.fail(schema.Unpinnable, fmt.Sprintf("%q", path), err, "give the path of an image file that can be read")
	}
	pin.FileDigest = d
	pin.Origin = schema.Origin{Kind: schema.FromContent, At: schema.At(r.now())}
	pin.Reasons = append(pin.Reasons, schema.Reason{Code: ReasonFileOnly, Subject: pin.Ref,
		Text: "an image file is known by the SHA-256 of its bytes; its platform and labels are not read"})
	return pin, nil
}

// hashFile gives the SHA-256 of a regular file that does not change meanwhile.
func hashFile(ctx context.Context, path string) (schema.Digest, error) {
	info, err := os.Stat(path) // before opening: a pipe would block
	if err != nil {
		return "", plain(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", plain(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return "", plain(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, contextReader{ctx, f})
	if ctx.Err() != nil {
		return "", &schema.Error{Op: "image.hash", Kind: schema.Interrupted, Subject: fmt.Sprintf("%q", path), Err: context.Cause(ctx)}
	}
	if err != nil {
		return "", plain(err)
	}
	after, err := f.Stat()
	if err != nil {
		return "", plain(err)
	}
	if n != before.Size() || n != after.Size() || !before.ModTime().Equal(after.ModTime()) {
		return "", &schema.Error{Op: "image.hash", Kind: schema.Unpinnable, Subject: fmt.Sprintf("image %q", path),
			Err: errors.New("it changed while it was read"), Hint: "wait until whatever writes it is done"}
	}
	var sum [32]byte
	h.Sum(sum[:0])
	return schema.SHA256Sum(sum), nil
}

// plain gives the cause without the path, which the subject names already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
