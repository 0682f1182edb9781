package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Config is git configuration: the values of each key in the order in which they were read. A key is section.name or
// section.subsection.name, with section and name in lower case.
type Config struct{ values map[string][]string }

// Get gives the last value of a key, which is the one that counts.
func (c Config) Get(key string) (string, bool) {
	v := c.values[key]
	if len(v) == 0 {
		return "", false
	}
	return v[len(v)-1], true
}

// Bool gives the last value of a key as git reads booleans; false when absent or malformed.
func (c Config) Bool(key string) bool {
	v, ok := c.Get(key)
	if !ok {
		return false
	}
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1", "\x00":
		return true
	}
	return false
}

// Subsections lists the subsections of a section that hold the given name, in no order.
func (c Config) Subsections(section, name string) []string {
	var subs []string
	for key := range c.values {
		rest, ok := strings.CutPrefix(key, section+".")
		if !ok {
			continue
		}
		if sub, ok := strings.CutSuffix(rest, "."+name); ok {
			subs = append(subs, sub)
		}
	}
	return subs
}

func (c *Config) add(key, value string) {
	if c.values == nil {
		c.values = map[string][]string{}
	}
	c.values[key] = append(c.values[key], value)
}

// readRepoConfig reads what counts in a repository: the system's and the user's files, then the repository's own and the worktree's.
// From the system's and the user's files we use only what says which files are ignored.
func readRepoConfig(r *Repo) (Config, error) {
	var c Config
	read := func(path string, required bool) error {
		err := c.readFile(path, r, 0)
		if errors.Is(err, fs.ErrNotExist) && !required || errors.Is(err, fs.ErrPermission) && !required {
			return nil
		}
		return err
	}
	for _, path := range userFiles() {
		if err := read(path, false); err != nil {
			return c, err
		}
	}
	// The repository's settings do not carry over from the user's files where they describe this very repository.
	for _, key := range []string{"core.worktree", "core.bare", "core.repositoryformatversion", "extensions.objectformat", "extensions.worktreeconfig"} {
		delete(c.values, key)
	}
	if err := read(filepath.Join(r.Common, "config"), false); err != nil {
		return c, err
	}
	if c.Bool("extensions.worktreeconfig") {
		if err := read(filepath.Join(r.Dir, "config.worktree"), false); err != nil {
			return c, err
		}
	}
	return c, nil
}

func userFiles() []string {
	var files []string
	if v := os.Getenv("GIT_CONFIG_NOSYSTEM"); v == "" || v == "0" || v == "false" {
		if sys := os.Getenv("GIT_CONFIG_SYSTEM"); sys != "" {
			files = append(files, sys)
		} else if runtime.GOOS != "windows" {
			files = append(files, "/etc/gitconfig")
		}
	}
	if global := os.Getenv("GIT_CONFIG_GLOBAL"); global != "" {
		return append(files, global)
	}
	home, _ := os.UserHomeDir()
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if xdg == "" && home != "" {
		xdg = filepath.Join(home, ".config")
	}
	if xdg != "" {
		files = append(files, filepath.Join(xdg, "git", "config"))
	}
	if home != "" {
		files = append(files, filepath.Join(home, ".gitconfig"))
	}
	return files
}

const maxIncludes = 10

func (c *Config) readFile(path string, r *Repo, depth int) error {
	if path == os.DevNull {
		return nil
	}
	b, err := readSmall(path)
	if err != nil {
		return err
	}
	return parseConfig(b, func(key, value string) error {
		c.add(key, value)
		if !strings.HasPrefix(key, "include") || !strings.HasSuffix(key, ".path") || depth >= maxIncludes {
			return nil
		}
		if key != "include.path" {
			cond := strings.TrimSuffix(strings.TrimPrefix(key, "includeif."), ".path")
			if !r.includes(cond, filepath.Dir(path)) {
				return nil
			}
		}
		err := c.readFile(resolveIn(filepath.Dir(path), expandHome(value)), r, depth+1)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	})
}

// includes evaluates the condition of an includeIf: gitdir, gitdir/i and onbranch; any other is false, as for an older git.
func (r *Repo) includes(cond, dir string) bool {
	kind, pattern, ok := strings.Cut(cond, ":")
	if !ok {
		return false
	}
	switch kind {
	case "gitdir", "gitdir/i":
		pattern = filepath.ToSlash(expandHome(pattern))
		if rest, ok := strings.CutPrefix(pattern, "./"); ok {
			pattern = filepath.ToSlash(dir) + "/" + rest
		} else if !strings.HasPrefix(pattern, "/") && filepath.VolumeName(filepath.FromSlash(pattern)) == "" {
			pattern = "**/" + pattern
		}
		if strings.HasSuffix(pattern, "/") {
			pattern += "**"
		}
		at := filepath.ToSlash(r.Dir)
		if kind == "gitdir/i" {
			pattern, at = strings.ToLower(pattern), strings.ToLower(at)
		}
		if wildMatch(pattern, at) {
			return true
		}
		real, err := filepath.EvalSymlinks(r.Dir)
		return err == nil && wildMatch(pattern, filepath.ToSlash(real))
	case "onbranch":
		if strings.HasSuffix(pattern, "/") {
			pattern += "**"
		}
		head, err := readSmall(filepath.Join(r.Dir, "HEAD"))
		name, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/heads/")
		return err == nil && ok && wildMatch(pattern, name)
	}
	return false
}

func expandHome(path string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return home + path[1:]
		}
	}
	return path
}

// parseConfig reads git's configuration syntax (git-config, "Syntax"). A key without a value has the value "\x00", which is true.
func parseConfig(b []byte, set func(key, value string) error) error {
	p := configParser{b: strings.TrimPrefix(string(b), "\ufeff"), line: 1}
	section := ""
	for {
		switch ch := p.next(); {
		case ch == 0 && p.at >= len(p.b):
			return nil
		case ch == '\n' || ch == ' ' || ch == '\t' || ch == '\r':
		case ch == '#' || ch == ';':
			p.skipLine()
		case ch == '[':
			s, err := p.section()
			if err != nil {
				return err
			}
			section = s
		case isLetter(ch):
			if section == "" {
				return p.fail("a key outside of a section")
			}
			name, value, err := p.variable(ch)
			if err != nil {
				return err
			}
			if err := set(section+"."+name, value); err != nil {
				return err
			}
		default:
			return p.fail(fmt.Sprintf("unexpected %q", ch))
		}
	}
}

type configParser struct {
	b    string
	at   int
	line int
}

func (p *configParser) fail(what string) error {
	return fmt.Errorf("git configuration, line %d: %s", p.line, what)
}

func (p *configParser) next() byte {
	if p.at >= len(p.b) {
		return 0
	}
	ch := p.b[p.at]
	p.at++
	if ch == '\n' {
		p.line++
	}
	return ch
}

func (p *configParser) skipLine() {
	if i := strings.IndexByte(p.b[p.at:], '\n'); i >= 0 {
		p.at += i
	} else {
		p.at = len(p.b)
	}
}

func (p *configParser) section() (string, error) {
	var name strings.Builder
	for {
		switch ch := p.next(); {
		case ch == ']':
			return strings.ToLower(name.String()), nil
		case isLetter(ch) || ch >= '0' && ch <= '9' || ch == '-' || ch == '.':
			name.WriteByte(ch)
		case ch == ' ' || ch == '\t':
			for ch == ' ' || ch == '\t' {
				ch = p.next()
			}
			if ch != '"' {
				return "", p.fail("a subsection without quotes")
			}
			var sub strings.Builder
			for {
				ch = p.next()
				if ch == '\\' {
					ch = p.next()
				} else if ch == '"' {
					break
				}
				if ch == 0 || ch == '\n' {
					return "", p.fail("a subsection that does not end")
				}
				sub.WriteByte(ch)
			}
			if p.next() != ']' {
				return "", p.fail("a section that does not end")
			}
			return strings.ToLower(name.String()) + "." + sub.String(), nil
		default:
			return "", p.fail("a malformed section")
		}
	}
}

func (p *configParser) variable(first byte) (name, value string, err error) {
	start := p.at - 1
	for p.at < len(p.b) && (isLetter(p.b[p.at]) || p.b[p.at] >= '0' && p.b[p.at] <= '9' || p.b[p.at] == '-') {
		p.at++
	}
	name = strings.ToLower(p.b[start:p.at])
	ch := p.next()
	for ch == ' ' || ch == '\t' || ch == '\r' {
		ch = p.next()
	}
	switch ch {
	case '=':
		value, err = p.value()
		return name, value, err
	case '#', ';':
		p.skipLine()
		return name, "\x00", nil
	case '\n', 0:
		return name, "\x00", nil
	}
	return "", "", p.fail("a key without a value")
}

func (p *configParser) value() (string, error) {
	var v []byte
	quoted, kept := false, 0 // kept: the length up to which trailing blanks are part of the value
	for {
		ch := p.next()
		switch {
		case ch == 0 && p.at >= len(p.b) || ch == '\n':
			if quoted {
				return "", p.fail("a quote that does not end")
			}
			return string(v[:kept]), nil
		case !quoted && (ch == '#' || ch == ';'):
			p.skipLine()
		case !quoted && (ch == ' ' || ch == '\t' || ch == '\r'):
			if len(v) > 0 {
				v = append(v, ch)
			}
		case ch == '"':
			quoted = !quoted
			kept = len(v)
		case ch == '\\':
			switch esc := p.next(); esc {
			case '\n':
			case '\r':
				p.next()
			case 't':
				v = append(v, '\t')
			case 'n':
				v = append(v, '\n')
			case 'b':
				v = append(v, '\b')
			case '\\', '"':
				v = append(v, esc)
			default:
				return "", p.fail("an unknown escape")
			}
			kept = len(v)
		default:
			v = append(v, ch)
			kept = len(v)
		}
	}
}

func isLetter(ch byte) bool { return ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' }
