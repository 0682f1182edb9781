package redact

import (
	"bytes"
	"strings"
)

// Content reports whether a file holds a secret, and names the finding without quoting it ("private_key", "kubernetes-secret",
// "env WANDB_API_KEY"). It finds known credential formats, private keys, URLs with a password, machine entries of a .netrc, a Kubernetes Secret
// with data, entries of an environment with a secret name and a literal value, and generated-looking literals under a secret name.
//
// Source code speaks of tokens and passwords all day, so that outside a job spec or a file of settings a literal counts only if it looks generated.
// The time is linear in len(b).
func Content(b []byte) (finding string, found bool) {
	mode := lenient
	if looksLikeSettings(b) {
		mode = strict
	}
	return content(b, mode)
}

// JobSpec judges a job spec: any literal value under a secret name counts.
func JobSpec(b []byte) (finding string, found bool) { return content(b, strict) }

type strictness int

const (
	lenient strictness = iota // a literal counts if it looks generated
	prose                     // so does any literal after =, but not after a colon: "a token: of love"
	strict                    // any literal counts
)

func content(b []byte, mode strictness) (string, bool) {
	if name, found := knownFormat(b); found {
		return name, true
	}
	if mode == strict && hasAuthorization(b) {
		return "authorization", true
	}
	if passwordURL(b) {
		return "url", true
	}
	if kubernetesSecret(b) {
		return "kubernetes-secret", true
	}
	if netrc(b) {
		return "netrc", true
	}
	if name, ok := secretLiteral(b, mode); ok {
		return "env " + name, true
	}
	return "", false
}

// looksLikeSettings: a job spec or compose file by its leading keys, a batch script, or a file in which every line is NAME=value.
func looksLikeSettings(b []byte) bool {
	assignments, others := 0, 0
	for lines := newLines(b); lines.next(); {
		raw := lines.text
		line := bytes.TrimSpace(raw)
		switch {
		case bytes.HasPrefix(raw, []byte("apiVersion:")), bytes.HasPrefix(raw, []byte("services:")), bytes.HasPrefix(raw, []byte("#SBATCH ")),
			bytes.HasPrefix(raw, []byte("#PBS ")), bytes.HasPrefix(line, []byte(`"apiVersion":`)), bytes.HasPrefix(raw, []byte("jobs:")):
			return true
		case len(line) == 0, line[0] == '#', line[0] == ';', line[0] == '[':
		default:
			name, _, ok := bytes.Cut(bytes.TrimPrefix(line, []byte("export ")), []byte("="))
			if ok && isVariable(name) {
				assignments++
			} else {
				others++
			}
		}
	}
	return assignments > 0 && others == 0
}

func isVariable(name []byte) bool {
	for i, c := range name {
		if !wordChar(c) || i == 0 && c >= '0' && c <= '9' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxName
}

// kubernetesSecret finds a document of kind Secret that has data.
func kubernetesSecret(b []byte) bool {
	if !bytes.Contains(b, []byte("Secret")) || !bytes.Contains(b, []byte("kind")) {
		return false
	}
	kind, data := false, false
	for lines := newLines(b); lines.next(); {
		line := bytes.TrimLeft(bytes.TrimSpace(lines.text), "- ")
		if bytes.HasPrefix(lines.text, []byte("---")) {
			kind, data = false, false
			continue
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		value = bytes.Trim(value, " \t,\"'{")
		switch string(bytes.Trim(key, " \t\"'{")) {
		case "kind":
			kind = kind || string(value) == "Secret"
		case "data", "stringData":
			data = true
		}
		if kind && data {
			return true
		}
	}
	// JSON on one line.
	return bytes.Contains(b, []byte(`"kind":"Secret"`)) && (bytes.Contains(b, []byte(`"data":{`)) || bytes.Contains(b, []byte(`"stringData":{`)))
}

// netrc finds "machine HOST … password WORD" on one line or the next few.
func netrc(b []byte) bool {
	if !bytes.Contains(b, []byte("password")) || !bytes.Contains(b, []byte("machine")) && !bytes.Contains(b, []byte("default")) {
		return false
	}
	machine := 0
	for lines := newLines(b); lines.next(); {
		fields := bytes.Fields(lines.text[:min(len(lines.text), 1024)])
		machine--
		for i, f := range fields {
			switch {
			case i == 0 && (string(f) == "machine" && len(fields) > 1 || string(f) == "default" && len(fields) > 2 && string(fields[1]) == "login"):
				machine = 4
			case machine > 0 && string(f) == "password" && i+1 < len(fields) && i%2 == 0 && !isReference(string(fields[i+1])):
				return true
			}
		}
	}
	return false
}

// passwordURL finds a URL with a literal password. The ones that documentation writes are passed over.
func passwordURL(b []byte) bool {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("://"))
		if i < 0 {
			return false
		}
		i += at + 3
		at = i
		end := i
		for end < len(b) && end-i < 512 && !endsURL(b[end]) && b[end] != '/' && b[end] != '?' && b[end] != '#' && b[end] != ')' && b[end] != ',' {
			end++
		}
		sep := bytes.LastIndexByte(b[i:end], '@')
		if sep < 0 {
			continue
		}
		_, password, ok := strings.Cut(string(b[i:i+sep]), ":")
		if ok && !isReference(password) && !strings.ContainsAny(password, "{}$%*<>[]()") && !stockPassword[strings.ToLower(password)] {
			return true
		}
	}
}

var stockPassword = set("password pass passwd pwd secret user username token pw xxx xxxx example changeme mypassword mypass postgres guest test foo bar")

// lines walks over the lines of b without copying it.
type lines struct {
	rest, text []byte
}

func newLines(b []byte) *lines { return &lines{rest: b} }

func (l *lines) next() bool {
	if len(l.rest) == 0 {
		return false
	}
	if i := bytes.IndexByte(l.rest, '\n'); i >= 0 {
		l.text, l.rest = l.rest[:i], l.rest[i+1:]
	} else {
		l.text, l.rest = l.rest, nil
	}
	l.text = bytes.TrimSuffix(l.text, []byte("\r"))
	return true
}
