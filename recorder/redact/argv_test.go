package redact

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestTrainingFlagsSurvive(t *testing.T) {
	n := 0
	for _, line := range golden(t, "testdata/survive.txt") {
		argv := words(line)
		n++
		if kept, withheld := Argv(argv); !slices.Equal(kept, argv) || len(withheld) > 0 {
			t.Errorf("%s\n  became %q\n  withheld %+v", line, kept, withheld)
		}
	}
	if n < 100 {
		t.Fatalf("only %d golden lines", n)
	}
}

func TestSecretsAreWithheld(t *testing.T) {
	n := 0
	for _, line := range golden(t, "testdata/withheld.txt") {
		in, want, _ := strings.Cut(madeUp(line), "\t")
		argv := words(in)
		n++
		kept, withheld := Argv(argv)
		if got := words(want); !slices.Equal(kept, got) {
			t.Errorf("%s\n  became %q\n    want %q", in, kept, got)
			continue
		}
		if len(withheld) == 0 {
			t.Errorf("%s: nothing is said to be withheld", in)
		}
		secrets := map[string]string{}
		for i, a := range kept {
			if a == argv[i] {
				continue
			}
			name, _ := placeholderName(a)
			secrets[name] = argv[i]
			if !slices.ContainsFunc(withheld, func(w schema.Withheld) bool { return w.Name == name && w.What == "argument" && w.Why != "" }) {
				t.Errorf("%s: %s is not listed in %+v", in, name, withheld)
			}
			for _, w := range withheld {
				if b, _ := json.Marshal(w); len(argv[i]) > 12 && strings.Contains(string(b), argv[i]) {
					t.Errorf("%s: the value stands in %s", in, b)
				}
			}
		}
		if back, err := Restore(kept, withPlaceholders(kept, secrets)); err != nil || !slices.Equal(back, argv) {
			t.Errorf("%s: restored %q, %v", in, back, err)
		}
		if again, more := Argv(kept); !slices.Equal(again, kept) || len(more) > 0 {
			t.Errorf("%s: a second time gives %q, %+v", in, again, more)
		}
	}
	if n < 40 {
		t.Fatalf("only %d golden lines", n)
	}
}

// withPlaceholders also answers for placeholders that stood in the arguments before.
func withPlaceholders(kept []string, secrets map[string]string) map[string]string {
	for _, name := range Placeholders(kept) {
		if _, ok := secrets[name]; !ok {
			secrets[name] = placeholder(name)
		}
	}
	return secrets
}

func TestSubjectShowsTheFlagOnly(t *testing.T) {
	_, withheld := Argv([]string{"t.py", "--api-key=hunter2", "--env=HF_TOKEN=hunter2", "--password", "hunter2", "https://u:hunter2@h/"})
	b, _ := json.Marshal(withheld)
	if strings.Contains(string(b), "hunter2") {
		t.Fatalf("the secret stands in %s", b)
	}
	for i, want := range []schema.Text{"argument 1, --api-key=…", "argument 2, --env=HF_TOKEN=…", "argument 4", "argument 5"} {
		if withheld[i].Subject != want {
			t.Errorf("subject %q, want %q", withheld[i].Subject, want)
		}
	}
}

func TestRestoreNamesEverythingThatIsMissing(t *testing.T) {
	_, err := Restore([]string{"x", "<withheld:a>", "<withheld:b>", "<withheld:c>"}, map[string]string{"b": "hunter2"})
	if err == nil || len(schema.Failures(err)) != 2 || !strings.Contains(err.Error(), "(a)") || !strings.Contains(err.Error(), "(c)") ||
		strings.Contains(err.Error(), "hunter2") || !strings.Contains(schema.HintOf(err), "--secret a=@FILE") || schema.KindOf(schema.Failures(err)[0]) != schema.Invalid {
		t.Fatalf("%v, hint %q", err, schema.HintOf(err))
	}
	if out, err := Restore([]string{"<withheld:NOT>", "<withheld:>", "a<withheld:a>"}, nil); err != nil || len(out) != 3 {
		t.Fatalf("what is no placeholder must stay: %q, %v", out, err)
	}
}

func TestSecretFromFile(t *testing.T) {
	for in, want := range map[string]string{"a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a": "a", "": ""} {
		if got := SecretFromFile([]byte(in)); got != want {
			t.Errorf("%q gives %q", in, got)
		}
	}
}

func TestVariable(t *testing.T) {
	for _, c := range []struct {
		name, value string
		secret      bool
	}{
		{"WANDB_API_KEY", "x", true}, {"AWS_SECRET_ACCESS_KEY", "x", true}, {"AWS_ACCESS_KEY_ID", "x", true}, {"AWS_SESSION_TOKEN", "x", true}, {"GH_TOKEN", "x", true},
		{"PGPASSWORD", "x", true}, {"DB_PWD", "x", true}, {"MYSQL_ROOT_PASSWORD", "x", true}, {"RABBITMQ_DEFAULT_PASS", "x", true}, {"GITHUB_PAT", "x", true},
		{"AZURE_STORAGE_CONNECTION_STRING", "x", true}, {"DOCKER_AUTH_CONFIG", "{}", true}, {"REDISCLI_AUTH", "x", true}, {"API_KEY_2", "x", true}, {"SECRET_KEY_BASE", "x", true},
		{"SSHPASS", "x", true}, {"BASIC_AUTH", "u:p", true}, {"OPENAI_KEY", "x", true}, {"HF_TOKEN_VALUE", "x", true}, {"WHATEVER", "hf_" + strings.Repeat("aB3", 12), true},
		{"HTTPS_PROXY", "http://u:p@proxy:3128", true},
		{"PWD", "/srv", false}, {"OLDPWD", "/srv", false}, {"HTTPS_PROXY", "http://proxy:3128", false}, {"GOOGLE_APPLICATION_CREDENTIALS", "/etc/gcp.json", false},
		{"AWS_SHARED_CREDENTIALS_FILE", "/x", false}, {"TOKENIZERS_PARALLELISM", "false", false}, {"SSH_AUTH_SOCK", "/tmp/x", false}, {"KEYBOARD", "us", false},
		{"PYTHONHASHSEED", "0", false}, {"CUBLAS_WORKSPACE_CONFIG", ":4096:8", false}, {"NCCL_ALGO", "^NVLS", false}, {"HF_TOKEN", "", false}, {"HF_TOKEN_PATH", "/x", false},
		{"MAX_TOKENS", "5", false}, {"XAUTHORITY", "/tmp/x", false}, {"LS_COLORS", "rs=0:di=01;34", false}, {"PAD_TOKEN", "<pad>", false}, {"USE_AUTH", "1", false},
	} {
		if got := Variable(c.name, c.value); got != c.secret {
			t.Errorf("%s=%s: secret %v, want %v", c.name, c.value, got, c.secret)
		}
		if got := Param(strings.ToLower(c.name), c.value); got != c.secret {
			t.Errorf("param %s=%s: secret %v, want %v", c.name, c.value, got, c.secret)
		}
	}
}

func TestSegments(t *testing.T) {
	for in, want := range map[string]string{
		"apiKey": "api key", "APIKey": "api key", "api_key": "api key", "AWSAccessKeyId": "aws access key id", "max_new_tokens": "max new tokens", "--x.y-z": "x y z",
		"OAuth2Token": "oauth2 token", "": "", "日本Key": "日本 key", "a1B2": "a1 b2",
	} {
		if got := strings.Join(segments(in), " "); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func golden(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// words splits a golden line at spaces, with '…' and "…" around words that hold some.
func words(line string) []string {
	var out []string
	var cur strings.Builder
	quote, in := rune(0), false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case quote == 0 && c == ' ':
			if in {
				out = append(out, cur.String())
			}
			cur.Reset()
			in = false
		default:
			cur.WriteRune(c)
			in = true
		}
	}
	if in {
		out = append(out, cur.String())
	}
	return out
}

var madeUpMark = regexp.MustCompile(`@\{([ahdup])(\d*)\}`)

// madeUp writes made-up characters where a golden line asks for them; the same ones each time.
func madeUp(line string) string {
	alphabets := map[string]string{"a": "aB3dE5gH7jK9", "h": "0a1b2c3d4e5f", "d": "123456789", "u": "ABCD2345EFGH67"}
	return madeUpMark.ReplaceAllStringFunc(line, func(mark string) string {
		m := madeUpMark.FindStringSubmatch(mark)
		if m[1] == "p" {
			return "PRIVATE" + " KEY"
		}
		n, _ := strconv.Atoi(m[2])
		return strings.Repeat(alphabets[m[1]], n/len(alphabets[m[1]])+1)[:n]
	})
}

// The forerunner must let through every name that the judge would call a secret's.
func TestForerunnerMissesNothing(t *testing.T) {
	for word, class := range secretWords {
		for _, name := range []string{word, "api_" + word, "x_" + word, strings.ToUpper("hf_" + word)} {
			if judgeName(name) != plainName && !mayBeSecret([]byte(name)) {
				t.Errorf("%s (%v) is passed over", name, class)
			}
		}
	}
	for _, name := range []string{"mypassword", "MY_PASSWD", "AZURE_STORAGE_CONNECTION_STRING", "DOCKER_AUTH_CONFIG"} {
		if judgeName(name) == plainName || !mayBeSecret([]byte(name)) {
			t.Errorf("%s is passed over", name)
		}
	}
}
