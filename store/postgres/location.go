package postgres

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/runpin/runpin/schema"
)

const connectTimeout = 10 * time.Second

// Show gives a location without its password, for messages. One that cannot be read is not shown at all: the password may stand anywhere in it.
func Show(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "postgres://(malformed)"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	for key := range q {
		if strings.Contains(strings.ToLower(key), "pass") {
			q.Del(key)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Check refuses a location that is malformed, without quoting it.
func Check(location string) error {
	_, err := configure(location, 0)
	return err
}

func configure(location string, wait time.Duration) (pq.Config, error) {
	malformed := &schema.Error{Op: "store.open", Kind: schema.Invalid, Subject: Show(location), Err: errors.New("not a location of a PostgreSQL database"),
		Hint: "write it like postgres://user@host:5432/database, and the password into ~/.pgpass, PGPASSFILE or PGPASSWORD"}
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Fragment != "" {
		return pq.Config{}, malformed
	}
	q := u.Query()
	if !q.Has("application_name") {
		q.Set("application_name", "runpin")
	}
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "10")
	}
	u.RawQuery = q.Encode()
	config, err := pq.NewConfig(u.String())
	if err != nil {
		malformed.Err = withoutDetails(err)
		return config, malformed
	}
	if config.SSLMode == "" && config.SSLNegotiation == "" && local(config) {
		config.SSLMode = pq.SSLModeDisable // nothing leaves the machine; elsewhere the driver wants TLS
	}
	if config.Runtime == nil {
		config.Runtime = map[string]string{}
	}
	if wait > 0 {
		config.Runtime["lock_timeout"] = milliseconds(wait)
	}
	config.Runtime["idle_in_transaction_session_timeout"] = milliseconds(5 * time.Minute) // a client that hangs does not hold the lock for ever
	return config, nil
}

// local reports whether every server that may be asked is on this machine. The parsed configuration decides: a host can also come from the environment or a
// service file, and an address overrides a name.
func local(config pq.Config) bool {
	if !localHost(config.Host, config.Hostaddr) {
		return false
	}
	for _, m := range config.Multi {
		if !localHost(m.Host, m.Hostaddr) {
			return false
		}
	}
	return true
}

func localHost(host string, address netip.Addr) bool {
	if address.IsValid() {
		return address.IsLoopback()
	}
	return host == "" || host == "localhost" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}
