package process

import (
	"fmt"
	"strings"
)

// ContainerCommand recognises `podman|docker [options] [container] run [options] IMAGE …` and gives the engine and the index of IMAGE in argv, so that
// it can be replaced by the digest. The index counts in the whole of argv, also behind wrapper programs (`sudo -E podman run …`, `env A=b timeout 60
// docker run …`; see wrapper.go for which). It is not ok for any other command; see [ReadContainerCommand] for why.
func ContainerCommand(argv []string) (engine string, imageIndex int, ok bool) {
	c, err := ReadContainerCommand(argv)
	if err != nil || c.Engine == "" {
		return "", 0, false
	}
	return c.Engine, c.Image, true
}

// Container is a command that runs an image: the engine, the index in argv of the image, the values of -e and --env as they are given
// (NAME=value, or NAME to pass the variable on), and the paths of --env-file, with their indices.
type Container struct {
	Engine    string
	Image     int
	Variables []ContainerVariable
	EnvFiles  []ContainerVariable
}

// ContainerVariable is one -e or --env. Index is that of the argument that holds it; Text is NAME or NAME=value; of an --env-file, its path.
type ContainerVariable struct {
	Index int
	Text  string
}

// runsNothing is the error of a command that the engine itself refuses or only answers with its help.
type runsNothing string

func (e runsNothing) Error() string { return string(e) }

// ReadContainerCommand reads such a command. Engine is "" when argv is no such command at all; an error says that it is one and cannot be read:
// an option that the tables do not know could take the image for its value, so nothing is guessed. A wrapper program that cannot be read makes it
// no such command; [HiddenContainer] tells of it.
func ReadContainerCommand(argv []string) (Container, error) {
	program, ok := unwrap(argv)
	if !ok || len(argv)-program < 3 {
		return Container{}, nil
	}
	engine := programName(argv[program])
	if engine == "podman-remote" {
		engine = "podman"
	}
	globals, options := tables(engine)
	if globals == nil {
		return Container{}, nil
	}
	i, verb, err := skipOptions(argv, program+1, globals, nil)
	if err != nil || verb == "container" {
		if err == nil {
			i, verb, err = skipOptions(argv, i+1, optionTable{}, nil)
		}
	}
	switch {
	case err != nil:
		for _, a := range argv[program+1:] {
			if a == "run" {
				return Container{}, fmt.Errorf("%s: %w", engine, err)
			}
		}
		return Container{}, nil
	case verb != "run":
		return Container{}, nil
	}
	c := Container{Engine: engine}
	c.Image, _, err = skipOptions(argv, i+1, options, func(option string, at int, value string) error {
		switch option {
		case "e", "env":
			c.Variables = append(c.Variables, ContainerVariable{at, value})
		case "env-file":
			c.EnvFiles = append(c.EnvFiles, ContainerVariable{at, value})
		case "rootfs":
			return fmt.Errorf("--rootfs runs a directory, not an image")
		case "help":
			return runsNothing("--help runs nothing")
		}
		return nil
	})
	if err != nil {
		return Container{}, fmt.Errorf("%s run: %w", engine, err)
	}
	if c.Image >= len(argv) || argv[c.Image] == "" {
		return Container{}, runsNothing(engine + " run: no image is given")
	}
	return c, nil
}

// skipOptions reads options from argv[i] on, as pflag does with interspersed arguments off, and gives the index and the text of the first word.
func skipOptions(argv []string, i int, table optionTable, seen func(option string, at int, value string) error) (int, string, error) {
	tell := func(option string, at int, value string) error {
		if seen == nil {
			return nil
		}
		return seen(option, at, value)
	}
	for ; i < len(argv); i++ {
		arg := argv[i]
		switch {
		case arg == "--":
			if i+1 >= len(argv) {
				return len(argv), "", nil
			}
			return i + 1, argv[i+1], nil
		case strings.HasPrefix(arg, "--"):
			name, value, attached := strings.Cut(arg[2:], "=")
			takes, known := table[name]
			if !known {
				return 0, "", fmt.Errorf("the option --%s is not known, and it might take the next argument", name)
			}
			at := i
			if takes && !attached {
				if i++; i >= len(argv) {
					return 0, "", runsNothing("--" + name + " lacks its value")
				}
				at, value = i, argv[i]
			}
			if !takes && attached && value == "false" && (name == "rootfs" || name == "help") {
				continue
			}
			if err := tell(name, at, value); err != nil {
				return 0, "", err
			}
		case len(arg) > 1 && arg[0] == '-':
			next, err := shortOptions(argv, i, table, tell)
			if err != nil {
				return 0, "", err
			}
			i = next
		default:
			return i, arg, nil
		}
	}
	return len(argv), "", nil
}

// shortOptions reads a cluster (-it, -eK=V, -p 80:80) and gives the index of the last argument that it used.
func shortOptions(argv []string, i int, table optionTable, tell func(string, int, string) error) (int, error) {
	cluster := argv[i][1:]
	for j := 0; j < len(cluster); j++ {
		name := cluster[j : j+1]
		takes, known := table[name]
		if !known {
			return 0, fmt.Errorf("the option -%s is not known, and it might take the next argument", name)
		}
		if !takes {
			if j+1 < len(cluster) && cluster[j+1] == '=' { // -t=true
				return i, nil
			}
			if err := tell(name, i, ""); err != nil {
				return 0, err
			}
			continue
		}
		if rest := cluster[j+1:]; rest != "" {
			return i, tell(name, i, strings.TrimPrefix(rest, "="))
		}
		if i+1 >= len(argv) {
			return 0, runsNothing("-" + name + " lacks its value")
		}
		return i + 1, tell(name, i+1, argv[i+1])
	}
	return i, nil
}
