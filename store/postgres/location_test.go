package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lib/pq"
)

// TestTLSIsOffOnThisMachineOnly: wherever the address of the server comes from, TLS is left out only where nothing leaves the machine.
func TestTLSIsOffOnThisMachineOnly(t *testing.T) {
	services := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(services, []byte("[far]\nhost=db.example.org\n[strict]\nhost=localhost\nsslmode=verify-full\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		location string
		environ  map[string]string
		off      bool
	}{
		{"postgres://u@localhost/x", nil, true},
		{"postgres://u@127.0.0.1/x", nil, true},
		{"postgres://u@[::1]/x", nil, true},
		{"postgres:///x?host=/run/postgresql", nil, true},
		{"postgres:///x", nil, true},
		{"postgres://u@localhost/x?sslmode=require", nil, false},
		{"postgres://u@localhost/x", map[string]string{"PGSSLMODE": "verify-full"}, false},
		{"postgres://u@127.db.example.org/x", nil, false},
		{"postgres://u@db.example.org/x", nil, false},
		{"postgres://u@localhost/x?hostaddr=192.0.2.7", nil, false},
		{"postgres://u@localhost/x", map[string]string{"PGHOSTADDR": "192.0.2.7"}, false},
		{"postgres:///x", map[string]string{"PGHOST": "db.example.org"}, false},
		{"postgres:///x?host=localhost,db.example.org", nil, false},
		{"postgres:///x?service=far", map[string]string{"PGSERVICEFILE": services}, false},
		{"postgres:///x?service=strict", map[string]string{"PGSERVICEFILE": services}, false},
	} {
		t.Run(c.location, func(t *testing.T) {
			for k, v := range c.environ {
				t.Setenv(k, v)
			}
			config, err := configure(c.location, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := config.SSLMode == pq.SSLModeDisable; got != c.off {
				t.Errorf("sslmode is %q, want it off: %v", config.SSLMode, c.off)
			}
		})
	}
}
