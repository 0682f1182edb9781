package redact

import (
	"errors"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
)

const (
	placeholderHead = "<withheld:"
	placeholderTail = ">"
)

func placeholder(name string) string { return placeholderHead + name + placeholderTail }

// placeholderName gives the name in an argument that is a placeholder.
func placeholderName(s string) (string, bool) {
	rest, ok := strings.CutPrefix(s, placeholderHead)
	if !ok {
		return "", false
	}
	name, ok := strings.CutSuffix(rest, placeholderTail)
	if !ok {
		return "", false
	}
	_, err := schema.ParseName(name)
	return name, err == nil
}

func isPlaceholder(s string) bool { _, ok := placeholderName(s); return ok }

// Placeholders lists the names that argv needs back, in order.
func Placeholders(argv []string) []string {
	var names []string
	for _, a := range argv {
		if name, ok := placeholderName(a); ok {
			names = append(names, name)
		}
	}
	return names
}

// Restore is the inverse of [Argv]: it puts the whole argument back where its placeholder stands. All names that secrets lacks are reported
// together; no error text holds a secret.
func Restore(argv []string, secrets map[string]string) ([]string, error) {
	out := make([]string, len(argv))
	var missing []error
	for i, a := range argv {
		out[i] = a
		name, ok := placeholderName(a)
		if !ok {
			continue
		}
		value, ok := secrets[name]
		if !ok {
			missing = append(missing, &schema.Error{Op: "redact.restore", Kind: schema.Invalid, Subject: fmt.Sprintf("argument %d", i),
				Err:  fmt.Errorf("it held a secret (%s) and was not recorded", name),
				Hint: fmt.Sprintf("put the whole argument into a file and give --secret %s=@FILE", name)})
			continue
		}
		out[i] = value
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	return out, nil
}

// SecretFromFile gives the secret that a file holds: its content without one newline at the end, which editors and echo add.
func SecretFromFile(content []byte) string {
	s := strings.TrimSuffix(string(content), "\n")
	return strings.TrimSuffix(s, "\r")
}

// unique makes a name by which a withheld argument is asked for: [a-z][a-z0-9_]*, 63 characters at most, not used yet.
func (s *scanner) unique(from string) string {
	base := identifier(from)
	name := base
	for n := 2; s.names[name]; n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	s.names[name] = true
	return name
}

func identifier(from string) string {
	var b strings.Builder
	for _, segment := range segments(from) {
		var word strings.Builder
		for i := 0; i < len(segment); i++ {
			if c := segment[i]; c >= 'a' && c <= 'z' || c >= '0' && c <= '9' && b.Len()+word.Len() > 0 {
				word.WriteByte(c)
			}
		}
		if word.Len() == 0 || b.Len()+word.Len() > 48 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('_')
		}
		b.WriteString(word.String())
	}
	if b.Len() == 0 || hasFormat(b.String()) {
		return "secret"
	}
	return b.String()
}

// WithheldName gives the name in an argument that is a placeholder of [Argv], and whether it is one.
func WithheldName(arg string) (name string, ok bool) { return placeholderName(arg) }
