package git

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
)

var (
	scpLike  = regexp.MustCompile(`^(?:([^@/\\:]+)@)?([^/\\:@]+|\[[^\]]+\]):(.*)$`)
	urlStart = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s'"]+`)
)

// Redact takes the user info and the secrets of every URL out of a text that is shown.
func Redact(text string) string {
	return urlStart.ReplaceAllStringFunc(text, CleanURL)
}

// CleanURL gives a remote's URL as it may be recorded, without secrets. The user name of an ssh URL stays: it says where to log in, and
// without it the repository could not be reached.
func CleanURL(raw string) string {
	clean, _ := redact.URL(raw)
	return clean
}

func isLocalPath(raw string) bool {
	if strings.Contains(raw, "://") {
		return false
	}
	return filepath.IsAbs(raw) || strings.HasPrefix(raw, ".") || !scpLike.MatchString(raw)
}

// RemoteURL gives the URL of a remote in a form that means the same from every directory: a relative path becomes absolute.
func RemoteURL(raw, root string) string {
	if isLocalPath(raw) && !filepath.IsAbs(raw) && raw != "" {
		return filepath.Join(root, filepath.FromSlash(raw))
	}
	return raw
}

// CheckURL refuses what git would take for an option, and transports that run programs: a URL can come from a record.
func CheckURL(raw string) error {
	switch {
	case raw == "":
		return fmt.Errorf("no URL")
	case strings.HasPrefix(raw, "-"):
		return fmt.Errorf("URL %q begins with a dash", raw)
	case strings.ContainsAny(raw, "\x00\n\r"):
		return fmt.Errorf("URL %q holds a control character", raw)
	case strings.Contains(raw, "::"):
		if scheme, _, _ := strings.Cut(raw, "::"); !strings.ContainsAny(scheme, "/[@.") {
			return fmt.Errorf("URL %q names a transport helper", Redact(raw))
		}
	}
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		switch scheme {
		case "https", "http", "ssh", "git", "file", "git+ssh", "ssh+git":
		default:
			return fmt.Errorf("URL scheme %q is not supported", scheme)
		}
		if strings.HasPrefix(rest, "-") {
			return fmt.Errorf("URL %q names a host that begins with a dash", Redact(raw))
		}
	}
	return nil
}
