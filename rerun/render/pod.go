package render

import (
	"fmt"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
)

// maxArgument bounds one argument of a container's command: Linux takes 128 KiB (MAX_ARG_STRLEN).
const maxArgument = 96 << 10

// gitSecret is where the init step finds --git-secret: kubernetes.io/basic-auth (username, password) or kubernetes.io/ssh-auth (ssh-privatekey, and
// known_hosts beside it).
const gitSecret = `if [ -e /runpin/git/ssh-privatekey ]; then
  key=$(mktemp) && cat /runpin/git/ssh-privatekey >"$key"
  hosts=/runpin/git/known_hosts
  export GIT_SSH_COMMAND="ssh -i $key -o IdentitiesOnly=yes -o BatchMode=yes"
  if [ -e "$hosts" ]; then GIT_SSH_COMMAND="$GIT_SSH_COMMAND -o UserKnownHostsFile=$hosts"; else GIT_SSH_COMMAND="$GIT_SSH_COMMAND -o StrictHostKeyChecking=accept-new"; fi
else
  ask=$(mktemp) && chmod 700 "$ask"
  printf '#!/bin/sh\ncase $1 in Username*) cat /runpin/git/username ;; *) cat /runpin/git/password ;; esac\n' >"$ask"
  export GIT_ASKPASS="$ask"
fi
`

// initScript restores and guards in a container: the code in the workspace, the data sets where the init step sees them.
func (p *Plan) initScript(at func(Data) string) string {
	var b strings.Builder
	b.WriteString("set -eu\nexport LC_ALL=C HOME=${HOME:-/tmp}\n")
	if p.Options.GitSecret != "" && len(p.Code) > 0 {
		b.WriteString(gitSecret)
	}
	if code := p.codeScript(workspace); code != "" {
		b.WriteString("[ -z \"$(ls -A " + workspace + ")\" ] || { echo 'runpin: " + workspace + " is not empty' >&2; exit 11; }\n")
		b.WriteString("umask 000\n") // the image may run as anybody
		b.WriteString("(\n" + code + ")\n")
	}
	if guard := p.guardScript(at); guard != "" {
		b.WriteString("(\n" + guard + ")\n")
	}
	return b.String()
}

// shellCommand is the command of a container that runs script; a long one is put together again from several arguments.
func shellCommand(script string, escape func(string) string) []any {
	command := []any{"sh", "-c"}
	if len(script) <= maxArgument {
		return append(command, literal(escape(script)))
	}
	command = append(command, escape(`IFS=; all="$*"; unset IFS; eval "$all"`), "sh")
	for len(script) > 0 {
		cut := min(len(script), maxArgument)
		if cut < len(script) {
			if line := strings.LastIndexByte(script[:cut], '\n'); line >= 0 {
				cut = line + 1
			}
		}
		command = append(command, literal(escape(script[:cut])))
		script = script[cut:]
	}
	return command
}

// dollars keeps Kubernetes from filling in $(NAME): $$ stands for $ in commands and in the values of variables. One at the end is doubled too, for what may
// follow it.
func dollars(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] == '$' && (i+1 == len(s) || s[i+1] == '$' || s[i+1] == '(') {
			b.WriteByte('$')
		}
	}
	return b.String()
}

// escapeAll escapes the text of words; mark writes what stands for a secret.
func escapeAll(words []string, escape, mark func(string) string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fill(w, escape, mark)
	}
	return out
}

// variable is how Kubernetes fills a variable into a command.
func variable(name string) string { return "$(" + name + ")" }

// annotations are the stamp of an object.
func (p *Plan) annotations() any {
	if p.Stamp == "" {
		return nil
	}
	return []pair{{jobspec.StampAnnotation, p.Stamp}}
}

// metadata is that of a new object: the API server completes its name.
func (p *Plan) metadata() []pair {
	return []pair{{"generateName", p.Name + "-"}, {"namespace", text(p.Options.Namespace)}, {"annotations", p.annotations()}}
}

// podTemplate is a pod that restores, guards and runs.
func (p *Plan) podTemplate(container string) []pair {
	return []pair{{"metadata", p.templateMetadata()}, {"spec", append([]pair{{"restartPolicy", "Never"}}, p.podSpec(container)...)}}
}

func (p *Plan) templateMetadata() any {
	if p.Stamp == "" {
		return nil
	}
	return []pair{{"annotations", p.annotations()}}
}

func (p *Plan) podSpec(container string) []pair {
	var inits []any
	if init := p.initContainer(); init != nil {
		inits = append(inits, init)
	}
	return append(p.podSettings(), pair{"initContainers", present(inits)}, pair{"containers", []any{p.container(container)}}, pair{"volumes", present(p.volumes())})
}

func (p *Plan) podSettings() []pair {
	var secrets []any
	for _, s := range p.Options.PullSecrets {
		secrets = append(secrets, []pair{{"name", s}})
	}
	var selector []pair
	for _, k := range sortedNames(p.Options.NodeSelector) {
		selector = append(selector, pair{k, p.Options.NodeSelector[k]})
	}
	return []pair{{"imagePullSecrets", present(secrets)}, {"nodeSelector", present(selector)}}
}

func (p *Plan) initContainer() any {
	if !p.restores() {
		return nil
	}
	mounts := []any{[]pair{{"name", "workspace"}, {"mountPath", workspace}}}
	for i, d := range p.Data {
		mounts = append(mounts, dataMount(i, d, d.mounted()))
	}
	if p.Options.GitSecret != "" {
		mounts = append(mounts, []pair{{"name", "git"}, {"mountPath", "/runpin/git"}, {"readOnly", true}})
	}
	return []pair{{"name", "restore"}, {"image", p.InitImage}, {"command", shellCommand(p.initScript(Data.mounted), dollars)},
		{"env", present(p.stampVariable())}, {"volumeMounts", mounts}}
}

func (p *Plan) stampVariable() (env []any) {
	if p.Stamp != "" {
		env = append(env, []pair{{"name", jobspec.StampVariable}, {"value", p.Stamp}})
	}
	return env
}

func (p *Plan) container(name string) []pair {
	var env []any
	for _, v := range p.Env {
		env = append(env, []pair{{"name", v.Name}, {"value", dollars(v.Value)}})
	}
	for _, secret := range p.Secrets {
		env = append(env, []pair{{"name", secret.Variable}, {"valueFrom", []pair{{"secretKeyRef", []pair{{"name", secret.Object}, {"key", secret.Key}}}}}})
	}
	words := "command"
	if p.Entry {
		words = "args"
	}
	c := []pair{{"name", name}, {"image", p.Image}, {words, escapeAll(p.Argv, dollars, variable)}}
	if !p.restores() && p.Volume == nil {
		return append(c, pair{"env", present(env)})
	}
	mounts := []any{[]pair{{"name", "workspace"}, {"mountPath", workspace}}}
	for i, d := range p.Data {
		mounts = append(mounts, dataMount(i, d, d.Target))
	}
	return append(c, pair{"workingDir", p.Dir}, pair{"env", present(env)}, pair{"volumeMounts", mounts})
}

func dataMount(i int, d Data, at string) []pair {
	return []pair{{"name", fmt.Sprintf("data-%d", i)}, {"mountPath", at}, {"subPath", text(d.Volume.Sub)}, {"readOnly", true}}
}

func (p *Plan) volumes() (all []any) {
	if !p.restores() && p.Volume == nil {
		return nil
	}
	if p.Volume != nil {
		all = append(all, p.Volume.volume("workspace", false))
	} else {
		all = append(all, []pair{{"name", "workspace"}, {"emptyDir", []pair{}}})
	}
	for i, d := range p.Data {
		all = append(all, d.Volume.volume(fmt.Sprintf("data-%d", i), true))
	}
	if p.Options.GitSecret != "" && len(p.Code) > 0 {
		all = append(all, []pair{{"name", "git"}, {"secret", []pair{{"secretName", p.Options.GitSecret}, {"defaultMode", 0o400}}}})
	}
	return all
}

func (v Volume) volume(name string, readOnly bool) []pair {
	if v.Claim == "" {
		return []pair{{"name", name}, {"hostPath", []pair{{"path", v.HostPath}}}}
	}
	claim := []pair{{"claimName", v.Claim}}
	if readOnly {
		claim = append(claim, pair{"readOnly", true})
	}
	return []pair{{"name", name}, {"persistentVolumeClaim", claim}}
}
