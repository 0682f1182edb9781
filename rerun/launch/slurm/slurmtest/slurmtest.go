// Package slurmtest answers one question: how does a test get a real Slurm?
//
// It starts one on this machine alone, for the test that asks, from the programs of Debian's packages munge and slurm-wlm, and is skipped where they are missing.
package slurmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runpin/runpin/rerun/launch/launchtest"
)

// Cluster is a real Slurm on this machine alone: munged, slurmctld and one slurmd per node, with a key, sockets, ports and
// directories of their own. Nothing of a Slurm that the machine may have is used or changed.
type Cluster struct {
	dir   string
	Env   []string // what sbatch, srun and scontrol need
	procs []*daemon
}

type daemon struct {
	name   string
	cmd    *exec.Cmd
	log    *launchtest.Output
	exited chan struct{}
}

// Option changes the cluster that is started.
type Option func(*options)

type options struct {
	nodes    int
	settings []string
}

// Nodes is how many nodes the cluster has, of four processors each; one by default.
func Nodes(n int) Option { return func(o *options) { o.nodes = n } }

// Setting puts NAME=value in the place of the line of slurm.conf that sets the name, or adds it.
func Setting(line string) Option { return func(o *options) { o.settings = append(o.settings, line) } }

// Start starts a cluster, and stops it when the test ends.
func Start(t testing.TB, with ...Option) *Cluster {
	t.Helper()
	launchtest.Require(t, "munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
	o := options{nodes: 1}
	for _, option := range with {
		option(&o)
	}
	var err error
	for range 3 { // Another process may take a port between our look and the start.
		var s *Cluster
		if s, err = try(t, o); err == nil {
			return s
		}
	}
	t.Fatalf("slurm did not start: %v", err)
	return nil
}

func try(t testing.TB, o options) (s *Cluster, err error) {
	// munged's socket has a path of at most 107 bytes, and t.TempDir has the test's name in it.
	dir, err := os.MkdirTemp("", "slurm")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s = &Cluster{dir: dir}
	t.Cleanup(s.stop)
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	// munged wants every directory above its socket open to all.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	for _, sub := range []string{"munge", "state", "log"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	config, err := s.config(t, o)
	if err != nil {
		return nil, err
	}
	conf := s.conf()
	if err := os.WriteFile(conf, []byte(config), 0o644); err != nil {
		return nil, err
	}
	s.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "SLURM") || strings.HasPrefix(kv, "SBATCH_") || strings.HasPrefix(kv, "RUNPIN_")
	})
	s.Env = append(s.Env, "SLURM_CONF="+conf)

	key := filepath.Join(dir, "munge", "key")
	if err := os.WriteFile(key, bytes.Repeat([]byte("only for this test "), 54), 0o600); err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, "munge", name) }
	if err := s.start("munged", "--foreground", "--force", "--num-threads=2", "--key-file="+key, "--socket="+in("socket"), "--pid-file="+in("pid"),
		"--log-file="+in("log"), "--seed-file="+in("seed")); err != nil {
		return nil, err
	}
	if err := s.until(func() bool { _, err := os.Stat(in("socket")); return err == nil }); err != nil {
		return nil, err
	}
	if err := s.start("slurmctld", "-D", "-f", conf); err != nil {
		return nil, err
	}
	for i := range o.nodes {
		if err := s.start("slurmd", "-D", "-f", conf, "-N", fmt.Sprintf("node%d", i)); err != nil {
			return nil, err
		}
	}
	return s, s.until(func() bool {
		out, err := s.Command(context.Background(), "sinfo", "--noheader", "--Node", "--format=%T").Output()
		return err == nil && strings.Count(string(out), "idle") == o.nodes
	})
}

func (s *Cluster) config(t testing.TB, o options) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	host, _, _ = strings.Cut(host, ".")
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	port := func() string { return freePort(t) }
	var c strings.Builder
	lines := []string{
		"ClusterName=runpin", "SlurmctldHost=" + host + "(127.0.0.1)", "SlurmctldPort=" + port(), "SlurmUser=" + me.Username, "SlurmdUser=" + me.Username,
		// A requeued job waits for its credentials to expire: 120 s by default, 5 at least.
		"AuthType=auth/munge", "AuthInfo=socket=DIR/munge/socket,cred_expire=5",
		"ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none", "MpiDefault=none",
		"AccountingStorageType=accounting_storage/none", "SelectType=select/linear", "SchedulerParameters=batch_sched_delay=0,sched_interval=1",
		"ReturnToService=2", "SlurmdParameters=config_overrides", "KillWait=2", "MinJobAge=3600",
		"StateSaveLocation=DIR/state", "SlurmdSpoolDir=DIR/spool-%n", "SlurmctldPidFile=DIR/slurmctld.pid", "SlurmdPidFile=DIR/slurmd-%n.pid",
		"SlurmctldLogFile=DIR/log/slurmctld", "SlurmdLogFile=DIR/log/slurmd-%n",
	}
	for _, setting := range o.settings {
		name, _, _ := strings.Cut(setting, "=")
		lines = append(slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+"=") }), setting)
	}
	for _, line := range lines {
		c.WriteString(strings.ReplaceAll(line, "DIR", s.dir) + "\n")
	}
	for i := range o.nodes {
		fmt.Fprintf(&c, "NodeName=node%d NodeHostname=%s NodeAddr=127.0.0.1 Port=%s CPUs=4\n", i, host, port())
	}
	c.WriteString("PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=10 OverSubscribe=FORCE:8\n")
	return c.String(), nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (s *Cluster) start(program string, args ...string) error {
	d := &daemon{name: program, cmd: exec.Command(program, args...), log: new(launchtest.Output), exited: make(chan struct{})}
	d.cmd.Env, d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = s.Env, s.dir, d.log, d.log
	// What a daemon starts may outlive it and hold its output open: nobody waits for that.
	d.cmd.WaitDelay = time.Second
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() { d.cmd.Wait(); close(d.exited) }()
	s.procs = append(s.procs, d)
	return nil
}

// until waits for a state of the cluster; a daemon that has exited in the meantime is an error with its last words.
func (s *Cluster) until(reached func() bool) error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, d := range s.procs {
			select {
			case <-d.exited:
				return fmt.Errorf("%s exited: %s%s", d.cmd.Path, d.log, s.Logs())
			default:
			}
		}
		if reached() {
			return nil
		}
	}
	return fmt.Errorf("not ready within a minute: %s", s.Logs())
}

func (s *Cluster) Logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.dir, "log", "*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		fmt.Fprintf(&all, "\n== %s\n%s", filepath.Base(file), text[max(0, len(text)-2000):])
	}
	return all.String()
}

// stop ends the jobs and then the daemons, the last started first.
func (s *Cluster) stop() {
	if len(s.procs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.Command(ctx, "scancel", "--quiet", "--full", "--signal=KILL", "--state=RUNNING").Run()
	for _, d := range slices.Backward(s.procs) {
		d.stop()
	}
	s.procs = nil
}

func (s *Cluster) conf() string { return filepath.Join(s.dir, "slurm.conf") }

// Setenv makes this cluster the one that programs of Slurm talk to which the test starts.
func (s *Cluster) Setenv(t testing.TB) {
	t.Helper()
	t.Setenv("SLURM_CONF", s.conf())
}

// StopController stops slurmctld: jobs go on, and nobody answers for them.
func (s *Cluster) StopController(t testing.TB) {
	t.Helper()
	for i, d := range s.procs {
		if d.name == "slurmctld" {
			s.procs = slices.Delete(s.procs, i, i+1)
			d.stop()
			return
		}
	}
	t.Fatal("slurmctld does not run")
}

// StartController starts slurmctld again; it knows the jobs that it knew.
func (s *Cluster) StartController(t testing.TB) {
	t.Helper()
	if err := s.start("slurmctld", "-D", "-f", s.conf()); err != nil {
		t.Fatal(err)
	}
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(os.Interrupt)
	select {
	case <-d.exited:
	case <-time.After(5 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.exited
	}
}

// Command is a program of Slurm's that talks to this cluster.
func (s *Cluster) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = slices.Clone(s.Env)
	return cmd
}

// Sbatch submits a script from dir with some more variables, waits for its end, and gives the job's id and exit code.
func (s *Cluster) Sbatch(t testing.TB, dir string, env []string, args ...string) (job string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := s.Command(ctx, "sbatch", append([]string{"--wait", "--parsable"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil || out.Len() == 0 {
		t.Fatalf("sbatch %q: %v\n%s%s", args, err, errs.String(), s.Logs())
	}
	return strings.TrimSpace(out.String()), cmd.ProcessState.ExitCode()
}

func (s *Cluster) Scontrol(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.Command(t.Context(), "scontrol", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("scontrol %q: %v\n%s", args, err, out)
	}
	return string(out)
}
