package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// readNeeds reads what a rerun needs beside the record.
func readNeeds(env *Env, c *cli.Context, req *rerun.Request) (err error) {
	req.Overwrite, req.GPUs = c.Bool("overwrite-outputs"), c.String("gpus")
	if err := rerun.CheckGPUs(req.GPUs); err != nil {
		return err
	}
	if req.Env, err = readEnvFiles(env, c.StringSlice("env-file")); err != nil {
		return err
	}
	for _, name := range c.StringSlice("without") {
		if name == "" || strings.Contains(name, "=") {
			return usageError("name a variable: --without NAME", "--without %q is no name of a variable", name)
		}
		req.Without = append(req.Without, name)
	}
	req.Relocate, err = relocations(env, c)
	return err
}

const (
	maxEnvFile  = 1 << 20
	maxEnvLines = 10_000
)

// readEnvFiles reads files of variables. Of several values for a name the last counts.
func readEnvFiles(env *Env, files []string) (map[string]string, error) {
	given := map[string]string{}
	for _, file := range files {
		data, err := readSmall(file, maxEnvFile)
		if err != nil {
			return nil, usageError("", "--env-file %s: %v", file, err)
		}
		if err := parseEnvFile(env, file, data, given); err != nil {
			return nil, err
		}
	}
	return given, nil
}

// parseEnvFile reads what docker and podman read: NAME=value lines with the value as it stands, NAME alone for this environment's value, # comments. No error holds
// a value.
func parseEnvFile(env *Env, file string, data []byte, given map[string]string) error {
	lines := strings.Split(string(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))), "\n")
	if len(lines) > maxEnvLines {
		return usageError("", "--env-file %s: more than %d lines", file, maxEnvLines)
	}
	for i, line := range lines {
		bad := func(format string, args ...any) error {
			return usageError("write NAME=value, or NAME alone to take it from this environment", "--env-file %s:%d: %s", file, i+1, fmt.Sprintf(format, args...))
		}
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return bad("it is not text")
		}
		if err := rerun.CheckVariableName(name); err != nil {
			return bad("%v", err)
		}
		if !ok {
			if value, ok = lookupVariable(env, name); !ok {
				return bad("what has no value is not set in this environment")
			}
		}
		given[name] = value
	}
	return nil
}

func lookupVariable(env *Env, name string) (string, bool) {
	for _, kv := range env.Environ() {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func relocateFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "relocate", Usage: "look for what moved at its new place first, proved by digest: `OLD=NEW`, of registries, git remotes, data"}
}

// ownSettings is the user's own settings file, "" without a home directory. Unlike a file in a repository it is trusted.
func (e *Env) ownSettings() string {
	dir := e.userDir("XDG_CONFIG_HOME", ".config", "Library/Application Support")
	return under(dir, settingsFile)
}

// relocations reads --relocate and the table in the user's own settings file. What stands on the command line comes first, where both name the same place. A file in
// a repository has no say: a relocation makes runpin ask other hosts (DESIGN §3.11).
func relocations(env *Env, c *cli.Context) (rerun.Relocations, error) {
	var all rerun.Relocations
	add := func(where, old, new string, given bool) error {
		for _, half := range []string{old, new} {
			if _, secret := redact.URL(half); secret {
				return usageError("log in to the host another way: what moved is recorded and shown", "%s holds a credential", where)
			}
		}
		r, err := rerun.NewRelocation(old, new, given)
		all = append(all, r)
		return err
	}
	for _, s := range c.StringSlice("relocate") {
		old, new, given := strings.Cut(s, "=")
		if err := add("--relocate", old, new, given); err != nil {
			return nil, err
		}
	}
	table, err := ownRelocations(env.ownSettings())
	if err != nil {
		return nil, err
	}
	for _, old := range sortedKeys(table) {
		if err := add("relocate: of "+env.ownSettings(), old, table[old], true); err != nil {
			return nil, err
		}
	}
	if dir, err := os.Getwd(); err == nil {
		warnOfRelocations(env, dir)
	}
	return all, nil
}

// ownRelocations reads the table of the user's own settings file.
func ownRelocations(path string) (map[string]string, error) {
	bad := func(err error) error {
		return &schema.Error{Op: "settings", Kind: schema.Invalid, Subject: path, Err: err, Hint: "see `runpin help settings`"}
	}
	if path == "" {
		return nil, nil
	}
	data, err := readSmall(path, maxSettingsBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, bad(err)
	}
	var own struct {
		Relocate map[string]string `yaml:"relocate"`
	}
	read := yaml.NewDecoder(bytes.NewReader(data))
	read.KnownFields(true)
	if err := read.Decode(&own); err != nil && !errors.Is(err, io.EOF) {
		return nil, bad(errors.New("only relocate: with old: new below it can stand here"))
	}
	return own.Relocate, nil
}

// warnOfRelocations says that a table in a repository has no effect.
func warnOfRelocations(env *Env, dir string) {
	path, data, err := nearestSettings(dir)
	var keys map[string]yaml.Node
	if err == nil && yaml.Unmarshal(data, &keys) == nil && keys["relocate"].Kind != 0 && path != env.ownSettings() {
		env.warn("%s: %q is ignored: a file in a repository cannot say which hosts are asked; use the command line, or %s", path, "relocate", orNone(env.ownSettings()))
	}
}
