package slurm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// task is a job, or a task of an array, as Slurm tells it.
type task struct {
	id       string // 12, or 12_3
	raw      string // the number that Slurm counts it under
	state    string
	code     int
	signal   int
	restarts int
	reason   string
	node     string // that runs the script
}

// several reports the tasks of an array that have not been split off: 12_[4-9]. They wait, or were cancelled together.
func (t task) several() bool { return strings.Contains(t.id, "_[") }

// ended reports whether the state is a last one. COMPLETING hides which one it will be.
func (t task) ended() bool {
	switch t.state {
	case "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "REVOKED":
		return true
	}
	return false
}

// begun reports whether it may have printed something.
func (t task) begun() bool { return t.node != "" && t.state != "PENDING" && t.state != "CONFIGURING" }

// errForgotten says that Slurm knows no such job, or does not any more.
var errForgotten = errors.New("the job is not known to Slurm any more")

// The columns that squeue is asked for: first what users have no say in, in fixed widths, because a job's name and its paths may hold anything.
const columns = "JobArrayID:40,JobID:14,State:24,exit_code:14,RestartCnt:8,BatchHost:100,Reason:100"

var widths = []int{40, 14, 24, 14, 8, 100, 100}

// tasks asks for a job and all tasks of an array. Its error is errForgotten, or says why Slurm could not be asked.
func (l *Launcher) tasks(ctx context.Context, id string) ([]task, error) {
	out, err := l.ask(ctx, patience, "squeue", "--noheader", "--states=all", "--jobs="+id, "--Format="+columns)
	switch {
	case err != nil && strings.Contains(err.Error(), "Invalid job id"), err == nil && strings.TrimSpace(out) == "":
		return l.accounted(ctx, id)
	case err != nil:
		return nil, err
	}
	var all []task
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		var cells []string
		for _, w := range widths {
			n := min(w, len(line))
			cells, line = append(cells, strings.TrimSpace(line[:n])), line[n:]
		}
		t := task{id: cells[0], raw: cells[1], state: cells[2], restarts: number(cells[4]), node: nodeName(cells[5]), reason: oneWord(cells[6])}
		if base, _, _ := strings.Cut(t.id, "_"); base != id || !jobID.MatchString(t.raw) || !stateName(t.state) {
			return nil, fmt.Errorf("squeue says of job %s what runpin cannot read: %q", id, schema.Shorten(plain(strings.Join(cells, " ")), 100))
		}
		t.code, t.signal = ending(cells[3])
		all = append(all, t)
	}
	return all, nil
}

// accounted asks the accounts for a job that slurmctld has forgotten.
func (l *Launcher) accounted(ctx context.Context, id string) ([]task, error) {
	out, err := l.ask(ctx, patience, "sacct", "--jobs="+id, "--parsable2", "--noheader", "--format=JobID,JobIDRaw,State,ExitCode")
	if err != nil {
		var missing *schema.Error
		if errors.As(err, &missing) || strings.Contains(err.Error(), "accounting storage is disabled") {
			return nil, errForgotten
		}
		return nil, err
	}
	var all []task
	for line := range strings.Lines(out) {
		cells := strings.Split(strings.TrimRight(line, "\r\n"), "|")
		if len(cells) != 4 {
			return nil, fmt.Errorf("sacct says of job %s what runpin cannot read: %q", id, schema.Shorten(plain(line), 100))
		}
		if base, _, _ := strings.Cut(cells[0], "_"); base != id { // a step, 12.batch, which is not the end of its job
			continue
		}
		t := task{id: cells[0], raw: cells[1], state: cells[2]}
		t.state, _, _ = strings.Cut(t.state, " ") // CANCELLED by 1000
		if !stateName(t.state) || strings.Contains(t.id, ".") {
			continue
		}
		code, signal, _ := strings.Cut(cells[3], ":")
		t.code, t.signal = number(code), number(signal)
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, errForgotten
	}
	return all, nil
}

// ending reads an exit code as squeue prints it: a status as wait(2) gives it, or code:signal.
func ending(s string) (code, signal int) {
	if c, sig, ok := strings.Cut(s, ":"); ok {
		return number(c), number(sig)
	}
	status := number(s)
	return status >> 8 & 0xff, status & 0x7f
}

func number(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

func stateName(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// oneWord gives the word that a reason begins with.
func oneWord(s string) string {
	s = strings.TrimLeft(s, "(")
	if n := strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}); n >= 0 {
		s = s[:n]
	}
	return s
}

func nodeName(s string) string {
	if s == "n/a" || !plainName.MatchString(s) {
		return ""
	}
	return s
}

// exit gives how a task ended as a shell would say it. A state other than COMPLETED is never a success: TIMEOUT and CANCELLED leave the code of a script that had none.
func (t task) exit() launch.Exit {
	switch {
	case t.state == "OUT_OF_MEMORY": // the kernel's way; Slurm's own is code 125, or signal 125, which is none
		return launch.Exit{Code: 137, Signal: "SIGKILL"}
	case t.noOutput():
		return launch.Exit{Code: launch.CodeLauncher}
	case t.signal > 0 && t.signal < 65:
		return launch.Exit{Code: 128 + t.signal, Signal: signalName(t.signal)}
	case t.code > 0:
		return launch.Exit{Code: min(t.code, 255)}
	case t.state != "COMPLETED":
		return launch.Exit{Code: 1}
	}
	return launch.Exit{}
}

// noOutput reports Slurm's way of saying that the node could not open the job's output file: a number of its own (4021) in the place of an exit code.
func (t task) noOutput() bool { return t.state == "FAILED" && t.signal == 53 }

// why says in a few words what a code does not.
func (t task) why() string {
	said := t.state
	if t.reason != "" && t.reason != "None" && t.state != "FAILED" { // of a script that failed it only says so
		said += " (" + t.reason + ")"
	}
	if t.noOutput() {
		said += ": the node could not open its output file, so nothing ran; the directory must be on a file system that " + nodeOr(t.node) + " shares"
	}
	return said
}

func nodeOr(node string) string {
	if node == "" {
		return "the node"
	}
	return "node " + node
}

// outcome sums up: the highest exit code counts, and the first task that has it.
func outcome(id string, all map[string]task) launch.Outcome {
	var o launch.Outcome
	var failed []string
	worst := -1
	for _, key := range slices.SortedFunc(maps.Keys(all), byTask) {
		t := all[key]
		exit := t.exit()
		if exit.Code > worst {
			worst, o.Exit = exit.Code, exit
		}
		if t.state != "COMPLETED" {
			failed = append(failed, "job "+t.id+": "+t.why())
		}
	}
	switch {
	case len(failed) > 0 && len(all) > 1:
		more := ""
		if len(failed) > 5 {
			more = fmt.Sprintf(", and %d more", len(failed)-5)
		}
		o.Why = fmt.Sprintf("%d of the %d tasks of job %s did not succeed: %s%s", len(failed), len(all), id, strings.Join(failed[:min(5, len(failed))], ", "), more)
	case len(failed) > 0:
		o.Why = failed[0]
	}
	return o
}

// byTask sorts 12_2 before 12_10.
func byTask(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
