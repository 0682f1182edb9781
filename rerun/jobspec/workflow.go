package jobspec

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Where an Argo workflow holds what, below its spec. A template stands in the list of templates, or in the step that it is for.
var (
	workflowTemplates = []string{"templates[]", "templates[].dag.tasks[].inline", "templates[].steps[][].inline"}
	workflowHooks     = []string{"hooks.*", "templates[].hooks.*", "templates[].dag.tasks[].hooks.*", "templates[].steps[][].hooks.*"}

	templateParts = []part{
		{path: "initContainers[]", what: aContainer},
		{path: "container", what: aContainer, optional: true},
		{path: "script", what: aContainer, optional: true},
		{path: "containerSet.containers[]", what: aContainer},
		{path: "sidecars[]", what: aContainer},
		{path: "volumes[].image.reference", what: anImage},
		{path: "inputs.artifacts[].git", what: aGitArtifact, optional: true},
		{path: "inputs.artifacts[].s3", what: aDataset, optional: true, key: "key"},
		{path: "inputs.artifacts[].gcs", what: aDataset, optional: true, key: "key"},
		{path: "inputs.artifacts[].oss", what: aDataset, optional: true, key: "key"},
		{path: "inputs.artifacts[].azure", what: aDataset, optional: true, key: "blob"},
		{path: "inputs.artifacts[].hdfs", what: aDataset, optional: true, key: "path"},
		{path: "inputs.artifacts[].http", what: aDataset, optional: true, key: "url"},
		{path: "resource.manifest", what: aText, optional: true},
		{path: "resource.manifestFrom", what: elsewhere, reason: "makes an object out of an artifact, which may name an image; write the manifest out"},
		{path: "plugin", what: elsewhere, reason: "is run by a plugin, which may start any image"},
		{path: "podSpecPatch", what: elsewhere, word: "image", reason: "may name an image, which runpin does not look for there"},
	}
)

// argo gives the parts of the spec of a workflow.
func argo(spec string) (parts []part) {
	// A template without an image has that of the defaults, where they give one.
	for _, p := range templateParts {
		p.optional, p.bare = true, true
		parts = append(parts, at("templateDefaults", []part{p})...)
	}
	for _, template := range workflowTemplates {
		parts = append(parts, at(template, templateParts)...)
	}
	parts = append(parts, part{path: "volumes[].image.reference", what: anImage})
	for _, place := range []string{"", "templates[].dag.tasks[]", "templates[].steps[][]"} {
		parts = append(parts, at(place, []part{{path: "arguments.artifacts[].git", what: aGitArtifact, optional: true}})...)
	}
	parts = append(parts, part{path: "workflowTemplateRef", what: elsewhere, reason: "takes its steps from an object of the cluster, which can change; write the steps out"},
		part{path: "podSpecPatch", what: elsewhere, word: "image", reason: "may name an image, which runpin does not look for there"})
	for _, place := range append([]string{"templates[].dag.tasks[]", "templates[].steps[][]"}, workflowHooks...) {
		parts = append(parts, part{path: join(place, "templateRef"), what: elsewhere, reason: "takes a step from an object of the cluster, which can change; write the step out"})
	}
	return at(spec, parts)
}

// An image can be a parameter, {{inputs.parameters.image}}. It then is pinned where the parameter gets its value.

// maxParameters is how often a parameter may lead to another one, maxFollowed how many are followed in a file.
const (
	maxParameters = 8
	maxFollowed   = 10_000
)

// trail is the way that was gone from one text. Templates may call each other, so without it the ways would be too many.
type trail struct {
	seen map[*yaml.Node]bool
	left *int
}

func (tr *trail) step() bool {
	*tr.left--
	return *tr.left >= 0
}

// followArgo gives the places that fill in a text that is one parameter of a workflow as a whole. workflow is its spec, at field prefix; field is where
// the text stands. ok is false when the text is something else, or no value is in the file.
func followArgo(tr *trail, workflow *value, prefix, field, text string, depth int) (places []hit, ok bool) {
	name, whole := strings.CutPrefix(strings.TrimSpace(text), "{{")
	name, closed := strings.CutSuffix(name, "}}")
	if name = strings.TrimSpace(name); !whole || !closed || strings.Contains(name, "{{") || depth > maxParameters || !tr.step() {
		return nil, false
	}
	add := func(v *value, at, path string) {
		walk(v, at, path, func(h hit) {
			if h.wrong == "" && h.missing == "" && !h.value.isNull() {
				places = append(places, h)
			}
		})
	}
	if parameter, found := strings.CutPrefix(name, "workflow.parameters."); found {
		add(workflow, prefix, "arguments.parameters["+parameter+"].value")
		return settled(tr, workflow, prefix, places, depth)
	}
	template, at := enclosing(workflow, prefix, field)
	if template == nil {
		return nil, false
	}
	parameter, found := strings.CutPrefix(name, "inputs.parameters.")
	if !found {
		return nil, false
	}
	add(template, at, "inputs.parameters["+parameter+"].value")
	add(template, at, "inputs.parameters["+parameter+"].default")
	called := template.get("name").text()
	for _, list := range []string{"templates[].dag.tasks[]", "templates[].steps[][]", "hooks.*", "templates[].dag.tasks[].hooks.*", "templates[].steps[][].hooks.*"} {
		walk(workflow, prefix, list, func(h hit) {
			if h.wrong == "" && h.missing == "" && h.value.get("template").text() == called && called != "" {
				items := len(places)
				add(h.value, h.field, "arguments.parameters["+parameter+"].value")
				places = append(places[:items], itemsOf(h, places[items:])...)
			}
		})
	}
	if called != "" && (workflow.get("entrypoint").text() == called || workflow.get("onExit").text() == called) {
		add(workflow, prefix, "arguments.parameters["+parameter+"].value")
	}
	return settled(tr, workflow, prefix, places, depth)
}

// itemsOf puts the elements of withItems in place of {{item}} and {{item.KEY}}.
func itemsOf(step hit, values []hit) (places []hit) {
	for _, v := range values {
		name := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(v.value.text(), "{{"), "}}"))
		path := "withItems[]"
		if key, keyed := strings.CutPrefix(name, "item."); keyed {
			path += "." + key
		} else if name != "item" {
			places = append(places, v)
			continue
		}
		found := false
		walk(step.value, step.field, path, func(h hit) {
			if h.wrong == "" && h.missing == "" {
				places, found = append(places, h), true
			}
		})
		if !found {
			places = append(places, v) // still a template, and told as one
		}
	}
	return places
}

// settled follows parameters that are given by other parameters.
func settled(tr *trail, workflow *value, prefix string, places []hit, depth int) (out []hit, ok bool) {
	for _, h := range places {
		if h.value.isString() && isTemplate(h.value.node.Value) {
			if tr.seen[h.value.node] {
				continue // it leads where it led before
			}
			tr.seen[h.value.node] = true
			more, followed := followArgo(tr, workflow, prefix, h.field, h.value.node.Value, depth+1)
			if followed {
				out = append(out, more...)
				continue
			}
		}
		out = append(out, h)
	}
	return out, len(out) > 0
}

// enclosing gives the template of a workflow in which a field stands.
func enclosing(workflow *value, prefix, field string) (template *value, at string) {
	for _, path := range workflowTemplates {
		walk(workflow, prefix, path, func(h hit) {
			if h.wrong == "" && h.missing == "" && strings.HasPrefix(field, h.field+".") && len(h.field) > len(at) {
				template, at = h.value, h.field
			}
		})
	}
	return template, at
}
