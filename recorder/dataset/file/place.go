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

// Place makes the data set appear at Dest: as a link to where it is, after its whole digest was proved, or as a copy that is proved while it
// is made and appears at once and whole. A link shows a directory as the run saw it, files that the patterns left out included; a copy holds
// the data set alone. Nothing is written through a link, the original is only read, and a failure leaves nothing behind.
func (b *Backend) Place(ctx context.Context, req dataset.PlaceRequest) (err error) {
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
	source, err := filepath.Abs(req.At.Path)
	if err != nil {
		return placeError(req.Dest, err)
	}
	if err := os.Symlink(realPath(source, t.single), req.Dest); err != nil {
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
