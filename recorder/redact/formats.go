package redact

import (
	"bytes"
	"strings"
)

// format is a credential that its issuer made recognisable. After the anchor come at least min bytes of chars; exact says that no further
// one may follow. With edge, the byte before the anchor must not be a letter or digit. check, when set, decides on the bytes after the anchor.
type format struct {
	name   string
	anchor string
	chars  func(byte) bool
	min    int
	exact  bool
	edge   bool
	check  func(before, after []byte) bool
}

func alnum(c byte) bool     { return isLetter(c) || c >= '0' && c <= '9' }
func wordChar(c byte) bool  { return alnum(c) || c == '_' }
func base64url(c byte) bool { return alnum(c) || c == '_' || c == '-' }
func base64std(c byte) bool { return alnum(c) || c == '+' || c == '/' || c == '=' || c == '%' }
func base32(c byte) bool    { return c >= 'A' && c <= 'Z' || c >= '2' && c <= '7' }
func dotted(c byte) bool    { return base64url(c) || c == '.' }
func upperDigit(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// formats are the published shapes of credentials: the issuers' own documentation, and the prefixes they register for secret scanning.
var formats = []format{
	{name: "aws_access_key", anchor: "AKIA", chars: upperDigit, min: 16, exact: true, edge: true},
	{name: "aws_access_key", anchor: "ASIA", chars: upperDigit, min: 16, exact: true, edge: true},
	{name: "aws_access_key", anchor: "ABIA", chars: base32, min: 16, exact: true, edge: true},
	{name: "aws_access_key", anchor: "ACCA", chars: base32, min: 16, exact: true, edge: true},
	{name: "github_token", anchor: "ghp_", chars: alnum, min: 30},
	{name: "github_token", anchor: "gho_", chars: alnum, min: 30},
	{name: "github_token", anchor: "ghu_", chars: alnum, min: 30},
	{name: "github_token", anchor: "ghs_", chars: alnum, min: 30},
	{name: "github_token", anchor: "ghr_", chars: alnum, min: 30},
	{name: "github_token", anchor: "github_pat_", chars: wordChar, min: 22},
	{name: "gitlab_token", anchor: "glpat-", chars: base64url, min: 16},
	{name: "gitlab_token", anchor: "gldt-", chars: base64url, min: 18, edge: true},
	{name: "gitlab_token", anchor: "glrt-", chars: base64url, min: 18, edge: true},
	{name: "gitlab_token", anchor: "glcbt-", chars: base64url, min: 18, edge: true},
	{name: "gitlab_token", anchor: "glptt-", chars: base64url, min: 18, edge: true},
	{name: "slack_token", anchor: "xoxa-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xoxb-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xoxc-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xoxd-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xoxe", chars: dotted, min: 20},
	{name: "slack_token", anchor: "xoxp-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xoxr-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xoxs-", chars: base64url, min: 10},
	{name: "slack_token", anchor: "xapp-1-", chars: base64url, min: 10},
	{name: "slack_webhook", anchor: "hooks.slack.com/services/", chars: func(c byte) bool { return alnum(c) || c == '/' }, min: 20},
	{name: "discord_webhook", anchor: "/api/webhooks/", chars: func(c byte) bool { return base64url(c) || c == '/' }, min: 40},
	{name: "runpin_token", anchor: "rpt_", chars: wordChar, min: 40, edge: true},
	{name: "huggingface_token", anchor: "hf_", chars: alnum, min: 30, edge: true},
	{name: "huggingface_token", anchor: "api_org_", chars: alnum, min: 30, edge: true},
	{name: "openai_key", anchor: "sk-", edge: true, check: openAIKey},
	{name: "google_api_key", anchor: "AIza", chars: base64url, min: 35, edge: true},
	{name: "google_token", anchor: "ya29.", chars: dotted, min: 20, edge: true},
	{name: "google_client_secret", anchor: "GOCSPX-", chars: base64url, min: 20},
	{name: "private_key", anchor: "-----BEGIN ", check: privateKeyHeader},
	{name: "private_key", anchor: "PuTTY-User-Key-File-", chars: alnum, min: 1},
	{name: "private_key", anchor: "AGE-SECRET-KEY-1", chars: upperDigit, min: 40},
	{name: "jwt", anchor: "eyJ", edge: true, check: jwt},
	{name: "npm_token", anchor: "npm_", chars: alnum, min: 30, edge: true},
	{name: "pypi_token", anchor: "pypi-AgE", chars: base64url, min: 16},
	{name: "stripe_key", anchor: "sk_live_", chars: alnum, min: 10},
	{name: "stripe_key", anchor: "rk_live_", chars: alnum, min: 10},
	{name: "stripe_key", anchor: "sk_test_", chars: alnum, min: 10},
	{name: "webhook_secret", anchor: "whsec_", chars: base64std, min: 16},
	{name: "digitalocean_token", anchor: "dop_v1_", chars: alnum, min: 32},
	{name: "databricks_token", anchor: "dapi", chars: alnum, min: 32, edge: true},
	{name: "sendgrid_key", anchor: "SG.", chars: dotted, min: 50, edge: true},
	{name: "vault_token", anchor: "hvs.", chars: base64url, min: 20, edge: true},
	{name: "vault_token", anchor: "hvb.", chars: base64url, min: 20, edge: true},
	{name: "tailscale_key", anchor: "tskey-", chars: base64url, min: 12, edge: true},
	{name: "groq_key", anchor: "gsk_", chars: alnum, min: 40, edge: true},
	{name: "replicate_token", anchor: "r8_", chars: alnum, min: 30, edge: true},
	{name: "nvidia_key", anchor: "nvapi-", chars: base64url, min: 30, edge: true},
	{name: "linear_key", anchor: "lin_api_", chars: alnum, min: 30, edge: true},
	{name: "docker_token", anchor: "dckr_pat_", chars: base64url, min: 20},
	{name: "azure_signature", anchor: "sig=", chars: base64std, min: 20, check: afterQueryMark},
	{name: "azure_key", anchor: "AccountKey=", chars: base64std, min: 20},
	{name: "azure_key", anchor: "SharedAccessKey=", chars: base64std, min: 20},
}

// byHead groups the formats by the first two bytes of their anchors, so that a text is walked once however many formats there are.
var byHead = func() (groups struct {
	of      [1 << 16]uint8
	formats [][]*format
}) {
	groups.formats = [][]*format{nil}
	for i := range formats {
		f := &formats[i]
		head := int(f.anchor[0])<<8 | int(f.anchor[1])
		if groups.of[head] == 0 {
			groups.of[head] = uint8(len(groups.formats))
			groups.formats = append(groups.formats, nil)
		}
		g := groups.of[head]
		groups.formats[g] = append(groups.formats[g], f)
	}
	return groups
}()

// knownFormat finds the first credential of a known format in b and gives the name of the format.
func knownFormat(b []byte) (string, bool) {
	if len(b) < 2 {
		return "", false
	}
	head := int(b[0])
	for i := 1; i < len(b); i++ {
		head = head<<8&0xFFFF | int(b[i])
		g := byHead.of[head]
		if g == 0 {
			continue
		}
		for _, f := range byHead.formats[g] {
			if f.at(b, i-1) {
				return f.name, true
			}
		}
	}
	return "", false
}

// credential finds a credential in b: one of a known format, an authorization header, a URL with a secret part.
func credential(b []byte) (string, bool) {
	if name, found := knownFormat(b); found {
		return name, true
	}
	if hasAuthorization(b) {
		return "authorization", true
	}
	if secretURL(b) {
		return "url", true
	}
	return "", false
}

func hasCredential(s string) bool {
	_, found := credential([]byte(s))
	return found
}

// at reports whether a credential of the format begins at i.
func (f *format) at(b []byte, i int) bool {
	if !bytes.HasPrefix(b[i:], []byte(f.anchor)) {
		return false
	}
	after := b[i+len(f.anchor):]
	if f.edge && i > 0 && alnum(b[i-1]) {
		return false
	}
	if f.check != nil && !f.check(b[:i], after) {
		return false
	}
	return f.chars == nil || f.enough(after)
}

// enough looks at no more bytes than it needs, so that the whole scan stays linear.
func (f *format) enough(after []byte) bool {
	if len(after) < f.min {
		return false
	}
	for _, c := range after[:f.min] {
		if !f.chars(c) {
			return false
		}
	}
	return !f.exact || len(after) == f.min || !alnum(after[f.min])
}

// openAIKey: "sk-" also begins sk-learn-…, so an unmarked key must be one long run of letters and digits.
func openAIKey(_, after []byte) bool {
	for _, mark := range []string{"proj-", "ant-", "or-", "svcacct-", "admin-", "None-", "lf-"} {
		if rest, ok := bytes.CutPrefix(after, []byte(mark)); ok {
			n, digits := 0, 0
			for n < len(rest) && n < 40 && base64url(rest[n]) {
				if rest[n] >= '0' && rest[n] <= '9' {
					digits++
				}
				n++
			}
			return n >= 20 && digits > 0
		}
	}
	n := 0
	for n < len(after) && n < 32 && alnum(after[n]) {
		n++
	}
	return n >= 32
}

func privateKeyHeader(_, after []byte) bool {
	return bytes.Contains(after[:min(len(after), 48)], []byte("PRIVATE KEY"))
}

// maxJWTHeader bounds how far the first part of a JSON Web Token is followed, so that the scan stays linear.
const maxJWTHeader = 512

// jwt: parts of base64url, the first two beginning with the base64 of `{"` (RFC 7519 §3). What stands so far is proof enough; the rest is not followed.
func jwt(_, after []byte) bool {
	n := 0
	for n < len(after) && n < maxJWTHeader && base64url(after[n]) {
		n++
	}
	payload, ok := bytes.CutPrefix(after[n:], []byte(".eyJ"))
	if n < 6 || !ok || len(payload) < 6 {
		return false
	}
	for _, c := range payload[:6] {
		if !base64url(c) {
			return false
		}
	}
	return true
}

func afterQueryMark(before, _ []byte) bool {
	if len(before) == 0 {
		return true
	}
	switch before[len(before)-1] {
	case '?', '&', ';', '"', '\'', ' ', '=':
		return true
	}
	return false
}

// hasAuthorization finds an Authorization header or a bearer or basic credential with a literal value.
func hasAuthorization(b []byte) bool {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], ':')
		if i < 0 {
			return false
		}
		i += at
		at = i + 1
		name := bytes.TrimRight(b[max(0, i-32):i], " \"'")
		if !hasFoldSuffix(name, "authorization") && !hasFoldSuffix(name, "x-api-key") && !hasFoldSuffix(name, "private-token") && !hasFoldSuffix(name, "x-auth-token") {
			continue
		}
		value := string(bytes.TrimLeft(b[at:min(len(b), at+256)], " \"'"))
		for _, scheme := range []string{"bearer ", "basic ", "token ", "digest "} {
			if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
				value = value[len(scheme):]
			}
		}
		value = firstWord(value)
		if len(value) >= 8 && !isReference(value) && !isPlaceholder(value) && !strings.ContainsAny(value, "({[<") && value[0] != '$' && value[0] != '%' {
			return true
		}
	}
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t\r\n\"',;"); i >= 0 {
		return s[:i]
	}
	return s
}

func hasFoldSuffix(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && strings.EqualFold(string(b[len(b)-len(suffix):]), suffix)
}
