package process

import (
	"errors"
	"slices"
	"strings"
)

// HiddenContainer reports a command that starts a container which cannot be pinned, and why: a shell string that does (`sh -c "docker run …"`), an
// engine or verb without an image that could be replaced (docker compose, podman exec, apptainer run, srun --container-image), a `docker run` whose
// options cannot be read. It is false for every command that [ContainerCommand] understands. Why holds words of our own and names of options, never a value.
//
// It is a best effort, for a warning or a policy and not for a proof. It looks for the words, not for what a shell would make of them: `sh -c "echo docker
// run"` is reported, and a name that is computed (`$(which docker) run`), a script file or a Makefile that starts a container is not. Programs
// other than shells, engines, wrappers and launchers are not searched: `python x.py docker run` is not reported.
func HiddenContainer(argv []string) (why string, found bool) {
	c, err := ReadContainerCommand(argv)
	var nothing runsNothing
	switch {
	case errors.As(err, &nothing):
		return "", false
	case err != nil:
		return err.Error(), true
	case c.Engine != "":
		return "", false
	}
	at, readable := unwrap(argv)
	if at >= len(argv) {
		return "", false
	}
	program := programName(argv[at])
	if !readable {
		if what, ok := searchText(strings.Join(argv[at+1:], " ")); ok {
			return what + " behind " + program + ", whose options are not understood", true
		}
		return "", false
	}
	if slices.Contains(shells, program) {
		if what, ok := searchText(strings.Join(shellArgs(argv[at+1:]), " ")); ok {
			return what + " in the text of " + program + " -c", true
		}
		return "", false
	}
	if what, ok := starts(argv[at:]); ok {
		if what == "podman run" || what == "docker run" { // too short for an image
			return "", false
		}
		return what + " names no image that can be pinned in its arguments", true
	}
	if slices.Contains(launchers, program) {
		if what, ok := searchText(strings.Join(argv[at+1:], " ")); ok {
			return what + " behind " + program, true
		}
	}
	return "", false
}

var (
	shells = []string{"sh", "bash", "zsh", "dash", "ash", "ksh", "fish"}

	// launchers start a program like the wrappers do, but have too many options to be read.
	launchers = []string{"srun", "sbatch", "salloc", "mpirun", "mpiexec", "doas", "su", "sg", "runuser", "xargs", "parallel", "watch", "flock", "script",
		"systemd-run", "systemd-inhibit", "unshare", "chroot", "strace", "perf", "nsys", "ncu", "ssh", "tini", "dumb-init", "unbuffer", "caffeinate", "prlimit"}

	engineVerbs    = []string{"run", "exec", "compose", "create", "start", "kube", "play"}
	apptainerVerbs = []string{"run", "exec", "shell", "start"}

	// starters are the programs that start containers, with the verbs that do.
	starters = map[string][]string{"podman": engineVerbs, "podman-remote": engineVerbs, "docker": engineVerbs, "nerdctl": engineVerbs,
		"apptainer": apptainerVerbs, "singularity": apptainerVerbs}
)

// maxVerbWords and maxSlurmWords bound how far one word is followed, so that a search takes linear time.
const maxVerbWords, maxSlurmWords = 64, 256

// starts says what a command starts whose first word is the program.
func starts(words []string) (what string, ok bool) {
	name, rest := programName(words[0]), words[1:]
	switch name {
	case "podman-compose", "docker-compose":
		return name, true
	case "srun", "sbatch", "salloc":
		for _, w := range rest[:min(len(rest), maxSlurmWords)] {
			if flag, _, _ := strings.Cut(w, "="); flag == "--container-image" {
				return name + " --container-image", true
			}
		}
		return "", false
	}
	verbs, is := starters[name]
	if !is {
		return "", false
	}
	globals, _ := tables(strings.TrimSuffix(name, "-remote"))
	skip, maybe := false, false // the next word is a value, may be one
	for _, w := range rest[:min(len(rest), maxVerbWords)] {
		option, isOption := strings.CutPrefix(w, "-")
		switch {
		case skip:
			skip = false
		case isOption:
			option, _, attached := strings.Cut(strings.TrimPrefix(option, "-"), "=")
			takes, known := globals[option]
			skip, maybe = takes && !attached, !known && !attached
		case slices.Contains(verbs, w):
			return name + " " + w, true
		case w == "container", w == "instance", maybe:
			maybe = false
		default:
			return "", false
		}
	}
	return "", false
}

// shellArgs gives what follows the -c of a shell, nil without one (a script, or an interactive shell).
func shellArgs(args []string) []string {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--command" || strings.HasPrefix(a, "--command="): // fish
			return append([]string{strings.TrimPrefix(a, "--command=")}, args[i+1:]...)
		case a == "--rcfile" || a == "--init-file":
			i++
		case strings.HasPrefix(a, "--") && a != "--":
		case len(a) < 2 || a == "--" || a[0] != '-' && a[0] != '+':
			return nil
		case a[0] == '-' && strings.Contains(a, "c"):
			return args[i+1:]
		case strings.ContainsAny(a, "oO"): // -o pipefail
			i++
		}
	}
	return nil
}

// searchText looks for a command that starts a container in the text of a shell, between any two separators and after any word.
func searchText(text string) (what string, ok bool) {
	for _, words := range simpleCommands(text) {
		for i := range words {
			if what, ok := starts(words[i:]); ok {
				return what, true
			}
		}
	}
	return "", false
}

// simpleCommands cuts a text into commands and these into words. Quotes are dropped rather than obeyed: what stands in them is often run (eval, ssh).
func simpleCommands(text string) [][]string {
	text = strings.NewReplacer("\\\r\n", " ", "\\\n", " ", `\`, "", `"`, "", "'", "", "<", " ", ">", " ").Replace(text)
	var out [][]string
	for _, command := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(";&|()`\n", r) }) {
		if words := strings.Fields(command); len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}
