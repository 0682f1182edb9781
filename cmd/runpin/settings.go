package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/schema"
)

// settingsFile is looked for in the working directory and upward. A file found in a clone is not trusted: it can name pins, outputs and defaults of
// recording; it cannot redirect the store, turn off checks of registries, or act (DESIGN §3.11).
const settingsFile = "runpin.yaml"

const maxSettingsBytes = 1 << 20

// Settings are the defaults that a project keeps in runpin.yaml.
type Settings struct {
	Project  string            `yaml:"project"`
	Platform string            `yaml:"platform"`
	Metrics  string            `yaml:"metrics"`
	Dataset  map[string]string `yaml:"dataset"`
	Model    map[string]string `yaml:"model"`
	Output   map[string]string `yaml:"output"`
	Param    map[string]string `yaml:"param"`
	Env      []string          `yaml:"env"`
	Require  []string          `yaml:"require"`
	Label    map[string]string `yaml:"label"`
	// Tolerance is by metric, Compare by output. A compare command is taken from the command line alone.
	Tolerance map[string]string `yaml:"tolerance"`
	Compare   map[string]string `yaml:"compare"`
	Fields    map[string]paths  `yaml:"fields"`
	Lint      lintSettings      `yaml:"lint"`

	path string
}

// untrustedKeys are settings that only the command line and the environment can give.
var untrustedKeys = []string{"store", "insecure-registry", "in", "image", "execute", "force", "relocate"}

// nearestSettings reads the nearest runpin.yaml above dir; without one path is "".
func nearestSettings(dir string) (path string, data []byte, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		path := filepath.Join(at, settingsFile)
		data, err := readSmall(path, maxSettingsBytes)
		if err == nil {
			return path, data, nil
		}
		if !os.IsNotExist(err) {
			return path, nil, err
		}
		if at == filepath.Dir(at) {
			return "", nil, nil
		}
	}
}

// loadSettings reads the nearest runpin.yaml above dir; without one the settings are empty.
func loadSettings(env *Env, dir string) (Settings, error) {
	path, data, err := nearestSettings(dir)
	switch {
	case err != nil:
		return Settings{}, &schema.Error{Op: "settings", Kind: schema.Invalid, Subject: path, Err: err}
	case path == "":
		return Settings{}, nil
	}
	return parseSettings(env, path, data)
}

func parseSettings(env *Env, path string, data []byte) (Settings, error) {
	bad := func(err error) (Settings, error) {
		return Settings{}, &schema.Error{Op: "settings", Kind: schema.Invalid, Subject: path, Err: err, Hint: "see `runpin help settings`"}
	}
	var keys map[string]yaml.Node
	if err := yaml.Unmarshal(data, &keys); err != nil {
		return bad(err)
	}
	known := []string{"project", "platform", "metrics", "dataset", "model", "output", "param", "env", "require", "label", "tolerance", "compare", "fields", "lint"}
	for key := range keys {
		if slices.Contains(untrustedKeys, key) {
			if key == "relocate" {
				env.warn("%s: %q is ignored: a file in a repository cannot say which hosts are asked; use the command line, or %s", path, key, orNone(env.ownSettings()))
				continue
			}
			env.warn("%s: %q is ignored: a file in a repository cannot set it; use the command line or RUNPIN_%s", path, key, strings.ToUpper(strings.ReplaceAll(key, "-", "_")))
		} else if !slices.Contains(known, key) {
			return bad(fmt.Errorf("unknown setting %q; known are %s", schema.Shorten(key, 80), strings.Join(known, ", ")))
		}
	}
	s := Settings{path: path}
	if err := yaml.Unmarshal(data, &s); err != nil {
		return bad(err)
	}
	return s, nil
}

// paths are one path or several.
type paths []string

// UnmarshalYAML takes a text for a list of one.
func (p *paths) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*p = paths{n.Value}
		return nil
	}
	return n.Decode((*[]string)(p))
}

// fields gives the declared places of job specs, as --field takes them.
func (s Settings) fields() (out []string) {
	for _, what := range sortedKeys(s.Fields) {
		for _, path := range s.Fields[what] {
			out = append(out, what+"="+path)
		}
	}
	return out
}

// readSmall reads a regular file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file") // to open a pipe waits for a writer, and no signal ends that
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(file)
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return data, err
}

// choose gives the flag's value (command line or variable), else the setting's.
func choose(c *cli.Context, flag, setting string) string {
	if c.IsSet(flag) || setting == "" {
		return c.String(flag)
	}
	return setting
}

// named parses NAME=VALUE where NAME is a pin's name; without one the name is derived by unnamed.
func named(s string, unnamed func(string) string) (name, value string, err error) {
	if head, rest, ok := strings.Cut(s, "="); ok {
		if _, err := schema.ParseName(head); err == nil {
			if rest == "" {
				return "", "", usageError("", "%q has no value", s)
			}
			return head, rest, nil
		}
	}
	if s == "" {
		return "", "", usageError("", "an empty value")
	}
	if unnamed == nil {
		return "", "", usageError("give it as NAME=URI; a name is a lower-case letter, then letters, digits, underscores", "%q has no name", s)
	}
	return unnamed(s), s, nil
}

// nameFromPath derives a pin's name from a path: the base name without its extension, in lower case, other characters as underscores.
func nameFromPath(path string) string {
	base := filepath.Base(strings.TrimRight(path, "/"))
	if i := strings.Index(base, "."); i > 0 {
		base = base[:i]
	}
	var b strings.Builder
	for _, r := range strings.ToLower(base) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	if _, err := schema.ParseName(name); err != nil {
		return "output"
	}
	return name
}

// keyValue parses K=V.
func keyValue(flag, s string) (k, v string, err error) {
	k, v, ok := strings.Cut(s, "=")
	if !ok || k == "" {
		return "", "", usageError("", "--%s %q is not K=V", flag, s)
	}
	return k, v, nil
}

func keyValues(flag string, ss []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range ss {
		k, v, err := keyValue(flag, s)
		if err != nil {
			return nil, err
		}
		if _, twice := out[k]; twice {
			return nil, usageError("", "--%s %s is given twice", flag, k)
		}
		out[k] = v
	}
	return out, nil
}
