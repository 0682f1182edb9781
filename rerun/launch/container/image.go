package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/runpin/runpin/schema"
)

// image is an image by digest.
type image struct {
	repository string // with its registry; "" for an image that only the engine has
	digest     schema.Digest
}

// parseImage takes repository[:tag]@digest, or the config digest of an image that only the engine has. A tag is no digest: it is refused.
func parseImage(ref string) (image, error) {
	if d, err := schema.ParseDigest(ref); err == nil {
		return image{digest: d}, nil
	}
	base, digest, ok := strings.Cut(ref, "@")
	d, err := schema.ParseDigest(digest)
	if !ok || err != nil {
		return image{}, &schema.Error{Op: "launch.image", Kind: schema.Unpinnable, Subject: fmt.Sprintf("%q", schema.Shorten(ref, 300)),
			Err: errors.New("names no digest, so what it stands for can change"), Hint: "an image is run by digest: REPOSITORY@sha256:…"}
	}
	tag, err := name.NewTag(base)
	if err != nil || strings.HasPrefix(base, "-") {
		return image{}, invalid(ref, "is not an image reference")
	}
	repository := tag.Context().Name()
	if rest, ok := strings.CutPrefix(repository, name.DefaultRegistry+"/"); ok {
		repository = "docker.io/" + rest // how both engines call it
		if strings.HasPrefix(base, "localhost/") {
			repository = rest // what podman calls an image without a registry
		}
	}
	return image{repository, d}, nil
}

// name is what an engine is given: fully qualified, without the tag, so that no short-name setting of the engine matters.
func (i image) name() string {
	if i.repository == "" {
		return string(i.digest)
	}
	return i.repository + "@" + string(i.digest)
}

func (i image) host() string {
	host, _, _ := strings.Cut(i.repository, "/")
	return host
}

// EnsureImage makes the image ref (by digest, see [launch.Job].Image) be there, pulling it by that digest unless the engine has it, and proves
// that its config digest is the recorded one; config may be "" when that was not recorded. insecure allows plain http and unknown certificates
// for its registry; a registry on this host is always allowed that.
//
// Errors: Unpinnable when ref names no digest, Gone when the image is not to be had any more, Drift when it is another one, Unavailable when it
// cannot be pulled now.
func (l *Launcher) EnsureImage(ctx context.Context, ref string, config schema.Digest, insecure bool) error {
	i, err := parseImage(ref)
	if err != nil {
		return err
	}
	id, err := l.imageID(ctx, i)
	if err != nil {
		if err := ctx.Err(); err != nil {
			return l.engineError(ref, err)
		}
		if i.repository == "" {
			return &schema.Error{Op: "launch.image", Kind: schema.Gone, Subject: ref, Err: fmt.Errorf("%s does not have this image any more", l.engine),
				Hint: "it was never in a registry: build it again or load it from where it was saved"}
		}
		if err := l.pull(ctx, i, insecure); err != nil {
			return err
		}
		if id, err = l.imageID(ctx, i); err != nil {
			return l.engineError(ref, fmt.Errorf("has no image after pulling it: %w", err))
		}
	}
	// Docker's containerd store names an image by the digest that it was pulled by, not by its config; that digest is proof enough.
	if config == "" || id == config || id == i.digest {
		return nil
	}
	return &schema.Error{Op: "launch.image", Kind: schema.Drift, Subject: ref,
		Err:  fmt.Errorf("%s has the image with config %s, recorded was %s", l.engine, id, config),
		Hint: "an index gives each platform an image of its own: is this machine of the platform that was recorded?"}
}

// imageID gives the digest by which the engine knows the image.
func (l *Launcher) imageID(ctx context.Context, i image) (schema.Digest, error) {
	out, err := l.run(ctx, nil, "image", "inspect", "--format", "{{.Id}}", i.name())
	if err != nil {
		return "", err
	}
	return schema.ParseDigest("sha256:" + strings.TrimPrefix(lastLine(out), "sha256:"))
}

func (l *Launcher) pull(ctx context.Context, i image, insecure bool) error {
	args := []string{"pull"}
	if l.engine == Podman && (insecure || isLoopback(i.host())) { // docker has that among its daemon's settings alone
		args = append(args, "--tls-verify=false")
	}
	progress := l.options.Progress
	if progress == nil {
		progress = io.Discard
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, l.program, append(args, i.name())...)
	cmd.WaitDelay = 5 * time.Second
	both := io.MultiWriter(progress, &tail{to: &said})
	cmd.Stdout, cmd.Stderr = both, both // one writer is written to by one goroutine
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return l.engineError(i.name(), ctx.Err())
		}
		cause := lastLine(said.String())
		if cause == "" {
			cause = err.Error()
		}
		failed := &schema.Error{Op: "launch.image", Kind: schema.Unavailable, Subject: i.name(), Err: fmt.Errorf("%s pull: %s", l.engine, cause)}
		if strings.Contains(cause, "manifest unknown") || strings.Contains(cause, "manifest for ") && strings.Contains(cause, "not found") {
			failed.Kind = schema.Gone
		}
		return failed
	}
	return nil
}

// tail keeps the last 8 to 16 KiB.
type tail struct{ to *bytes.Buffer }

func (t *tail) Write(b []byte) (int, error) {
	t.to.Write(b)
	if t.to.Len() > 16<<10 {
		t.to.Next(t.to.Len() - 8<<10)
	}
	return len(b), nil
}

// isLoopback reports whether a registry is on this host.
func isLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
