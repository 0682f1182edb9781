package render

import "io"

func init() { register(apptainer{}) }

// apptainer is a batch script of Slurm whose step runs in the image through Apptainer (or Singularity).
type apptainer struct{}

func (apptainer) Name() string   { return "sbatch-apptainer" }
func (apptainer) Traits() Traits { return Traits{Image: true} }

func (apptainer) Render(w io.Writer, p *Plan) error {
	if err := p.checkBinds(":,"); err != nil {
		return err
	}
	action := "exec"
	if p.Entry {
		action = "run"
	}
	text := p.batchHead() + "srun apptainer " + action
	if mounts := p.mountList(); mounts != "" {
		text += " \\\n  --bind " + mounts + " \\\n  --pwd " + Quote(p.Dir)
	}
	// Apptainer takes no tag beside a digest.
	_, err := io.WriteString(w, text+" \\\n  "+Quote("docker://"+p.digestOnly())+" "+quoteAllMarked(p.Argv)+"\n")
	return err
}
