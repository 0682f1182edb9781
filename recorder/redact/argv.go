package redact

import (
	"fmt"
	"path"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Argv gives argv with every argument that holds a secret replaced as a whole by a placeholder, <withheld:NAME>, and what was withheld.
// NAME is unique within the result and is what `rerun --secret NAME=@FILE` takes. An argument is withheld when it
//
//   - holds a known credential format or a URL with a secret part,
//   - is name=value with a secret name (--api-key=…, WANDB_API_KEY=…, --env=HF_TOKEN=…, trainer.api_key=…),
//   - is the value after a secret-named flag (--token X), or after a flag by which its program takes a password (curl -u),
//   - is a text of several words (a shell command, JSON) that holds such a thing.
//
// A placeholder that already stands in argv stays, so applying Argv twice changes nothing more.
func Argv(argv []string) (kept []string, withheld []schema.Withheld) {
	s := scanner{names: map[string]bool{}}
	for _, a := range argv {
		if name, ok := placeholderName(a); ok {
			s.names[name] = true
		}
	}
	kept = make([]string, len(argv))
	for i, a := range argv {
		kept[i] = a
		f, found := s.judge(argv, i, 0)
		if !found {
			continue
		}
		name := s.unique(f.name)
		kept[i] = placeholder(name)
		withheld = append(withheld, schema.Withheld{What: "argument", Name: name, Subject: subject(i, f.flag), Why: f.why})
	}
	return kept, withheld
}

// subject names the place, and the flag where there is one: whoever supplies the argument again must know how it begins.
func subject(i int, flag string) schema.Text {
	if flag == "" || hasCredential(flag) {
		return schema.Text(fmt.Sprintf("argument %d", i))
	}
	return schema.Text(fmt.Sprintf("argument %d, %s", i, flag))
}

// finding is why an argument is withheld. name is a name by which to ask for it, flag what may be shown of it.
type finding struct{ name, flag, why string }

type scanner struct{ names map[string]bool }

const (
	maxDepth = 3       // of commands within arguments
	maxText  = 1 << 20 // an argument longer than this is judged by its formats alone
)

// judge looks at one argument in its surroundings.
func (s *scanner) judge(argv []string, i, depth int) (finding, bool) {
	arg := argv[i]
	if arg == "" || isPlaceholder(arg) {
		return finding{}, false
	}
	flag := ""
	if i > 0 {
		flag = flagName(argv[i-1])
	}
	own := flagName(arg)
	if key, _, ok := assignment(arg); ok && own == "" {
		own = key
	}
	if format, found := credential([]byte(arg)); found {
		f := finding{name: format, why: "it holds what looks like a credential (" + format + ")"}
		for _, n := range []string{own, flag} {
			if judgeName(n) > plainName {
				f.name, f.flag = n, shown(arg, n)
				break
			}
		}
		return f, true
	}
	if engineSecret(argv, i, flag) {
		return finding{}, false
	}
	if name, ok := secretAssignment(arg); ok {
		return finding{name, shown(arg, name), "the name " + name + " says that its value is a secret"}, true
	}
	if flag != "" && !strings.Contains(argv[i-1], "=") && !startsFlag(arg) && secretNamed(flag, arg) {
		return finding{flag, "", "it follows " + argv[i-1] + ", which takes a secret"}, true
	}
	if i > 0 && !strings.HasPrefix(argv[i-1], "-") && looksRandom(arg) && len(segments(argv[i-1])) > 1 && judgeName(argv[i-1]) >= secretName {
		return finding{argv[i-1], "", "it follows " + argv[i-1] + ", which names a secret"}, true // aws configure set aws_secret_access_key X
	}
	if why, ok := takenByProgram(argv, i); ok {
		return finding{"password", "", why}, true
	}
	if depth < maxDepth && len(arg) <= maxText && strings.ContainsAny(arg, " \t\n{") {
		return s.judgeText(arg, depth)
	}
	return finding{}, false
}

// judgeText looks at an argument that is a text of its own: a shell command, a list of assignments, JSON.
func (s *scanner) judgeText(arg string, depth int) (finding, bool) {
	mode := prose
	if strings.Contains(arg, "{") {
		mode = strict // JSON or a flow mapping
	}
	if name, ok := secretLiteral([]byte(arg), mode); ok {
		return finding{name, "", "it is a text in which " + name + " has a literal value"}, true
	}
	inner := shellWords(arg)
	if len(inner) < 2 {
		return finding{}, false
	}
	for i := range inner {
		if f, found := s.judge(inner, i, depth+1); found {
			f.flag, f.why = "", "it is a command of which "+f.why
			return f, true
		}
	}
	return finding{}, false
}

// secretAssignment finds a secret name in name=value, also where the value is an assignment itself (--env=K=V, --set=a.b=c).
func secretAssignment(arg string) (string, bool) {
	for rest := arg; ; {
		key, value, ok := assignment(rest)
		if !ok {
			return "", false
		}
		if name := strings.TrimLeft(key, "-+~"); secretNamed(name, strings.Trim(value, `"'`)) {
			return name, true
		}
		rest = value
	}
}

// assignment splits name=value (or npm's //host/:_authToken=value) where name could be one.
func assignment(s string) (key, value string, ok bool) {
	i := strings.IndexByte(s, '=')
	if i < 1 || i > maxName {
		return "", "", false
	}
	for j := 0; j < i; j++ {
		if c := s[j]; !alnum(c) && strings.IndexByte("_-.+~/:@", c) < 0 {
			return "", "", false
		}
	}
	return s[:i], s[i+1:], true
}

// flagName gives the name of a flag without its dashes and value, or "". A negative number is no flag.
func flagName(arg string) string {
	if len(arg) < 2 || arg[0] != '-' || arg == "--" {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "" || len(name) > maxName || !isLetter(name[0]) {
		return ""
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !wordChar(c) && c != '-' && c != '.' && c != ':' {
			return ""
		}
	}
	return name
}

// engineSecret: --secret of podman and docker takes the name of a secret that the engine keeps, or the file it is in.
func engineSecret(argv []string, i int, flag string) bool {
	switch path.Base(argv[0]) {
	case "podman", "docker", "buildah", "nerdctl", "buildctl":
		return flag == "secret" && argv[i-1] == "--secret" || strings.HasPrefix(argv[i], "--secret=")
	}
	return false
}

// startsFlag reports whether arg is the next flag rather than a value. A generated value may begin with a dash.
func startsFlag(arg string) bool {
	if looksRandom(arg) {
		return false
	}
	return len(arg) > 2 && strings.HasPrefix(arg, "--") && isLetter(arg[2]) || len(arg) >= 2 && arg[0] == '-' && isLetter(arg[1]) && (len(arg) == 2 || arg[2] == '=')
}

// shown gives the part of arg up to the value of name, if that is how arg is built.
func shown(arg, name string) string {
	i := strings.Index(arg, name+"=")
	if i < 0 || i > 2*maxName {
		return ""
	}
	return arg[:i+len(name)+1] + "…"
}

// takers are programs that take a password by a flag of an ordinary name.
var takers = map[string][]string{
	"curl": {"-u", "--user", "-U", "--proxy-user", "-b", "--oauth2-bearer", "--pass"}, "sshpass": {"-p"}, "redis-cli": {"-a"}, "login": {"-p"}, "smbclient": {"-U"},
}

// attached are programs whose flag -p has the password attached.
var attached = set("mysql mysqldump mysqladmin mariadb mariadb-dump sshpass")

func takenByProgram(argv []string, i int) (string, bool) {
	// The program is argv[0] of this command, or of the one that a wrapper starts: env, time, sudo and shell operators stand before it.
	for j := i - 1; j >= 0 && j >= i-64; j-- {
		program := path.Base(argv[j])
		if flags := takers[program]; flags != nil && i-1 > j {
			for _, f := range flags {
				if argv[i-1] == f && !isReference(argv[i]) && !isTruth(argv[i]) && (f != "-u" && f != "-b" && f != "--user" || strings.ContainsAny(argv[i], ":=")) {
					return "it follows " + f + ", by which " + program + " takes a password", true
				}
			}
		}
		if attached[program] && strings.HasPrefix(argv[i], "-p") && len(argv[i]) > 2 && !isReference(argv[i][2:]) {
			return "by -p " + program + " takes a password", true
		}
		if program == "login" && i == j+1 && j > 0 && path.Base(argv[j-1]) == "wandb" && isHex(argv[i], 40) {
			return "it is the key that wandb login takes", true
		}
	}
	return "", false
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

// shellWords splits a command roughly as a shell does: at spaces and operators, quotes taken away, $(…) kept whole and its words given too.
// It needs to be right only in finding the words that could be a name, a flag or a value.
func shellWords(s string) []string { return splitWords(s, true) }

func splitWords(s string, substitutions bool) []string {
	var out, inner []string
	var cur strings.Builder
	in := false
	flush := func() {
		if in {
			out = append(out, cur.String())
			cur.Reset()
			in = false
		}
	}
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case substitutions && quote != '\'' && c == '$' && i+1 < len(s) && s[i+1] == '(':
			end := closing(s, i+1)
			cur.WriteString(s[i:end])
			inner = append(inner, splitWords(strings.TrimSuffix(s[i+2:end], ")"), false)...)
			i, in = end-1, true
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				cur.WriteByte(c)
			}
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == '\\' && i+1 < len(s):
			i++
			if s[i] != '\n' {
				cur.WriteByte(s[i])
				in = true
			}
		case strings.IndexByte(" \t\r\n;&|", c) >= 0:
			flush()
		default:
			cur.WriteByte(c)
			in = true
		}
	}
	flush()
	return append(out, inner...)
}

// closing gives the end of the bracket that opens at i.
func closing(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
