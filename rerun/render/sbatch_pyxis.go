package render

import (
	"io"
	"strings"
)

func init() { register(pyxis{}) }

// pyxis is a batch script of Slurm whose task runs in the image through NVIDIA pyxis and enroot.
type pyxis struct{}

func (pyxis) Name() string   { return "sbatch-pyxis" }
func (pyxis) Traits() Traits { return Traits{Image: true} }

func (pyxis) Render(w io.Writer, p *Plan) error {
	if err := p.checkBinds(":,"); err != nil {
		return err
	}
	registry, rest, ok := strings.Cut(p.Image, "/")
	image := p.Image
	if ok && (strings.ContainsAny(registry, ".:") || registry == "localhost") {
		image = registry + "#" + rest // enroot's spelling
	}
	text := p.batchHead() + "srun --container-image=" + Quote(image)
	if mounts := p.mountList(); mounts != "" {
		text += " \\\n  --container-mounts=" + mounts + " \\\n  --container-workdir=" + Quote(p.Dir)
	}
	if p.Entry {
		text += " \\\n  --container-entrypoint"
	}
	_, err := io.WriteString(w, text+" \\\n  "+quoteAllMarked(p.Argv)+"\n")
	return err
}

// batchHead is a batch script up to the step that starts the command. A variable is exported: Slurm hands it on to the step.
func (p *Plan) batchHead() string {
	return p.hostScript("/bin/bash", "#SBATCH --job-name="+p.Name+"\n#SBATCH --ntasks=1\n", Quote(p.Name)+"-${SLURM_JOB_ID:-0}") + p.outputDirs() + p.ready() + p.exports()
}

// mountList is from:to[:ro],… as one word of the shell.
func (p *Plan) mountList() string {
	var all []string
	for _, b := range p.binds() {
		mode := ""
		if b.readOnly {
			mode = ":ro"
		}
		all = append(all, b.from+":"+Quote(b.to)+mode)
	}
	return strings.Join(all, ",")
}
