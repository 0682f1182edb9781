package code

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

// CheckCode implements rerun.Code: it says whether RestoreCode would succeed. It writes to temporary directories alone, and may ask the
// remotes of the pin. Files that were withheld because they hold a secret are named in Reason, and Remedy says how to give them: the state stays
// available. How is "object-present" (the clone in which it was recorded has it), "bundle", "ls-remote" (a remote advertises the
// commit), "fetched" (a remote gave it when asked by id), "image" (a label of an image names it), or "blobs" where no commit is needed.
// Wherever the objects are at hand, which is not so for "ls-remote", the tree that commit and changes make is compared with the recorded one.
func (r *Resolver) CheckCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) schema.Availability {
	a := schema.Availability{Pin: "code:" + pin.Name, Ref: pin.Ref, Value: schema.Text(pin.Commit), How: "blobs"}
	if pin.Origin.Kind == schema.FromLabel && pin.Tree == "" {
		// Nothing of it is restored: it comes with the image, which is checked itself.
		a.State, a.How, a.Reason = schema.StateAvailable, "image", "the code is in the image, whose label names the commit"
		return a
	}
	how, err := r.check(ctx, pin, blobs)
	if ctx.Err() != nil { // whatever was found, half of it was not looked at
		err = &schema.Error{Op: "code.check", Kind: schema.Interrupted, Subject: a.Pin, Err: ctx.Err()}
	}
	if how != "" {
		a.How = how
	}
	if pin.Kind == schema.CodeScript && pin.Script != nil {
		a.Value = schema.Text(pin.Script.Blob.Digest)
	}
	switch {
	case err == nil:
		a.State = schema.StateAvailable
		a.Reason, a.Remedy = askForSecrets(pin.Excluded)
		return a
	case schema.IsKind(err, schema.Gone) || schema.IsKind(err, schema.Invalid):
		a.State = schema.StateGone
	case schema.IsKind(err, schema.Drift):
		a.State = schema.StateChanged
	default:
		a.State = schema.StateUnknown
	}
	a.Reason, a.Remedy = git.Redact(err.Error()), schema.HintOf(err)
	return a
}

// maxAsked bounds the files that one sentence names.
const maxAsked = 20

// askForSecrets says which files were withheld because they hold a secret, and how they are given to a rerun.
func askForSecrets(excluded []schema.Exclusion) (reason, remedy string) {
	var names, flags []string
	seen := map[schema.Text]bool{}
	for _, e := range excluded {
		if e.Why != excludedSecret || seen[e.Path] {
			continue
		}
		seen[e.Path] = true
		name := strconv.Quote(schema.Shorten(string(e.Path), 400))
		names = append(names, name)
		if plain := strings.Trim(name, `"`); plain == string(e.Path) && !strings.ContainsAny(plain, " '$`!*?[]{}()<>|&;#~=\"\\") {
			name = plain
		}
		flags = append(flags, "--secret "+name+"=@FILE")
	}
	if len(names) == 0 {
		return "", ""
	}
	more := ""
	if over := len(names) - maxAsked; over > 0 {
		more = fmt.Sprintf(" and %d more", over)
		names, flags = names[:maxAsked], flags[:maxAsked]
	}
	return "withheld from the record because they hold a secret, and not restored: " + strings.Join(names, ", ") + more + "; a rerun has to be given them with --secret PATH=@FILE",
		"give them to the rerun: " + strings.Join(flags, " ") + more
}

func gone(subject, hint string, format string, args ...any) error {
	return &schema.Error{Op: "code.check", Kind: schema.Gone, Subject: subject, Err: fmt.Errorf(format, args...), Hint: hint}
}

func (r *Resolver) check(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) (how string, err error) {
	if pin.Kind == schema.CodeScript {
		if pin.Script == nil {
			return "", gone("code:"+pin.Name, "", "no script was recorded")
		}
		return "blobs", r.stored(ctx, blobs, pin.Script.Blob)
	}
	plan, err := planRestore(ctx, pin, blobs)
	if err != nil {
		return "", err
	}
	p := r.git()
	if p == nil {
		return "", errNoGit
	}
	// Everything at once: the commits of all parts, and the contents of all changes.
	places := make([]found, len(plan.parts))
	lost := make([][]error, len(plan.parts))
	var some errgroup.Group
	some.SetLimit(atOnce)
	for i, part := range plan.parts {
		if part.source.commit != "" {
			some.Go(func() error { places[i] = r.locate(ctx, p, part.source, blobs); return nil })
		}
		lost[i] = make([]error, len(part.changes))
		for j, c := range part.changes {
			if c.Digest == "" {
				continue
			}
			some.Go(func() error {
				if err := r.stored(ctx, blobs, schema.BlobRef{Kind: schema.BlobFile, Digest: c.Digest, Bytes: c.Bytes}); err != nil {
					lost[i][j] = fmt.Errorf("%q: %w", c.Path, err)
				}
				return nil
			})
		}
	}
	_ = some.Wait()
	var failures []error
	for i, part := range plan.parts {
		f := places[i]
		if part.source.commit != "" && f.how == "" {
			nowhere := &schema.Error{Op: "code.check", Kind: schema.Gone, Subject: part.subject, Err: f.err, Hint: "put the clone back to where it was, or push the commit to a remote of the record"}
			if f.net {
				nowhere.Kind, nowhere.Hint = schema.Unavailable, "git ls-remote tells whether the remote answers, and lets you in, from here; or put the clone back to where it was"
			}
			failures = append(failures, nowhere)
		} else if err := r.proveTree(ctx, p, part, f); err != nil {
			failures = append(failures, err)
		}
		for _, err := range lost[i] {
			if err != nil {
				failures = append(failures, err)
			}
		}
	}
	asked := int64(0)
	for _, o := range pin.LFS {
		if err := r.missingLFS(ctx, p, pin, plan, o, &asked); err != nil {
			failures = append(failures, err)
		}
	}
	return places[0].how, worst(failures)
}

// atOnce bounds what is looked for at the same time for one checkout; the store may be behind a network.
const atOnce = 8

// missingLFS says why the content of an LFS object cannot be had. asked counts what has been downloaded to find that out.
func (r *Resolver) missingLFS(ctx context.Context, p *git.Program, pin schema.CodePin, plan *restorePlan, o schema.LFSObject, asked *int64) error {
	if o.PointerOnly || plan.changed(string(o.Path)) {
		return nil // its bytes are in the record, or the pointer is all there was
	}
	_, err := findLFSObject(pin, o)
	if err == nil {
		return nil
	}
	part := plan.partOf(string(o.Path))
	switch {
	case len(part.source.urls) == 0 || !lfsProgram():
		return gone(string(o.Path), "git lfs fetch in a clone that can reach the LFS server", "its LFS object %s is nowhere to be had: %v", o.OID.Short(), err)
	case *asked+o.Bytes > maxAskedLFS:
		return &schema.Error{Op: "code.check", Kind: schema.Unavailable, Subject: string(o.Path), Err: errors.New("the LFS object is not in the clone; the remote may have it"),
			Hint: "git lfs fetch in the clone tells, and keeps it there"}
	}
	*asked += o.Bytes
	return r.askLFS(ctx, p, part, o)
}

// worst makes one error of several: what is gone comes first, then what contradicts the record, then what could not be found out. Those beyond some are counted.
func worst(failures []error) error {
	if len(failures) < 2 {
		return errors.Join(failures...)
	}
	rank := func(err error) int {
		if i := slices.Index([]schema.Kind{schema.Gone, schema.Invalid, schema.Drift}, schema.KindOf(err)); i >= 0 {
			return i
		}
		return 3
	}
	slices.SortStableFunc(failures, func(a, b error) int { return rank(a) - rank(b) })
	first, texts := failures[0], []string{}
	for i, err := range failures {
		if i == maxTold {
			texts = append(texts, fmt.Sprintf("and %d more", len(failures)-i))
			break
		}
		texts = append(texts, err.Error())
	}
	return &schema.Error{Op: "code.check", Kind: schema.KindOf(first), Err: errors.New(strings.Join(texts, "; ")), Hint: schema.HintOf(first)}
}

// maxTold is how many failures one sentence tells.
const maxTold = 3

// proveTree compares the tree that a commit and its changes make with the recorded one, as far as the commit's trees are at hand. Nothing is written.
func (r *Resolver) proveTree(ctx context.Context, p *git.Program, part *restorePart, f found) error {
	objects := &treeReader{cache: &r.asked.trees, ctx: ctx}
	defer objects.close()
	if len(f.objects) > 0 {
		objects.open = func() (*git.Scratch, error) { return p.NewStore(part.idSize, f.objects) }
	}
	changed := func(format string, args ...any) error {
		return &schema.Error{Op: "code.check", Kind: schema.Drift, Subject: part.subject, Err: fmt.Errorf(format, args...),
			Hint: "the record contradicts itself, so its code cannot be restored; record the run again"}
	}
	base := schema.ObjectID("")
	if part.source.commit != "" {
		base = part.commitTree
		if len(f.objects) > 0 || f.trees {
			tree, _, err := git.CommitTree(objects, part.source.commit)
			switch {
			case err == nil && part.commitTree != "" && tree != part.commitTree:
				return changed("its tree is %s, recorded was %s", tree, part.commitTree)
			case err == nil:
				base = tree
			case !errors.Is(err, git.ErrMissing):
				return unread(part, err)
			}
		}
		if base == "" {
			return nil
		}
	}
	tree, err := git.RewriteTree(objects, base, part.edits(), part.idSize)
	switch {
	case errors.Is(err, git.ErrMissing): // only a remote has it
		return nil
	case err != nil:
		return unread(part, err)
	case tree != part.tree:
		return changed("the commit and its changes make the tree %s, recorded was %s", tree, part.tree)
	}
	return nil
}

func unread(part *restorePart, err error) error {
	return &schema.Error{Op: "code.check", Kind: schema.Unavailable, Subject: part.subject, Err: err, Hint: "git fsck in the clone tells what is wrong with it"}
}

// stored reads a blob to its end and proves its digest and size, once for all runs that have it.
func (r *Resolver) stored(ctx context.Context, blobs schema.BlobSource, ref schema.BlobRef) error {
	return r.asked.blobs.get(ctx, r.opts.Remember, fmt.Sprint(ref.Digest, ref.Bytes), func() error {
		h := newDigester()
		n, err := readBlob(ctx, blobs, ref, h, ref.Bytes+1)
		if err == nil && (h.digest() != ref.Digest || n != ref.Bytes) {
			err = gone(ref.Digest.Short(), "runpin store check finds damage; a backup of the store may have it whole", "the store holds other bytes under that digest")
		}
		return err
	})
}

// readBlob copies at most limit bytes of a blob to w.
func readBlob(ctx context.Context, blobs schema.BlobSource, ref schema.BlobRef, w io.Writer, limit int64) (n int64, err error) {
	if blobs == nil {
		return 0, gone(string(ref.Digest), "", "there is no store to read it from")
	}
	rc, err := blobs.OpenBlob(ctx, ref)
	if err == nil {
		n, err = io.Copy(w, io.LimitReader(rc, limit))
		rc.Close()
	}
	if err == nil || ctx.Err() != nil {
		return n, err
	}
	if schema.IsKind(err, schema.Unavailable) {
		return n, err
	}
	return n, &schema.Error{Op: "code.check", Kind: schema.Gone, Subject: ref.Digest.Short(), Err: fmt.Errorf("the store cannot give it: %w", err),
		Hint: "runpin store check finds damage; a backup of the store may have it whole"}
}

var errNoGit = &schema.Error{Op: "code.restore", Kind: schema.Unavailable, Subject: "git", Err: errors.New("a checkout is restored with the git program, and there is none here"), Hint: "install git"}
