package process

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Seat is where a process stands in a job of many: its rank, and which try of the job it is part of. Rank is nil where nothing says it: the process then
// speaks for the run as a whole.
type Seat struct {
	Rank      *int
	Attempt   int    // from 1; 0 where nobody counts the tries of the whole job
	AttemptID string // "4711.0" (Slurm job and restarts), "4711.0.2" (and the step), "train-2-xk4fz" (pod)
	// Owner says that outputs and metrics which are not marked with a rank are this process's to report: rank 0, of each array task.
	Owner   bool
	Node    string // as the scheduler calls it; "" where it does not say
	Reasons []schema.Reason
}

// rankVariables are searched in order: what stands nearest to the process wins. torchrun and mpirun run below srun or in a pod, whose own variables they
// leave in place, so theirs come first; numbers of whole nodes come last, for they are the same for all processes of a node. With torchrun inside the
// joined command there is one join for each node, and RANK is not set yet: NODE_RANK, SLURM_PROCID or JOB_COMPLETION_INDEX number the nodes.
// (Kubeflow's PyTorchJob sets RANK to the number of the pod, which is then the rank of the one join in it.)
var rankVariables = []struct {
	name  string
	sizes []string // variables that hold the number of ranks of this kind
}{
	{"RANK", []string{"WORLD_SIZE"}},
	{"OMPI_COMM_WORLD_RANK", []string{"OMPI_COMM_WORLD_SIZE"}},
	{"PMIX_RANK", []string{"PMIX_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}},
	{"PMI_RANK", []string{"PMI_SIZE"}},
	{"SLURM_PROCID", []string{"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"}},
	{"JOB_COMPLETION_INDEX", nil},
	{"NODE_RANK", []string{"NNODES", "NUM_NODES"}},
	{"PET_NODE_RANK", []string{"PET_NNODES"}},
	{"GROUP_RANK", []string{"GROUP_WORLD_SIZE"}},
	{"SLURM_NODEID", []string{"SLURM_STEP_NUM_NODES", "SLURM_JOB_NUM_NODES", "SLURM_NNODES"}},
}

// SeatOf reads the seat from an environment. sharedArray says that all tasks of a Slurm array report to one run: each then has ranks of its own, so that
// none takes another's place. A malformed rank is no rank, with a reason: the next variable could number something else than the other ranks are numbered by.
func SeatOf(environ []string, sharedArray bool) Seat {
	vars := lookup(environ)
	var s Seat
	size := 0
	for _, v := range rankVariables {
		text, set := vars[v.name]
		if !set || text == "" {
			continue
		}
		n, ok := smallNumber(text)
		if !ok {
			s.because("rank-malformed", v.name, "%q is not the number of a rank", schema.Shorten(text, 40))
			break
		}
		s.Rank = &n
		for _, name := range v.sizes {
			if size, _ = smallNumber(vars[name]); size > 0 {
				break
			}
		}
		break
	}
	s.Owner = s.Rank == nil || *s.Rank == 0
	if sharedArray {
		s.spread(vars, size)
	}
	s.readAttempt(vars)
	if sharedArray && vars["SLURM_ARRAY_TASK_ID"] != "" {
		s.Attempt = 0 // Slurm counts the restarts of each task, not those of the run
	}
	for _, name := range []string{"SLURMD_NODENAME", "NODE_NAME"} {
		if s.Node == "" {
			s.Node = identifier(vars[name])
		}
	}
	return s
}

// spread gives the tasks of an array that share a run the ranks index × size + rank.
func (s *Seat) spread(vars map[string]string, size int) {
	task, ok := smallNumber(vars["SLURM_ARRAY_TASK_ID"])
	if !ok || len(s.Reasons) > 0 {
		return
	}
	first, _ := smallNumber(vars["SLURM_ARRAY_TASK_MIN"])
	step, _ := smallNumber(vars["SLURM_ARRAY_TASK_STEP"])
	index := task
	if task >= first {
		index = task - first
	}
	if step > 1 && index%step == 0 {
		index /= step
	}
	rank := 0
	if s.Rank != nil {
		rank = *s.Rank
	}
	if size == 0 {
		size = 1
	}
	if rank >= size || index > (math.MaxInt32-rank)/size {
		s.because("rank-of-array", "SLURM_ARRAY_TASK_ID", "rank %d of %d does not say how many ranks each task of the array has", rank, size)
		return
	}
	rank += index * size
	s.Rank = &rank
}

// readAttempt: Slurm counts the restarts of a job, which concern all its ranks; steps that follow each other in it are told apart by their number. A pod that is made anew has another name and nobody's number; torchrun's
// count of restarts is each agent's own, so it tells tries apart and orders nothing.
func (s *Seat) readAttempt(vars map[string]string) {
	switch {
	case vars["SLURM_JOB_ID"] != "":
		job := vars["SLURM_JOB_ID"]
		if vars["SLURM_ARRAY_JOB_ID"] != "" && vars["SLURM_ARRAY_TASK_ID"] != "" {
			job = vars["SLURM_ARRAY_JOB_ID"] + "_" + vars["SLURM_ARRAY_TASK_ID"]
		}
		count, ok := 0, true
		if text := vars["SLURM_RESTART_COUNT"]; text != "" {
			if count, ok = smallNumber(text); !ok {
				s.because("attempt-malformed", "SLURM_RESTART_COUNT", "%q is not a number of restarts", schema.Shorten(text, 40))
				s.AttemptID = identifier(job)
				break
			}
		}
		s.Attempt, s.AttemptID = count+1, identifier(job)+"."+strconv.Itoa(count)
		if step, ok := smallNumber(vars["SLURM_STEP_ID"]); ok {
			s.AttemptID += "." + strconv.Itoa(step)
		}
	case vars["POD_NAME"] != "":
		s.AttemptID = identifier(vars["POD_NAME"])
	case vars["KUBERNETES_SERVICE_HOST"] != "" && vars["HOSTNAME"] != "":
		s.AttemptID = identifier(vars["HOSTNAME"])
	}
	if n, ok := smallNumber(vars["TORCHELASTIC_RESTART_COUNT"]); ok && n > 0 && vars["RANK"] != "" {
		s.AttemptID = strings.TrimPrefix(s.AttemptID+"+"+strconv.Itoa(n), "+")
	}
}

func (s *Seat) because(code, variable, format string, args ...any) {
	s.Reasons = append(s.Reasons, schema.Reason{Code: code, Subject: schema.Text(variable), Text: variable + ": " + fmt.Sprintf(format, args...)})
}

// String is how people are told of it: "rank 3, try 2 (4711.1)".
func (s Seat) String() string {
	var parts []string
	if s.Rank != nil {
		parts = append(parts, "rank "+strconv.Itoa(*s.Rank))
	}
	if s.Attempt > 1 {
		parts = append(parts, "try "+strconv.Itoa(s.Attempt))
	}
	return strings.Join(parts, ", ")
}

// lookup takes the last of equal names, as a program that is started does.
func lookup(environ []string) map[string]string {
	vars := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

func smallNumber(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil
}

// identifier bounds a name that others gave and drops what no job or pod name has.
func identifier(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return -1
	}, schema.Shorten(text, 253))
}
