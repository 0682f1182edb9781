package render

import (
	"fmt"
	"path"
	"strings"

	"github.com/runpin/runpin/schema"
)

// hostScript begins a script that runs on a machine with git and the data: it makes a fresh directory ($dir, with the code in $root), restores and guards,
// and takes the directory away again when that fails. What starts the command is the caller's.
func (p *Plan) hostScript(shell, head, dir string) string {
	var b strings.Builder
	b.WriteString("#!" + shell + "\n")
	for _, line := range p.Title {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString(head)
	b.WriteString("set -eu\n")
	for _, secret := range p.Secrets {
		fmt.Fprintf(&b, ": \"${%s:?set it to the secret %s that was withheld from the record}\"\n", secret.Variable, secret.Name)
	}
	if p.needsDir() {
		fmt.Fprintf(&b, "dir=${RUNPIN_DIR:-%s}\n", dir)
		b.WriteString(`mkdir -- "$dir" || { echo "runpin: name a directory that does not exist yet: RUNPIN_DIR=DIR" >&2; exit 11; }
dir=$(cd -- "$dir" && pwd -P)
root=$dir/code
trap 'rm -rf -- "$dir"' EXIT
mkdir -- "$root"
`)
	}
	if restore := p.codeScript(`"$root"`); restore != "" {
		b.WriteString("(\nexport LC_ALL=C\n" + restore + ")\n")
	}
	if guard := p.guardScript(func(d Data) string { return d.Source }); guard != "" {
		b.WriteString("(\nexport LC_ALL=C\n" + guard + ")\n")
	}
	return b.String()
}

// needsDir says whether the script makes a directory.
func (p *Plan) needsDir() bool { return p.restores() || len(p.Outputs) > 0 || !p.traits.Image }

// ready ends what takes the directory away again.
func (p *Plan) ready() string {
	if !p.needsDir() {
		return ""
	}
	return "trap - EXIT\n"
}

// placeData makes each data set appear where the command expects it, as a link, in the place of what the code has there; and takes away links that the code
// has where the command writes: they could lead to the original's output.
func (p *Plan) placeData() string {
	var b strings.Builder
	for _, d := range p.Data {
		if d.Target != "" {
			at := Quote(path.Join("code", d.Target))
			fmt.Fprintf(&b, "room %s && rm -rf -- \"$dir\"/%s && ln -s -- %s \"$dir\"/%s\n", at, at, Quote(d.Source), at)
		}
	}
	for _, written := range p.Written {
		at := Quote(path.Join("code", written))
		fmt.Fprintf(&b, "room %s && if [ -L \"$dir\"/%s ]; then rm -- \"$dir\"/%s; fi\n", at, at, at)
	}
	if p.Dir != "." {
		fmt.Fprintf(&b, "room %s\n", Quote(path.Join("code", p.Dir, "x")))
	}
	if b.Len() == 0 {
		return ""
	}
	return roomFunction + b.String()
}

// roomFunction makes the directories above a path and passes through no link: the code could lead anywhere.
const roomFunction = `room() {
  rest=$1 above=$dir
  while :; do
    case $rest in
    */*) above=$above/${rest%%/*} rest=${rest#*/}
      if [ -L "$above" ] || { [ -e "$above" ] && [ ! -d "$above" ]; }; then echo "runpin: $1 lies behind a link or a file of the code" >&2; exit 11; fi
      [ -d "$above" ] || mkdir -- "$above" ;;
    *) break ;;
    esac
  done
}
`

// exports sets the recorded variables.
func (p *Plan) exports() string {
	var b strings.Builder
	for _, v := range p.Env {
		fmt.Fprintf(&b, "export %s=%s\n", v.Name, quoteMarked(v.Value))
	}
	return b.String()
}

// outputDirs makes the directories of outputs that lie outside the code.
func (p *Plan) outputDirs() string {
	var b strings.Builder
	for _, o := range p.Outputs {
		fmt.Fprintf(&b, "mkdir -p -- \"$dir\"/outputs/%s\n", Quote(o.Name))
	}
	return b.String()
}

// bind is one directory of the machine that a container sees.
type bind struct {
	from     string // a word of the shell
	to       string
	readOnly bool
}

// binds are the mounts of a container that this machine starts: the code, the data sets read-only, the directories of outputs.
func (p *Plan) binds() []bind {
	var all []bind
	if p.restores() || len(p.Outputs) > 0 {
		all = append(all, bind{`"$root"`, workspace, false})
	}
	seen := map[string]bool{}
	for _, o := range p.Outputs {
		if parent := path.Dir(o.Target); !seen[parent] {
			seen[parent] = true
			all = append(all, bind{`"$dir"/outputs/` + Quote(o.Name), parent, false})
		}
	}
	for _, d := range p.Data {
		all = append(all, bind{Quote(d.Source), d.Target, true})
	}
	return all
}

// checkBinds refuses paths that an engine's list of mounts cannot say.
func (p *Plan) checkBinds(marks string) error {
	for _, d := range p.Data {
		if strings.ContainsAny(d.Source+d.Target, marks+"\n") {
			return refuse(schema.Unpinnable, "dataset:"+d.Pin.Name, "--at "+d.Pin.Name+"=/DIR, or --as shell", "its path has a character that separates mounts: %q", d.Source+" "+d.Target)
		}
	}
	for _, o := range p.Outputs {
		if strings.ContainsAny(o.Target, marks+"\n") || path.Dir(o.Target) == "/" {
			return refuse(schema.Unpinnable, "output "+o.Name, "", "its directory, %q, cannot be mounted", path.Dir(o.Target))
		}
	}
	return nil
}
