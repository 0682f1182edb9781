package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch/launchtest"
)

// startRegistry starts Debian's docker-registry, deletion enabled, on a free loopback port. gc does what an administrator does at night:
// it stops the registry, collects every manifest without a tag, and starts it again on the same port.
func startRegistry(t testing.TB) (addr string, gc func()) {
	t.Helper()
	requirePart(t, "docker-registry")
	dir := t.TempDir()
	r := &realRegistry{dir: dir, config: filepath.Join(dir, "config.yml")}
	t.Cleanup(r.stop)
	var err error
	for range 5 { // Another process may take the port between our look and the start.
		r.addr = freePort(t)
		if err = r.start(); err == nil {
			return r.addr, func() { t.Helper(); r.collect(t) }
		}
	}
	t.Fatalf("docker-registry did not start: %v", err)
	return "", nil
}

type realRegistry struct {
	dir, config, addr string
	cmd               *exec.Cmd
	exited            chan struct{}
}

func (r *realRegistry) start() error {
	config := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\n"+
		"  maintenance: {uploadpurging: {enabled: false}}\nhttp: {addr: %q}\n", filepath.Join(r.dir, "data"), r.addr)
	if err := os.WriteFile(r.config, []byte(config), 0o600); err != nil {
		return err
	}
	log := new(lockedBuffer)
	r.cmd = exec.Command("docker-registry", "serve", r.config)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := r.cmd.Start(); err != nil {
		return err
	}
	r.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) { cmd.Wait(); close(exited) }(r.cmd, r.exited)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-r.exited:
			return fmt.Errorf("it exited: %s", log)
		default:
		}
		if resp, err := http.Get("http://" + r.addr + "/v2/"); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			// An answer may be another process's that took the port; ours has exited then.
			select {
			case <-r.exited:
				return fmt.Errorf("it exited: %s", log)
			case <-time.After(20 * time.Millisecond):
				return nil
			}
		}
	}
	r.stop()
	return fmt.Errorf("no answer within 30 s: %s", log)
}

func (r *realRegistry) stop() {
	if r.cmd == nil {
		return
	}
	r.cmd.Process.Kill()
	<-r.exited
	r.cmd = nil
}

func (r *realRegistry) collect(t testing.TB) {
	t.Helper()
	r.stop()
	if out, err := exec.Command("docker-registry", "garbage-collect", "--delete-untagged", r.config).CombinedOutput(); err != nil {
		t.Fatalf("docker-registry garbage-collect: %v\n%s", err, out)
	}
	if err := r.start(); err != nil {
		t.Fatalf("docker-registry did not start again on %s: %v", r.addr, err)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// lockedBuffer collects what a process writes while it is read.
type lockedBuffer = launchtest.Output

func TestPartsRegistry(t *testing.T) {
	addr, gc := startRegistry(t)
	push := func(tag, content string) string {
		return busyboxImage(t, addr, "team/trainer", tag, map[string]string{"etc/content": content})
	}
	manifest := func(reference string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+addr+"/v2/team/trainer/manifests/"+reference, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}

	first := push("1.4", "one")
	if again := push("1.4", "one"); again != first {
		t.Errorf("the same image has two digests: %s, %s", first, again)
	}
	if got := manifest(first); got != http.StatusOK {
		t.Errorf("pushed image: status %d", got)
	}
	second := push("1.4", "two") // The tag moves.
	if second == first {
		t.Error("other content, same digest")
	}
	if got := manifest(first); got != http.StatusOK {
		t.Errorf("the untagged image before collection: status %d", got)
	}
	gc()
	if got := manifest(first); got != http.StatusNotFound {
		t.Errorf("the untagged image after collection: status %d, want 404", got)
	}
	if got := manifest(second); got != http.StatusOK {
		t.Errorf("the tagged image after collection: status %d", got)
	}
}
