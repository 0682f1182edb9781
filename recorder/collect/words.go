package collect

import (
	"strings"

	"github.com/runpin/runpin/schema"
)

// words are what runtimes call a status, in lower case. A word that several use means the same in each.
var words = map[string]schema.Status{
	// runpin's own
	"planned": schema.Planned, "running": schema.Running, "succeeded": schema.Succeeded, "failed": schema.Failed,

	// Kubernetes: phases of a pod, conditions of Job, JobSet and the Kubeflow jobs. Running, Succeeded and Failed are above.
	"pending": schema.Planned, "created": schema.Planned, "suspended": schema.Planned,
	"restarting": schema.Running, "terminating": schema.Running,
	"complete": schema.Succeeded, "completed": schema.Succeeded, "successcriteriamet": schema.Succeeded,
	"failuretarget": schema.Failed, "evicted": schema.Failed,

	// Argo: a node that was skipped or omitted did not run, so it stays what it was.
	"error": schema.Failed, "skipped": schema.Planned, "omitted": schema.Planned, "daemoned": schema.Running,

	// Slurm (sacct and scontrol, JOB STATE CODES). A suspended job holds its nodes; Kubernetes' suspended job has no pod: see [SlurmStatus].
	"configuring": schema.Planned, "requeued": schema.Planned, "requeue_hold": schema.Planned, "requeue_fed": schema.Planned, "special_exit": schema.Planned,
	"resv_del_hold": schema.Planned,
	"completing":    schema.Running, "resizing": schema.Running, "signaling": schema.Running, "stage_out": schema.Running, "stopped": schema.Running,
	"boot_fail": schema.Failed, "cancelled": schema.Failed, "deadline": schema.Failed, "launch_failed": schema.Failed, "node_fail": schema.Failed,
	"out_of_memory": schema.Failed, "preempted": schema.Failed, "reconfig_fail": schema.Failed, "revoked": schema.Failed, "timeout": schema.Failed,

	// Slurm's short forms, as squeue prints them
	"bf": schema.Failed, "ca": schema.Failed, "cd": schema.Succeeded, "cf": schema.Planned, "cg": schema.Running, "dl": schema.Failed, "f": schema.Failed,
	"nf": schema.Failed, "oom": schema.Failed, "pd": schema.Planned, "pr": schema.Failed, "r": schema.Running, "rq": schema.Planned, "to": schema.Failed,
}

// StatusOf gives the status that a runtime's word stands for, in any case: "Succeeded" of a pod or of an Argo workflow, "CANCELLED by 1000" of Slurm. Nothing is
// guessed: ok is false for a word that is in no table.
func StatusOf(word string) (status schema.Status, ok bool) {
	status, ok = words[firstWord(word)]
	return status, ok
}

// SlurmStatus is [StatusOf] for Slurm, where a suspended job has started.
func SlurmStatus(word string) (schema.Status, bool) {
	if w := firstWord(word); w == "suspended" || w == "s" {
		return schema.Running, true
	}
	return StatusOf(word)
}

// firstWord cuts "CANCELLED by 1000" and "CANCELLED+" to "cancelled".
func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return strings.ToLower(strings.TrimSuffix(word, "+"))
}
