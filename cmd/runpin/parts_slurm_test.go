package main

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
)

// slurmCluster is a real Slurm on this machine alone: munged, slurmctld and one slurmd per node, with a key, sockets, ports and
// directories of their own. Nothing of a Slurm that the machine may have is used or changed.
type slurmCluster struct {
	dir   string
	env   []string // what sbatch, srun and scontrol need
	procs []*slurmDaemon
}

type slurmDaemon struct {
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan struct{}
}

// startSlurm starts a cluster of that many nodes with four processors each, and stops it when the test ends.
func startSlurm(t testing.TB, nodes int) *slurmCluster {
	t.Helper()
	requirePart(t, "munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
	var err error
	for range 3 { // Another process may take a port between our look and the start.
		var s *slurmCluster
		if s, err = trySlurm(t, nodes); err == nil {
			return s
		}
	}
	t.Fatalf("slurm did not start: %v", err)
	return nil
}

func trySlurm(t testing.TB, nodes int) (s *slurmCluster, err error) {
	// munged's socket has a path of at most 107 bytes, and t.TempDir has the test's name in it.
	dir, err := os.MkdirTemp("", "slurm")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s = &slurmCluster{dir: dir}
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
	config, err := s.config(t, nodes)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "slurm.conf")
	if err := os.WriteFile(conf, []byte(config), 0o644); err != nil {
		return nil, err
	}
	s.env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "SLURM") || strings.HasPrefix(kv, "SBATCH_") || strings.HasPrefix(kv, "RUNPIN_")
	})
	s.env = append(s.env, "SLURM_CONF="+conf)

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
	for i := range nodes {
		if err := s.start("slurmd", "-D", "-f", conf, "-N", fmt.Sprintf("node%d", i)); err != nil {
			return nil, err
		}
	}
	return s, s.until(func() bool {
		out, err := s.command(context.Background(), "sinfo", "--noheader", "--Node", "--format=%T").Output()
		return err == nil && strings.Count(string(out), "idle") == nodes
	})
}

func (s *slurmCluster) config(t testing.TB, nodes int) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	host, _, _ = strings.Cut(host, ".")
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	port := func() string { _, p, _ := net.SplitHostPort(freePort(t)); return p }
	var c strings.Builder
	for _, line := range []string{
		"ClusterName=runpin", "SlurmctldHost=" + host + "(127.0.0.1)", "SlurmctldPort=" + port(), "SlurmUser=" + me.Username, "SlurmdUser=" + me.Username,
		// A requeued job waits for its credentials to expire: 120 s by default, 5 at least.
		"AuthType=auth/munge", "AuthInfo=socket=DIR/munge/socket,cred_expire=5",
		"ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none", "MpiDefault=none",
		"AccountingStorageType=accounting_storage/none", "SelectType=select/linear", "SchedulerParameters=batch_sched_delay=0,sched_interval=1",
		"ReturnToService=2", "SlurmdParameters=config_overrides", "KillWait=2", "MinJobAge=3600",
		"StateSaveLocation=DIR/state", "SlurmdSpoolDir=DIR/spool-%n", "SlurmctldPidFile=DIR/slurmctld.pid", "SlurmdPidFile=DIR/slurmd-%n.pid",
		"SlurmctldLogFile=DIR/log/slurmctld", "SlurmdLogFile=DIR/log/slurmd-%n",
	} {
		c.WriteString(strings.ReplaceAll(line, "DIR", s.dir) + "\n")
	}
	for i := range nodes {
		fmt.Fprintf(&c, "NodeName=node%d NodeHostname=%s NodeAddr=127.0.0.1 Port=%s CPUs=4\n", i, host, port())
	}
	c.WriteString("PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=10 OverSubscribe=FORCE:8\n")
	return c.String(), nil
}

func (s *slurmCluster) start(program string, args ...string) error {
	d := &slurmDaemon{cmd: exec.Command(program, args...), log: new(lockedBuffer), exited: make(chan struct{})}
	d.cmd.Env, d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = s.env, s.dir, d.log, d.log
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
func (s *slurmCluster) until(reached func() bool) error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, d := range s.procs {
			select {
			case <-d.exited:
				return fmt.Errorf("%s exited: %s%s", d.cmd.Path, d.log, s.logs())
			default:
			}
		}
		if reached() {
			return nil
		}
	}
	return fmt.Errorf("not ready within a minute: %s", s.logs())
}

func (s *slurmCluster) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.dir, "log", "*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		fmt.Fprintf(&all, "\n== %s\n%s", filepath.Base(file), text[max(0, len(text)-2000):])
	}
	return all.String()
}

// stop ends the jobs and then the daemons, the last started first.
func (s *slurmCluster) stop() {
	if len(s.procs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.command(ctx, "scancel", "--quiet", "--full", "--signal=KILL", "--state=RUNNING").Run()
	for _, d := range slices.Backward(s.procs) {
		_ = d.cmd.Process.Signal(os.Interrupt)
		select {
		case <-d.exited:
		case <-time.After(5 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.exited
		}
	}
	s.procs = nil
}

// command is a program of Slurm's that talks to this cluster.
func (s *slurmCluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = slices.Clone(s.env)
	return cmd
}

// sbatch submits a script from dir with some more variables, waits for its end, and gives the job's id and exit code.
func (s *slurmCluster) sbatch(t testing.TB, dir string, env []string, args ...string) (job string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := s.command(ctx, "sbatch", append([]string{"--wait", "--parsable"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil || out.Len() == 0 {
		t.Fatalf("sbatch %q: %v\n%s%s", args, err, errs.String(), s.logs())
	}
	return strings.TrimSpace(out.String()), cmd.ProcessState.ExitCode()
}

func (s *slurmCluster) scontrol(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.command(t.Context(), "scontrol", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("scontrol %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestPartsSlurm(t *testing.T) {
	s := startSlurm(t, 2)
	dir := t.TempDir()
	script := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	lines := func(file string) []string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		all = slices.DeleteFunc(all, func(line string) bool { return strings.HasPrefix(line, "slurmstepd") }) // that the job was requeued
		slices.Sort(all)
		return all
	}
	equal := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}

	// Several tasks on several nodes; the batch script's exit code is sbatch's.
	job, code := s.sbatch(t, dir, []string{"GREETING=hello"}, "--nodes=2", "--ntasks=4", "--output=tasks.txt",
		script("tasks.sh", `srun sh -c 'echo $GREETING $SLURM_PROCID on $SLURMD_NODENAME'; exit 7`))
	equal("tasks", lines("tasks.txt"), "hello 0 on node0", "hello 1 on node0", "hello 2 on node1", "hello 3 on node1")
	if said := s.scontrol(t, "show", "job", job, "--oneliner"); code != 7 || !strings.Contains(said, "JobState=FAILED") || !strings.Contains(said, "ExitCode=7:0") {
		t.Errorf("exit code %d, want 7; %s", code, said)
	}

	// An array is as many jobs.
	if _, code = s.sbatch(t, dir, nil, "--array=0-2", "--output=array-%a.txt", script("array.sh", `echo $SLURM_ARRAY_TASK_ID; exit $SLURM_ARRAY_TASK_ID`)); code != 2 {
		t.Errorf("array: exit code %d, want the highest, 2", code)
	}
	for i := range 3 {
		equal("member", lines(fmt.Sprintf("array-%d.txt", i)), fmt.Sprint(i))
	}

	// A requeued job starts again from the top, under the same id, and counts.
	job, code = s.sbatch(t, dir, nil, "--requeue", "--open-mode=append", "--output=requeue.txt",
		script("requeue.sh", `echo "restart ${SLURM_RESTART_COUNT:-none}"; [ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue $SLURM_JOB_ID; sleep 60; }`))
	said := slices.DeleteFunc(lines("requeue.txt"), func(line string) bool { return !strings.HasPrefix(line, "restart ") }) // the shell may tell that it was terminated
	equal("requeued", said, "restart 1", "restart none")
	if shown := s.scontrol(t, "show", "job", job, "--oneliner"); code != 0 || !strings.Contains(shown, "Restarts=1") {
		t.Errorf("requeued: exit code %d; %s", code, shown)
	}
}
