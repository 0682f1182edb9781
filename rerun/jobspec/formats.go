package jobspec

import (
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The formats that a program can tell from objects of Kubernetes. FormatDeclared is that of a file of which only what the user declared is known.
const (
	FormatCompose   = "compose"
	FormatActions   = "github-actions"
	FormatGitLab    = "gitlab-ci"
	FormatSageMaker = "sagemaker"
	FormatVertex    = "vertex-ai"
	FormatAzureML   = "azure-ml"
	FormatKFP       = "kfp"
	FormatMLproject = "mlproject"
	FormatFlyte     = "flyte"
	FormatSkyPilot  = "skypilot"
	FormatDstack    = "dstack"
	FormatDeclared  = "declared"
)

// formats are YAML and JSON files other than objects of Kubernetes. The first that is one counts.
var formats = []kind{
	{format: FormatKubernetes, name: "kustomization.yaml", is: isKustomization, parts: kustomization},
	{format: FormatCompose, name: "compose.yaml", is: isCompose, parts: compose, note: "a service that is built has no digest before it is built, and is a problem"},
	{format: FormatActions, name: "GitHub Actions workflow", is: isActionsWorkflow, parts: actionsWorkflow},
	{format: FormatActions, name: "GitHub Actions action.yml", is: isAction, parts: action},
	{format: FormatGitLab, name: ".gitlab-ci.yml", is: isGitLab, parts: gitLab},
	{format: FormatSageMaker, name: "SageMaker request", is: hasAny("AlgorithmSpecification", "AppSpecification"), parts: append(sageMaker, part{path: "", what: aContainer, bare: true, env: "Environment"}), note: "an image with a digest and no tag"},
	{format: FormatSageMaker, name: "SageMaker tuning, model and package requests", is: isSageMakerOther, parts: sageMaker},
	{format: FormatVertex, name: "Vertex AI CustomJob", is: hasAny("jobSpec", "workerPoolSpecs", "trialJobSpec", "trainingTaskInputs"), parts: vertex},
	{format: FormatAzureML, name: "Azure ML job", is: isAzure, parts: azure},
	{format: FormatKFP, name: "KFP pipeline (IR)", is: isKFP, parts: append(append(append([]part{}, kfp...), at("pipelineSpec", kfp)...), at("platforms.*", kfp)...), note: "also the pipelineSpec of a Vertex AI PipelineJob"},
	{format: FormatMLproject, name: "MLproject", is: isMLproject, parts: []part{{path: "docker_env.image", what: anImage}}},
	{format: FormatFlyte, name: "Flyte task template", is: isFlyte, parts: flyte},
	{format: FormatSkyPilot, name: "SkyPilot task", is: isSkyPilot, parts: skyPilot},
	{format: FormatDstack, name: "dstack configuration", is: isDstack, parts: []part{{path: "image", what: anImage, optional: true}}},
}

var compose = []part{
	{path: "services.*", what: aContainer, env: "environment"},
	{path: "services.*.build.context", what: aURL, loose: true, optional: true},
	{path: "services.*.volumes[]", what: anImageVolume, loose: true},
	{path: "include", what: elsewhere, reason: "takes services from another file; give runpin what `docker compose config` prints"},
	{path: "services.*.extends.file", what: elsewhere, loose: true, reason: "takes a service from another file; give runpin what `docker compose config` prints"},
}

var actionsWorkflow = []part{
	{path: "jobs.*.container", what: anImage, key: "image", optional: true},
	{path: "jobs.*.services.*.image", what: anImage},
	{path: "jobs.*.steps[].uses", what: aUses, optional: true},
	{path: "jobs.*.uses", what: aUses, optional: true},
}

var action = []part{
	{path: "runs.image", what: anImage, optional: true, prefix: "docker://"},
	{path: "runs.steps[].uses", what: aUses, optional: true},
}

var gitLab = []part{
	{path: "image", what: anImage, key: "name", optional: true},
	{path: "services[]", what: anImage, key: "name", loose: true},
	{path: "*.image", what: anImage, key: "name", optional: true, loose: true},
	{path: "*.services[]", what: anImage, key: "name", loose: true},
	{path: "include", what: elsewhere, word: "://", reason: fromURL},
	{path: "include", what: elsewhere, has: "remote", reason: fromURL},
	{path: "include", what: elsewhere, has: "project", commit: "ref", reason: fromProject},
	{path: "include", what: elsewhere, has: "component", commit: "component", reason: fromComponent},
	{path: "include[]", what: elsewhere, loose: true, word: "://", reason: fromURL},
	{path: "include[]", what: elsewhere, loose: true, has: "remote", reason: fromURL},
	{path: "include[]", what: elsewhere, loose: true, has: "project", commit: "ref", reason: fromProject},
	{path: "include[]", what: elsewhere, loose: true, has: "component", commit: "component", reason: fromComponent},
}

const (
	fromURL       = "takes jobs from a URL, which can change; keep a copy in the repository"
	fromProject   = "takes jobs from another project, whose branches and tags can move; give the full commit as ref"
	fromComponent = "takes jobs from another project, whose branches and tags can move; give the full commit behind the @"
)

var sageMaker = func() (parts []part) {
	for _, p := range []string{"AlgorithmSpecification.TrainingImage", "AppSpecification.ImageUri", "PrimaryContainer.Image", "Containers[].Image", "TrainingJobDefinition.AlgorithmSpecification.TrainingImage",
		"TrainingJobDefinitions[].AlgorithmSpecification.TrainingImage", "InferenceSpecification.Containers[].Image"} {
		parts = append(parts, part{path: p, what: anImage, optional: true, shape: DigestOnly})
	}
	return append(parts,
		part{path: "PrimaryContainer", what: aContainer, optional: true, bare: true, env: "Environment"},
		part{path: "Containers[]", what: aContainer, optional: true, bare: true, env: "Environment"},
		part{path: "InferenceSpecification.Containers[]", what: aContainer, optional: true, bare: true, env: "Environment"},
		part{path: "TrainingJobDefinition", what: aContainer, optional: true, bare: true, env: "Environment"},
		part{path: "TrainingJobDefinitions[]", what: aContainer, optional: true, bare: true, env: "Environment"},
		part{path: "AlgorithmSpecification.AlgorithmName", what: elsewhere, reason: "takes its image from an algorithm of the account; name it by TrainingImage"},
		part{path: "HyperParameters.sagemaker_submit_directory", what: aURL, optional: true},
		part{path: "InputDataConfig[].DataSource.S3DataSource.S3Uri", what: aDataset, optional: true},
		part{path: "TrainingJobDefinition.InputDataConfig[].DataSource.S3DataSource.S3Uri", what: aDataset, optional: true},
		part{path: "ProcessingInputs[].S3Input.S3Uri", what: aDataset, optional: true})
}()

var vertex = func() (parts []part) {
	for _, place := range []string{"", "jobSpec", "trialJobSpec", "trainingTaskInputs", "studySpec.trialJobSpec"} {
		parts = append(parts, at(place, []part{
			{path: "workerPoolSpecs[].containerSpec.imageUri", what: anImage},
			{path: "workerPoolSpecs[].pythonPackageSpec.executorImageUri", what: anImage},
			{path: "workerPoolSpecs[].pythonPackageSpec.packageUris[]", what: aURL},
			{path: "workerPoolSpecs[].containerSpec", what: aContainer, optional: true, bare: true},
		})...)
	}
	return parts
}()

// azure: an environment of the workspace is named azureml:NAME:VERSION; a version cannot be changed, @latest and no version can.
var azure = []part{
	{path: "environment", what: anImage, key: "image", optional: true},
	{path: "component", what: anImage, optional: true},
	{path: "jobs.*.environment", what: anImage, key: "image", optional: true},
	{path: "jobs.*.component", what: anImage, optional: true},
	{path: "image", what: anImage, optional: true},
	{path: "trial.environment", what: anImage, key: "image", optional: true, loose: true},
	{path: "jobs.*.trial.environment", what: anImage, key: "image", optional: true, loose: true},
	{path: "trial.code", what: aURL, optional: true, loose: true},
	{path: "jobs.*.code", what: aURL, optional: true, loose: true},
	{path: "inputs.*.path", what: aDataset, optional: true, loose: true},
	{path: "jobs.*.inputs.*.path", what: aDataset, optional: true, loose: true},
	{path: "code", what: aURL, optional: true},
}

var kfp = []part{
	{path: "deploymentSpec.executors.*.container", what: aContainer, loose: true, optional: true}, // an importer has none
	{path: "deploymentSpec.executors.*.importer.artifactUri.constant", what: aDataset, optional: true, loose: true},
}

// skyPilot: resources are one choice, or several to choose from.
var skyPilot = func() (parts []part) {
	for _, place := range []string{"resources", "resources.any_of[]", "resources.ordered[]"} {
		parts = append(parts, part{path: place + ".image_id", what: anImage, optional: true, loose: true, prefix: "docker:"})
	}
	return parts
}()

var flyte = []part{
	{path: "container.image", what: anImage, optional: true}, // its env is a list of key and value, so it gets no run id
	{path: "k8sPod.podSpec.initContainers[]", what: aContainer},
	{path: "k8sPod.podSpec.containers[]", what: aContainer},
	{path: "template.container.image", what: anImage, optional: true},
	{path: "template.k8sPod.podSpec.initContainers[]", what: aContainer},
	{path: "template.k8sPod.podSpec.containers[]", what: aContainer},
}

func isMapping(v *value) bool { return v != nil && v.node.Kind == yaml.MappingNode && !v.template }

// hasAny reports a document that has one of the keys at its top.
func hasAny(keys ...string) func(string, *value) bool {
	return func(_ string, v *value) bool {
		for _, k := range keys {
			if v.get(k) != nil {
				return true
			}
		}
		return false
	}
}

func base(file string) string { return path.Base(filepath.ToSlash(file)) }

func isKustomization(file string, v *value) bool {
	switch base(file) {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return v.get("kind") == nil
	}
	return false
}

func isCompose(file string, v *value) bool {
	services := v.get("services")
	if !isMapping(services) || v.get("jobs") != nil {
		return false
	}
	if b := base(file); strings.HasPrefix(b, "compose") || strings.HasPrefix(b, "docker-compose") || strings.HasPrefix(b, "podman-compose") {
		return true
	}
	for _, e := range services.entries {
		if isMapping(e.value) && (e.value.get("image") != nil || e.value.get("build") != nil) {
			return true
		}
	}
	return false
}

func isActionsWorkflow(_ string, v *value) bool {
	return v.get("on") != nil && isMapping(v.get("jobs"))
}

func isAction(_ string, v *value) bool {
	runs := v.get("runs")
	return isMapping(runs) && runs.get("using") != nil
}

func isGitLab(file string, v *value) bool {
	return strings.HasSuffix(base(file), ".gitlab-ci.yml") || strings.HasSuffix(base(file), ".gitlab-ci.yaml")
}

func isAzure(_ string, v *value) bool {
	if strings.Contains(v.get("$schema").text(), "azuremlschemas") {
		return true
	}
	return strings.HasPrefix(v.get("environment").text(), "azureml:") && v.get("command") != nil
}

func isSageMakerOther(_ string, v *value) bool {
	if v.get("ModelName") != nil && v.get("Containers") != nil {
		return true
	}
	return hasAny("PrimaryContainer", "TrainingJobDefinition", "TrainingJobDefinitions", "InferenceSpecification")("", v)
}

// isKFP: the compiler writes settings of a platform as a document of their own.
func isKFP(_ string, v *value) bool {
	for _, at := range []*value{v, v.get("pipelineSpec")} {
		if isMapping(at) && at.get("deploymentSpec") != nil {
			return true
		}
	}
	platforms := v.get("platforms")
	return isMapping(platforms) && len(v.entries) == 1
}

func isMLproject(file string, v *value) bool { return base(file) == "MLproject" }

func isFlyte(_ string, v *value) bool {
	t := v
	if inner := v.get("template"); isMapping(inner) {
		t = inner
	}
	return t.get("id") != nil && t.get("type") != nil && (t.get("container") != nil || t.get("k8sPod") != nil)
}

func isSkyPilot(_ string, v *value) bool {
	return isMapping(v.get("resources")) && (v.get("run") != nil || v.get("setup") != nil)
}

func isDstack(file string, v *value) bool {
	switch v.get("type").text() {
	case "task", "dev-environment", "service":
		return strings.HasSuffix(base(file), ".dstack.yml") || strings.HasSuffix(base(file), ".dstack.yaml") || v.get("commands") != nil
	}
	return false
}

// formatOf finds the format of a document that is no object of Kubernetes.
func formatOf(file string, v *value) *kind {
	for i := range formats {
		if formats[i].is(file, v) {
			return &formats[i]
		}
	}
	return nil
}
