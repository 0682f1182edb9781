package jobspec

import "strings"

// Where an Argo workflow holds what, below its spec. A template stands in the list of templates, or in the step that it is for.
var (
	workflowTemplates = []string{"templates[]", "templates[].dag.tasks[].inline", "templates[].steps[][].inline"}
	templateImages    = []string{"initContainers[].image", "container.image", "script.image", "containerSet.containers[].image", "sidecars[].image", "volumes[].image.reference"}
	// templateContainers get the run's id in their environment.
	templateContainers = []string{"initContainers[]", "container", "script", "containerSet.containers[]", "sidecars[]"}
	templateGits       = []string{"inputs.artifacts[].git"}
	workflowGits       = []string{"arguments.artifacts[].git", "templates[].dag.tasks[].arguments.artifacts[].git", "templates[].steps[][].arguments.artifacts[].git"}
)

// elsewhere are the parts of a workflow that start what the file does not show. word narrows a text to those that hold it.
var elsewhere = []struct{ path, word, reason string }{
	{"workflowTemplateRef", "", "takes its steps from an object of the cluster, which can change; write the steps out"},
	{"templates[].dag.tasks[].templateRef", "", "takes a step from an object of the cluster, which can change; write the step out"},
	{"templates[].steps[][].templateRef", "", "takes a step from an object of the cluster, which can change; write the step out"},
	{"templates[].resource", "", "makes an object out of a text, which may name an image; runpin does not look into it"},
	{"templates[].plugin", "", "is run by a plugin, which may start any image"},
	{"podSpecPatch", "image", "may name an image, which runpin does not look for there"},
	{"templates[].podSpecPatch", "image", "may name an image, which runpin does not look for there"},
}

// workflow reads the spec of an Argo workflow.
func (r *reader) workflow(object *value, h hit) {
	if h.wrong != "" || h.missing != "" {
		r.image(h)
		return
	}
	// A template without an image has that of the defaults, where they give one.
	defaults := map[string]bool{}
	for _, path := range templateImages {
		walk(h.value, h.field, "templateDefaults."+path, func(at hit) {
			if at.missing == "" {
				defaults[path] = true
				r.image(at)
			}
		})
	}
	p := pod{object: object, template: object, field: h.field, within: h.value}
	for _, template := range workflowTemplates {
		for _, path := range templateImages {
			walk(h.value, h.field, template+"."+path, func(at hit) {
				if at.missing == "" || !defaults[path] {
					r.image(at)
				}
			})
		}
		for _, path := range templateContainers {
			p.containers = append(p.containers, template+"."+path)
			walk(h.value, h.field, template+"."+path, r.gitSync)
		}
		for _, path := range templateGits {
			walk(h.value, h.field, template+"."+path, r.gitArtifact)
		}
	}
	for _, path := range workflowGits {
		walk(h.value, h.field, path, r.gitArtifact)
	}
	walk(h.value, h.field, "volumes[].image.reference", r.image)
	for _, e := range elsewhere {
		walk(h.value, h.field, e.path, func(at hit) {
			if at.missing == "" && at.wrong == "" && !at.value.isNull() && (e.word == "" || strings.Contains(at.value.text(), e.word)) {
				r.problem(at.value, at.field, e.reason)
			}
		})
	}
	r.doc.pods = append(r.doc.pods, p)
}
