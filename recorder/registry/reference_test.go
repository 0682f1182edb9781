package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/registry"
	"github.com/runpin/runpin/schema"
)

const (
	sha  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	sha5 = "sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func TestParseReference(t *testing.T) {
	for _, c := range []struct {
		in, repository, tag, digest, host, name, printed string
	}{
		{"nginx", "nginx", "", "", "docker.io", "docker.io/library/nginx", "nginx"},
		{"nginx:1.2", "nginx", "1.2", "", "docker.io", "docker.io/library/nginx", "nginx:1.2"},
		{"docker.io/nginx", "docker.io/nginx", "", "", "docker.io", "docker.io/library/nginx", "docker.io/nginx"},
		{"index.docker.io/library/nginx:1", "index.docker.io/library/nginx", "1", "", "docker.io", "docker.io/library/nginx", "index.docker.io/library/nginx:1"},
		{"team/trainer:1.4@" + sha, "team/trainer", "1.4", sha, "docker.io", "docker.io/team/trainer", "team/trainer:1.4@" + sha},
		{"ghcr.io/a/b@" + sha, "ghcr.io/a/b", "", sha, "ghcr.io", "ghcr.io/a/b", "ghcr.io/a/b@" + sha},
		{"ghcr.io/a/b@" + sha5, "ghcr.io/a/b", "", sha5, "ghcr.io", "ghcr.io/a/b", "ghcr.io/a/b@" + sha5},
		{"docker://ghcr.io/a/b:t", "ghcr.io/a/b", "t", "", "ghcr.io", "ghcr.io/a/b", "ghcr.io/a/b:t"},
		{"docker-pullable://ghcr.io/a/b@" + sha, "ghcr.io/a/b", "", sha, "ghcr.io", "ghcr.io/a/b", "ghcr.io/a/b@" + sha},
		{"localhost:5000/x", "localhost:5000/x", "", "", "localhost:5000", "localhost:5000/x", "localhost:5000/x"},
		{"localhost/x:1", "localhost/x", "1", "", "localhost", "localhost/x", "localhost/x:1"},
		{"[::1]:5000/x:1", "[::1]:5000/x", "1", "", "[::1]:5000", "[::1]:5000/x", "[::1]:5000/x:1"},
		{"Registry.Example:5000/x/y:V1", "Registry.Example:5000/x/y", "V1", "", "registry.example:5000", "registry.example:5000/x/y", "Registry.Example:5000/x/y:V1"},
		{"a/b__c/d--e.f", "a/b__c/d--e.f", "", "", "docker.io", "docker.io/a/b__c/d--e.f", "a/b__c/d--e.f"},
	} {
		ref, err := registry.ParseReference(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		got := []string{ref.Original, ref.Repository, ref.Tag, string(ref.Digest), ref.Host(), ref.Name(), ref.String()}
		want := []string{c.in, c.repository, c.tag, c.digest, c.host, c.name, c.printed}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: part %d is %q, want %q", c.in, i, got[i], want[i])
			}
		}
		if implicit := c.tag == "" && c.digest == ""; ref.ImplicitLatest() != implicit || implicit && ref.EffectiveTag() != "latest" {
			t.Errorf("%s: implicit latest %v, tag %q", c.in, ref.ImplicitLatest(), ref.EffectiveTag())
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"", "empty"},
		{"docker://", "empty"},
		{"${IMAGE}", "templated"},
		{"registry.example/$(IMAGE):1", "templated"},
		{"{{inputs.parameters.image}}", "templated"},
		{"repo:{{tag}}", "templated"},
		{"<%= image %>", "templated"},
		{"Team/trainer", "upper-case"},
		{"ghcr.io/Team/trainer:1", "upper-case"},
		{"a b", "blank"},
		{" nginx", "blank"},
		{"nginx\n", "blank"},
		{"ngínx", "ASCII"},
		{"--privileged", "flag"},
		{"-x", "flag"},
		{"https://ghcr.io/a/b", "https://"},
		{"oras://ghcr.io/a/b", "oras://"},
		{"nginx:", "not a tag"},
		{"nginx:-a", "not a tag"},
		{"nginx:" + strings.Repeat("a", 129), "not a tag"},
		{"nginx@sha256:abc", "not a digest"},
		{"nginx@" + strings.ToUpper(sha[:10]) + sha[10:], "no digest"},
		{"nginx@", "no digest"},
		{"nginx@" + sha + "@" + sha, ""},
		{sha, "id of an image"},
		{"docker://" + sha, "id of an image"},
		{sha[7:], "id of an image"},
		{"ghcr.io/../x", "repository name"},
		{"ghcr.io/a//b", "repository name"},
		{"/a", "repository name"},
		{"ghcr.io/", "repository name"},
		{"ghcr.io:99999/a", "port"},
		{"ghcr.io:port/a", "not a host"},
		{"containers-storage:localhost/x", "not a host"},
		{"ghcr.io/" + strings.Repeat("a", 300), "repository name"},
		{strings.Repeat("a", 5000), "too long"},
		{"nginx?x", "repository name"},
		{"nginx%2f", "repository name"},
	} {
		_, err := registry.ParseReference(c.in)
		if err == nil {
			t.Errorf("%q was accepted", c.in)
			continue
		}
		if schema.KindOf(err) != schema.Unpinnable || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: kind %s, %v; want it to say %q", c.in, schema.KindOf(err), err, c.says)
		}
		if len(err.Error()) > 700 {
			t.Errorf("%q: message of %d bytes", schema.Shorten(c.in, 40), len(err.Error()))
		}
	}
	for _, in := range []string{sha, sha[7:]} {
		if _, err := registry.ParseReference(in); !errors.Is(err, registry.ErrImageID) {
			t.Errorf("%s: %v is not ErrImageID", in, err)
		}
	}
}

// No part of a message may hold credentials that somebody put into a reference.
func TestParseReferenceHidesCredentials(t *testing.T) {
	for _, in := range []string{
		"user:hunter2@registry.example/a/b", "https://user:hunter2@registry.example/a/b:1", "docker://user:hunter2@registry.example/a",
		"user:hunter2@registry.example/a@" + sha, "hunter2@registry.example/a", "https://hunter2@registry.example/a@" + sha,
		"user:hunter2@registry.example/A b", "user:hunter2@x@y", "user:hunter2@${HOST}/x", "user:sha256:hunter2@registry/x", "u:hunter2@sha256:nohex",
	} {
		_, err := registry.ParseReference(in)
		if err == nil {
			t.Errorf("%s was accepted", in)
			continue
		}
		if strings.Contains(err.Error()+schema.HintOf(err), "hunter2") {
			t.Errorf("%s: the message shows it: %v", in, err)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"nginx", "docker://a.b/c:d@" + sha, "localhost/x", "[::1]:5/x", "${X}", "a:b@c", "u:p@h/x", sha, "a/b/c:1", "A/b", "docker.io/x", "a@" + sha5} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := registry.ParseReference(s)
		if err != nil {
			if schema.KindOf(err) != schema.Unpinnable {
				t.Fatalf("%q: kind %s", s, schema.KindOf(err))
			}
			return
		}
		again, err := registry.ParseReference(ref.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", s, ref.String(), err)
		}
		again.Original = ref.Original
		if again != ref {
			t.Fatalf("%q prints as %q, which is another reference", s, ref.String())
		}
		if strings.HasPrefix(ref.String(), "-") || strings.Contains(ref.Repository, "..") {
			t.Fatalf("%q gives %q", s, ref.String())
		}
		byDigest := ref.WithDigest(sha)
		if back, err := registry.ParseReference(byDigest.String()); err != nil || back.Name() != ref.Name() {
			t.Fatalf("%q by digest: %v", s, err)
		}
	})
}
