package render

import "io"

func init() { register(shell{}) }

// shell is a script for a machine: what --execute does, without runpin.
type shell struct{}

func (shell) Name() string   { return "shell" }
func (shell) Traits() Traits { return Traits{} }

func (shell) Render(w io.Writer, p *Plan) error {
	text := p.hostScript("/bin/sh", "", Quote(p.Name)) + p.placeData() + p.outputDirs()
	text += "cd -- \"$root\"/" + Quote(p.Dir) + "\n"
	text += p.ready() + p.exports() + "exec"
	for _, arg := range p.Argv {
		text += " " + quoteMarked(arg)
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
