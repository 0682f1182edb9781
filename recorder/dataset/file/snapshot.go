package file

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/runpin/runpin/schema"
)

// The stat cache remembers a data set as it was last read: for each file its stamp (device, inode, size, modification and change time) and
// digest. A file whose stamp is the same has the same content, unless the entry is racy (hash.go); the rest is read again. The content digest
// is always computed anew over all files. It lives in one file for each root and choice of patterns, in a folder of this host, never in a
// store. It is replaced atomically, so that processes need no lock, and ignored when damaged.
//
// What a stamp cannot show: writes through a memory map that the kernel has not noticed yet, and, on a network file system, writes of another
// machine for as long as the server itself does not know of them. A deep check reads every byte.
//
//	magic, 8 bytes · content digest, sidecar digest (or zeroes), 32 bytes each · kind of digest, 1 byte
//	for each directory: length of what follows, 4 bytes · flags, 1 byte · length of its path, 4 bytes · path · entries, sorted by name:
//	    flags, 1 byte · length of the name, 2 bytes · dev, ino, size, mtime, ctime, 8 bytes each · digest, 32 bytes · name
//	SHA-256 of all of this, 32 bytes
//
// Numbers are little-endian. The digest of a link to a directory is that of its text.
const (
	snapshotMagic  = "rpstat1\n"
	snapshotHead   = len(snapshotMagic) + 32 + 32 + 1
	entryHead      = 1 + 2 + 5*8 + 32
	sumOffset      = 1 + 2 + 5*8
	maxSnapshot    = 4 << 30
	snapshotSuffix = ".stat"
	snapshotAge    = 90 * 24 * time.Hour // after which an unused one is removed
)

// Flags of an entry.
const (
	flagRacy = 1 << iota
	flagExec
	flagDirLink
	flagLink
)

const flagEmptyDir = 1 // of a directory

// snapshot is a stat cache as it was read.
type snapshot struct {
	data    []byte
	dirs    map[string][]byte // entries by directory
	empty   map[string]bool   // directories that were empty
	digest  schema.Digest
	sidecar schema.Digest
	kind    string
}

// block is the entries of one directory.
type block struct{ rest []byte }

// known is one entry.
type known struct{ b []byte }

func (s *snapshot) block(dir string) block {
	if s == nil {
		return block{}
	}
	return block{s.dirs[dir]}
}

// peek gives the first entry and its length; ok is false at the end.
func (b *block) peek() (k known, name []byte, size int, ok bool) {
	if len(b.rest) < entryHead {
		return known{}, nil, 0, false
	}
	size = entryHead + int(binary.LittleEndian.Uint16(b.rest[1:]))
	if size > len(b.rest) {
		return known{}, nil, 0, false
	}
	return known{b.rest[:size]}, b.rest[entryHead:size], size, true
}

// seek goes to the first of entries that can be in the block: its entries can only be read in order.
func (b *block) seek(entries []entry) {
	for i := range entries {
		if entries[i].kind != kindDir { // directories are not in a block, and sort otherwise
			b.skipTo(entries[i].name)
			return
		}
	}
}

func (b *block) skipTo(name string) {
	for {
		_, at, size, ok := b.peek()
		if !ok || string(at) >= name {
			return
		}
		b.rest = b.rest[size:]
	}
}

// next gives the entry for name; names are asked for in order.
func (b *block) next(name string) (known, bool) {
	if len(b.rest) == 0 {
		return known{}, false
	}
	b.skipTo(name)
	k, at, _, ok := b.peek()
	return k, ok && string(at) == name && k.b[0]&flagDirLink == 0
}

func (k known) matches(s stamp) bool {
	le := binary.LittleEndian
	return k.b[0]&flagRacy == 0 && le.Uint64(k.b[3:]) == s.dev && le.Uint64(k.b[11:]) == s.ino && le.Uint64(k.b[19:]) == uint64(s.size) &&
		le.Uint64(k.b[27:]) == uint64(s.mtime) && le.Uint64(k.b[35:]) == uint64(s.ctime)
}

func (k known) sum(to *[32]byte) { copy(to[:], k.b[sumOffset:]) }

// writeSnapshot writes what the next look can use.
func (t *tree) writeSnapshot(w io.Writer) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 256<<10)
	head := append([]byte(snapshotMagic), digestBytes(t.digest)...)
	head = append(head, digestBytes(t.sidecar)...)
	kind := byte(0)
	if t.escaped {
		kind = 1
	}
	if _, err := out.Write(append(head, kind)); err != nil {
		return err
	}
	if err := writeBlocks(out, t.root, false, sha256.New()); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

func writeBlocks(out *bufio.Writer, n *node, empty bool, text hash.Hash) error {
	le := binary.LittleEndian
	b := make([]byte, 4, 4096)
	flags := byte(0)
	if empty {
		flags = flagEmptyDir
	}
	b = append(b, flags)
	b = le.AppendUint32(b, uint32(len(n.path)))
	b = append(b, n.path...)
	for i := range n.entries {
		e := &n.entries[i]
		sum := e.sum
		flags := byte(0)
		switch e.kind {
		case kindFile:
		case kindDirLink:
			flags = flagDirLink
			text.Reset()
			io.WriteString(text, e.target)
			finish(text, &sum)
		default:
			continue
		}
		for _, f := range []struct {
			on   bool
			flag byte
		}{{e.racy, flagRacy}, {e.exec, flagExec}, {e.link, flagLink}} {
			if f.on {
				flags |= f.flag
			}
		}
		b = append(b, flags)
		b = le.AppendUint16(b, uint16(len(e.name)))
		for _, v := range [...]uint64{e.stamp.dev, e.stamp.ino, uint64(e.stamp.size), uint64(e.stamp.mtime), uint64(e.stamp.ctime)} {
			b = le.AppendUint64(b, v)
		}
		b = append(b, sum[:]...)
		b = append(b, e.name...)
	}
	if len(b) > 1<<31 {
		return errors.New("a directory too large for the stat cache")
	}
	le.PutUint32(b, uint32(len(b)-4))
	if _, err := out.Write(b); err != nil {
		return err
	}
	for i := range n.entries {
		if e := &n.entries[i]; e.kind == kindDir || e.kind == kindEmptyDir {
			if err := writeBlocks(out, e.sub, e.kind == kindEmptyDir, text); err != nil {
				return err
			}
		}
	}
	return nil
}

var errSnapshot = errors.New("not a stat cache, or a damaged one")

func parseSnapshot(b []byte) (*snapshot, error) {
	if len(b) < snapshotHead+32 || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return nil, errSnapshot
	}
	body := b[:len(b)-32]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[len(body):]) {
		return nil, errSnapshot
	}
	at := len(snapshotMagic)
	s := &snapshot{data: b, dirs: map[string][]byte{}, empty: map[string]bool{}, kind: schema.DirHash}
	s.digest = schema.SHA256Sum([32]byte(body[at:]))
	if side := [32]byte(body[at+32:]); side != [32]byte{} {
		s.sidecar = schema.SHA256Sum(side)
	}
	if body[at+64] == 1 {
		s.kind = schema.DirHashEscaped
	}
	for rest := body[snapshotHead:]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, errSnapshot
		}
		size := int(binary.LittleEndian.Uint32(rest))
		if size < 5 || size > len(rest)-4 {
			return nil, errSnapshot
		}
		dir := rest[4 : 4+size]
		rest = rest[4+size:]
		n := int(binary.LittleEndian.Uint32(dir[1:]))
		if n < 0 || n > len(dir)-5 {
			return nil, errSnapshot
		}
		path := string(dir[5 : 5+n])
		s.dirs[path] = dir[5+n:]
		if dir[0]&flagEmptyDir != 0 {
			s.empty[path] = true
		}
	}
	return s, nil
}

func digestBytes(d schema.Digest) []byte {
	b := make([]byte, 32)
	_, _ = hex.Decode(b, []byte(d.Hex()))
	return b
}
