package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// maxSmallFile bounds a file of /proc, /sys or /etc, and a header of package metadata.
const maxSmallFile = 64 << 10

// readSmall reads at most limit bytes of a regular file (or one of /proc). What is longer is cut: callers want the beginning.
func readSmall(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a FIFO would block for ever
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One buffer of the right size: /proc answers a short read with a short file.
	buf := make([]byte, min(limit, max(4096, int(min(info.Size(), int64(limit))))))
	n := 0
	for n < limit {
		if n == len(buf) {
			buf = append(buf, make([]byte, min(len(buf), limit-n))...)
		}
		m, err := f.Read(buf[n:])
		n += m
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return buf[:n], nil
}

// system reads a small file of this machine, below Root; it gives "" when there is none.
func (r *Reader) system(path string) string {
	b, err := readSmall(r.at(path), maxSmallFile)
	if err != nil || !utf8.Valid(b) {
		return ""
	}
	return string(b)
}

func (r *Reader) at(path string) string {
	if r.root == "" {
		return path
	}
	return filepath.Join(r.root, path)
}

func (r *Reader) exists(path string) bool {
	_, err := os.Stat(r.at(path))
	return err == nil
}

// entries lists the names in a directory of this machine, at most limit.
func (r *Reader) entries(path string, limit int) []string {
	names, _ := listDir(r.at(path), limit)
	return names
}

// listDir lists at most limit names; complete is false when there are more or the directory cannot be read to its end.
func listDir(dir string, limit int) (names []string, complete bool) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	for len(names) < limit {
		some, err := f.Readdirnames(min(4096, limit-len(names)))
		names = append(names, some...)
		if err == io.EOF {
			return names, true
		}
		if err != nil {
			return names, false
		}
	}
	return names, false
}

func setFact(facts map[string]string, name, value string) map[string]string {
	if value == "" || !utf8.ValidString(value) {
		return facts
	}
	if facts == nil {
		facts = map[string]string{}
	}
	facts[name] = value
	return facts
}

// splitEnv gives the environment as a map; of a name that stands twice the last counts, as os/exec has it.
func splitEnv(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, kv := range env {
		i := strings.IndexByte(kv, '=')
		if i <= 0 {
			continue
		}
		name := kv[:i]
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name) // Path is PATH there
		}
		m[name] = kv[i+1:]
	}
	return m
}

// fileName makes a name of one path element out of any text.
func fileName(s string) string {
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '_'
	}, s)
	if clean == s && s != "" && len(s) < 64 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "h" + hex.EncodeToString(sum[:8])
}

// readCache gives what writeCache kept under name, if it was kept with the same state.
func (r *Reader) readCache(name, state string) ([]byte, bool) {
	if r.cacheDir == "" {
		return nil, false
	}
	b, err := readSmall(filepath.Join(r.cacheDir, fileName(name)), maxCacheFile)
	if err != nil || len(b) < 65 || b[64] != '\n' {
		return nil, false
	}
	// The sum covers the state and the content: a file that was cut or meddled with is no answer.
	if content := b[65:]; string(b[:64]) == cacheSum(state, content) {
		return content, true
	}
	return nil, false
}

const maxCacheFile = 8 << 20

func cacheSum(state string, content []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s\n", len(state), state)
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// writeCache never fails: a cache that cannot be written is no cache.
func (r *Reader) writeCache(name, state string, content []byte) {
	if r.cacheDir == "" || len(content)+65 > maxCacheFile || os.MkdirAll(r.cacheDir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(r.cacheDir, ".new-*")
	if err != nil {
		return
	}
	_, err = f.Write(append([]byte(cacheSum(state, content)+"\n"), content...))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(r.cacheDir, fileName(name)))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}
