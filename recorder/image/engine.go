package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/runpin/runpin/schema"
)

// The names of engines.
const (
	Podman = "podman"
	Docker = "docker"
)

// Engine is a program that keeps images on this machine. Program is its path; "" looks for Name on the PATH.
type Engine struct {
	Name    string
	Program string
}

// The bounds of one question to an engine: a cold podman on a network file system can take seconds, an image of thousands of layers
// megabytes.
const (
	engineTime  = 30 * time.Second
	engineBytes = 8 << 20
)

// engineImage is what an engine says about an image: the common part of what podman and docker print.
type engineImage struct {
	engine       string
	ID           string   `json:"Id"`
	RepoDigests  []string `json:"RepoDigests"`
	OS           string   `json:"Os"`
	Architecture string   `json:"Architecture"`
	Variant      string   `json:"Variant"`
	Config       struct {
		Labels map[string]string `json:"Labels"`
	} `json:"Config"`
	Labels     map[string]string `json:"Labels"`
	Descriptor *struct {         // docker's containerd store: Id is then this digest
		MediaType string        `json:"mediaType"`
		Digest    schema.Digest `json:"digest"`
	} `json:"Descriptor"`
}

// config gives the digest of the image's configuration, which is the id, except in docker's containerd store.
func (i engineImage) config() (schema.Digest, bool) {
	id := i.ID
	if !strings.Contains(id, ":") {
		id = "sha256:" + id // podman leaves the algorithm away
	}
	d, err := schema.ParseDigest(id)
	return d, err == nil && (i.Descriptor == nil || i.Descriptor.Digest != d)
}

func (i engineImage) isIndex() bool {
	return i.Descriptor != nil && types.MediaType(i.Descriptor.MediaType).IsIndex()
}

// enginesFor gives the engines to look in: the one that was asked for, or all.
func (r *Resolver) enginesFor(name string) ([]Engine, error) {
	if name == "" {
		return r.engines, nil
	}
	for _, e := range r.engines {
		if e.Name == name {
			return []Engine{e}, nil
		}
	}
	if name == Podman || name == Docker {
		return []Engine{{Name: name}}, nil
	}
	return nil, &schema.Error{Op: "image.engine", Kind: schema.Invalid, Subject: fmt.Sprintf("engine %q", schema.Shorten(name, 80)),
		Err: errors.New("not an engine"), Hint: "engines are podman and docker"}
}

// inspect asks the engine for an image. The error is of kind NotFound when the engine does not have it or is not installed, and
// Unavailable when it does not work.
func (e Engine) inspect(ctx context.Context, ref string) (engineImage, error) {
	fail := func(kind schema.Kind, err error) (engineImage, error) {
		return engineImage{}, &schema.Error{Op: "image.engine", Kind: kind, Subject: "image " + ref, Err: err}
	}
	program := e.Program
	if program == "" {
		var err error
		if program, err = exec.LookPath(e.Name); err != nil {
			return fail(schema.NotFound, fmt.Errorf("%s is not installed", e.Name))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	var out, problems capped
	out.limit, problems.limit = engineBytes, 64<<10
	// The reference was parsed before, so it does not begin with a dash; "--" says so to the engine too.
	cmd := exec.CommandContext(ctx, program, "image", "inspect", "--", ref)
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.WaitDelay = 2 * time.Second // a helper of the engine may keep the pipe open
	err := cmd.Run()
	if err != nil {
		said := strings.ToLower(problems.String())
		for _, absent := range []string{"no such image", "image not known", "no such object"} {
			if strings.Contains(said, absent) {
				return fail(schema.NotFound, fmt.Errorf("%s does not have it", e.Name))
			}
		}
		if ctx.Err() != nil {
			return fail(schema.Unavailable, fmt.Errorf("%s did not answer in time", e.Name))
		}
		return fail(schema.Unavailable, fmt.Errorf("%s image inspect: %s", e.Name, firstLine(problems.String(), err)))
	}
	var images []engineImage
	if out.over || json.Unmarshal(out.Bytes(), &images) != nil || len(images) != 1 || images[0].ID == "" {
		return fail(schema.Unavailable, fmt.Errorf("%s image inspect did not print what was expected", e.Name))
	}
	images[0].engine = e.Name
	return images[0], nil
}

func firstLine(s string, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line == "" {
		return err.Error()
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, schema.Shorten(line, 300))
}

// capped keeps what is written to it up to a limit, and swallows the rest so that the writer does not block.
type capped struct {
	bytes.Buffer
	limit int
	over  bool
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.limit - c.Len(); len(p) > room {
		c.over = true
		c.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return c.Buffer.Write(p)
}
