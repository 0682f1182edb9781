package jobspec

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestPinnedReference(t *testing.T) {
	d := schema.SHA256([]byte("x"))
	for _, tc := range []struct{ ref, with, without string }{
		{"nginx", "nginx@", "nginx@"},
		{"nginx:1.2", "nginx:1.2@", "nginx@"},
		{"docker.io/library/nginx:1.2", "docker.io/library/nginx:1.2@", "docker.io/library/nginx@"},
		{"index.docker.io/library/nginx", "index.docker.io/library/nginx@", "index.docker.io/library/nginx@"},
		{"localhost:5000/a/b", "localhost:5000/a/b@", "localhost:5000/a/b@"},
		{"localhost:5000/a/b:c", "localhost:5000/a/b:c@", "localhost:5000/a/b@"},
		{"ghcr.io/a/b:v1@" + string(schema.SHA256(nil)), "ghcr.io/a/b:v1@", "ghcr.io/a/b@"},
		{"ghcr.io/a/b@" + string(schema.SHA256(nil)), "ghcr.io/a/b@", "ghcr.io/a/b@"},
	} {
		for keep, want := range map[bool]string{true: tc.with, false: tc.without} {
			got, err := PinnedReference(tc.ref, d, keep)
			if err != nil || got != want+string(d) {
				t.Errorf("%s: %s, %v", tc.ref, got, err)
			}
			again, err := PinnedReference(got, d, keep)
			if err != nil || again != got {
				t.Errorf("%s: again %s, %v", got, again, err)
			}
		}
	}
	for _, bad := range []string{"", "UPPER", "a b", "x:", "x@sha256:1", "{{ x }}", "$(x)", "https://x/y", "-v", "x@y@" + string(d)} {
		if got, err := PinnedReference(bad, d, true); err == nil || schema.KindOf(err) != schema.Unpinnable {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
	if _, err := PinnedReference("x", "sha256:1", true); schema.KindOf(err) != schema.Invalid {
		t.Error(err)
	}
}

func TestPinNames(t *testing.T) {
	taken := pinNames{}
	long := strings.Repeat("n", 80)
	var got []string
	for _, from := range []string{"main", "main", "Main", "main_2", "main", "a-b.c", "日本", "9", "--", long, long} {
		n := taken.next(from)
		if _, err := schema.ParseName(n); err != nil {
			t.Error(err)
		}
		got = append(got, n)
	}
	want := "main main_2 main_3 main_2_2 main_4 a_b_c image image_9 image_2 " + long[:63] + " " + long[:61] + "_2"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}
