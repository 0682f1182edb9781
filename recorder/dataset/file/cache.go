package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// snapshotKey names the stat cache of a root and its patterns.
func snapshotKey(root string, include, exclude []string) string {
	h := sha256.New()
	for _, part := range [][]string{{"runpin stat cache", root}, include, {""}, exclude} {
		io.WriteString(h, strings.Join(part, "\x00")+"\x00\x00")
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// load gives what is remembered under key, or nil.
func (b *Backend) load(key string) *snapshot {
	var data []byte
	if b.opts.CacheDir == "" {
		b.mu.Lock()
		data = b.memory[key]
		b.mu.Unlock()
	} else {
		path := filepath.Join(b.opts.CacheDir, key+snapshotSuffix)
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxSnapshot {
			return nil
		}
		if data, err = os.ReadFile(path); err != nil {
			return nil
		}
		if now := time.Now(); now.Sub(info.ModTime()) > snapshotAge/10 {
			_ = os.Chtimes(path, now, now)
		}
	}
	s, err := parseSnapshot(data)
	if err != nil {
		return nil
	}
	return s
}

// save remembers t. A cache that cannot be written is no failure: the next look reads more.
func (b *Backend) save(t *tree) {
	if t.read == 0 && t.before != nil && t.before.digest == t.digest && t.before.sidecar == t.sidecar {
		return // it says so already
	}
	if b.opts.CacheDir == "" {
		var buf bytes.Buffer
		if t.writeSnapshot(&buf) == nil {
			b.mu.Lock()
			b.memory[t.key] = buf.Bytes()
			b.mu.Unlock()
		}
		return
	}
	if os.MkdirAll(b.opts.CacheDir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(b.opts.CacheDir, t.key+".*.tmp")
	if err != nil {
		return
	}
	err = t.writeSnapshot(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(b.opts.CacheDir, t.key+snapshotSuffix))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	b.sweep()
}

// sweep removes caches that nobody used for long, and what a killed process left half-written.
func (b *Backend) sweep() {
	entries, err := os.ReadDir(b.opts.CacheDir)
	if err != nil {
		return
	}
	for _, e := range entries {
		limit := snapshotAge
		if strings.HasSuffix(e.Name(), ".tmp") {
			limit = 24 * time.Hour
		} else if !strings.HasSuffix(e.Name(), snapshotSuffix) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > limit {
			_ = os.Remove(filepath.Join(b.opts.CacheDir, e.Name()))
		}
	}
}
