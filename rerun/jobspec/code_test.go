package jobspec

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

const (
	syncHead = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: git-sync/git-sync:v4\n"
	flowHead = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates:\n  - name: a\n"
	gitHead  = flowHead + "    container: {image: \"x:1\"}\n    inputs:\n      artifacts:\n      - name: s\n"
)

// Code that floats, or that comes from where runpin does not look, is told with its place.
func TestCodeAndWorkflowProblems(t *testing.T) {
	for _, tc := range []struct{ name, spec, want string }{
		{"no repository", syncHead, `f:5:5: spec.containers[0]: fetches code and does not say from which repository`},
		{"no revision", syncHead + "    args: [--repo=https://h/r]\n", `f:5:5: spec.containers[0]: names no revision, so it follows the default branch of the repository; name one with --ref`},
		{"a branch of version 3 alone", syncHead + "    env: [{name: GIT_SYNC_REPO, value: 'https://h/r'}, {name: GIT_SYNC_BRANCH, value: main}]\n", `names no revision`},
		{"a repository from a secret", syncHead + "    env: [{name: GITSYNC_REPO, valueFrom: {secretKeyRef: {name: a}}}, {name: GITSYNC_REF, value: main}]\n", `f:6:11: spec.containers[0].env[0]: GITSYNC_REPO comes from elsewhere`},
		{"a revision from a map", syncHead + "    args: [--repo=https://h/r]\n    env: [{name: GITSYNC_REF, valueFrom: {configMapKeyRef: {name: a}}}]\n", `spec.containers[0].env[0]: GITSYNC_REF comes from elsewhere`},
		{"a revision that Kubernetes fills in", syncHead + "    args: [--repo=https://h/r, --ref=$(REF)]\n", `f:6:32: spec.containers[0].args[1]: "--ref=$(REF)" is a template`},
		{"a repository that Kubernetes fills in", syncHead + "    args: [--repo=$(REPO), --ref=main]\n", `"--repo=$(REPO)" is a template`},
		{"a revision that is a number", syncHead + "    args: [--repo, 'https://h/r', --ref, 1.5]\n", `spec.containers[0].args[3]: "1.5" is not text`},
		{"an empty revision", syncHead + "    args: [--repo=https://h/r, --ref=]\n", `is empty`},
		{"an option for a revision", syncHead + "    args: [--repo=https://h/r, --ref, --one-time]\n", `"--one-time" is not a branch`},
		{"two repositories share a revision", syncHead + "    args: [--repo=https://h/r, &r --ref=main]\n  - image: git-sync/git-sync:v4\n    args: [--repo=https://h/other, *r]\n",
			`spec.containers[1].args[1]: "--ref=main" shares its text through the anchor &r with spec.containers[0].args[1]`},
		{"two containers of one repository", syncHead + "    args: [--repo=https://h/r, &r --ref=main]\n  - image: git-sync/git-sync:v4\n    args: [--repo=https://h/r, *r]\n", ``},
		{"a revision shared with another setting", syncHead + "    args: [--repo=https://h/r, &r --ref=main]\n    command: [*r]\n", `shares its text`},
		{"a revision shared elsewhere", syncHead + "    args: [--repo=https://h/r, --ref, &r main]\n    env: [{name: BRANCH, value: *r}]\n", `shares its text through the anchor &r with a field that is not a revision`},
		{"another program with such flags", podHead + "  - image: x:1\n    args: [--repo=https://h/r]\n", ``},
		{"artifact without revision", gitHead + "        git: {repo: 'https://h/r'}\n", `f:10:14: spec.templates[0].inputs.artifacts[0].git: names no revision`},
		{"artifact without repository", gitHead + "        git: {revision: main}\n", `spec.templates[0].inputs.artifacts[0].git: has no repo`},
		{"artifact of a parameter", gitHead + "        git: {repo: 'https://h/r', revision: '{{inputs.parameters.rev}}'}\n", `f:10:46: spec.templates[0].inputs.artifacts[0].git.revision: "{{inputs.parameters.rev}}" is a template`},
		{"artifact that is a text", gitHead + "        git: x\n", `spec.templates[0].inputs.artifacts[0].git: "x" is not a mapping`},
		{"another artifact", gitHead + "        s3: {key: a}\n", ``},

		{"image of a parameter", flowHead + "    container: {image: '{{inputs.parameters.image}}'}\n", `f:6:24: spec.templates[0].container.image: "{{inputs.parameters.image}}" is a template`},
		{"no image", flowHead + "    script: {source: x}\n", `f:6:13: spec.templates[0].script: has no image`},
		{"image of the defaults", flowHead + "    container: {args: [a]}\n  templateDefaults:\n    container: {image: \"x:1\"}\n", ``},
		{"defaults without image", flowHead + "    container: {image: \"x:1\"}\n  templateDefaults:\n    container: {args: [a]}\n", ``},
		{"a template of the cluster", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  workflowTemplateRef:\n    name: x\n", `f:5:5: spec.workflowTemplateRef: takes its steps from an object of the cluster`},
		{"a step of the cluster", flowHead + "    dag: {tasks: [{name: t, templateRef: {name: x, template: y}}]}\n", `spec.templates[0].dag.tasks[0].templateRef: takes a step from an object`},
		{"a nested step of the cluster", flowHead + "    steps: [[{name: t, templateRef: {name: x, template: y}}]]\n", `spec.templates[0].steps[0][0].templateRef: takes a step from an object`},
		{"an object in a text that has no kind", flowHead + "    resource: {action: create, manifest: 'a: b'}\n", `f:6:43: spec.templates[0].resource.manifest|: has no kind`},
		{"an object in a text", flowHead + "    resource: {action: create, manifest: '{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"spec\": {\"containers\": [{\"name\": \"a\", \"image\": \"x:1\"}]}}'}\n", ``},
		{"an object made of an artifact", flowHead + "    resource: {action: create, manifestFrom: {artifact: {name: x}}}\n", `spec.templates[0].resource.manifestFrom: makes an object out of an artifact`},
		{"a patch with an image", flowHead + "    container: {image: \"x:1\"}\n    podSpecPatch: '{\"containers\":[{\"image\":\"y\"}]}'\n", `spec.templates[0].podSpecPatch:`},
		{"a patch of something else", flowHead + "    container: {image: \"x:1\"}\n    podSpecPatch: '{\"terminationGracePeriodSeconds\": 3}'\n", ``},
		{"templates that are none", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates: {}\n", `f:4:14: spec.templates: is not a list`},
		{"no workflow", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: x\n", `f:3:7: spec: "x" is not a mapping`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Read("f", []byte(tc.spec))
			if err == nil {
				err = s.Err()
			}
			if err == nil {
				var out []byte
				if out, err = s.Pin(testPins(t, s), &Stamp{RunID: testRun}); err != nil && out != nil {
					t.Error("output beside an error")
				}
			}
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			for _, k := range schema.Kinds(err) {
				if k != schema.Unpinnable {
					t.Errorf("kind %s", k)
				}
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) > 1 {
				t.Errorf("told several times: %v", err)
			}
		})
	}
}

// Code is pinned to a full commit and to nothing else.
func TestPinCodeRefuses(t *testing.T) {
	s, err := Read("f", []byte(syncHead+"    name: sync\n    args: [--repo=https://h/team/train.git, --ref=main]\n"))
	if err != nil {
		t.Fatal(err)
	}
	image := "git-sync/git-sync:v4@" + string(testDigest("x"))
	for value, want := range map[string]string{
		"":                       `f:7:45: spec.containers[0].args[1]: "main" has no recorded commit`,
		"v1.4":                   `the pinned value "v1.4" is not a full commit id`,
		"0123456":                `is not a full commit id`,
		strings.Repeat("A", 40):  `is not a full commit id`,
		strings.Repeat("a", 40):  ``,
		strings.Repeat("1f", 32): ``,
	} {
		values := map[string]string{"sync": image}
		if value != "" {
			values["train"] = value
		}
		out, err := s.Pin(values, nil)
		if want == "" {
			if err != nil || !strings.Contains(string(out), ", --ref="+value+"]") {
				t.Errorf("%s: %v\n%s", value, err, out)
			}
			continue
		}
		if err == nil || out != nil || !strings.Contains(err.Error(), want) || schema.KindOf(err) != schema.Unpinnable {
			t.Errorf("%q: got %v, want %s", value, err, want)
		}
	}
}
