// Package resolve answers one question: what do the references of many job specs stand for, and how do the files look when each is pinned?
//
// Files are read at the same time, and each distinct reference is asked for once, however many files name it. What was found can be kept in a lock
// (lock.go), from which the same files are pinned again without a network. The network is behind two ports, which cmd/runpin fills from recorder.
//
// It imports schema and rerun/jobspec. Start reading at Resolver.Pin.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// Images asks registries. Implemented in cmd/runpin by recorder/registry.
type Images interface {
	// ResolveImage gives what the reference names now. With a platform, os/arch[/variant], Platform.Digest is that of the child for it.
	ResolveImage(ctx context.Context, ref, platform string) (Image, error)
	// ImageExists gives nil when the registry has the digest that the reference names, and an error of kind Unpinnable when it has not.
	ImageExists(ctx context.Context, ref string) error
}

// Code asks git remotes. Implemented in cmd/runpin by recorder/code.
type Code interface {
	ResolveCommit(ctx context.Context, repository, revision string) (schema.ObjectID, error)
}

// Image is what a reference names.
type Image struct {
	Registry       string
	Repository     string // as written
	Digest         schema.Digest
	MediaType      string
	Bytes          int64
	PlatformDigest schema.Digest
}

// Resolver pins files. Jobs is how many references are asked for at the same time.
type Resolver struct {
	Images   Images
	Code     Code
	Now      func() schema.Time
	Progress schema.Progress

	Reader        jobspec.Reader
	Platform      string        // pin to the child for it; "" to what the reference names
	Shape         jobspec.Shape // "" as the place wants it
	Lock          *Lock         // what is known; it gets what is found
	Locked        bool          // ask nobody: everything must be in Lock
	Verify        bool          // ask for references that are pinned already, too
	AllowUnpinned bool          // leave what cannot be pinned as it is, and say so
	Jobs          int
}

// File is one input.
type File struct {
	Name   string
	Data   []byte
	Load   func() (data []byte, isSpec bool, err error) // gives Data when its turn comes; nil when Data is there. A file that is no job spec is left out
	Walked bool                                         // found below a directory: it may be no job spec, and then it is left out
}

// Result is what became of a file. Pinned is nil when it failed; Changed is set when Pinned differs from what was given.
type Result struct {
	File
	Spec    *jobspec.Spec
	Pinned  []byte
	Changed bool
	Pins    []Pin
	Left    []Left // what stays as it is, and why
	Err     error
}

// Pin is one reference and what stands there now.
type Pin struct {
	jobspec.Reference
	After string // as Value
}

// Left is a place that was not pinned.
type Left struct {
	Line, Column int
	Field        string
	Text         string // what it is and why it stays
	Failed       bool   // it could not be pinned; otherwise nothing here could pin it
}

// want is a reference to be asked for: an image, or a revision of a repository.
type want struct {
	kind, ref, repository string
	exists                bool // whether it is there is all that is asked
}

type answer struct {
	value string       // digest or commit
	image *LockedImage // what is to be locked
	err   error
}

// Pin reads, resolves and pins the files. The error joins every failure, each with file:line:column; Results are in the order of files.
//
// The three steps overlap: a reference is asked for as soon as the first file that names it has been read, and a file is pinned as soon as all that it
// names is known, so that reading costs little beside the registry's answers.
func (r *Resolver) Pin(ctx context.Context, files []File) ([]Result, error) {
	if r.Lock == nil {
		r.Lock = &Lock{}
	}
	results := make([]Result, len(files))
	q := &questions{r: r, ctx: ctx, all: map[want]*question{}, turn: make(chan struct{}, max(r.Jobs, 1))}
	work := make(chan struct{}, runtime.GOMAXPROCS(0)) // who computes
	var done sync.WaitGroup
	for i, f := range files {
		work <- struct{}{}
		done.Go(func() {
			results[i] = Result{File: f}
			isSpec := true
			if f.Load != nil {
				results[i].Data, isSpec, results[i].Err = f.Load()
			}
			switch {
			case results[i].Err != nil:
			case !isSpec:
				results[i].Err = jobspec.ErrNothing
			default:
				results[i].Spec, results[i].Err = r.Reader.Read(f.Name, results[i].Data)
			}
			asks := q.of(&results[i])
			<-work
			for _, a := range asks {
				<-a.answered
			}
			work <- struct{}{}
			defer func() { <-work }()
			if results[i].Err == nil && ctx.Err() == nil {
				r.pinOne(&results[i], q)
			}
		})
	}
	done.Wait()
	q.keep()
	if err := ctx.Err(); err != nil {
		return results, &schema.Error{Op: "pin", Kind: schema.Interrupted, Subject: "pin", Err: err}
	}
	results = slices.DeleteFunc(results, func(result Result) bool { return result.Walked && errors.Is(result.Err, jobspec.ErrNothing) })
	var failures []error
	for _, result := range results {
		if result.Err != nil {
			failures = append(failures, result.Err)
		}
	}
	return results, errors.Join(failures...)
}

// wanted gives what has to be asked for a reference.
func (r *Resolver) wanted(ref jobspec.Reference) (want, bool) {
	switch {
	case ref.Kind == jobspec.KindImage && ref.Pinned:
		return want{kind: ref.Kind, ref: normal(ref.Value), exists: true}, r.Verify
	case ref.Kind == jobspec.KindImage && ref.File == "":
		return want{kind: ref.Kind, ref: normal(ref.Value)}, true
	case ref.Kind == jobspec.KindCode && !ref.Pinned && ref.URL != "" && ref.Value != "" && !ref.Soft:
		return want{kind: ref.Kind, ref: ref.Revision(), repository: ref.URL}, true
	}
	return want{}, false
}

func (r *Resolver) one(ctx context.Context, w want, written string) answer {
	switch {
	case w.exists && r.Locked:
		return answer{err: &schema.Error{Op: "pin.verify", Kind: schema.Invalid, Subject: written, Err: errors.New("--verify asks a registry, and --locked asks nobody")}}
	case w.exists:
		err := r.Images.ImageExists(ctx, written)
		if schema.IsKind(err, schema.Unpinnable) {
			err = &schema.Error{Op: "pin.verify", Kind: schema.Gone, Subject: written, Err: err, Hint: "the registry has lost what this file is pinned to; pin it anew from a tag, or push the image again"}
		}
		return answer{err: err}
	case r.Locked && w.kind == jobspec.KindImage:
		if e, ok := r.Lock.image(w.ref, r.Platform); ok {
			return answer{value: string(e.pin())}
		}
		return answer{err: r.missing("image " + written)}
	case r.Locked:
		if e, ok := r.Lock.code(w.repository, w.ref); ok {
			return answer{value: string(e.Commit)}
		}
		return answer{err: r.missing("revision " + w.ref + " of " + hidden(w.repository))}
	case w.kind == jobspec.KindImage:
		image, err := r.Images.ResolveImage(ctx, written, r.Platform)
		if err != nil {
			return answer{err: err}
		}
		entry := LockedImage{Registry: image.Registry, Repository: image.Repository, Digest: image.Digest, MediaType: image.MediaType, Bytes: image.Bytes,
			Platform: r.Platform, PlatformDigest: image.PlatformDigest, ResolvedAt: r.Now()}
		return answer{value: string(entry.pin()), image: &entry}
	default:
		commit, err := r.Code.ResolveCommit(ctx, w.repository, w.ref)
		if err == nil {
			r.Lock.putCode(LockedCode{Repository: hidden(w.repository), Revision: w.ref, Commit: commit, ResolvedAt: r.Now()})
		}
		return answer{value: string(commit), err: err}
	}
}

func (r *Resolver) missing(what string) error {
	return &schema.Error{Op: "pin.locked", Kind: schema.Unpinnable, Subject: what, Err: errors.New("is not in the lock"), Hint: "add it where the network can be reached: runpin pin --lock FILE …"}
}

// pinOne pins one file with what was found.
func (r *Resolver) pinOne(result *Result, q *questions) {
	s := result.Spec
	if len(s.Problems) > 0 {
		if !r.AllowUnpinned {
			result.Err = s.Err()
			return
		}
		for _, p := range s.Problems {
			result.Left = append(result.Left, Left{p.Line, p.Column, p.Field, p.String(), true})
		}
		s.Problems = nil
	}
	values := map[string]string{}
	var failures []error
	for _, ref := range s.References {
		w, asked := r.wanted(ref)
		a := q.answer(w)
		switch {
		case asked && a.err != nil && r.AllowUnpinned && !w.exists:
			values[ref.Key()] = ""
			result.Left = append(result.Left, Left{ref.Line, ref.Column, ref.Field, fmt.Sprintf("%s: %q: %v", ref.Field, shown(ref), a.err), true})
		case asked && a.err != nil:
			failures = append(failures, placed(s.File, ref, a.err))
		case asked && w.exists:
		case asked && ref.Kind == jobspec.KindImage:
			keepTag := ref.Shape != jobspec.DigestOnly
			if r.Shape != "" {
				keepTag = r.Shape == jobspec.TagAndDigest
			}
			pinned, err := jobspec.PinnedReference(ref.Value, schema.Digest(a.value), keepTag)
			if err != nil {
				failures = append(failures, placed(s.File, ref, err))
				continue
			}
			values[ref.Key()] = pinned
		case asked:
			values[ref.Key()] = a.value
		case ref.Pinned:
		default:
			values[ref.Key()] = ""
			result.Left = append(result.Left, Left{ref.Line, ref.Column, ref.Field, leftText(ref), false})
		}
	}
	if len(failures) > 0 {
		result.Err = errors.Join(failures...)
		return
	}
	for name, value := range values {
		if value == "" {
			continue
		}
		for _, ref := range s.References {
			if ref.Key() == name && ref.Value != value {
				result.Pins = append(result.Pins, Pin{ref, value})
			}
		}
	}
	slices.SortFunc(result.Pins, func(a, b Pin) int { return a.Offset - b.Offset })
	result.Pinned, result.Err = s.Pin(values, nil)
	result.Changed = result.Err == nil && string(result.Pinned) != string(result.Data)
}

func leftText(ref jobspec.Reference) string {
	switch {
	case ref.File != "":
		return fmt.Sprintf("%s: the file %q has no digest that can be written here; `record --job` keeps its hash", ref.Field, ref.File)
	case ref.Kind == jobspec.KindDataset:
		return fmt.Sprintf("%s: the dataset %q names no version that cannot move; it stays as it is", ref.Field, shown(ref))
	case ref.URL == "":
		return fmt.Sprintf("%s: the revision %q is of a repository that the file does not name; it stays as it is", ref.Field, ref.Value)
	default:
		return fmt.Sprintf("%s: %q names code by what can move, and nothing here can pin it; it stays as it is", ref.Field, shown(ref))
	}
}

// shown is what a message says of a reference, without credentials.
func shown(ref jobspec.Reference) string {
	if ref.Kind == jobspec.KindDataset || ref.Kind == jobspec.KindCode && ref.Value == "" {
		url := jobspec.Shown(ref.URL)
		if ref.Value != "" {
			url += "@" + ref.Value
		}
		return schema.Shorten(url, 200)
	}
	return schema.Shorten(ref.Value, 200)
}

// hidden takes user and password out of a URL.
func hidden(url string) string {
	at := strings.Index(url, "://")
	if at < 0 {
		return url
	}
	rest := url[at+3:]
	host, path, cut := strings.Cut(rest, "/")
	if user := strings.LastIndexByte(host, '@'); user >= 0 {
		host = host[user+1:]
	}
	if cut {
		host += "/" + path
	}
	return url[:at+3] + host
}

// placed puts file:line:column in front of a failure, and keeps its kind and hint.
func placed(file string, ref jobspec.Reference, err error) error {
	return &schema.Error{Op: "pin", Kind: schema.KindOf(err), Subject: fmt.Sprintf("%s:%d:%d", file, ref.Line, ref.Column), Err: fmt.Errorf("%s: %w", ref.Field, err), Hint: schema.HintOf(err)}
}
