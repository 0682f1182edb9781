package jobspec

import (
	"regexp"
	"strings"

	"github.com/runpin/runpin/schema"
)

// maxShown bounds what is searched for credentials, in bytes.
const maxShown = 8 << 10

var (
	urlUser   = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*)://([^\s"'/?#@]*(?::[^\s"'@]*)?)@`)
	bareUser  = regexp.MustCompile(`^([^\s/@:]+:[^\s/@]+)@([^\s/]*[.:][^\s/]*/|localhost/)`)
	urlParams = regexp.MustCompile(`([?&][^\s"'=&?#]+=)([^\s"'&#]+)`)
	plainKeys = map[string]bool{"ref": true, "version": true, "versionid": true, "generation": true, "depth": true, "submodules": true, "timeout": true}
)

// Shown gives a text of a job spec as it may stand in a message: without the user info of URLs, and without the values of their parameters but for those
// that name a revision. A spec may hold credentials, and messages end in the logs of CI.
func Shown(text string) string {
	text = schema.Shorten(text, maxShown) // far more than any message shows, so that no credential is cut in the middle of what it shows
	text = urlUser.ReplaceAllStringFunc(text, func(found string) string {
		m := urlUser.FindStringSubmatch(found)
		scheme, user := m[1], m[2]
		host, port, _ := strings.Cut(user, ":")
		switch {
		case strings.ContainsAny(port, "/?#") && strings.Trim(port[:strings.IndexAny(port, "/?#")], "0123456789") == "":
			return found // HOST:PORT/PATH@REV
		case strings.HasPrefix(strings.ToLower(scheme), "http"), strings.HasSuffix(strings.ToLower(scheme), "+http"), strings.HasSuffix(strings.ToLower(scheme), "+https"):
			return scheme + "://"
		case user != host:
			return scheme + "://" + host + "@"
		}
		return found // ssh://git@host: an address, not a credential
	})
	if m := bareUser.FindStringSubmatchIndex(text); m != nil && !strings.HasPrefix(text[m[4]:m[5]], "sha") && !strings.HasPrefix(text, "azureml:") {
		text = text[m[4]:]
	}
	return urlParams.ReplaceAllStringFunc(text, func(found string) string {
		m := urlParams.FindStringSubmatch(found)
		if plainKeys[strings.ToLower(m[1][1:len(m[1])-1])] {
			return found
		}
		return m[1] + "…"
	})
}
