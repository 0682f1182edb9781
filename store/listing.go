package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// A listing is a blob that names files: the manifest of a data set, or the list of changes of a checkout. Its files are indexed once, however many
// runs use it. Short ones are indexed as they arrive; for longer ones that waits until somebody looks for a file, so that saving stays fast.
const (
	// MaxListingLines is up to how many files a listing is indexed. Files of longer ones are not found by [Filter.File].
	MaxListingLines = 100_000
	shortListing    = 64 << 10 // bytes
	maxListingBytes = 64 << 20
)

// The states of a listing.
const (
	listingWaits = iota
	listingIndexed
	listingTooLong
	listingUnreadable
)

var errTooLong = errors.New("too many files")

// hashFile gives the number under which a file is indexed. What is "d" for a digest (of its 64 digits) and "p" for a path.
func hashFile(what, text string) int64 {
	sum := sha256.Sum256([]byte(what + text))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// parseListing gives the numbers of the files that a listing names, sorted, each once. Paths are those in the listing, escaped where it escapes them.
func parseListing(content io.Reader) ([]int64, error) {
	r := bufio.NewReaderSize(io.LimitReader(content, maxListingBytes+1), 64<<10)
	var out []int64
	if first, err := r.Peek(1); err == nil && first[0] == '{' {
		var changes schema.Changes
		b, err := io.ReadAll(r)
		if err == nil {
			err = json.Unmarshal(b, &changes)
		}
		if err != nil {
			return nil, err
		}
		if len(changes.Files) > MaxListingLines {
			return nil, errTooLong
		}
		for _, f := range changes.Files {
			out = append(out, hashFile("p", string(f.Path)))
			if f.Digest != "" {
				out = append(out, hashFile("d", f.Digest.Hex()))
			}
		}
	} else {
		total := 0
		for lines := 0; ; lines++ {
			line, err := r.ReadBytes('\n')
			if total += len(line); lines == MaxListingLines && len(line) > 0 || total > maxListingBytes {
				return nil, errTooLong
			}
			if err != nil && (err != io.EOF || len(line) > 0) {
				return nil, fmt.Errorf("it ends within a line: %w", err)
			}
			if err == io.EOF {
				break
			}
			digest, path, ok := bytes.Cut(line[:len(line)-1], []byte("  "))
			if !ok || len(digest) != 64 {
				return nil, errors.New("it is not a manifest")
			}
			out = append(out, hashFile("d", string(digest)), hashFile("p", string(path)))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func isListing(kind schema.BlobKind) bool {
	return kind == schema.BlobManifest || kind == schema.BlobChanges
}

// shortListings indexes the listings that came with the report and are short.
func (x *indexer) shortListings(staged []*stagedBlob) error {
	for _, st := range staged {
		if st.plain == nil {
			continue
		}
		if err := x.listing(st.sum, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(st.plain)), nil }); err != nil {
			return err
		}
	}
	return nil
}

// listing indexes one listing that waits for it.
func (x *indexer) listing(sum [32]byte, open func() (io.ReadCloser, error)) error {
	var m int64
	waits, err := one(x, "SELECT m FROM listings WHERE digest = $1 AND state = 0", []any{sum[:]}, &m)
	if err != nil || !waits {
		return err
	}
	numbers, state, err := readListing(open)
	if err != nil {
		return err
	}
	for _, h := range numbers {
		if _, err := x.exec("INSERT INTO listing_files (h, m) VALUES ($1, $2) ON CONFLICT DO NOTHING", h, m); err != nil {
			return err
		}
	}
	_, err = x.exec("UPDATE listings SET state = $2 WHERE m = $1", m, state)
	return err
}

// readListing gives the numbers of a listing's files, or the state that says why there are none. An error is one of the store, not of the listing.
func readListing(open func() (io.ReadCloser, error)) ([]int64, int, error) {
	r, err := open()
	if err == nil {
		defer r.Close()
		var numbers []int64
		if numbers, err = parseListing(r); err == nil {
			return numbers, listingIndexed, nil
		}
	}
	var own *schema.Error
	switch {
	case errors.Is(err, errTooLong):
		return nil, listingTooLong, nil
	case !errors.As(err, &own) || own.Kind == schema.Internal || own.Kind == schema.Invalid:
		return nil, listingUnreadable, nil // damaged, or not a listing: `store check` tells the former
	case own.Kind == schema.Gone:
		return nil, listingWaits, nil
	}
	return nil, 0, err
}

// waitingListings gives the listings that wait to be indexed and whose blob is here.
func waitingListings(q querier) ([][32]byte, error) {
	return sums(q, "SELECT l.digest FROM listings l JOIN blobs b ON b.digest = l.digest WHERE l.state = 0")
}

// indexListings indexes what waits, one transaction for each listing. A store that cannot be written to is searched without.
func (s *Store) indexListings(ctx context.Context) error {
	if s.ReadOnly() {
		return nil
	}
	var waiting [][32]byte
	err := s.read(ctx, "store.list", "list", func(r *snapshot) (err error) {
		waiting, err = waitingListings(r)
		return err
	})
	for _, sum := range waiting {
		if err != nil {
			break
		}
		err = s.write(ctx, "store.list", "list", func(t *tx) error {
			x := indexer{tx: t}
			return x.listing(sum, func() (io.ReadCloser, error) { return s.openSum(ctx, sum) })
		})
	}
	if schema.IsKind(err, schema.Unavailable) {
		return nil // read-only or locked: fileTests reads what is not indexed
	}
	return err
}

func (s *Store) openSum(ctx context.Context, sum [32]byte) (io.ReadCloser, error) {
	return s.OpenBlob(ctx, schema.BlobRef{Digest: schema.SHA256Sum(sum)})
}

// fileTests gives the tests that find the runs in which a file plays a part.
func (s *Store) fileTests(r *snapshot, file string) ([]termTest, error) {
	var numbers []int64
	var tests []termTest
	digits := strings.TrimPrefix(file, "sha256:")
	if strings.HasPrefix(file, "sha256:") || (len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == "") {
		digest, err := schema.ParseDigest("sha256:" + digits)
		if err != nil {
			return nil, err
		}
		tests = append(tests, exactly(termFile, "", string(digest)))
		numbers = append(numbers, hashFile("d", digits))
	} else {
		tests = append(tests, exactly(termPath, "", file))
		numbers = append(numbers, hashFile("p", file), hashFile("p", escapePath(file)))
	}
	listings := map[string]bool{}
	for _, h := range numbers {
		if err := listingsWith(r, h, listings); err != nil {
			return nil, err
		}
	}
	waiting, err := waitingListings(r)
	if err != nil {
		return nil, err
	}
	for _, sum := range waiting {
		found, _, err := readListing(func() (io.ReadCloser, error) { return s.openSum(r.ctx, sum) })
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(numbers, func(h int64) bool { _, ok := slices.BinarySearch(found, h); return ok }) {
			listings["sha256:"+hex.EncodeToString(sum[:])] = true
		}
	}
	for digest := range listings {
		tests = append(tests, exactly(termListing, "", digest), exactly(termDataset, "", digest))
	}
	return tests, nil
}

func listingsWith(q querier, h int64, into map[string]bool) error {
	found, err := sums(q, "SELECT l.digest FROM listing_files f JOIN listings l ON l.m = f.m WHERE f.h = $1", h)
	for _, sum := range found {
		into["sha256:"+hex.EncodeToString(sum[:])] = true
	}
	return err
}

// escapePath writes a path as an escaped manifest does ([schema.DirHashEscaped]).
func escapePath(path string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(path)
}
