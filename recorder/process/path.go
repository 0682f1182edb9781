package process

import (
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// PathOf describes a path as [schema.Path] keeps it. A relative path is relative to workDir; codeRoot is the root of the checkout, or "".
// What lies in the checkout has base "checkout" even when it was typed as an absolute path: that is what it means to another checkout of the
// same code. A relative path outside the checkout has base "workdir". Rel is clean, with slashes; it is "." for the base itself.
// Symbolic links are not resolved: the record keeps what was meant, not where a link happened to lead.
func PathOf(typed, workDir, codeRoot string) schema.Path {
	p := schema.Path{Typed: schema.Text(typed)}
	located := filepath.FromSlash(typed)
	relative := !filepath.IsAbs(located)
	if relative {
		located = filepath.Join(workDir, located)
	}
	located = filepath.Clean(located)
	p.Located = schema.Text(located)
	if codeRoot != "" {
		if rel, ok := below(located, filepath.Clean(codeRoot)); ok {
			p.Base, p.Rel = schema.BaseCheckout, schema.Text(rel)
			return p
		}
	}
	if relative {
		p.Base, p.Rel = schema.BaseWorkDir, schema.Text(filepath.ToSlash(filepath.Clean(filepath.FromSlash(typed))))
		return p
	}
	p.Base = schema.BaseAbsolute
	return p
}

// below gives the place of path relative to dir, with slashes, when path is dir or lies beneath it. Both are clean.
func below(path, dir string) (string, bool) {
	if path == dir {
		return ".", true
	}
	if !strings.HasSuffix(dir, string(filepath.Separator)) {
		dir += string(filepath.Separator)
	}
	rest, ok := strings.CutPrefix(path, dir)
	return filepath.ToSlash(rest), ok && rest != ""
}
