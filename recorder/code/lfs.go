package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/runpin/runpin/recorder/git"
	"github.com/runpin/runpin/schema"
)

var errEncrypted = errors.New("the file is kept encrypted in the repository")

// maxPointer bounds a Git LFS pointer (git-lfs, docs/spec.md: "must be less than 1024 bytes").
const maxPointer = 1024

// parsePointer reads a Git LFS pointer.
func parsePointer(b []byte) (oid schema.Digest, size int64, ok bool) {
	if len(b) >= maxPointer || !bytes.HasPrefix(b, []byte("version https://git-lfs.github.com/spec/v1\n")) {
		return "", 0, false
	}
	size = -1
	for line := range strings.SplitSeq(string(b), "\n") {
		switch key, value, _ := strings.Cut(line, " "); key {
		case "oid":
			d, err := schema.ParseDigest(value)
			if err != nil || !strings.HasPrefix(value, "sha256:") {
				return "", 0, false
			}
			oid = d
		case "size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return "", 0, false
			}
			size = n
		}
	}
	return oid, size, oid != "" && size >= 0
}

// formatPointer writes the pointer that git-lfs would put into the commit for content of this digest and size.
func formatPointer(oid schema.Digest, size int64) []byte {
	return fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid %s\nsize %d\n", oid, size)
}

// findLFS lists the objects behind the LFS files of the checkout. One whose pointer's size is not the file's becomes a suspect that is
// judged like any other; one that lies there as a pointer is listed as such: its object is no part of this checkout.
func (w *work) findLFS(ctx context.Context, j *programJudge, suspects, sameSize map[string]git.IndexEntry) error {
	if !w.conversion.lfs && !w.conversion.unclear {
		return nil
	}
	paths, err := j.scratch.TrackedWith(ctx, "filter=lfs")
	if err != nil {
		return unpinnable(w.repo.Root, err, "")
	}
	if len(paths) == 0 {
		return nil
	}
	objects, err := w.judge.objects(ctx)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if e, ok := sameSize[p]; ok {
			kind, content, err := objects.ReadObject(e.ID)
			if err != nil {
				return unpinnable(w.prefix+p, err, "git fsck tells what is missing")
			}
			oid, size, ok := parsePointer(content)
			if _, later := suspects[p]; !ok || kind != "blob" || later {
				continue
			}
			there, _, err := readStable(w.abs(p))
			if err != nil {
				return w.unreadable(p, err)
			}
			if bytes.Equal(there, content) {
				w.addPointer(p, oid, size)
			} else {
				suspects[p] = e // an object that is as large as its pointer
			}
			continue
		}
		e, ok := suspects[p]
		if !ok {
			continue // touched: judged by its bytes
		}
		kind, content, err := objects.ReadObject(e.ID)
		if err != nil {
			return unpinnable(w.prefix+p, err, "git fsck tells what is missing")
		}
		oid, size, pointer := parsePointer(content)
		if kind != "blob" || !pointer {
			continue
		}
		if w.sizeOf(p) != size {
			continue
		}
		delete(suspects, p)
		w.st.lfs = append(w.st.lfs, schema.LFSObject{Path: schema.Text(w.prefix + p), OID: oid, Bytes: size})
	}
	return nil
}

func (w *work) sizeOf(p string) int64 {
	info, err := os.Lstat(w.abs(p))
	if err != nil {
		return -1
	}
	return info.Size()
}

// addPointer lists a file that holds the pointer where the object belongs.
func (w *work) addPointer(p string, oid schema.Digest, size int64) {
	w.st.lfs = append(w.st.lfs, schema.LFSObject{Path: schema.Text(w.prefix + p), OID: oid, Bytes: size, PointerOnly: true})
	w.reason("lfs-pointer", schema.Text(w.prefix+p), "the checkout holds the pointer, not the content: git lfs pull was not run")
}

// identifyLFS computes what git-lfs would: the pointer's id. A file that is a pointer stays one; an empty file has no pointer, and what the
// commit itself has without one stays as it is.
func (w *work) identifyLFS(f *standing) {
	if oid, size, ok := parsePointer(f.content); ok {
		w.addPointer(f.Path, oid, size)
		return
	}
	if len(f.content) == 0 || f.raw == f.HeadID {
		return
	}
	size := int64(len(f.content))
	f.id = git.HashObject("blob", formatPointer(f.digest, size), w.idSize)
	w.st.lfs = append(w.st.lfs, schema.LFSObject{Path: schema.Text(w.prefix + f.Path), OID: f.digest, Bytes: size})
}
