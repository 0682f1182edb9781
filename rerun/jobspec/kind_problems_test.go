package jobspec

import (
	"fmt"
	"strings"
	"testing"
)

const (
	rayHead  = "apiVersion: ray.io/v1\nkind: RayJob\nspec:\n"
	argoHead = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: a\n  templates:\n  - name: a\n"
)

// What a kind or a format cannot say, or says elsewhere, is told at its place: also inside strings, where the place is that in the file.
func TestKindProblems(t *testing.T) {
	for _, tc := range []struct {
		name, file, spec string
		want             string // "" when there is none
	}{
		{"built service", "compose.yaml", "services:\n  a:\n    build: .\n", "3:12 elsewhere services.a.build: \".\" is built here"},
		{"built and named service", "compose.yaml", "services:\n  a:\n    image: x:1\n    build: {context: .}\n", "4:12 elsewhere services.a.build: is built here"},
		{"extends a file", "compose.yaml", "services:\n  a:\n    extends: {file: b.yaml, service: c}\n", "3:21 elsewhere services.a.extends.file: \"b.yaml\" takes a service from another file"},
		{"extends a service of the file", "compose.yaml", "services:\n  a: {extends: b}\n  b: {image: x:1}\n", ""},
		{"extends a service that has no image", "compose.yaml", "services:\n  a: {extends: {service: b}}\n", "2:6 shape services.a: has no image"},
		{"include", "compose.yaml", "include: [b.yaml]\nservices:\n  a: {image: x:1}\n", "1:10 elsewhere include: takes services from another file"},
		{"templated service", "compose.yaml", "services:\n  a:\n    image: \"x:${TAG:-1}\"\n", "3:12 template services.a.image: \"x:${TAG:-1}\" is a template"},
		{"parameter without a value", "f", argoHead + "    inputs: {parameters: [{name: i}]}\n    container: {image: '{{inputs.parameters.i}}'}\n", "8:24 template spec.templates[0].container.image: \"{{inputs.parameters.i}}\" is a template"},
		{"partial template", "f", argoHead + "    container: {image: 'x:{{workflow.parameters.tag}}'}\n", "7:24 template spec.templates[0].container.image"},
		{"step of another object", "f", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  workflowTemplateRef: {name: x}\n", "4:24 elsewhere spec.workflowTemplateRef: takes its steps from an object of the cluster"},
		{"plugin", "f", argoHead + "    plugin: {hello: {}}\n", "7:13 elsewhere spec.templates[0].plugin: is run by a plugin"},
		{"RayJob in a cluster that is there", "f", rayHead + "  clusterSelector: {ray.io/cluster: c}\n", "4:20 elsewhere spec.clusterSelector: runs in a cluster of Ray that is there already"},
		{"folded block with YAML", "f", rayHead + "  runtimeEnvYAML: >\n    working_dir: x\n", "4:19 written spec.runtimeEnvYAML: \"working_dir: x\\n\" is a folded block"},
		{"broken YAML in a text", "f", rayHead + "  runtimeEnvYAML: |\n    pip: [\n", "4:19 shape spec.runtimeEnvYAML: \"pip: [\\n\" is not YAML"},
		{"not a text", "f", rayHead + "  runtimeEnvYAML: [a]\n", "4:19 shape spec.runtimeEnvYAML: is not text"},
		{"floating archive in a literal block", "f", rayHead + "  runtimeEnvYAML: |\n    # c\n    pip:\n    - git+https://github.com/a/b\n", "7:7 floating spec.runtimeEnvYAML|.pip[0]: \"git+https://github.com/a/b\""},
		{"the same with CRLF", "f", strings.ReplaceAll(rayHead+"  runtimeEnvYAML: |\n    # c\n    pip:\n    - git+https://github.com/a/b\n", "\n", "\r\n"), "7:7 floating spec.runtimeEnvYAML|.pip[0]"},
		{"behind escapes", "f", rayHead + `  runtimeEnvYAML: "a: \u00e9\nimage_uri: Bad\n"` + "\n", `4:42 reference spec.runtimeEnvYAML|.image_uri: "Bad"`},
		{"behind two quotes", "f", rayHead + `  runtimeEnvYAML: '{"a": "it''s", "image_uri": "Bad"}'` + "\n", `4:48 reference spec.runtimeEnvYAML|.image_uri: "Bad"`},
		{"manifest with a job of no image", "f", argoHead + "    resource:\n      action: create\n      manifest: |\n        apiVersion: batch/v1\n        kind: Job\n        spec: {template: {spec: {containers: [{name: a}]}}}\n", "12:47 shape spec.templates[0].resource.manifest|.spec.template.spec.containers[0]: has no image"},
		{"manifest of a kind nobody knows", "f", argoHead + "    resource:\n      action: create\n      manifest: |\n        apiVersion: x.example/v1\n        kind: Fit\n", "11:15 kind spec.templates[0].resource.manifest|.kind: \"Fit\""},
		{"TrainJob without an image", "f", "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nspec: {runtimeRef: {name: torch}}\n", "1:1 elsewhere takes its image from the runtime"},
		{"Spark without an image", "f", "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nspec: {driver: {cores: 1}}\n", "1:1 elsewhere names no image"},
		{"task by name", "f", "apiVersion: tekton.dev/v1\nkind: TaskRun\nspec:\n  taskRef: {name: x}\n", "4:12 elsewhere spec.taskRef: takes a task from an object of the cluster"},
		{"pipeline in a pipeline by name", "f", "apiVersion: tekton.dev/v1\nkind: Pipeline\nspec:\n  tasks:\n  - name: a\n    pipelineRef: {name: x}\n", "6:18 elsewhere spec.tasks[0].pipelineRef: takes a task"},
		{"git resolver without a revision", "f", "apiVersion: tekton.dev/v1\nkind: TaskRun\nspec:\n  taskRef:\n    resolver: git\n    params: [{name: url, value: 'https://github.com/a/b'}]\n", "6:13 floating spec.taskRef.params:"},
		{"copy of Kueue", "f", "apiVersion: kueue.x-k8s.io/v1beta1\nkind: Workload\nspec:\n  podSets: [{name: main}]\n", "4:12 elsewhere spec.podSets: is Kueue's own copy"},
		{"kustomize without newTag", "kustomization.yaml", "images:\n- name: x\n", "2:3 floating images[0]: has neither newTag nor digest"},
		{"kustomize tag that is a number", "kustomization.yaml", "images:\n- name: x\n  newTag: 1.5\n", `3:11 shape images[0].newTag: "1.5" is not text`},
		{"kustomize patch with an image", "kustomization.yaml", "images: [{name: x, newTag: '1'}]\npatches:\n- patch: |-\n    - op: replace\n      path: /spec/containers/0/image\n      value: y:1\n", "3:10 elsewhere patches[0].patch"},
		{"kustomize resource without ref", "kustomization.yaml", "resources:\n- https://github.com/a/b//base\n", "2:3 floating resources[0]: \"https://github.com/a/b//base\""},
		{"kustomize resource without a scheme", "kustomization.yaml", "resources:\n- github.com/a/b/base\n", "2:3 floating resources[0]: \"github.com/a/b/base\""},
		{"kustomize resource by ssh", "kustomization.yaml", "images: [{name: x, newTag: '1'}]\nresources: ['git@github.com:a/b', ../base]\n", "2:13 floating resources[0]"},
		{"newest environment", "f", "$schema: https://azuremlschemas.azureedge.net/x\ncommand: c\nenvironment: azureml:env@latest\n", "3:14 floating environment: \"azureml:env@latest\" names no version"},
		{"environment without version", "f", "$schema: https://azuremlschemas.azureedge.net/x\ncommand: c\nenvironment: azureml:env\n", "3:14 floating environment: \"azureml:env\" names no version"},
		{"action without a ref", "f", "on: push\njobs:\n  a:\n    steps:\n    - uses: actions/checkout\n", "5:13 floating jobs.a.steps[0].uses: \"actions/checkout\" names no revision"},
		{"action of this repository", "f", "on: push\njobs:\n  a:\n    container: x:1\n    steps:\n    - uses: ./.github/actions/a\n", ""},
		{"action that is built", "action.yml", "runs: {using: docker, image: Dockerfile}\n", `1:30 elsewhere runs.image: "Dockerfile" is built from a Dockerfile`},
		{"expression for a container", "f", "on: push\njobs:\n  a:\n    container: ${{ inputs.image }}\n", "4:16 template jobs.a.container"},
		{"GitLab jobs from a URL", ".gitlab-ci.yml", "include: https://example.com/ci.yml\na: {image: x:1}\n", "1:10 elsewhere include: \"https://example.com/ci.yml\" takes jobs from a URL"},
		{"GitLab jobs from a URL in a list", ".gitlab-ci.yml", "include:\n- remote: https://example.com/ci.yml\na: {image: x:1}\n", "2:3 elsewhere include[0]: takes jobs from a URL"},
		{"GitLab jobs of this repository", ".gitlab-ci.yml", "include: [local.yml, {local: b.yml}]\na: {image: x:1}\n", ""},
		{"algorithm of an account", "f", `{"AlgorithmSpecification": {"AlgorithmName": "x"}}`, "1:46 elsewhere AlgorithmSpecification.AlgorithmName: \"x\" takes its image from an algorithm"},
		{"unknown kind with containers", "f", "apiVersion: x.example/v1\nkind: Fit\nspec: {worker: {containers: [{name: a, image: x:1}]}}\n", ""},
		{"git artifact without a revision", "f", argoHead + "    inputs: {artifacts: [{name: c, git: {repo: 'https://github.com/a/b'}}]}\n    container: {image: x:1}\n", "7:41 floating spec.templates[0].inputs.artifacts[0].git:"},
	} {
		t.Run(tc.name, func(t *testing.T) { problems(t, Reader{}, tc.file, tc.spec, tc.want) })
	}
}

func problems(t *testing.T, rd Reader, file, text, want string) {
	t.Helper()
	s, err := rd.Read(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range s.Problems {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%d:%d %s %s", p.Line, p.Column, p.Code, p)))
	}
	switch {
	case want == "" && len(got) == 0:
	case want == "" || len(got) != 1 || !strings.HasPrefix(got[0], want):
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), want)
	}
	if len(got) > 0 {
		if out, err := s.Pin(testPins(t, s), nil); err == nil || out != nil {
			t.Error("pinned in spite of a problem")
		}
	}
}

// The same for places that the user declared, and for every key called image.
func TestDeclaredProblems(t *testing.T) {
	fields := func(texts ...string) (rd Reader) {
		for _, text := range texts {
			f, err := ParseField(text)
			if err != nil {
				t.Fatal(err)
			}
			rd.Fields = append(rd.Fields, f)
		}
		return rd
	}
	for _, tc := range []struct {
		name       string
		rd         Reader
		spec, want string
	}{
		{"not an image", Reader{AnyImage: true}, "a:\n  image: Not An Image\n", `2:10 reference a.image: "Not An Image"`},
		{"a number", Reader{AnyImage: true}, "a: {image: {repository: x, tag: 1.5}}\n", `1:33 shape a.image.tag: "1.5" is not text`},
		{"no tag", Reader{AnyImage: true}, "a: {image: {repository: x}}\n", "1:12 floating a.image: has neither a tag nor a digest"},
		{"a list where an image is declared", fields("image=a"), "a: [x]\n", "1:4 shape a: is not text"},
		{"a template where code is declared", fields("code=a"), "a: ${REV}\n", "1:4 template a:"},
		{"a mapping where a dataset is declared", fields("dataset.train=a"), "a: {b: c}\n", "1:4 shape a: is not text"},
		{"a URL without a revision", fields("code=a"), "a: https://github.com/a/b.git\n", "1:4 floating a:"},
		{"declared in an unknown kind", fields("image=spec.img"), "apiVersion: x.example/v1\nkind: Fit\nspec: {img: 'x:1'}\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) { problems(t, tc.rd, "values.yaml", tc.spec, tc.want) })
	}
	for want, rd := range map[string]Reader{"values.yaml:1:1: is not a job spec that runpin knows, and nothing that was declared is in it": {AnyImage: true},
		"values.yaml: the declared field image=b.c leads nowhere": fields("image=b.c")} {
		if _, err := rd.Read("values.yaml", []byte("a: {picture: x}\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	rd := fields("image=spec.none", "code=spec.containers[0].env[REV].value")
	s, err := rd.Read("f", []byte(podHead+"  - image: x:1\n    env: [{name: REV, value: main}]\n"))
	if err != nil || len(s.Unused) != 1 || s.Unused[0].Path != "spec.none" || len(s.References) != 2 {
		t.Errorf("%v %+v", err, s)
	}
}

// Hostile input inside strings is refused as fast as in the file itself, and as clearly.
func TestHostileTexts(t *testing.T) {
	in := func(text string) string {
		return rayHead + "  runtimeEnvYAML: |\n    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
	}
	bombed := strings.TrimPrefix(bomb(), podHead)
	chain := func(n int) string {
		var b strings.Builder
		b.WriteString("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: a\n  arguments:\n    parameters:\n")
		for i := range n {
			fmt.Fprintf(&b, "    - {name: p%d, value: '{{workflow.parameters.p%d}}'}\n", i, (i+1)%n)
		}
		b.WriteString("  templates:\n")
		for i := range n {
			fmt.Fprintf(&b, "  - {name: t%d, container: {image: '{{workflow.parameters.p%d}}'}}\n", i, i)
		}
		return b.String()
	}
	calls := "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: a\n  templates:\n  - name: a\n    inputs: {parameters: [{name: i}]}\n    container: {image: '{{inputs.parameters.i}}'}\n    dag:\n      tasks:\n" +
		strings.Repeat("      - {template: a, arguments: {parameters: [{name: i, value: '{{inputs.parameters.i}}'}]}}\n", 1000)
	nested := "image_uri: x:1"
	for range 5 {
		nested = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates:\n  - name: a\n    resource:\n      manifest: |\n        " + strings.ReplaceAll(nested, "\n", "\n        ") + "\n"
	}
	for _, tc := range []struct{ name, spec, want string }{
		{"bomb", in("x:\n" + bombed), "holds more than 500000 values"},
		{"deep", in("a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200)), "nested more than 128 levels"},
		{"anchor across texts", rayHead + "  x: &a b\n  runtimeEnvYAML: 'image_uri: *a'\n", "unknown anchor"},
		{"a text that several fields share", rayHead + "  x: &a 'image_uri: x:1'\n  runtimeEnvYAML: *a\n", "shares its text"},
		{"text in text in text", nested, "is a text inside 3 texts"},
		{"parameters in a ring", chain(2000), "is a template"},
		{"templates that call themselves", calls, "is a template"},
		{"large text", rayHead + "  runtimeEnvYAML: \"" + strings.Repeat("x", 3<<20) + "\"\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Read("f", []byte(tc.spec))
			if err == nil {
				err = s.Err()
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %.400v, want %s", err, tc.want)
			}
		})
	}
}
