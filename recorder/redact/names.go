package redact

import (
	"strings"
	"unicode"
)

// Variable reports whether an environment variable must stay out of the record: its name says that it is a secret, or its value has the
// format of one.
func Variable(name, value string) bool { return secretNamed(name, value) || hasCredential(value) }

// Param reports the same of a parameter.
func Param(name, value string) bool { return Variable(name, value) }

// wordClass says how a segment of a name speaks of a secret.
type wordClass int

const (
	// strong: a secret wherever it stands, unless the last segment says that the value is something else (secret_name, password_file).
	strong wordClass = iota + 1
	// closingWord: a secret when it is the last segment and the one before it is not of the craft (pad_token, forward_pass).
	closingWord
	// qualified: a secret when it is the last segment and the one before it makes it one (api_key, not sort_key).
	qualified
)

var secretWords = map[string]wordClass{
	"password": strong, "passwords": strong, "passwd": strong, "passphrase": strong, "passcode": strong, "secret": strong, "secrets": strong,
	"credential": strong, "credentials": strong, "creds": strong, "cred": strong, "authorization": strong, "apikey": strong, "apikeys": strong,
	"apitoken": strong, "authtoken": strong, "accesstoken": strong, "refreshtoken": strong, "secretkey": strong, "accesskey": strong,
	"privatekey": strong, "hftoken": strong, "sshpass": strong, "userpass": strong, "dbpass": strong, "pgpass": strong, "authkey": strong,
	"token": closingWord, "pass": closingWord, "pat": closingWord, "bearer": closingWord, "cookie": closingWord, "cookies": closingWord,
	"key": qualified, "keys": qualified, "tokens": qualified, "pwd": qualified, "auth": qualified, "sas": qualified,
}

// of the craft: these before a closing word make it a word of training, not of access.
var craft = set(`pad eos bos cls sep unk mask special image video audio text prompt start end stop begin begining beginning placeholder initializer
	instance class trigger global next prev previous last first second third per each num n max min learnable register distill dist extra
	additional new bot_ eot eom sot control instruct separator delimiter split blank padding masked state memory latent query time task lang language
	domain style patch frame point decoder encoder word subword sub char byte vocab target source src tgt label reward answer think thinking
	tool assistant user_ system_ forward backward single multi two one low high band all full train eval test dry by skip nan null sos eod fim
	prefix suffix middle infix sentinel mem soft cond uncond draft accept accepted generated output input`)

// before a qualified word these make a secret. Names of services stand here because WANDB_KEY and OPENAI_TOKEN are how they are written.
var qualifiers = set(`api access secret private auth encryption encrypt decryption signing account storage license licence ssh deploy service master
	shared subscription admin root app application client consumer rsa dsa ed25519 pgp gpg ssl tls jwt oauth session security bot webhook hmac
	wandb openai anthropic hf huggingface hub aws amazon gcp google azure github gitlab bitbucket slack discord telegram comet neptune clearml mlflow dagshub
	cohere mistral groq replicate together deepseek gemini openrouter perplexity kaggle ngc nvidia docker registry pypi npm stripe twilio sendgrid
	datadog dd sentry newrelic pagerduty vault consul databricks snowflake pinecone weaviate qdrant db database mysql postgres postgresql pg redis mongo
	mongodb smtp imap ftp sftp ldap http https proxy basic user username login email mail swift ceph minio s3 wasabi b2 backblaze r2 cloudflare tailscale
	ngrok jira ghcr quay gh gl rediscli bearer refresh`)

// a last segment that says: the value is not the secret but something about it.
var about = set(`file files path paths dir directory stdin name names env var variable type types kind mode modes provider providers store manager
	backend policy length len size count num dim dims ttl expiry expires expiration timeout required enabled disabled prompt url uri endpoint host region
	version namespace arn ref reference hint rotation format prefix suffix field column level loss accuracy dropout embedding embeddings weight
	weights classification classifier id ids index indices position mapping map free method scheme header headers detection scanner scan filter
	masking redaction sharing mount mounts`)

// a first segment that makes a flag a switch: what follows it is no value, unless it has every look of a secret.
var switches = set(`use no with without enable disable has have require requires is allow skip save show hide ignore return print add need check
	dont keep strip drop`)

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[strings.TrimSuffix(w, "_")] = true
	}
	return m
}

// segments splits a name into lower-case words at everything that is not a letter or digit and at camelCase humps.
func segments(name string) []string {
	var out []string
	var cur []rune
	flush := func() {
		if len(cur) > 0 {
			out = append(out, strings.ToLower(string(cur)))
			cur = nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		if unicode.IsUpper(r) && i > 0 {
			prev := runes[i-1]
			lowerNext := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			// "OAuth" and "IDs" would fall apart at a hump of one letter; "apiKey" and "APIKey" must.
			if !unicode.IsUpper(prev) || lowerNext && len(cur) > 1 {
				flush()
			}
		}
		cur = append(cur, r)
	}
	flush()
	return out
}

// maxName bounds what is looked at as a name: nothing longer is one.
const maxName = 256

// verdict of a name alone, before its value is looked at.
type nameVerdict int

const (
	plainName  nameVerdict = iota
	weakName               // a secret if the value looks like one: unknown_key
	switchName             // use_auth_token: a secret if the value looks like one, and seldom has a value
	secretName             // a secret unless the value is a truth value, a small number or a reference
	strongName             // a secret unless the value is a truth value or a reference
)

func judgeName(name string) nameVerdict {
	if name == "" || len(name) > maxName {
		return plainName
	}
	segs := segments(name)
	for len(segs) > 1 && strings.Trim(segs[len(segs)-1], "0123456789") == "" {
		segs = segs[:len(segs)-1] // API_KEY_2
	}
	for len(segs) > 1 && (segs[len(segs)-1] == "value" || segs[len(segs)-1] == "base64" || segs[len(segs)-1] == "b64" || segs[len(segs)-1] == "string") {
		if segs[len(segs)-2] == "connection" {
			return strongName // AZURE_STORAGE_CONNECTION_STRING
		}
		segs = segs[:len(segs)-1]
	}
	n := len(segs)
	if n == 0 {
		return plainName
	}
	at := func(i int) string {
		if i < 0 || i >= n {
			return ""
		}
		return strings.TrimRight(segs[i], "0123456789")
	}
	last, before := at(n-1), at(n-2)
	if last == "id" && (before == "secret" || before == "key" && at(n-3) == "access") {
		return strongName // vault's secret_id; an access key id is half of a credential
	}
	if last == "config" && before == "auth" {
		return strongName // DOCKER_AUTH_CONFIG
	}
	if about[last] {
		return plainName
	}
	verdict := plainName
	for i := range segs {
		w := at(i)
		if secretWords[w] == strong || strings.HasSuffix(w, "password") || strings.HasSuffix(w, "passwd") || strings.HasSuffix(w, "apikey") {
			verdict = strongName
		}
	}
	if verdict == plainName {
		switch secretWords[last] {
		case closingWord:
			switch {
			case n == 1 && last == "pat": // a word of its own; GITHUB_PAT is the secret
			case last == "pat" && !qualifiers[before]:
			case !craft[before]:
				verdict = secretName
			}
		case qualified:
			switch {
			case qualifiers[before] && (last != "tokens" || before == "api" || before == "auth" || before == "access"):
				verdict = secretName
			case last == "key" && n > 1 && !craft[before]:
				verdict = weakName
			case last == "key" || last == "auth" && n == 1:
				verdict = weakName
			}
		}
	}
	if verdict > weakName && n > 1 && switches[segs[0]] {
		return switchName
	}
	return verdict
}

// secretNamed reports whether a value is a secret because of the name it stands under.
func secretNamed(name, value string) bool {
	v := strings.TrimSpace(value)
	verdict := judgeName(name)
	if verdict == plainName || isTruth(v) || isReference(v) || isPlaceholder(v) {
		return false
	}
	switch verdict {
	case strongName:
		segs := segments(name)
		if last := segs[len(segs)-1]; strings.HasPrefix(last, "cred") {
			return !looksLikePath(v) // GOOGLE_APPLICATION_CREDENTIALS and --credentials name a file
		}
		return true
	case secretName:
		return !isSmallNumber(v) && !strings.HasPrefix(v, "<") && !strings.HasPrefix(v, "[")
	default:
		return looksRandom(v) || strings.HasSuffix(strings.ToLower(name), "auth") && strings.Contains(v, ":")
	}
}

func isTruth(v string) bool {
	switch strings.ToLower(v) {
	case "", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "0", "1", "auto", "default":
		return true
	}
	return false
}

// isSmallNumber: no issuer gives out a token of a few digits, and --some_pass 3 counts.
func isSmallNumber(v string) bool {
	digits := strings.TrimPrefix(v, "-")
	if len(digits) == 0 || len(digits) > 7 {
		return false
	}
	for i := 0; i < len(digits); i++ {
		if (digits[i] < '0' || digits[i] > '9') && digits[i] != '.' {
			return false
		}
	}
	return true
}

// isReference: the value names where the secret is, and is not it: $NAME, ${NAME}, $(cat f), ${{ secrets.X }}, {{ .x }}, {param}.
func isReference(v string) bool {
	switch {
	case strings.HasPrefix(v, "${") && strings.HasSuffix(v, "}") && !strings.ContainsAny(v, " \t") || strings.HasPrefix(v, "${{") && strings.HasSuffix(v, "}}"):
		return !strings.Contains(v, ":-") && !strings.Contains(v, ":=") // ${X:-literal} holds a literal
	case strings.HasPrefix(v, "$(") && strings.HasSuffix(v, ")"):
		return true
	case strings.HasPrefix(v, "{{") && strings.HasSuffix(v, "}}"):
		return true
	case strings.HasPrefix(v, "{") && strings.HasSuffix(v, "}"):
		return isName(v[1 : len(v)-1])
	case strings.HasPrefix(v, "$") && len(v) > 2:
		for i := 1; i < len(v); i++ {
			if c := v[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
				return false
			}
		}
		return true
	}
	return false
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

func looksLikePath(v string) bool {
	for _, p := range []string{"/", "./", "../", "~"} {
		if strings.HasPrefix(v, p) {
			return true
		}
	}
	for _, s := range []string{".json", ".yaml", ".yml", ".ini", ".txt", ".toml", ".env", ".pem", ".cfg"} {
		if strings.HasSuffix(v, s) {
			return true
		}
	}
	return false
}

// looksRandom: a run of 16 or more letters and digits that changes between them often, as generated keys do and words do not.
func looksRandom(v string) bool {
	run, digits, changes := 0, 0, 0
	var lastDigit bool
	for i := 0; i < len(v); i++ {
		c := v[i]
		digit := c >= '0' && c <= '9'
		if !digit && !isLetter(c) {
			run, digits, changes = 0, 0, 0
			continue
		}
		if digit {
			digits++
		}
		if run > 0 && digit != lastDigit {
			changes++
		}
		run, lastDigit = run+1, digit
		if run >= 16 && digits >= 2 && changes >= 3 {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
