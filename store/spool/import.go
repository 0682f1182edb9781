package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Saver keeps reports, byte for byte: a store.
type Saver interface {
	SaveEncoded(ctx context.Context, documents [][]byte, blobs []schema.Blob) error
}

// Import folds the reports of a spool into a store and gives how many it folded in. A report is moved to the directory done below the spool once the
// store has it; whoever wants the space may delete that at any time. What the store has already changes nothing, so importing again after a crash is safe.
// A file that is damaged or that the store refuses is left where it is and reported; the others are imported all the same. When the store cannot be reached
// it stops. A directory that does not exist is an error for which errors.Is(err, fs.ErrNotExist) holds.
func Import(ctx context.Context, dir string, into Saver) (n int, err error) {
	files, err := Reports(dir)
	if err != nil {
		return 0, err
	}
	var failures []error
	for _, path := range files {
		if ctx.Err() != nil {
			failures = append(failures, fail("spool.import", dir, ctx.Err()))
			break
		}
		err := importFile(ctx, path, into)
		if errors.Is(err, os.ErrNotExist) {
			continue // somebody else imports too and was faster
		}
		if err != nil {
			failures = append(failures, err)
			if kind := schema.KindOf(err); kind == schema.Unavailable || kind == schema.Interrupted {
				break
			}
			continue
		}
		n++
	}
	return n, errors.Join(failures...)
}

// Reports lists the files of a spool that hold whole reports, in the order of their first documents.
func Reports(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fail("spool.import", dir, err)
	}
	var out []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, suffix) && !strings.HasPrefix(name, ".") {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out, nil
}

func importFile(ctx context.Context, path string, into Saver) error {
	report, err := Read(path)
	if err != nil {
		return err
	}
	if err := into.SaveEncoded(ctx, report.Documents, report.Blobs); err != nil {
		var own *schema.Error
		if errors.As(err, &own) {
			// The kind and the hint stay; the file is named.
			return &schema.Error{Op: "spool.import", Kind: own.Kind, Subject: fmt.Sprintf("%q", path), Hint: own.Hint, Err: err}
		}
		return fail("spool.import", path, err)
	}
	aside := filepath.Join(filepath.Dir(path), done)
	if err := os.Mkdir(aside, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fail("spool.import", path, err)
	}
	if err := os.Rename(path, filepath.Join(aside, filepath.Base(path))); err != nil {
		return fail("spool.import", path, err)
	}
	return fail("spool.import", path, syncDir(filepath.Dir(path)))
}
