package render

import "io"

func init() { register(pytorchJob{}) }

// pytorchJob is a PyTorchJob of Kubeflow's training operator (v1) with one replica, the master. Its container must be called pytorch.
type pytorchJob struct{}

func (pytorchJob) Name() string { return "pytorchjob" }
func (pytorchJob) Traits() Traits {
	return Traits{Cluster: true, Image: true, UTF8: true, Init: true}
}

func (pytorchJob) Render(w io.Writer, p *Plan) error {
	template := []pair{{"metadata", p.templateMetadata()}, {"spec", p.podSpec("pytorch")}}
	master := []pair{{"replicas", 1}, {"restartPolicy", "Never"}, {"template", template}}
	return p.writeYAML(w, []pair{{"apiVersion", "kubeflow.org/v1"}, {"kind", "PyTorchJob"}, {"metadata", p.metadata()},
		{"spec", []pair{{"runPolicy", []pair{{"backoffLimit", 0}}}, {"pytorchReplicaSpecs", []pair{{"Master", master}}}}}})
}
