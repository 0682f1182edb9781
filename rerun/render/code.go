package render

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// maxInline bounds what rides in a rendered file: a spec is read by people, kept in a repository and sent to an API server.
const maxInline = 256 << 10

// maxList bounds a list of changes that is read.
const maxList = 16 << 20

// codePart is one repository of the code: the checkout, or a submodule at path within it.
type codePart struct {
	path       string
	branch     string // of a checkout without a commit
	commit     schema.ObjectID
	commitTree schema.ObjectID // "" where the record does not say
	tree       schema.ObjectID
	urls       []string
	needs      []schema.ObjectID // commits that the pack builds on
	pack       []byte            // of commits that no remote has
	files      []inlineFile
}

// inlineFile is a change: a file with its content, a link, or a path that is gone.
type inlineFile struct {
	schema.Change
	content  []byte
	filtered bool // its object is what git makes of the content, not the content itself
}

const remedyInline = "commit and push the changes and record again, or run it where the store can be reached: runpin rerun RUN --execute"

// takeCode reads what the code is made of, and refuses what a shell script cannot restore.
func (p *Plan) takeCode(ctx context.Context, run schema.Run, blobs schema.BlobSource) error {
	if len(run.Code) > 1 {
		return refuse(schema.Unpinnable, "code:"+run.Code[1].Name, "runpin rerun RUN --execute", "more than one checkout cannot be rendered by this version")
	}
	for _, pin := range run.Code {
		subject := "code:" + pin.Name
		if pin.Kind == schema.CodeScript {
			if pin.Script == nil {
				continue // there was no code to record
			}
			if err := p.takeScript(ctx, pin, blobs); err != nil {
				return err
			}
			continue
		}
		if pin.Kind != schema.CodeGit || pin.Tree == "" {
			return refuse(schema.Gone, subject, "", "the record does not say which code ran")
		}
		for _, o := range pin.LFS {
			if !o.PointerOnly {
				return refuse(schema.Unpinnable, subject, "runpin rerun RUN --execute", "%q is a Git LFS object, which sh and git alone cannot restore", o.Path)
			}
		}
		if err := p.takeParts(ctx, pin, blobs); err != nil {
			return err
		}
	}
	if p.inline > maxInline {
		return refuse(schema.Unpinnable, "the code", remedyInline, "its changes hold %d bytes; %d at most ride in a rendered file", p.inline, maxInline)
	}
	return nil
}

func (p *Plan) takeScript(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) error {
	name := string(pin.Script.Path.Rel)
	if pin.Script.Path.Base != schema.BaseWorkDir || checkPath(name) != nil {
		name = path.Base(string(pin.Script.Path.Typed))
	}
	mode := "100644"
	if pin.Script.Mode == "100755" {
		mode = pin.Script.Mode
	}
	f := inlineFile{Change: schema.Change{Path: schema.Text(name), Mode: mode, Digest: pin.Script.Blob.Digest, Bytes: pin.Script.Blob.Bytes}}
	if err := checkPath(name); err != nil {
		return refuse(schema.Invalid, fmt.Sprintf("%q", schema.Shorten(name, 200)), "the record is damaged or hostile", "%w", err)
	}
	err := p.load(ctx, &f, blobs)
	p.Script = &f
	return err
}

// takeParts reads the checkout and its submodules, outer before inner.
func (p *Plan) takeParts(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) error {
	top := codePart{commit: pin.Commit, commitTree: pin.CommitTree, tree: pin.Tree}
	urls := []string{pin.Remote}
	for _, name := range sortedNames(pin.Remotes) {
		urls = append(urls, pin.Remotes[name])
	}
	if pin.Commit == "" && branchName.MatchString(string(pin.RefName)) {
		top.branch = string(pin.RefName)
	}
	missing := pin.OnRemote != nil && pin.OnRemote.State == "no"
	if err := p.takePart(ctx, top, urls, missing, pin.Changes, pin.Bundle, blobs); err != nil {
		return err
	}
	subs := slices.Clone(pin.Submodules)
	slices.SortFunc(subs, func(a, b schema.Submodule) int { return strings.Compare(string(a.Path), string(b.Path)) })
	for _, s := range subs {
		if err := checkPath(string(s.Path)); err != nil || s.Commit == "" {
			return refuse(schema.Invalid, fmt.Sprintf("submodule %q", schema.Shorten(string(s.Path), 200)), "the record is damaged or hostile", "%w", errors.Join(err, errors.New("it has no place or no commit")))
		}
		if err := p.takePart(ctx, codePart{path: string(s.Path), commit: s.Commit, tree: s.Tree}, []string{s.URL}, false, s.Changes, s.Bundle, blobs); err != nil {
			return err
		}
	}
	return nil
}

var branchName = regexp.MustCompile(`^refs/heads/[A-Za-z0-9_][A-Za-z0-9_-]*$`)

func (p *Plan) takePart(ctx context.Context, part codePart, urls []string, missing bool, changes, bundle *schema.BlobRef, blobs schema.BlobSource) error {
	subject := "the code"
	if part.path != "" {
		subject = fmt.Sprintf("submodule %q", part.path)
	}
	for _, id := range []schema.ObjectID{part.commit, part.commitTree, part.tree} {
		if id == "" {
			continue
		}
		if _, err := schema.ParseObjectID(string(id)); err != nil {
			return refuse(schema.Invalid, subject, "the record is damaged or hostile", "%w", err)
		}
	}
	for _, u := range urls {
		if usableURL(u, p.traits.Cluster) && !slices.Contains(part.urls, u) {
			part.urls = append(part.urls, u)
		}
	}
	switch {
	case part.commit == "":
	case bundle != nil:
		if bundle.Bytes > maxInline {
			return refuse(schema.Unpinnable, subject, "push the commit, and record again or give the run its remote; or runpin rerun RUN --execute", "commit %s was on no remote, and its bundle holds %d bytes; %d at most ride in a rendered file", part.commit.Short(), bundle.Bytes, maxInline)
		}
		data, err := wholeBlob(ctx, blobs, *bundle, maxInline)
		if err != nil {
			return err
		}
		if part.needs, part.pack, err = splitBundle(data); err != nil {
			return refuse(schema.Invalid, subject, "the record is damaged or hostile", "the bundle of its commits: %w", err)
		}
		p.inline += len(part.pack)
		if len(part.needs) > 0 && len(part.urls) == 0 {
			return refuse(schema.Unpinnable, subject, "push the code to a remote that the other machine reaches", "the kept commits build on %s, which no remote of the record has", part.needs[0].Short())
		}
	case missing:
		return refuse(schema.Unpinnable, subject, "push it: git push REMOTE "+string(part.commit)+":refs/heads/NAME, and record again", "commit %s is on no remote", part.commit.Short())
	case len(part.urls) == 0:
		return refuse(schema.Unpinnable, subject, "push it to a remote that the other machine reaches, and record again", "no remote that can be reached from there has commit %s", part.commit.Short())
	}
	if changes != nil {
		if err := p.takeChanges(ctx, &part, subject, *changes, blobs); err != nil {
			return err
		}
	} else if part.commit == "" {
		return refuse(schema.Invalid, subject, "", "the record names neither a commit nor changes")
	}
	p.Code = append(p.Code, part)
	return nil
}

func (p *Plan) takeChanges(ctx context.Context, part *codePart, subject string, ref schema.BlobRef, blobs schema.BlobSource) error {
	data, err := wholeBlob(ctx, blobs, ref, maxList)
	if err != nil {
		return err
	}
	var list schema.Changes
	if err := json.Unmarshal(data, &list); err != nil || list.Schema != schema.ChangesV1 || list.Commit != part.commit || list.Tree != part.tree {
		return refuse(schema.Invalid, subject, "the record is damaged or hostile", "the list of its changes cannot be read or belongs to another checkout")
	}
	seen := map[schema.Text]bool{}
	for _, c := range list.Files {
		err := checkPath(string(c.Path))
		switch {
		case err != nil:
		case seen[c.Path]:
			err = errors.New("it is listed twice")
		case c.Deleted:
		case c.Mode == "120000":
			if c.Target == "" || strings.IndexByte(string(c.Target), 0) >= 0 {
				err = errors.New("a link without a target")
			}
		case c.Mode != "100644" && c.Mode != "100755":
			err = fmt.Errorf("mode %q is none that a change can have", schema.Shorten(c.Mode, 20))
		}
		if err == nil && !c.Deleted {
			_, err = schema.ParseObjectID(string(c.Object))
		}
		if err != nil {
			return refuse(schema.Invalid, fmt.Sprintf("%q", schema.Shorten(string(c.Path), 200)), "the record is damaged or hostile", "%w", err)
		}
		seen[c.Path] = true
		f := inlineFile{Change: c}
		if !c.Deleted && c.Mode != "120000" {
			if err := p.load(ctx, &f, blobs); err != nil {
				return err
			}
			f.filtered = !isObject(c.Object, f.content)
		}
		part.files = append(part.files, f)
	}
	return nil
}

// load reads the content of a file that rides in the result.
func (p *Plan) load(ctx context.Context, f *inlineFile, blobs schema.BlobSource) (err error) {
	if p.inline += int(min(f.Bytes, maxInline+1)); p.inline > maxInline || f.Bytes < 0 {
		return refuse(schema.Unpinnable, fmt.Sprintf("%q", schema.Shorten(string(f.Path), 200)), remedyInline, "with it the changes of the code hold more than the %d bytes that ride in a rendered file", maxInline)
	}
	f.content, err = wholeBlob(ctx, blobs, schema.BlobRef{Kind: schema.BlobFile, Digest: f.Digest, Bytes: f.Bytes}, maxInline)
	return err
}

// wholeBlob reads a blob and proves its digest: what is rendered is what was recorded.
func wholeBlob(ctx context.Context, blobs schema.BlobSource, ref schema.BlobRef, limit int64) ([]byte, error) {
	r, err := blobs.OpenBlob(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, refuse(schema.Unpinnable, "blob "+ref.Digest.Short(), remedyInline, "it holds more than %d bytes", limit)
	}
	if schema.SHA256(data) != ref.Digest {
		return nil, refuse(schema.Drift, "blob "+ref.Digest.Short(), "runpin store check", "its bytes are not what the record names")
	}
	return data, nil
}
