package jobspec

import "strings"

// kind is a row of the table: a kind of object and where it holds what. Paths are keys joined by dots; [] stands for every element of a list
// and * for every key of a mapping. A path whose last key is missing though its parent is there is a problem; a path that ends earlier is
// an object without that part.
type kind struct {
	group     string   // API group, "" for the core
	name      string   //
	objects   string   // whole objects, each with a kind of its own
	pods      []string // pod templates: metadata and a PodSpec under spec; "" is the object itself
	workflows []string // specs of Argo workflows
}

// kinds are the kinds that runpin can pin.
var kinds = []kind{
	{group: "", name: "Pod", pods: []string{""}},
	{group: "batch", name: "Job", pods: []string{"spec.template"}},
	{group: "batch", name: "CronJob", pods: []string{"spec.jobTemplate.spec.template"}},
	{group: "", name: "List", objects: "items[]"},
	{group: "apps", name: "Deployment", pods: []string{"spec.template"}},
	{group: "apps", name: "StatefulSet", pods: []string{"spec.template"}},
	{group: "apps", name: "DaemonSet", pods: []string{"spec.template"}},
	{group: "apps", name: "ReplicaSet", pods: []string{"spec.template"}},
	{group: "kubeflow.org", name: "PyTorchJob", pods: []string{"spec.pytorchReplicaSpecs.*.template"}},
	{group: "kubeflow.org", name: "TFJob", pods: []string{"spec.tfReplicaSpecs.*.template"}},
	{group: "kubeflow.org", name: "XGBoostJob", pods: []string{"spec.xgbReplicaSpecs.*.template"}},
	{group: "kubeflow.org", name: "PaddleJob", pods: []string{"spec.paddleReplicaSpecs.*.template"}},
	{group: "kubeflow.org", name: "MPIJob", pods: []string{"spec.mpiReplicaSpecs.*.template"}},
	{group: "jobset.x-k8s.io", name: "JobSet", pods: []string{"spec.replicatedJobs[].template.spec.template"}},
	{group: "argoproj.io", name: "Workflow", workflows: []string{"spec"}},
	{group: "argoproj.io", name: "WorkflowTemplate", workflows: []string{"spec"}},
	{group: "argoproj.io", name: "ClusterWorkflowTemplate", workflows: []string{"spec"}},
	{group: "argoproj.io", name: "CronWorkflow", workflows: []string{"spec.workflowSpec"}},
}

// podImages are the image references of a pod template. An image volume can carry data or a model; it is pulled like any image.
var podImages = []string{
	"spec.initContainers[].image",
	"spec.containers[].image",
	"spec.ephemeralContainers[].image",
	"spec.volumes[].image.reference",
}

// podContainers are what gets the run's id in its environment. Ephemeral containers are for people who debug.
var podContainers = []string{"spec.initContainers[]", "spec.containers[]"}

// imageless are kinds that commonly stand beside a job in one file and name no image. Any other kind is a problem: it may hold one.
var imageless = map[string]bool{
	"/ConfigMap": true, "/Secret": true, "/Service": true, "/ServiceAccount": true, "/Namespace": true,
	"/PersistentVolume": true, "/PersistentVolumeClaim": true, "/LimitRange": true, "/ResourceQuota": true,
	"rbac.authorization.k8s.io/Role": true, "rbac.authorization.k8s.io/RoleBinding": true,
	"rbac.authorization.k8s.io/ClusterRole": true, "rbac.authorization.k8s.io/ClusterRoleBinding": true,
	"networking.k8s.io/NetworkPolicy": true, "networking.k8s.io/Ingress": true,
	"policy/PodDisruptionBudget": true, "scheduling.k8s.io/PriorityClass": true, "storage.k8s.io/StorageClass": true,
}

// Kinds names the kinds that can be pinned, for messages and documentation.
func Kinds() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func kindOf(group, name string) *kind {
	for i := range kinds {
		if kinds[i].group == group && kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// groupOf gives the API group of an apiVersion: batch of batch/v1, "" of v1.
func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}
