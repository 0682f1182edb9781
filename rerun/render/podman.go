package render

import "io"

func init() { register(engine{"podman"}) }

// engine is a shell line that starts the command with a container engine, behind what restores the code and guards the data on this machine.
type engine struct{ name string }

func (e engine) Name() string { return e.name }
func (engine) Traits() Traits { return Traits{Image: true} }

func (e engine) Render(w io.Writer, p *Plan) error {
	if err := p.checkBinds(":,"); err != nil {
		return err
	}
	text := p.hostScript("/bin/sh", "", Quote(p.Name)) + p.outputDirs() + p.ready()
	if e.name == "docker" {
		text += asCaller
	}
	text += "exec " + e.name + " run --rm"
	if e.name == "docker" {
		text += " $user"
	}
	for _, b := range p.binds() {
		mode := ""
		if b.readOnly {
			mode = ":ro"
		}
		text += " \\\n  --volume " + b.from + ":" + Quote(b.to) + mode
	}
	if len(p.binds()) > 0 {
		text += " \\\n  --workdir " + Quote(p.Dir)
	}
	for _, v := range p.Env {
		text += " \\\n  --env " + quoteMarked(v.Name+"="+v.Value)
	}
	if !p.Entry {
		text += " \\\n  --entrypoint=''" // the record has the whole command
	}
	// Both engines take a tag beside a digest only in later versions.
	text += " \\\n  " + Quote(p.digestOnly()) + " " + quoteAllMarked(p.Argv) + "\n"
	_, err := io.WriteString(w, text)
	return err
}

// asCaller: docker with root does not make a container's files the caller's, as podman and docker without root do.
const asCaller = `user=
if [ "$(id -u)" != 0 ]; then
  case $(docker info --format '{{.SecurityOptions}}') in *rootless*) ;; *) user="--user=$(id -u):$(id -g)" ;; esac
fi
`
