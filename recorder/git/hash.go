package git

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/runpin/runpin/schema"
)

// Hasher begins the id of a git object of a kind ("blob", "tree") and size. idSize is 20 or 32 bytes ([Repo.HashSize]).
func Hasher(kind string, size int64, idSize int) hash.Hash {
	var h hash.Hash = sha1.New()
	if idSize == 32 {
		h = sha256.New()
	}
	h.Write([]byte(kind + " " + strconv.FormatInt(size, 10) + "\x00"))
	return h
}

// HashObject gives the id of an object.
func HashObject(kind string, content []byte, idSize int) schema.ObjectID {
	h := Hasher(kind, int64(len(content)), idSize)
	h.Write(content)
	return schema.ObjectID(hex.EncodeToString(h.Sum(nil)))
}

// IDSize gives the length in bytes of the kind of id that id is.
func IDSize(id schema.ObjectID) int { return len(id) / 2 }
