package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/dataset"
	"github.com/runpin/runpin/schema"
)

// Place makes the data set appear at Dest, after its whole digest was proved. A single file becomes a link to it. A directory becomes one of
// the same shape in which each file is a link to the original (see [farm]). With Copy the bytes are copied and proved while they are. All show
// the data set alone, without what the patterns leave out. A directory appears at once and whole. Nothing is written through a link, nothing is
// made, changed or removed in the original, and a failure leaves nothing behind.
func (b *Backend) Place(ctx context.Context, req dataset.PlaceRequest) (err error) {
	source, err := filepath.Abs(req.At.Path)
	if err == nil {
		err = outside(source, req.Dest)
	}
	if err != nil {
		return placeError(req.Dest, err)
	}
	made, err := makeParents(filepath.Dir(req.Dest))
	defer func() {
		if err != nil {
			for _, dir := range slices.Backward(made) {
				_ = os.Remove(dir)
			}
		}
	}()
	if err != nil {
		return placeError(req.Dest, err)
	}
	check := dataset.CheckRequest{Pin: req.Pin, At: req.At, Given: req.Given}
	if req.Copy {
		return b.placeCopy(ctx, req, check)
	}
	a, t := b.compare(ctx, check, req.Progress, "")
	if err := unlike(ctx, a); err != nil {
		return err
	}
	if source = realPath(source, t.single); !t.single {
		return b.placeFarm(ctx, req, t, source)
	}
	if err := os.Symlink(source, req.Dest); err != nil {
		return placeError(req.Dest, err)
	}
	return nil
}

func (b *Backend) placeFarm(ctx context.Context, req dataset.PlaceRequest, t *tree, source string) error {
	staging, err := os.MkdirTemp(filepath.Dir(req.Dest), ".runpin-place-*")
	if err != nil {
		return placeError(req.Dest, err)
	}
	defer func() { _ = os.RemoveAll(staging) }()
	built := filepath.Join(staging, "data")
	f := newFarm(ctx, t, source, built, "linking "+req.Pin.Name, req.Progress)
	err = f.build(workersFor(b.opts.Workers, false))
	if ctx.Err() != nil {
		return interrupted(dataset.PinName(req.Pin), ctx.Err())
	}
	if err == nil {
		err = renameNew(built, req.Dest)
	}
	if err != nil {
		return placeError(req.Dest, err)
	}
	return nil
}

func (b *Backend) placeCopy(ctx context.Context, req dataset.PlaceRequest, check dataset.CheckRequest) (err error) {
	staging, err := os.MkdirTemp(filepath.Dir(req.Dest), ".runpin-place-*")
	if err != nil {
		return placeError(req.Dest, err)
	}
	defer func() { _ = os.RemoveAll(staging) }()
	copied := filepath.Join(staging, "data")
	if req.Pin.Directory {
		err = os.Mkdir(copied, 0o777)
	} else {
		err = os.Mkdir(copied, 0o700) // a single file is copied into it by its name
	}
	if err != nil {
		return placeError(req.Dest, err)
	}
	a, t := b.compare(ctx, check, req.Progress, copied)
	if err := unlike(ctx, a); err != nil {
		return err
	}
	if err := t.completeCopy(copied); err != nil {
		return placeError(req.Dest, err)
	}
	if t.single {
		entries, err := os.ReadDir(copied)
		if err != nil || len(entries) != 1 {
			return placeError(req.Dest, fmt.Errorf("the copy has %d files: %w", len(entries), fs.ErrInvalid))
		}
		copied = filepath.Join(copied, entries[0].Name())
	}
	if err := renameNew(copied, req.Dest); err != nil {
		return placeError(req.Dest, err)
	}
	return nil
}

// unlike makes an error of anything but "available".
func unlike(ctx context.Context, a schema.Availability) error {
	kind := a.Kind()
	if kind == "" {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return interrupted(a.Pin, err)
	}
	return &schema.Error{Op: "dataset.place", Kind: kind, Subject: a.Pin, Err: errors.New(a.Reason), Hint: a.Remedy}
}

func placeError(dest string, err error) error {
	kind, hint := schema.Unavailable, ""
	switch {
	case errors.Is(err, fs.ErrExist):
		kind, hint = schema.Conflict, "choose a path at which nothing is"
	case errors.Is(err, errThroughLink):
		kind, hint = schema.Invalid, "give the path that the link stands for"
	case errors.Is(err, errInSource):
		kind, hint = schema.Invalid, "choose a path outside of it"
	}
	return &schema.Error{Op: "dataset.place", Kind: kind, Subject: shown(dest), Err: plain(err), Hint: hint}
}

var errThroughLink = errors.New("nothing is written through a link")

// makeParents makes the directories that are missing down to dir, and gives those it made. A link on the way is refused, for a restored
// checkout may hold links that lead out of it; directly below the root they belong to the system (/tmp and /var on macOS).
func makeParents(dir string) (made []string, err error) {
	volume := filepath.VolumeName(dir) + string(filepath.Separator)
	rest := strings.Trim(strings.TrimPrefix(dir, volume), string(filepath.Separator))
	at := volume
	for i, part := range strings.Split(rest, string(filepath.Separator)) {
		if part == "" {
			continue
		}
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := os.Mkdir(at, 0o777); err != nil {
				return made, err
			}
			made = append(made, at)
		case err != nil:
			return made, err
		case info.Mode()&fs.ModeSymlink != 0 && i > 0:
			return made, fmt.Errorf("%w: %s", errThroughLink, shown(at))
		case info.Mode()&fs.ModeSymlink == 0 && !info.IsDir():
			return made, fmt.Errorf("%s is not a directory", shown(at))
		}
	}
	return made, nil
}

// renameChecked is for systems that cannot rename without replacing.
func renameChecked(from, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
