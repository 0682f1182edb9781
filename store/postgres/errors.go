package postgres

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/runpin/runpin/schema"
)

const unreachable = "look whether the server runs and the location is right; it is tried again by itself when the next report is written"

// Classify implements store.Dialect: the one place that knows what the codes of PostgreSQL mean (its manual, appendix A).
func (Dialect) Classify(err error) (schema.Kind, string) {
	code := codeOf(err)
	class := code[:min(2, len(code))]
	switch {
	case code == "40001", code == "40P01", code == "55P03":
		return schema.Unavailable, "another process is writing to the store; do it again when it has finished"
	case class == "28":
		return schema.Invalid, "the server does not let this user in: look at the user in the location, and the password in ~/.pgpass, PGPASSFILE or PGPASSWORD"
	case code == "3D000":
		return schema.Invalid, "there is no such database: make it with createdb, or correct the location"
	case code == "42501":
		return schema.Unavailable, "the database user may not do this: let it own the schema, or name another store with --store"
	case code == "25006":
		return schema.Unavailable, "the server takes no writes: it is a standby, or set to read only"
	case class == "53":
		return schema.Unavailable, "the server lacks room, memory or connections; do it again when it has them"
	case class == "08", class == "57", class == "58":
		return schema.Unavailable, unreachable
	}
	var netErr net.Error
	if errors.As(err, &netErr) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return schema.Unavailable, unreachable
	}
	return schema.Internal, ""
}

// Busy tells a held lock from the other reasons to try again.
func (Dialect) Busy(err error) bool {
	switch codeOf(err) {
	case "40001", "40P01", "55P03":
		return true
	}
	return false
}

func codeOf(err error) string {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}

// withoutDetails keeps what the driver says of a malformed location from quoting it: it may hold a password.
func withoutDetails(err error) error {
	text := err.Error()
	if strings.Contains(text, "@") || strings.Contains(text, "://") || strings.Contains(text, "password") {
		return errors.New("it cannot be read")
	}
	return fmt.Errorf("%s", strings.TrimPrefix(text, "pq: "))
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
