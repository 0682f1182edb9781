package jobspec

import "strings"

// kind is a row of the table: a kind of object and where it holds what.
type kind struct {
	format string                           // of the spec, as records keep it
	group  string                           // of a kind of Kubernetes: its API group, "" for the core
	name   string                           // of a kind of Kubernetes; of any other format what people call it
	is     func(file string, v *value) bool // of any other format: whether a document is one
	parts  []part
	note   string // what the table of the documentation says beside it
	needs  *need
	shared bool // other runs start from it, too: it gets a run's id only where nothing else in the file starts one
}

// need is an image that has to stand in one of several places of an object.
type need struct {
	paths  []string
	reason string // why there may be none
}

var (
	trainJobNeeds = &need{[]string{"spec.trainer.image"}, "takes its image from the runtime that spec.runtimeRef names, an object of the cluster; set spec.trainer.image"}
	sparkNeeds    = &need{[]string{"spec.image", `spec.sparkConf["spark.kubernetes.container.image"]`, "spec.driver.image", "spec.executor.image", "spec.template.image", `spec.template.sparkConf["spark.kubernetes.container.image"]`, "spec.template.driver.image"}, "names no image, so the operator's own is used; set spec.image"}
)

// what stands at the end of a path.
type what string

const (
	anObject      what = "object"       // a whole object, with a kind of its own
	aText         what = "text"         // YAML or JSON inside a string; parts says what it holds, or it is an object
	aPod          what = "pod"          // a pod template: metadata, and a PodSpec under spec
	aContainer    what = "container"    // a mapping with an image and variables
	anImage       what = "image"        // a reference
	anImageMap    what = "image map"    // a reference in several keys: repository, tag, digest
	anImageVolume what = "image volume" // a volume of compose; with type image its source is an image
	aGitArtifact  what = "git"          // a mapping with repo and revision
	aGitParam     what = "git params"   // a list of name and value that holds url and revision
	aURL          what = "url"          // a text that may be the URL of a revision of code
	aUses         what = "uses"         // an action of a forge: OWNER/REPO@REF, or docker://IMAGE
	aDataset      what = "dataset"      // the URI of a dataset
	elsewhere     what = "elsewhere"    // what starts work that the file does not show
)

// part is a place of a kind. Its path is keys joined by dots; [] stands for every element of a list and * for every key of a mapping. A path
// whose last key is missing though its parent is there is a problem, unless the part is optional; a path that ends earlier is an object
// without that part.
type part struct {
	path     string
	what     what
	optional bool   // its last key may be missing
	loose    bool   // where it leads through something of another shape, there is nothing
	parts    []part // of a text: what it holds, when that is no object of Kubernetes
	key      string // where a mapping stands in place of an image: the key of the image in it
	bare     bool   // of a container: it may have no image
	env      string // of a container: the key of its variables, env when ""
	prefix   string // what stands before the reference in the same text
	shape    Shape  // TagAndDigest when ""
	keys     imageKeys
	word     string // of elsewhere: only texts that hold it
	has      string // of elsewhere: only mappings with this key
	commit   string // of elsewhere: but not where this key ends in a full commit, alone or behind @
	reason   string // of elsewhere
}

// imageKeys are the keys of an image map.
type imageKeys struct{ registry, repository, fallback, tag, digest string }

// kinds are the kinds of Kubernetes that runpin can pin. Other formats are in formats.go.
var kinds = []kind{
	{group: "", name: "Pod", parts: pods("")},
	{group: "batch", name: "Job", parts: pods("spec.template")},
	{group: "batch", name: "CronJob", parts: pods("spec.jobTemplate.spec.template")},
	{group: "", name: "List", parts: []part{{path: "items[]", what: anObject}}},
	{group: "apps", name: "Deployment", parts: pods("spec.template")},
	{group: "apps", name: "StatefulSet", parts: pods("spec.template")},
	{group: "apps", name: "DaemonSet", parts: pods("spec.template")},
	{group: "apps", name: "ReplicaSet", parts: pods("spec.template")},
	{group: "", name: "ReplicationController", parts: pods("spec.template")},
	{group: "", name: "PodTemplate", shared: true, parts: pods("template")},
	{group: "jobset.x-k8s.io", name: "JobSet", parts: pods("spec.replicatedJobs[].template.spec.template")},
	{group: "kubeflow.org", name: "PyTorchJob", parts: pods("spec.pytorchReplicaSpecs.*.template")},
	{group: "kubeflow.org", name: "TFJob", parts: pods("spec.tfReplicaSpecs.*.template")},
	{group: "kubeflow.org", name: "XGBoostJob", parts: pods("spec.xgbReplicaSpecs.*.template")},
	{group: "kubeflow.org", name: "PaddleJob", parts: pods("spec.paddleReplicaSpecs.*.template")},
	{group: "kubeflow.org", name: "MXJob", parts: pods("spec.mxReplicaSpecs.*.template")},
	{group: "kubeflow.org", name: "JAXJob", parts: pods("spec.jaxReplicaSpecs.*.template")},
	{group: "kubeflow.org", name: "MPIJob", parts: pods("spec.mpiReplicaSpecs.*.template")},
	{group: "trainer.kubeflow.org", name: "TrainJob", parts: trainJob, needs: trainJobNeeds},
	{group: "trainer.kubeflow.org", name: "TrainingRuntime", shared: true, parts: pods("spec.template.spec.replicatedJobs[].template.spec.template")},
	{group: "trainer.kubeflow.org", name: "ClusterTrainingRuntime", shared: true, parts: pods("spec.template.spec.replicatedJobs[].template.spec.template")},
	{group: "ray.io", name: "RayCluster", parts: rayCluster("spec")},
	{group: "ray.io", name: "RayJob", parts: rayJob("spec")},
	{group: "ray.io", name: "RayCronJob", parts: rayJob("spec.jobTemplate")},
	{group: "ray.io", name: "RayService", parts: append(rayCluster("spec.rayClusterConfig"), part{path: "spec.serveConfigV2", what: aText, optional: true, parts: rayServe})},
	{group: "batch.volcano.sh", name: "Job", parts: pods("spec.tasks[].template"), note: "Volcano"},
	{group: "leaderworkerset.x-k8s.io", name: "LeaderWorkerSet", parts: append(optionalPods("spec.leaderWorkerTemplate.leaderTemplate"), pods("spec.leaderWorkerTemplate.workerTemplate")...)},
	{group: "argoproj.io", name: "Workflow", parts: argo("spec")},
	{group: "argoproj.io", name: "WorkflowTemplate", shared: true, parts: argo("spec")},
	{group: "argoproj.io", name: "ClusterWorkflowTemplate", shared: true, parts: argo("spec")},
	{group: "argoproj.io", name: "CronWorkflow", parts: argo("spec.workflowSpec")},
	{group: "tekton.dev", name: "Task", shared: true, parts: tektonTask("spec")},
	{group: "tekton.dev", name: "ClusterTask", shared: true, parts: tektonTask("spec")},
	{group: "tekton.dev", name: "StepAction", shared: true, parts: []part{{path: "spec", what: aContainer}}},
	{group: "tekton.dev", name: "TaskRun", parts: append(tektonTask("spec.taskSpec"), tektonRef("spec", "taskRef")...)},
	{group: "tekton.dev", name: "Pipeline", shared: true, parts: tektonPipeline("spec")},
	{group: "tekton.dev", name: "PipelineRun", parts: append(tektonPipeline("spec.pipelineSpec"), tektonRef("spec", "pipelineRef")...)},
	{group: "sparkoperator.k8s.io", name: "SparkApplication", parts: spark("spec"), needs: sparkNeeds},
	{group: "sparkoperator.k8s.io", name: "ScheduledSparkApplication", parts: spark("spec.template"), needs: sparkNeeds},
	{group: "kustomize.config.k8s.io", name: "Kustomization", parts: kustomization, note: "a digest is added beside newTag; also without apiVersion, by the name of the file"},
	{group: "kustomize.config.k8s.io", name: "Component", parts: kustomization},
	{group: "kueue.x-k8s.io", name: "Workload", parts: []part{{path: "spec.podSets", what: elsewhere, reason: "is Kueue's own copy of a job; pin the job that it was made from"}}},
}

// podParts are the parts of a pod template. An image volume can carry data or a model; it is pulled like any image. Ephemeral containers are
// for people who debug, so they get no run id.
var podParts = []part{
	{path: "spec.initContainers[]", what: aContainer},
	{path: "spec.containers[]", what: aContainer},
	{path: "spec.ephemeralContainers[].image", what: anImage},
	{path: "spec.volumes[].image.reference", what: anImage},
}

func pods(path string) []part         { return []part{{path: path, what: aPod}} }
func optionalPods(path string) []part { return []part{{path: path, what: aPod, optional: true}} }

// trainJob: without an image of its own a TrainJob runs that of its runtime, which is an object of the cluster.
var trainJob = []part{
	{path: "spec.trainer", what: aContainer, optional: true, bare: true},
	{path: "spec.initializer.dataset.storageUri", what: aDataset, optional: true},
	{path: "spec.initializer.model.storageUri", what: aDataset, optional: true},
	// No run id goes into the overrides: the webhook refuses variables there for the containers of the runtime.
	{path: "spec.podTemplateOverrides[].spec.initContainers[].image", what: anImage, optional: true},
	{path: "spec.podTemplateOverrides[].spec.containers[].image", what: anImage, optional: true},
}

func rayCluster(spec string) []part {
	return at(spec, []part{
		{path: "headGroupSpec.template", what: aPod},
		{path: "workerGroupSpecs[].template", what: aPod},
		{path: "autoscalerOptions.image", what: anImage, optional: true},
		{path: "historyServerOptions.collectorOptions.image", what: anImage, optional: true},
	})
}

func rayJob(spec string) []part {
	return append(rayCluster(join(spec, "rayClusterSpec")), at(spec, []part{
		{path: "submitterPodTemplate", what: aPod, optional: true},
		{path: "runtimeEnvYAML", what: aText, optional: true, parts: rayRuntime},
		{path: "clusterSelector", what: elsewhere, reason: "runs in a cluster of Ray that is there already; its images are not in this file"},
	})...)
}

// rayServe is the configuration of Ray Serve: an application has a runtime environment, and so has each of its deployments.
var rayServe = append(at("applications[].runtime_env", rayRuntime), at("applications[].deployments[].ray_actor_options.runtime_env", rayRuntime)...)

// rayRuntime is Ray's runtime environment. Packages are a list, a mapping that holds one, or the name of a file.
var rayRuntime = []part{
	{path: "working_dir", what: aURL, optional: true},
	{path: "py_modules[]", what: aURL},
	{path: "image_uri", what: anImage, optional: true},
	{path: "container.image", what: anImage, optional: true},
	{path: "pip[]", what: aURL, loose: true},
	{path: "pip.packages[]", what: aURL, loose: true, optional: true},
	{path: "uv[]", what: aURL, loose: true},
	{path: "uv.packages[]", what: aURL, loose: true, optional: true},
}

func tektonTask(spec string) []part {
	return at(spec, append([]part{
		{path: "stepTemplate", what: aContainer, optional: true, bare: true},
		{path: "steps[]", what: aContainer},
		{path: "sidecars[]", what: aContainer},
	}, tektonStepRef...))
}

var tektonStepRef = tektonRef("steps[]", "ref")

func tektonPipeline(spec string) (parts []part) {
	for _, list := range []string{"tasks[]", "finally[]"} {
		parts = append(parts, tektonTask(spec+"."+list+".taskSpec")...)
		parts = append(parts, tektonRef(spec+"."+list, "taskRef")...)
		parts = append(parts, tektonRef(spec+"."+list, "pipelineRef")...)
		parts = append(parts, part{path: spec + "." + list + ".params", what: aGitParam, optional: true})
	}
	return parts
}

// tektonRef is a reference to a task: through a resolver it names an image or a revision, which can be pinned; by name it is an object of the cluster.
func tektonRef(spec, key string) []part {
	return at(spec+"."+key, []part{
		{path: "params", what: aGitParam, optional: true},
		{path: "bundle", what: anImage, optional: true},
		{path: "", what: elsewhere, reason: "takes a task from an object of the cluster, which can change; write the task out, or name it by a resolver with a digest or a commit"},
	})
}

func spark(spec string) []part {
	return at(spec, []part{
		{path: "image", what: anImage, optional: true},
		{path: "driver", what: aContainer, optional: true, bare: true},
		{path: "executor", what: aContainer, optional: true, bare: true},
		{path: "driver.initContainers[]", what: aContainer},
		{path: "driver.sidecars[]", what: aContainer},
		{path: "executor.initContainers[]", what: aContainer},
		{path: "executor.sidecars[]", what: aContainer},
		{path: "driver.template.spec.initContainers[].image", what: anImage, optional: true},
		{path: "driver.template.spec.containers[].image", what: anImage, optional: true},
		{path: "executor.template.spec.initContainers[].image", what: anImage, optional: true},
		{path: "executor.template.spec.containers[].image", what: anImage, optional: true},
		{path: "volumes[].image.reference", what: anImage},
		{path: `sparkConf["spark.kubernetes.container.image"]`, what: anImage, optional: true},
		{path: `sparkConf["spark.kubernetes.driver.container.image"]`, what: anImage, optional: true},
		{path: `sparkConf["spark.kubernetes.executor.container.image"]`, what: anImage, optional: true},
		{path: "mainApplicationFile", what: aURL, optional: true},
		{path: "deps.pyFiles[]", what: aURL},
	})
}

// A patch that has an image in it is told: images may rewrite what it names, but that is not seen in this file.
const patched = "patches an image in, which runpin does not look for there; pin it in the file that is patched, or name it under images"

var kustomization = []part{
	{path: "images[]", what: anImageMap, keys: imageKeys{repository: "newName", fallback: "name", tag: "newTag", digest: "digest"}},
	{path: "patches[].patch", what: elsewhere, word: "image:", reason: patched},
	{path: "patches[].patch", what: elsewhere, word: "/image\n", reason: patched},
	{path: "resources[]", what: aURL},
	{path: "bases[]", what: aURL},
	{path: "components[]", what: aURL},
	{path: "helmCharts[]", what: elsewhere, reason: "renders a chart, whose images runpin does not see; give runpin what `kustomize build` prints"},
	{path: "patches[].patch", what: elsewhere, word: "image\"", reason: patched},
	{path: "patchesStrategicMerge[]", what: elsewhere, word: "image:", reason: patched},
}

// imageless are kinds that commonly stand beside a job in one file and name no image. Any other kind is a problem: it may hold one.
var imageless = map[string]bool{
	"/ConfigMap": true, "/Secret": true, "/Service": true, "/ServiceAccount": true, "/Namespace": true,
	"/PersistentVolume": true, "/PersistentVolumeClaim": true, "/LimitRange": true, "/ResourceQuota": true,
	"rbac.authorization.k8s.io/Role": true, "rbac.authorization.k8s.io/RoleBinding": true,
	"rbac.authorization.k8s.io/ClusterRole": true, "rbac.authorization.k8s.io/ClusterRoleBinding": true,
	"networking.k8s.io/NetworkPolicy": true, "networking.k8s.io/Ingress": true,
	"policy/PodDisruptionBudget": true, "scheduling.k8s.io/PriorityClass": true, "storage.k8s.io/StorageClass": true,
	"apiextensions.k8s.io/CustomResourceDefinition": true, "autoscaling/HorizontalPodAutoscaler": true,
	"kueue.x-k8s.io/LocalQueue": true, "kueue.x-k8s.io/ClusterQueue": true, "kueue.x-k8s.io/ResourceFlavor": true,
	"scheduling.volcano.sh/Queue": true, "scheduling.volcano.sh/PodGroup": true, "monitoring.coreos.com/PodMonitor": true, "monitoring.coreos.com/ServiceMonitor": true,
	"monitoring.coreos.com/PrometheusRule": true, "cert-manager.io/Certificate": true, "cert-manager.io/Issuer": true, "cert-manager.io/ClusterIssuer": true,
	"external-secrets.io/ExternalSecret": true, "external-secrets.io/SecretStore": true, "external-secrets.io/ClusterSecretStore": true, "bitnami.com/SealedSecret": true,
	"gateway.networking.k8s.io/Gateway": true, "gateway.networking.k8s.io/HTTPRoute": true, "networking.k8s.io/IngressClass": true,
	"kueue.x-k8s.io/WorkloadPriorityClass": true, "kueue.x-k8s.io/AdmissionCheck": true, "kueue.x-k8s.io/Topology": true, "kueue.x-k8s.io/Cohort": true,
	"resource.k8s.io/ResourceClaim": true, "resource.k8s.io/ResourceClaimTemplate": true, "resource.k8s.io/DeviceClass": true,
	"keda.sh/TriggerAuthentication": true, "snapshot.storage.k8s.io/VolumeSnapshot": true, "/Endpoints": true, "discovery.k8s.io/EndpointSlice": true,
	"admissionregistration.k8s.io/ValidatingWebhookConfiguration": true, "admissionregistration.k8s.io/MutatingWebhookConfiguration": true,
	"apiregistration.k8s.io/APIService": true, "coordination.k8s.io/Lease": true,
}

// at puts the parts below a place.
func at(place string, parts []part) []part {
	out := make([]part, 0, len(parts))
	for _, p := range parts {
		switch {
		case place == "":
		case p.path == "":
			p.path = place
		default:
			p.path = place + "." + p.path
		}
		out = append(out, p)
	}
	return out
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
