package kubernetes

import (
	"strconv"
	"strings"
)

// indexLabels are where controllers say which of its pods one is, as annotation or label: Job, JobSet (over all its jobs), LeaderWorkerSet.
var indexLabels = []string{
	"batch.kubernetes.io/job-completion-index", "jobset.sigs.k8s.io/job-global-index", "leaderworkerset.sigs.k8s.io/worker-index",
}

// leads reports whether the job has a replica that is rank 0 before its workers.
func leads(pods []Pod) bool {
	for i := range pods {
		if leading(pods[i].replicaType()) {
			return true
		}
	}
	return false
}

func leading(replicaType string) bool {
	switch strings.ToLower(replicaType) {
	case "master", "chief", "launcher":
		return true
	}
	return false
}

// rank gives the rank of a pod: what its containers are told (RANK, NODE_RANK), else the index that its controller gave it. A pod of a Kubeflow job is ranked as its
// operator does: the master is 0 and the workers follow.
func (p *Pod) rank(lead bool) *int {
	for _, name := range []string{"RANK", "NODE_RANK"} {
		for _, c := range p.Spec.Containers {
			for _, e := range c.Env {
				if e.Name == name {
					if n := index(e.Value); n != nil {
						return n
					}
				}
			}
		}
	}
	for _, label := range indexLabels {
		for _, from := range []map[string]string{p.Metadata.Annotations, p.Metadata.Labels} {
			if n := index(from[label]); n != nil {
				return n
			}
		}
	}
	n := index(p.Metadata.Labels["training.kubeflow.org/replica-index"])
	switch t := strings.ToLower(p.replicaType()); {
	case n == nil || leading(t):
		return n
	case t != "worker":
		return nil
	case lead:
		*n++
	}
	return n
}

// maxRank bounds what is taken for a rank.
const maxRank = 1_000_000

func index(s string) *int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxRank {
		return nil
	}
	return &n
}
