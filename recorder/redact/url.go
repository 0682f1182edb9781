package redact

import (
	"bytes"
	"net/url"
	"strings"
)

// URL gives s without user info and without secret query parameters, and whether it had any. It works on the text, so that a malformed URL
// is cleaned too and everything else stays as it was written.
//
// A user name alone is an address, not a credential, where the protocol needs it: git@host:path, ssh://git@host, abfss://container@account.
// It is kept there unless it has the look of a key. Over http it is removed: https://TOKEN@host is how tokens are passed.
func URL(s string) (clean string, had bool) {
	head, rest, isURL := cutURL(s)
	if !isURL {
		return scpLike(s)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	// A password may hold "/", "?" or "#" in a URL that nobody checked: then the last @ before a space ends the user info.
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(authority, ":") && !strings.Contains(authority, "@") {
		if at := strings.IndexByte(tail, '@'); at >= 0 && !portOnly(authority) {
			authority, tail = authority+tail[:at+1], tail[at+1:]
			if i := strings.IndexAny(tail, "/?#"); i >= 0 {
				authority, tail = authority+tail[:i], tail[i:]
			} else {
				authority, tail = authority+tail, ""
			}
		}
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, hasPassword := strings.Cut(authority[:at], ":")
		switch {
		case !nameIsAddress(head, user):
			authority, had = authority[at+1:], true
		case hasPassword && password != "":
			authority, had = user+authority[at:], true
		}
	}
	tail, hadQuery := cleanQuery(tail)
	return head + authority + tail, had || hadQuery
}

func portOnly(authority string) bool {
	_, port, _ := strings.Cut(authority, ":")
	return strings.Trim(port, "0123456789") == "" || strings.HasPrefix(authority, "[")
}

// cutURL splits off "scheme://".
func cutURL(s string) (head, rest string, ok bool) {
	i := strings.Index(s, "://")
	if i < 1 {
		return "", s, false
	}
	for j := 0; j < i; j++ {
		if c := s[j]; !alnum(c) && c != '+' && c != '-' && c != '.' && c != ':' {
			return "", s, false
		}
	}
	return s[:i+3], s[i+3:], true
}

// nameIsAddress reports whether the user name of a URL says where to go and not who one is.
func nameIsAddress(head, user string) bool {
	scheme := strings.ToLower(strings.TrimSuffix(head, "://"))
	if i := strings.LastIndexAny(scheme, "+:"); i >= 0 {
		scheme = scheme[i+1:]
	}
	switch scheme {
	case "http", "https", "git", "ws", "wss":
		return false
	}
	return user != "" && !looksRandom(user) && !hasFormat(user)
}

func hasFormat(s string) bool {
	_, found := knownFormat([]byte(s))
	return found
}

// scpLike cleans git's short ssh form, [user@]host:path.
func scpLike(s string) (string, bool) {
	at, colon, slash := strings.IndexByte(s, '@'), strings.LastIndexByte(s, ':'), strings.IndexByte(s, '/')
	if at <= 0 || colon < 0 || slash >= 0 && slash < at || strings.ContainsAny(s[:at], " \t\n=") {
		return s, false
	}
	user, _, hasPassword := strings.Cut(s[:at], ":")
	switch {
	case looksRandom(user) || hasFormat(user):
		return s[at+1:], true
	case hasPassword && strings.Contains(s[at:], ":"):
		return user + s[at:], true
	}
	return s, false
}

// cleanQuery drops the secret parameters of "path?query#fragment"; the other parameters keep their order and spelling.
func cleanQuery(s string) (string, bool) {
	path, fragment, hasFragment := strings.Cut(s, "#")
	path, query, hasQuery := strings.Cut(path, "?")
	query, had := cleanPairs(query)
	fragment, hadFragment := cleanPairs(fragment)
	out := path
	if hasQuery && (query != "" || !had) {
		out += "?" + query
	}
	if hasFragment && (fragment != "" || !hadFragment) {
		out += "#" + fragment
	}
	return out, had || hadFragment
}

func cleanPairs(s string) (string, bool) {
	if !strings.Contains(s, "=") {
		return s, false
	}
	var kept []string
	had := false
	for _, pair := range strings.Split(s, "&") {
		name, value, hasValue := strings.Cut(pair, "=")
		if hasValue && secretParameter(name, value) {
			had = true
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&"), had
}

// parameters that sign a URL (AWS Signature V2 and V4, CloudFront, Google Cloud Storage, Azure SAS), whatever they are called elsewhere.
var signing = set(`sig signature x-amz-signature x-amz-credential x-amz-security-token x-goog-signature x-goog-credential googleaccessid
	awsaccesskeyid key-pair-id policy x-oss-signature ossaccesskeyid security-token jwt auth authorization`)

func secretParameter(name, value string) bool {
	if n, err := url.QueryUnescape(name); err == nil {
		name = n
	}
	if v, err := url.QueryUnescape(value); err == nil {
		value = v
	}
	if value == "" || isReference(value) || isPlaceholder(value) {
		return false
	}
	lower := strings.ToLower(name)
	return signing[lower] || secretNamed(name, value) || lower == "key" && len(value) >= 16 || lower == "code" && len(value) >= 40 || hasFormat(value)
}

// secretURL reports whether any URL in b has a secret part. Each byte belongs to one URL at most, so the scan is linear.
func secretURL(b []byte) bool {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("://"))
		if i < 0 {
			return false
		}
		i += at
		start := i
		for start > at && i-start < 24 && (alnum(b[start-1]) || b[start-1] == '+' || b[start-1] == '-' || b[start-1] == '.' || b[start-1] == ':') {
			start--
		}
		end := i + 3
		for end < len(b) && end-i < maxURL && !endsURL(b[end]) {
			end++
		}
		at = end
		text := strings.TrimLeft(string(b[start:end]), "+-.:")
		if clean, had := URL(text); had && clean != text && !templatedUser(text) {
			return true
		}
	}
}

// maxURL bounds one URL in a text.
const maxURL = 16 << 10

func endsURL(c byte) bool {
	return c <= ' ' || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>' || c == '\\'
}

// templatedUser: https://$USER:$TOKEN@host and https://{user}:{token}@host name a secret and do not hold it.
func templatedUser(text string) bool {
	_, rest, _ := cutURL(text)
	at := strings.IndexByte(rest, '@')
	if at < 0 {
		return false
	}
	user, password, hasPassword := strings.Cut(rest[:at], ":")
	if !hasPassword {
		password = user
	}
	rest, hadQuery := cleanQuery(rest[at:])
	_ = rest
	return !hadQuery && (isReference(password) || strings.HasPrefix(password, "{") && strings.HasSuffix(password, "}"))
}
