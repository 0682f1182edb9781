package registry

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/runpin/runpin/schema"
)

const withheld = "[withheld]"

var (
	userInfo    = regexp.MustCompile(`//[^/@\s"']*@`)
	queryValues = regexp.MustCompile(`([?&](?i:[a-z_-]*(?:token|password|secret|signature|credential|key|sig)[a-z_-]*)=)[^&\s"']+`)
)

// scrubText makes text of a registry, or of a library, fit for an error message: no user info, no signed query, no control
// characters (a terminal would obey them), and of bounded length.
func scrubText(s string) string {
	s = userInfo.ReplaceAllString(s, "//")
	s = queryValues.ReplaceAllString(s, "${1}"+withheld)
	return schema.Shorten(printable(s), 500)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}

// scrubAnswer takes what we sent as credentials out of an error answer: servers have been seen to repeat it.
func scrubAnswer(req *http.Request, body []byte) []byte {
	secrets := sentSecrets(req)
	if len(secrets) == 0 || len(body) == 0 {
		return body
	}
	text := string(body)
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, withheld)
	}
	return []byte(text)
}

func sentSecrets(req *http.Request) []string {
	var secrets []string
	add := func(s string) {
		if len(s) >= 4 { // a shorter one would tear holes into every text
			secrets = append(secrets, s, url.QueryEscape(s))
		}
	}
	if scheme, value, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		add(value)
		if raw, err := base64.StdEncoding.DecodeString(value); err == nil && strings.EqualFold(scheme, "basic") {
			_, password, _ := strings.Cut(string(raw), ":")
			add(string(raw))
			add(password)
		}
	}
	if req.Method == http.MethodPost && req.GetBody != nil && strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if r, err := req.GetBody(); err == nil {
			form, _ := io.ReadAll(io.LimitReader(r, maxError))
			values, _ := url.ParseQuery(string(form))
			add(values.Get("refresh_token"))
			add(values.Get("password"))
		}
	}
	return secrets
}
