package jobspec

import "strings"

// What an API server or a controller writes into an object, and refuses or misreads when the object is made again. Paths are of keys to take out.
var (
	serverSet = []string{
		"status",
		"metadata.uid", "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp", "metadata.selfLink", "metadata.managedFields",
		"metadata.ownerReferences", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds", "metadata.finalizers",
		`metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]`, `metadata.annotations["deployment.kubernetes.io/revision"]`,
		`metadata.annotations["batch.kubernetes.io/job-tracking"]`, `metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]`,
		`metadata.annotations["cni.projectcalico.org/podIP"]`, `metadata.annotations["cni.projectcalico.org/podIPs"]`, `metadata.annotations["cni.projectcalico.org/containerID"]`,
		`metadata.labels["workflows.argoproj.io/completed"]`, `metadata.labels["workflows.argoproj.io/phase"]`, `metadata.labels["workflows.argoproj.io/workflow-archiving-status"]`,
		`metadata.labels["kueue.x-k8s.io/managed"]`,
	}
	// templateSet are the keys of a pod template, the object itself in a Pod.
	templateSet = []string{
		"metadata.creationTimestamp",
		`metadata.labels["controller-uid"]`, `metadata.labels["job-name"]`, `metadata.labels["batch.kubernetes.io/controller-uid"]`, `metadata.labels["batch.kubernetes.io/job-name"]`,
		`metadata.labels["batch.kubernetes.io/job-completion-index"]`, `metadata.labels["pod-template-hash"]`, `metadata.labels["controller-revision-hash"]`,
		`metadata.labels["statefulset.kubernetes.io/pod-name"]`,
	}
	podSet = []string{"spec.nodeName", "spec.ephemeralContainers"}
	// kindSet are those of a kind, by group/Kind.
	kindSet = map[string][]string{
		"batch/Job":              {"spec.selector", `metadata.labels["controller-uid"]`, `metadata.labels["job-name"]`, `metadata.labels["batch.kubernetes.io/controller-uid"]`, `metadata.labels["batch.kubernetes.io/job-name"]`},
		"batch/CronJob":          {"spec.jobTemplate.metadata.creationTimestamp"},
		"argoproj.io/Workflow":   {"spec.shutdown"},
		"tekton.dev/TaskRun":     {"spec.status", "spec.statusMessage"},
		"tekton.dev/PipelineRun": {"spec.status"},
		"ray.io/RayJob":          {"spec.jobId"},
	}
	// suspended are the switches with which a queue holds a job back. They are kept where a queue will release it again.
	suspended  = []string{"spec.suspend", "spec.runPolicy.suspend"}
	queueLabel = "kueue.x-k8s.io/queue-name"
	// tokenVolume is how the volume begins that the API server adds for the service account's token.
	tokenVolume = "kube-api-access-"
)

// isJob reports a kind that runs to an end, so that a second one beside the first is a rerun. A Deployment under another name would be a second service.
func isJob(group, name string) bool {
	switch group {
	case "apps":
		return false
	case "argoproj.io", "trainer.kubeflow.org", "tekton.dev":
		return strings.HasSuffix(name, "Run") || name == "Workflow" || name == "TrainJob"
	case "":
		return name == "Pod"
	}
	return name != "CronJob" && name != "RayCluster" && name != "RayService" && name != "RayCronJob" && name != "LeaderWorkerSet" && name != "ScheduledSparkApplication"
}
