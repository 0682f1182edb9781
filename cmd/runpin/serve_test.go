package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// servers are those that a script has started.
type servers struct {
	running []*exec.Cmd
	log     bytes.Buffer
}

func (s *servers) stop() {
	for _, cmd := range s.running {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		killed := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		killed.Stop()
	}
	s.running = nil
}

// cmdServe: serve STORE [FLAG…] starts `runpin serve` for the store and puts its address into $SERVER; an address of an earlier server is taken again with
// --listen. serve-stop stops all that were started, and writes their log to serve.log.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve STORE [FLAG...]")
	}
	s := ts.Value("servers").(*servers)
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if found, err := exec.LookPath(filepath.Join(dir, "runpin")); err == nil {
			program = found
			break
		}
	}
	flags := args[1:]
	if !strings.Contains(strings.Join(flags, " "), "--listen") {
		flags = append(flags, "--listen", "127.0.0.1:0")
	}
	cmd := exec.Command(program, append([]string{"serve", "--store", ts.MkAbs(args[0])}, flags...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR"), "XDG_CACHE_HOME=" + ts.Getenv("XDG_CACHE_HOME")}
	cmd.Stderr = &s.log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s.running = append(s.running, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		ts.Fatalf("serve printed no address: %v\n%s", err, s.log.String())
	}
	ts.Setenv("SERVER", strings.TrimSpace(line))
	ts.Setenv("SERVER_ADDR", strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "http://"), "https://"))
}

func cmdServeStop(ts *testscript.TestScript, _ bool, _ []string) {
	s := ts.Value("servers").(*servers)
	s.stop()
	ts.Check(os.WriteFile(ts.MkAbs("serve.log"), s.log.Bytes(), 0o600))
}

