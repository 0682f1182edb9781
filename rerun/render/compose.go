package render

import (
	"io"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
)

func init() { register(compose{}) }

// compose is a compose file with the command as the service main, behind a service that restores and guards. The code lies in a volume of the project.
type compose struct{}

func (compose) Name() string   { return "compose" }
func (compose) Traits() Traits { return Traits{Image: true, UTF8: true, Init: true} }

func (compose) Render(w io.Writer, p *Plan) error {
	escape := func(s string) string { return strings.ReplaceAll(s, "$", "$$") } // compose fills in $NAME
	secret := func(variable string) string { return "${" + variable + ":?}" }
	main := []pair{{"image", p.Image}}
	if p.Entry {
		main = append(main, pair{"command", escapeAll(p.Argv, escape, secret)})
	} else {
		main = append(main, pair{"entrypoint", escapeAll(p.Argv, escape, secret)})
	}
	var env []pair
	for _, v := range p.Env {
		env = append(env, pair{v.Name, escape(v.Value)})
	}
	services := []pair{}
	var volumes []pair
	if p.restores() {
		mounts := func(at func(Data) string) []any {
			all := []any{[]pair{{"type", "volume"}, {"source", "workspace"}, {"target", workspace}}}
			for _, d := range p.Data {
				all = append(all, []pair{{"type", "bind"}, {"source", escape(d.Source)}, {"target", escape(at(d))}, {"read_only", true}, {"bind", []pair{{"create_host_path", false}}}})
			}
			return all
		}
		restore := []pair{{"image", p.InitImage}, {"entrypoint", shellCommand(p.initScript(Data.mounted), escape)}, {"volumes", mounts(Data.mounted)}}
		if p.Stamp != "" {
			restore = append(restore, pair{"environment", []pair{{jobspec.StampVariable, p.Stamp}}})
		}
		services = append(services, pair{"restore", restore})
		main = append(main, pair{"working_dir", escape(p.Dir)}, pair{"volumes", mounts(func(d Data) string { return d.Target })},
			pair{"depends_on", []pair{{"restore", []pair{{"condition", "service_completed_successfully"}}}}})
		volumes = []pair{{"workspace", []pair{}}}
	}
	main = append(main, pair{"environment", present(env)})
	services = append(services, pair{"main", main})
	return p.writeYAML(w, []pair{{"name", p.Name}, {"services", services}, {"volumes", present(volumes)}})
}
