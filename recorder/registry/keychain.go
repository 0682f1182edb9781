package registry

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/github"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// The variables of the environment keychain: each RUNPIN_REGISTRY_HOSTNAME_X has a …_USERNAME_X and a …_PASSWORD_X, for any X
// (kbld has the same, registry.md §2.5).
const (
	envHost = "RUNPIN_REGISTRY_HOSTNAME_"
	envUser = "RUNPIN_REGISTRY_USERNAME_"
	envPass = "RUNPIN_REGISTRY_PASSWORD_"
)

// keychain asks its sources in order, and remembers which of them had credentials for a host, so that a refusal can name it.
// A source that fails (a broken credential helper) ends the search: to go on without credentials would hide the fault.
type keychain struct {
	sources []source

	mu   sync.Mutex
	used map[string]string // host to source
}

type source struct {
	name func() string
	keys authn.Keychain
}

func fixed(s string) func() string { return func() string { return s } }

// newKeychain gives the order of registry.md §4.2. google.Keychain comes after the files and looks at Google's hosts only, so no
// other registry waits for a metadata server.
func newKeychain(override authn.Keychain) *keychain {
	k := &keychain{used: map[string]string{}}
	if override != nil {
		k.sources = []source{{fixed("the keychain given"), override}}
		return k
	}
	k.sources = []source{
		{fixed(envHost + "…"), envKeychain{}},
		{func() string { return credentialFile() }, authn.DefaultKeychain},
		{fixed("Google's application default credentials"), google.Keychain},
		{fixed("GITHUB_TOKEN"), github.Keychain},
	}
	return k
}

func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

func (k *keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	for _, s := range k.sources {
		auth, err := authn.Resolve(ctx, s.keys, target)
		if err != nil {
			return nil, &credentialError{source: s.name(), err: err}
		}
		if auth != authn.Anonymous {
			k.note(target.RegistryStr(), s.name())
			return auth, nil
		}
	}
	k.note(target.RegistryStr(), "")
	return authn.Anonymous, nil
}

func (k *keychain) note(host, source string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[host] = source
}

// usedFor names the source whose credentials were sent to the host, or "" when none had any.
func (k *keychain) usedFor(host string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.used[host]
}

// credentialError is a source of credentials that could not be read: a file that is not JSON, a helper that fails.
type credentialError struct {
	source string
	err    error
}

func (e *credentialError) Error() string {
	return "credentials could not be read from " + e.source + ": " + e.err.Error()
}
func (e *credentialError) Unwrap() error { return e.err }

// envKeychain has the credentials of the environment variables. The host must be equal, port included.
type envKeychain struct{}

func (envKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	var suffixes []string
	for _, entry := range os.Environ() {
		if key, _, _ := strings.Cut(entry, "="); strings.HasPrefix(key, envHost) {
			suffixes = append(suffixes, strings.TrimPrefix(key, envHost))
		}
	}
	sort.Strings(suffixes)
	for _, x := range suffixes {
		host := strings.ToLower(os.Getenv(envHost + x))
		if host == "docker.io" {
			host = name.DefaultRegistry
		}
		if host == "" || host != strings.ToLower(target.RegistryStr()) {
			continue
		}
		return authn.FromConfig(authn.AuthConfig{Username: os.Getenv(envUser + x), Password: os.Getenv(envPass + x)}), nil
	}
	return authn.Anonymous, nil
}

// credentialFile names the file that authn.DefaultKeychain reads, by the same rules: Docker's where there is one, and only
// otherwise Podman's.
func credentialFile() string {
	home, _ := os.UserHomeDir()
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		if file := filepath.Join(dir, "config.json"); isFile(file) || home != "" && isFile(filepath.Join(home, ".docker", "config.json")) {
			return file
		}
	} else if file := filepath.Join(home, ".docker", "config.json"); home != "" && isFile(file) {
		return file
	}
	candidates := []string{os.Getenv("REGISTRY_AUTH_FILE")}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "containers", "auth.json"))
	}
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "containers", "auth.json"))
	} else if home != "" {
		candidates = append(candidates, filepath.Join(home, ".config", "containers", "auth.json"))
	}
	for _, file := range candidates {
		if file != "" && isFile(file) {
			return file
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// loginHint says what to do after host refused us.
func (k *keychain) loginHint(host string) string {
	login := "docker login " + host + " (or podman login, or set " + envHost + "0, " + envUser + "0 and " + envPass + "0)"
	if host == name.DefaultRegistry {
		login = strings.Replace(login, " "+host, "", 1)
	}
	if used := k.usedFor(host); used != "" {
		return "the credentials of " + used + " were sent and are not enough; log in with an account that may pull: " + login
	}
	if file := credentialFile(); file != "" {
		return "no credentials were sent, " + file + " has none for it; if the image is private, log in: " + login
	}
	return "no credentials were sent, there is neither a Docker configuration nor a Podman auth.json; if the image is private, log in: " + login
}
