package render

import "io"

func init() { register(job{}) }

// job is a Kubernetes Job that is tried once: a second try would not start from the same files.
type job struct{}

func (job) Name() string   { return "job" }
func (job) Traits() Traits { return Traits{Cluster: true, Image: true, UTF8: true, Init: true} }

func (job) Render(w io.Writer, p *Plan) error {
	return p.writeYAML(w, []pair{{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"metadata", p.metadata()},
		{"spec", []pair{{"backoffLimit", 0}, {"template", p.podTemplate("main")}}}})
}
