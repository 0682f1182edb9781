package slurm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runpin/runpin/recorder/collect"
	"github.com/runpin/runpin/schema"
)

// job is one try of a job, or of a task of an array, as Slurm tells it.
type job struct {
	id       string // 12, or 12_3 for a task of an array
	state    string
	code     int
	signal   int
	submit   schema.Time
	start    schema.Time
	end      schema.Time
	nodes    string
	reason   string
	restarts int
	counted  bool // restarts was told, and not only found by counting
}

// MaxFileBytes and maxJobs bound what is read of Slurm's output.
const (
	MaxFileBytes = 16 << 20
	maxJobs      = 100_000
)

// ReadJobs reads the output of sacct --parsable2 (with a header, or the columns of [SacctFormat]) or of scontrol show job, and gives the tries of the jobs in it.
// Times without a zone are of the machine that reads them. Errors are of kind Invalid.
func ReadJobs(r io.Reader, name string) ([]collect.Try, error) {
	fail := func(err error) ([]collect.Try, error) {
		return nil, &schema.Error{Op: "collect.slurm", Kind: schema.Invalid, Subject: name, Err: err,
			Hint: "give what `SLURM_TIME_FORMAT=%s sacct -j JOBID --duplicates --parsable2 --format=" + SacctFormat + "` or `scontrol show job -o JOBID` prints"}
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return fail(err)
	}
	if len(data) > MaxFileBytes {
		return fail(fmt.Errorf("it has more than %d MiB", MaxFileBytes>>20))
	}
	parse := parseSacct
	if bytes.Contains(data, []byte("JobId=")) && bytes.Contains(data, []byte("JobState=")) {
		parse = parseScontrol
	}
	jobs, err := parse(string(data))
	if err != nil {
		return fail(err)
	}
	if len(jobs) == 0 {
		return fail(errors.New("there is no job in it"))
	}
	return tries(jobs), nil
}

func tries(jobs []job) []collect.Try {
	slices.SortStableFunc(jobs, func(a, b job) int {
		return cmp.Or(cmp.Compare(a.id, b.id), compare(a.submit, b.submit), compare(a.start, b.start))
	})
	seen := map[string]int{}
	single := len(slices.CompactFunc(slices.Clone(jobs), func(a, b job) bool { return a.id == b.id })) == 1
	var all []collect.Try
	for _, j := range jobs {
		n := seen[j.id]
		seen[j.id]++
		if j.counted {
			n = max(n, j.restarts)
		}
		t := collect.Try{Member: "job:" + j.id, Name: fmt.Sprintf("%s.%d", j.id, n), Number: n + 1, Created: j.submit, Started: j.start}
		if single {
			t.Counted = n + 1
		}
		t.Node = firstNode(j.nodes)
		t.Status, _ = collect.SlurmStatus(j.state)
		if t.Status.Ended() {
			t.Finished = j.end
			t.ExitCode, t.Signal = collect.Ended(j.code, j.signal)
		}
		state, _, _ := strings.Cut(j.state, " ")
		if t.Status == schema.Failed {
			t.Reason = collect.PlainWord(state)
			if *t.ExitCode == 0 { // TIMEOUT and CANCELLED leave the code of the script, which may be none
				t.ExitCode = nil
			}
			t.Why = fmt.Sprintf("job %s: %s", j.id, t.Reason)
			if why := collect.PlainWord(j.reason); why != "" && why != "None" {
				t.Why += " (" + why + ")"
			}
		}
		if state == "REQUEUED" || state == "PREEMPTED" && seen[j.id] < count(jobs, j.id) {
			t.Status, t.Past, t.Reason = schema.Failed, true, collect.PlainWord(state)
		}
		if nodes := Nodes(j.nodes); len(nodes) > 1 {
			t.Reasons = append(t.Reasons, schema.Reason{Code: "nodes", Subject: schema.Text(t.Name), Text: "it ran on " + strings.Join(nodes, " ")})
		}
		all = append(all, t)
	}
	return all
}

func count(jobs []job, id string) int {
	n := 0
	for _, j := range jobs {
		if j.id == id {
			n++
		}
	}
	return n
}

func compare(a, b schema.Time) int {
	switch {
	case a.Before(b):
		return -1
	case b.Before(a):
		return 1
	}
	return 0
}

func firstNode(list string) string {
	if nodes := Nodes(list); len(nodes) > 0 {
		return nodes[0]
	}
	return ""
}

var jobID = regexp.MustCompile(`^[0-9]{1,12}(_[0-9]{1,9})?(\+[0-9]{1,6})?$`)

// JobID reports whether s can be the id of a job, or of a task of an array.
func JobID(s string) bool { return jobID.MatchString(s) }

// moment reads seconds since 1970, or ISO time in the zone of this machine. What has no time (Unknown, None, N/A) is absent.
func moment(s string) schema.Time {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n <= 0 || n > 253402300799 {
			return schema.Time{}
		}
		return schema.At(time.Unix(n, 0))
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04:05", s, time.Local); err == nil && t.Year() > 1970 && t.Year() < 9999 {
		return schema.At(t)
	}
	return schema.Time{}
}

func exit(s string) (code, signal int) {
	c, sig, _ := strings.Cut(s, ":")
	code, _ = strconv.Atoi(c)
	signal, _ = strconv.Atoi(sig)
	return min(max(code, 0), 255), min(max(signal, 0), 64)
}
