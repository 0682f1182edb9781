package git

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/runpin/runpin/schema"
)

// IndexEntry is one entry of an index: what git believes the checkout holds.
type IndexEntry struct {
	Path         string
	Mode         uint32
	ID           schema.ObjectID
	Size         uint32 // of the file when it was last looked at, modulo 2^32
	Stage        int    // 0, or 1 to 3 for the sides of a conflict
	AssumeValid  bool   // git update-index --assume-unchanged
	SkipWorktree bool   // left out of a sparse checkout, or git update-index --skip-worktree
	IntentToAdd  bool
}

// Index is a checkout's index. Split says that it refers to a shared index and so is not complete. Tree is the tree of the whole index
// where git has cached it.
type Index struct {
	Version uint32
	Entries []IndexEntry
	Tree    schema.ObjectID
	Split   bool
	Sparse  bool // it holds whole directories as entries (mode 040000)
}

// maxIndex bounds an index file: ten million entries.
const maxIndex = 2 << 30

// ReadIndex reads the checkout's index; a checkout without one has an empty index.
func (r *Repo) ReadIndex() (*Index, error) {
	b, err := readAtMost(r.IndexPath(), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return &Index{}, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseIndex(b, r.HashSize())
}

var errIndexShort = errors.New("the index is cut off")

// ParseIndex reads an index file of version 2, 3 or 4 (gitformat-index). hash is the length of an object id in bytes. The trailing
// checksum is not verified: git itself skips that on large indexes, and whoever could falsify the file could falsify the checksum.
func ParseIndex(b []byte, hash int) (*Index, error) {
	if len(b) < 12+hash || string(b[:4]) != "DIRC" {
		return nil, errors.New("not an index")
	}
	idx := &Index{Version: binary.BigEndian.Uint32(b[4:])}
	if idx.Version < 2 || idx.Version > 4 {
		return nil, fmt.Errorf("index version %d is not known", idx.Version)
	}
	n := int(binary.BigEndian.Uint32(b[8:]))
	b = b[12 : len(b)-hash]
	fixed := 42 + hash
	if n < 0 || n > len(b)/fixed {
		return nil, errIndexShort
	}
	idx.Entries = make([]IndexEntry, 0, n)
	// One string holds all names: a hundred thousand small strings would cost more than the rest of the parse.
	names := make([]byte, 0, len(b)/2)
	type span struct{ from, to int }
	spans := make([]span, 0, n)
	ids := make([]byte, 0, n*hash*2)
	nameless := false
	for range n {
		if len(b) < fixed {
			return nil, errIndexShort
		}
		e := IndexEntry{Mode: binary.BigEndian.Uint32(b[24:]), Size: binary.BigEndian.Uint32(b[36:])}
		ids = hex.AppendEncode(ids, b[40:40+hash])
		flags := binary.BigEndian.Uint16(b[40+hash:])
		e.AssumeValid, e.Stage = flags&0x8000 != 0, int(flags>>12&3)
		size := fixed
		if flags&0x4000 != 0 {
			if idx.Version < 3 || len(b) < fixed+2 {
				return nil, errors.New("the index has extended flags where its version has none")
			}
			extended := binary.BigEndian.Uint16(b[fixed:])
			e.SkipWorktree, e.IntentToAdd = extended&0x4000 != 0, extended&0x2000 != 0
			size += 2
		}
		rest := b[size:]
		from := len(names)
		if idx.Version == 4 {
			strip, used := offsetVarint(rest)
			if used == 0 {
				return nil, errIndexShort
			}
			var last span
			if len(spans) > 0 {
				last = spans[len(spans)-1]
			}
			if strip > uint64(last.to-last.from) {
				return nil, errors.New("the index strips more of a name than there is")
			}
			names = append(names, names[last.from:last.to-int(strip)]...)
			rest = rest[used:]
			size += used
		}
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return nil, errIndexShort
		}
		names = append(names, rest[:end]...)
		size += end + 1
		if idx.Version < 4 {
			size = (size + 7) &^ 7
		}
		if size > len(b) {
			return nil, errIndexShort
		}
		nameless = nameless || len(names) == from
		if len(names) > 1<<30 {
			return nil, errors.New("the index's names are larger than 1 GiB")
		}
		b = b[size:]
		spans = append(spans, span{from, len(names)})
		if e.Mode == 0o40000 {
			idx.Sparse = true
		}
		idx.Entries = append(idx.Entries, e)
	}
	allNames, allIDs := string(names), string(ids)
	for i := range idx.Entries {
		idx.Entries[i].Path = allNames[spans[i].from:spans[i].to]
		idx.Entries[i].ID = schema.ObjectID(allIDs[i*hash*2 : (i+1)*hash*2])
	}
	if err := idx.extensions(b, hash); err != nil {
		return nil, err
	}
	if nameless && !idx.Split { // in a split index such entries replace entries of the shared one
		return nil, errors.New("the index has an entry without a name")
	}
	return idx, nil
}

func (idx *Index) extensions(b []byte, hash int) error {
	for len(b) >= 8 {
		name, size := string(b[:4]), binary.BigEndian.Uint32(b[4:])
		if uint64(size) > uint64(len(b)-8) {
			return errIndexShort
		}
		body := b[8 : 8+size]
		b = b[8+size:]
		switch {
		case name == "link":
			idx.Split = true
		case name == "sdir":
			idx.Sparse = true
		case name == "TREE":
			idx.Tree = cachedTree(body, hash)
		case name[0] < 'A' || name[0] > 'Z':
			return fmt.Errorf("the index needs the extension %q, which is not known", name)
		}
	}
	return nil
}

// cachedTree reads the first record of the TREE extension: the empty path, NUL, entry count, space, subtree count, newline, id.
func cachedTree(b []byte, hash int) schema.ObjectID {
	head, rest, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || len(head) < 2 || head[0] != 0 || head[1] == '-' || len(rest) < hash {
		return ""
	}
	return schema.ObjectID(hex.EncodeToString(rest[:hash]))
}

// offsetVarint reads the integer encoding of pack offsets, which version 4 uses too. used is 0 when it is cut off or too large.
func offsetVarint(b []byte) (v uint64, used int) {
	for i, c := range b {
		if i > 0 {
			v++
		}
		if i > 8 {
			return 0, 0
		}
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}
