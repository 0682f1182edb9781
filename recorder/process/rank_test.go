package process

import (
	"strings"
	"testing"
)

func TestSeatOf(t *testing.T) {
	for _, c := range []struct {
		name    string
		environ string
		array   bool
		rank    int // -1 for none
		attempt int
		id      string
		owner   bool
		reason  string
	}{
		{name: "nothing", rank: -1, owner: true},
		{name: "torchrun", environ: "RANK=3 WORLD_SIZE=8 LOCAL_RANK=3 GROUP_RANK=0 SLURM_PROCID=0 SLURM_JOB_ID=7", rank: 3, attempt: 1, id: "7.0"},
		{name: "torchrun inside, one join for each node of Slurm", environ: "SLURM_PROCID=2 SLURM_NODEID=2 SLURM_JOB_ID=7 MASTER_ADDR=n0", rank: 2, attempt: 1, id: "7.0"},
		{name: "torchrun inside, nodes numbered by hand", environ: "NODE_RANK=1 NNODES=2", rank: 1},
		{name: "PyTorchJob", environ: "RANK=0 WORLD_SIZE=2 PET_NODE_RANK=0 KUBERNETES_SERVICE_HOST=10.0.0.1 HOSTNAME=train-master-0", rank: 0, id: "train-master-0", owner: true},
		{name: "indexed job", environ: "JOB_COMPLETION_INDEX=5 POD_NAME=train-5-xk4fz HOSTNAME=train-5 KUBERNETES_SERVICE_HOST=10.0.0.1", rank: 5, id: "train-5-xk4fz"},
		{name: "eight tasks of a node that has a number", environ: "NODE_RANK=1 SLURM_PROCID=9 SLURM_JOB_ID=7", rank: 9, attempt: 1, id: "7.0"},
		{name: "mpirun in a batch script", environ: "SLURM_PROCID=0 SLURM_JOB_ID=7 OMPI_COMM_WORLD_RANK=4 PMIX_RANK=4", rank: 4, attempt: 1, id: "7.0"},
		{name: "MPICH", environ: "PMI_RANK=2 PMI_SIZE=4", rank: 2},
		{name: "requeued", environ: "SLURM_PROCID=1 SLURM_JOB_ID=7 SLURM_RESTART_COUNT=2", rank: 1, attempt: 3, id: "7.2"},
		{name: "restarted by torchrun", environ: "RANK=1 WORLD_SIZE=2 TORCHELASTIC_RESTART_COUNT=2 POD_NAME=p", rank: 1, id: "p+2"},
		{name: "torchrun's first try", environ: "RANK=1 WORLD_SIZE=2 TORCHELASTIC_RESTART_COUNT=0 POD_NAME=p", rank: 1, id: "p"},
		{name: "array with a run for each task", environ: "SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=3 SLURM_JOB_ID=43 SLURM_PROCID=0 SLURM_NTASKS=1", rank: 0, attempt: 1, id: "40_3.0", owner: true},
		{name: "array that shares a run", array: true, environ: "SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=2 SLURM_JOB_ID=43 SLURM_PROCID=1 SLURM_NTASKS=2",
			rank: 5, id: "40_5.0"},
		{name: "a task that is requeued does not end the others' tries", array: true, environ: "SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=5 SLURM_JOB_ID=43 SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_RESTART_COUNT=1",
			rank: 0, id: "40_5.1", owner: true},
		{name: "no array", array: true, environ: "SLURM_JOB_ID=43 SLURM_PROCID=0 SLURM_RESTART_COUNT=1", rank: 0, attempt: 2, id: "43.1", owner: true},
		{name: "a step of srun", environ: "SLURM_JOB_ID=7 SLURM_STEP_ID=3 SLURM_PROCID=1", rank: 1, attempt: 1, id: "7.0.3"},
		{name: "the batch step has a number that none has", environ: "SLURM_JOB_ID=7 SLURM_STEP_ID=4294967291 SLURM_PROCID=0", rank: 0, attempt: 1, id: "7.0", owner: true},
		{name: "first rank of a later task", array: true, environ: "SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=1 SLURM_JOB_ID=43 SLURM_PROCID=0 SLURM_NTASKS=2", rank: 2,
			id: "40_2.0", owner: true},
		{name: "array of ranks whose number is not known", array: true, environ: "SLURM_ARRAY_TASK_ID=2 RANK=1", rank: 1, reason: "rank-of-array"},
		{name: "malformed", environ: "RANK=${OMPI_RANK} SLURM_PROCID=2", rank: -1, owner: true, reason: "rank-malformed"},
		{name: "negative", environ: "RANK=-1", rank: -1, owner: true, reason: "rank-malformed"},
		{name: "too large", environ: "RANK=99999999999", rank: -1, owner: true, reason: "rank-malformed"},
		{name: "empty is not set", environ: "RANK= SLURM_PROCID=2", rank: 2},
		{name: "the last of two", environ: "RANK=1 RANK=2", rank: 2},
		{name: "restarts malformed", environ: "SLURM_JOB_ID=7 SLURM_RESTART_COUNT=x", rank: -1, id: "7", owner: true, reason: "attempt-malformed"},
		{name: "a hostile pod name", environ: "POD_NAME=a;$(b)/../c", rank: -1, id: "ab..c", owner: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := SeatOf(strings.Fields(c.environ), c.array)
			rank := -1
			if s.Rank != nil {
				rank = *s.Rank
			}
			reason := ""
			if len(s.Reasons) > 0 {
				reason = s.Reasons[0].Code
			}
			if rank != c.rank || s.Attempt != c.attempt || s.AttemptID != c.id || s.Owner != c.owner || reason != c.reason {
				t.Errorf("got rank %d, attempt %d %q, owner %v, reason %q; want %d, %d %q, %v, %q", rank, s.Attempt, s.AttemptID, s.Owner, reason, c.rank, c.attempt, c.id, c.owner, c.reason)
			}
		})
	}
}

// Whatever tasks an array has, no two of its processes have one rank.
func TestTasksOfAnArrayDoNotShareRanks(t *testing.T) {
	seen := map[int]string{}
	for _, task := range []string{"4", "7", "10"} {
		for _, proc := range []string{"0", "1", "2"} {
			s := SeatOf([]string{"SLURM_ARRAY_TASK_ID=" + task, "SLURM_ARRAY_TASK_MIN=4", "SLURM_ARRAY_TASK_STEP=3", "SLURM_PROCID=" + proc, "SLURM_NTASKS=3"}, true)
			if s.Rank == nil {
				t.Fatalf("task %s process %s has no rank", task, proc)
			}
			if other, taken := seen[*s.Rank]; taken {
				t.Errorf("rank %d is both %s's and %s.%s's", *s.Rank, other, task, proc)
			}
			seen[*s.Rank] = task + "." + proc
		}
	}
}

func FuzzSeatOf(f *testing.F) {
	f.Add("RANK=1\nSLURM_ARRAY_TASK_ID=3\nSLURM_NTASKS=2", true)
	f.Add("SLURM_JOB_ID=\xff\nSLURM_RESTART_COUNT=99999999999999999999", false)
	f.Fuzz(func(t *testing.T, environ string, array bool) {
		s := SeatOf(strings.Split(environ, "\n"), array)
		if s.Rank != nil && *s.Rank < 0 || s.Attempt < 0 || len(s.AttemptID) > 600 {
			t.Errorf("%+v", s)
		}
	})
}
