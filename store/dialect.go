package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/runpin/runpin/schema"
)

// Dialect is what differs between databases: how one is opened, how a writer begins, what its errors mean, and how it is copied.
type Dialect interface {
	// Name chooses the migration files, "0001_init.<name>.sql".
	Name() string
	// Open gives the pools for dsn. Every setting that a connection needs is applied to each connection of the pool.
	Open(ctx context.Context, dsn string, o OpenOptions) (Pools, error)
	// Begin is the statement that starts a writing transaction and takes the write lock. It also is what keeps two migrations apart.
	Begin() string
	// Tables lists the tables that the database holds, none of them the database's own.
	Tables(ctx context.Context, c *sql.Conn) ([]string, error)
	// Classify says what kind of failure err is, and what to do about it. It gives Internal and "" for an error it does not know.
	Classify(err error) (schema.Kind, string)
	// Verify lets the database check itself and gives the problems it finds, at most a hundred.
	Verify(ctx context.Context, c *sql.Conn) ([]string, error)
	// Backup copies the database as it stands at one moment into dest, which does not exist, while others may write.
	Backup(ctx context.Context, c *sql.Conn, dest string) error
}

// OpenOptions is what a [Dialect] is told.
type OpenOptions struct {
	_           struct{}
	ReadOnly    bool
	BusyTimeout time.Duration // how long a statement waits for a lock that another process holds
}

// Pools are the connections to one database. Write is nil when the store was opened for reading; Read never writes.
type Pools struct {
	Write *sql.DB
	Read  *sql.DB
	// Isolation is what lets all queries of a reading transaction see the state of one moment, where that is not what the database does by itself.
	Isolation sql.IsolationLevel
}
