package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/runpin/runpin/schema"
)

func init() { register(argo{}) }

// argo is an Argo Workflow with one template.
type argo struct{}

func (argo) Name() string   { return "argo" }
func (argo) Traits() Traits { return Traits{Cluster: true, Image: true, UTF8: true, Init: true} }

func (argo) Render(w io.Writer, p *Plan) error {
	if err := noTemplates(p); err != nil {
		return err
	}
	var inits []any
	if init := p.initContainer(); init != nil {
		inits = append(inits, init)
	}
	c := p.container("main")
	template := []pair{{"name", "main"}, {"metadata", p.templateMetadata()}, {"initContainers", present(inits)}, {"container", c}, {"volumes", present(p.volumes())}}
	spec := append([]pair{{"entrypoint", "main"}}, p.podSettings()...)
	return p.writeYAML(w, []pair{{"apiVersion", "argoproj.io/v1alpha1"}, {"kind", "Workflow"}, {"metadata", p.metadata()},
		{"spec", append(spec, pair{"templates", []any{template}})}})
}

// noTemplates refuses what Argo would fill in: it has no way to say {{ as text.
func noTemplates(p *Plan) error {
	check := func(what, text string) error {
		if strings.Contains(text, "{{") {
			return refuse(schema.Unpinnable, what, "render it --as job", "it holds {{, which Argo would fill in")
		}
		return nil
	}
	for i, arg := range p.Argv {
		if err := check(fmt.Sprintf("argument %d", i), arg); err != nil {
			return err
		}
	}
	for _, v := range p.Env {
		if err := check("variable "+v.Name, v.Value); err != nil {
			return err
		}
	}
	for _, d := range p.Data {
		if err := check("dataset:"+d.Pin.Name, d.Target+d.Volume.HostPath+d.Volume.Sub); err != nil {
			return err
		}
	}
	return check("the code", p.Dir+p.initScript(Data.mounted))
}
