package git

import (
	"errors"
	"runtime"
	"strings"
)

// CheckPath refuses a path of a record or a tree that must not be written below a checkout: absolute, leaving it, or naming .git in any
// of the spellings that a file system may take for it (case, NTFS short names and streams, trailing dots and blanks, code points that
// HFS+ ignores). The rules are those of git's verify_path with protectHFS and protectNTFS on.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("an empty path")
	case len(path) > 4096:
		return errors.New("a path longer than 4096 bytes")
	case strings.HasPrefix(path, "/"):
		return errors.New("an absolute path")
	case strings.IndexByte(path, 0) >= 0:
		return errors.New("a path with a NUL byte")
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "":
			return errors.New("a path with an empty component")
		case part == "." || part == "..":
			return errors.New("a path that leaves its directory")
		case len(part) > 255:
			return errors.New("a path with a component longer than 255 bytes")
		}
		for piece := range strings.SplitSeq(part, `\`) {
			if isDotGit(piece) {
				return errors.New("a path inside .git")
			}
		}
		if runtime.GOOS == "windows" {
			if err := windowsName(part); err != nil {
				return err
			}
		}
	}
	return nil
}

func isDotGit(name string) bool {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, name)
	if i := strings.IndexByte(name, ':'); i >= 0 {
		name = name[:i]
	}
	name = strings.ToLower(strings.TrimRight(name, ". "))
	if name == ".git" {
		return true
	}
	rest, ok := strings.CutPrefix(name, "git~")
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}

var windowsDevices = map[string]bool{"con": true, "prn": true, "aux": true, "nul": true, "conin$": true, "conout$": true}

func windowsName(part string) error {
	base, _, _ := strings.Cut(strings.ToLower(part), ".")
	base = strings.TrimRight(base, " ")
	device := windowsDevices[base] || len(base) == 4 && (strings.HasPrefix(base, "com") || strings.HasPrefix(base, "lpt")) && base[3] >= '0' && base[3] <= '9'
	if device || strings.ContainsAny(part, "\\:*?\"<>|") || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
		return errors.New("a name that Windows does not allow")
	}
	return nil
}
