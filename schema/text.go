package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Text is a string of bytes that came from outside (an argument, a path, a parameter, a metric) and need not be UTF-8.
// In JSON it is a string where it is valid UTF-8 and {"b64": "…"} (standard base 64) where it is not, so that every byte survives.
type Text string

// String gives the bytes as they are.
func (t Text) String() string { return string(t) }

// MarshalJSON writes a JSON string, or the b64 form.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string]string{"b64": base64.StdEncoding.EncodeToString([]byte(t))})
}

// UnmarshalJSON reads either form. The b64 form of valid UTF-8 is refused: each text has one spelling. So is what encoding/json would
// replace by U+FFFD: invalid UTF-8 and lone surrogates.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		if bytes.IndexByte(b, '\\') >= 0 || !utf8.Valid(b) {
			if _, err := CanonicalBytes(b); err != nil {
				return err
			}
		}
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Text(s)
		return nil
	}
	var form map[string]string // a struct would also take the key "B64"
	encoded, ok := "", false
	if err := json.Unmarshal(b, &form); err == nil && len(form) == 1 {
		encoded, ok = form["b64"]
	}
	if !ok {
		return fmt.Errorf("text is neither a string nor {\"b64\": …}")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("text in b64 form: %w", err)
	}
	if utf8.Valid(raw) {
		return fmt.Errorf("text in b64 form is valid UTF-8 and must be a string")
	}
	// Strict passes over CR and LF.
	if base64.StdEncoding.EncodeToString(raw) != encoded {
		return fmt.Errorf("text in b64 form is not in its one spelling")
	}
	*t = Text(raw)
	return nil
}

// Texts converts plain strings.
func Texts(ss []string) []Text {
	if ss == nil {
		return nil
	}
	out := make([]Text, len(ss))
	for i, s := range ss {
		out[i] = Text(s)
	}
	return out
}

// Strings converts back.
func Strings(ts []Text) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = string(t)
	}
	return out
}
