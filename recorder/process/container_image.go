package process

import "fmt"

// podman-hpc and nerdctl take the options of podman and docker, and a few of their own.
var (
	podmanHPCRun   = merged(podmanRun, options("", "gpu mpi cuda-mpi"))
	nerdctlGlobals = merged(dockerGlobals, options("n namespace a address snapshotter data-root cgroup-manager cni-path cni-netconfpath hosts-dir storage-driver",
		"insecure-registry experimental"))
	podmanPull = options("arch authfile cert-dir creds decryption-key os platform policy retry retry-delay signature-policy variant", "disable-content-trust q quiet tls-verify help")
	dockerPull = options("platform", "disable-content-trust q quiet help")
)

func merged(all ...optionTable) optionTable {
	out := optionTable{}
	for _, t := range all {
		for name, takes := range t {
			out[name] = takes
		}
	}
	return out
}

// ImageOperand gives the index in argv of the image that a command of docker, podman, podman-hpc or nerdctl runs, creates a container of, or pulls,
// and 0 for any other command. The engine comes first in argv. An error says that it is such a command and cannot be read.
func ImageOperand(argv []string) (int, error) {
	if len(argv) < 2 {
		return 0, nil
	}
	engine := programName(argv[0])
	base := engine
	switch engine {
	case "podman-hpc", "podman-remote":
		base = "podman"
	case "nerdctl":
		base = "docker"
	}
	globals, run := tables(base)
	if globals == nil {
		return 0, nil
	}
	pull := podmanPull
	switch {
	case engine == "podman-hpc":
		run = podmanHPCRun
	case base == "docker":
		pull = dockerPull
	}
	if engine == "nerdctl" {
		globals = nerdctlGlobals
	}
	i, verb, err := skipOptions(argv, 1, globals, nil)
	if err != nil {
		for _, a := range argv[1:] {
			if a == "run" || a == "create" || a == "pull" {
				return 0, fmt.Errorf("%s: %w", engine, err)
			}
		}
		return 0, nil
	}
	group := ""
	if verb == "container" || verb == "image" {
		group = verb
		if i, verb, err = skipOptions(argv, i+1, optionTable{}, nil); err != nil {
			return 0, nil
		}
	}
	table := run
	switch {
	case verb == "pull" && group != "container":
		table = pull
	case (verb == "run" || verb == "create") && group != "image":
	default:
		return 0, nil
	}
	at, _, err := skipOptions(argv, i+1, table, func(option string, _ int, _ string) error {
		switch option {
		case "rootfs":
			return fmt.Errorf("--rootfs runs a directory, not an image")
		case "help":
			return runsNothing("--help runs nothing")
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s %s: %w", engine, verb, err)
	case at >= len(argv) || argv[at] == "":
		return 0, runsNothing(engine + " " + verb + ": no image is given")
	case verb == "pull" && at+1 < len(argv):
		return 0, fmt.Errorf("%s pull: more than one image; pull each with a command of its own", engine)
	}
	return at, nil
}
