package redact

import (
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	for _, c := range []struct {
		in, want string
		had      bool
	}{
		{"https://github.com/a/b.git", "https://github.com/a/b.git", false},
		{"https://user:pw@github.com/a/b.git", "https://github.com/a/b.git", true},
		{"https://tok@github.com/a/b.git", "https://github.com/a/b.git", true},
		{"https://:pw@github.com/a", "https://github.com/a", true},
		{"https://user:@github.com/a", "https://github.com/a", true},
		{"git+https://user:pw@github.com/a@main", "git+https://github.com/a@main", true},
		{"HTTPS://user:p@w@github.com/a", "HTTPS://github.com/a", true},
		{"https://user:p/w@github.com/a", "https://github.com/a", true},
		{"https://user:p?w#@github.com/a?x=1", "https://github.com/a?x=1", true},
		{"https://host:8080/a@b", "https://host:8080/a@b", false},
		{"https://[::1]:8080/a@b", "https://[::1]:8080/a@b", false},
		{"git@github.com:a/b.git", "git@github.com:a/b.git", false},
		{"ssh://git@github.com/a/b.git", "ssh://git@github.com/a/b.git", false},
		{"ssh://alice:pw@host:22/a", "ssh://alice@host:22/a", true},
		{"alice:pw@host:a/b.git", "alice@host:a/b.git", true},
		{"postgres://u:p@db:5432/x?sslmode=require", "postgres://u@db:5432/x?sslmode=require", true},
		{"postgres://u@db/x", "postgres://u@db/x", false},
		{"jdbc:postgresql://db/x?user=u&password=p", "jdbc:postgresql://db/x?user=u", true},
		{"abfss://container@account.dfs.core.windows.net/p", "abfss://container@account.dfs.core.windows.net/p", false},
		{"s3://bucket/key@v", "s3://bucket/key@v", false},
		{"hf://datasets/a/b@main/x", "hf://datasets/a/b@main/x", false},
		{"docker://reg:5000/a@sha256:00", "docker://reg:5000/a@sha256:00", false},
		{"https://h/p?token=abcdef&x=1#frag", "https://h/p?x=1#frag", true},
		{"https://h/p?token=abcdef", "https://h/p", true},
		{"https://h/p?x=1&%74oken=abcdef", "https://h/p?x=1", true},
		{"https://h/p#access_token=abcdef", "https://h/p", true},
		{"https://h/p?sv=1&se=2&sr=b&sp=r&sig=abc%3D", "https://h/p?sv=1&se=2&sr=b&sp=r", true},
		{"https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Credential=c&X-Amz-Signature=s&versionId=7", "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&versionId=7", true},
		{"https://storage.googleapis.com/b/o?GoogleAccessId=x&Expires=1&Signature=s&generation=12", "https://storage.googleapis.com/b/o?Expires=1&generation=12", true},
		{"https://h/p?versionId=abc&max_tokens=5&sort_key=x", "https://h/p?versionId=abc&max_tokens=5&sort_key=x", false},
		{"https://h/p?", "https://h/p?", false},
		{"https://h", "https://h", false},
		{"./data/a@b:c", "./data/a@b:c", false},
		{"/abs/x:y@z", "/abs/x:y@z", false},
		{"repo/image@sha256:00", "repo/image@sha256:00", false},
		{"image@sha256:" + strings.Repeat("0a", 32), "image@sha256:" + strings.Repeat("0a", 32), false},
		{"", "", false}, {"://", "://", false}, {"@", "@", false},
	} {
		got, had := URL(c.in)
		if got != c.want || had != c.had {
			t.Errorf("%q\n  gives %q, %v\n  want  %q, %v", c.in, got, had, c.want, c.had)
		}
		if again, more := URL(got); again != got || more {
			t.Errorf("%q: a second time gives %q, %v", got, again, more)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://u:PLANTED@h/p?token=PLANTED", "git@h:p", "ssh://u:p@h", "https://a:b/c@d?e#f@g", "x@y:z@w:v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean, had := URL(s)
		if !had && clean != s {
			t.Fatalf("%q became %q without saying so", s, clean)
		}
		if again, _ := URL(clean); len(again) > len(clean) || len(clean) > len(s) {
			t.Fatalf("%q grew: %q, %q", s, clean, again)
		}
		planted := "https://user:Zx9secretZx9@" + strings.Map(func(r rune) rune {
			if r == '@' {
				return -1
			}
			return r
		}, s)
		if clean, had := URL(planted); !had || strings.Contains(clean, "Zx9secretZx9") {
			t.Fatalf("%q keeps its password: %q", planted, clean)
		}
	})
}
