// Package postgrestest answers one question: which PostgreSQL does a test use?
//
// The one that RUNPIN_TEST_POSTGRES names, or one of its own: started from Debian's package on a free loopback port with a directory of its own, and
// stopped with the test binary. Each test gets a database of its own.
package postgrestest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver
)

var server struct {
	once sync.Once
	url  string
	err  error
	stop func()
}

// Main runs the tests of a package and stops the server that they started.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the server, if one was started.
func Stop() {
	if server.stop != nil {
		server.stop()
	}
}

// Database gives the location of a new, empty database. Without a server the test is skipped, or fails where RUNPIN_TEST_REQUIRE asks for one.
func Database(t testing.TB) (location string) {
	t.Helper()
	server.once.Do(start)
	if server.err != nil {
		wanted := strings.Split(os.Getenv("RUNPIN_TEST_REQUIRE"), ",")
		if slices.Contains(wanted, "all") || slices.Contains(wanted, "postgres") {
			t.Fatalf("there is no PostgreSQL, and RUNPIN_TEST_REQUIRE asks for it: run .ci/parts, or set RUNPIN_TEST_POSTGRES: %v", server.err)
		}
		t.Skipf("there is no PostgreSQL (.ci/parts installs it on Debian): %v", server.err)
	}
	location, drop, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return location
}

// New is Database outside of a test: a benchmark that is a program. [Stop] ends the server.
func New() (location string, drop func() error, err error) {
	server.once.Do(start)
	if server.err != nil {
		return "", nil, server.err
	}
	u, err := url.Parse(server.url)
	if err != nil {
		return "", nil, err
	}
	name := "runpin_" + strings.ToLower(rand.Text()[:16])
	if err := execute(server.url, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() error { return execute(server.url, "DROP DATABASE "+name+" WITH (FORCE)") }, nil
}

// Exec runs a statement as the server's administrator.
func Exec(t testing.TB, location, statement string) {
	t.Helper()
	if err := execute(location, statement); err != nil {
		t.Fatal(err)
	}
}

func execute(location, statement string) error {
	db, err := Connect(location)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Connect opens a database that [New] or [Database] made.
func Connect(location string) (*sql.DB, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if !q.Has("sslmode") {
		q.Set("sslmode", "disable")
	}
	u.RawQuery = q.Encode()
	return sql.Open("postgres", u.String())
}

func start() {
	if given := os.Getenv("RUNPIN_TEST_POSTGRES"); given != "" {
		server.url = given
		return
	}
	bin, err := programs()
	if err != nil {
		server.err = err
		return
	}
	for range 3 { // another process may take the port between the look and the start
		if server.err = startOnce(bin); server.err == nil {
			return
		}
	}
}

// programs gives the directory of initdb and postgres: Debian keeps them off the PATH, one directory for each version.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", err
		}
		found = []string{path}
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func startOnce(bin string) error {
	dir, err := os.MkdirTemp("", "runpin-pg-") // short: it holds a socket
	if err != nil {
		return err
	}
	as, err := unprivileged(dir)
	if err != nil {
		return err
	}
	password := rand.Text()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o644); err != nil {
		return err
	}
	init := as(exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "runpin", "-A", "scram-sha-256", "--pwfile="+filepath.Join(dir, "password"), "-E", "UTF8", "--no-locale"))
	if out, err := init.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := as(exec.Command(filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"), "-k", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	server.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // fast: clients are cut off
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		os.RemoveAll(dir)
	}
	server.url = fmt.Sprintf("postgres://runpin:%s@127.0.0.1:%d/postgres", password, port)
	db, err := sql.Open("postgres", server.url+"?sslmode=disable")
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-exited:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres ended: %s", text)
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err = db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
	}
	server.stop()
	return fmt.Errorf("postgres does not answer: %w", err)
}

// unprivileged gives dir to the user that a program is to run as: initdb and postgres refuse root.
func unprivileged(dir string) (func(*exec.Cmd) *exec.Cmd, error) {
	if os.Geteuid() != 0 {
		return func(cmd *exec.Cmd) *exec.Cmd { return cmd }, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	return func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return cmd
	}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
