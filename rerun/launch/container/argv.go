package container

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// createArgs gives the arguments that create the container, and the variables that the engine's client must have in its own environment:
// a value that is passed by name alone does not show in the list of processes.
func (l *Launcher) createArgs(job launch.Job, tty bool, user string) (args, env []string, err error) {
	image, err := parseImage(job.Image)
	if err != nil {
		return nil, nil, err
	}
	args = []string{"create", "--interactive", "--pull=never"}
	if tty {
		args = append(args, "--tty")
	}
	if user != "" {
		args = append(args, "--user", user)
	}
	if job.Dir != "" {
		if !path.IsAbs(job.Dir) {
			return nil, nil, invalid(job.Dir, "is not an absolute directory of the container")
		}
		args = append(args, "--workdir", job.Dir)
	}
	for _, m := range job.Mounts {
		mount, err := mountArg(m)
		if err != nil {
			return nil, nil, err
		}
		args = append(args, "--mount", mount)
	}
	for _, e := range job.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || !isVariable(name) || strings.ContainsRune(value, 0) {
			return nil, nil, invalid(name, "is not a variable that a container can have")
		}
		if name == "RUNPIN_RUN_ID" {
			args = append(args, "--label", "runpin.dev/run="+value)
		}
		if steersEngine(name) {
			args = append(args, "--env", e)
			continue
		}
		args = append(args, "--env", name)
		env = append(env, e)
	}
	args = append(args, l.gpuArgs(job.GPUs)...)
	args = append(args, l.options.Args...)
	args = append(args, image.name())
	return append(args, job.Argv...), env, nil
}

// mountArg gives the value of --mount. Both engines read it as one record of CSV, so that any path can be quoted.
func mountArg(m launch.Mount) (string, error) {
	switch {
	case !filepath.IsAbs(m.Source):
		return "", invalid(m.Source, "is mounted and is not an absolute path")
	case !path.IsAbs(m.Target):
		return "", invalid(m.Target, "is where to mount and is not an absolute path")
	case strings.ContainsAny(m.Source+m.Target, "\x00\r\n"):
		return "", invalid(m.Source, "holds a line end, which no engine can mount")
	}
	fields := []string{"type=bind", "source=" + m.Source, "destination=" + m.Target}
	if m.ReadOnly {
		fields = append(fields, "readonly=true")
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	_ = w.Write(fields) // a strings.Builder takes all
	w.Flush()
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// isVariable accepts what both engines take for the name of one variable; podman takes NAME* for all that begin so.
func isVariable(name string) bool {
	return name != "" && !strings.ContainsAny(name, "*= \t\r\n\x00#")
}

// steersEngine reports whether the engine's client itself acts on the variable, so that it must not find the container's value in its own
// environment. None of them is a secret.
func steersEngine(name string) bool {
	switch name {
	case "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "LANG", "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "SSH_AUTH_SOCK", "SHELL", "PWD":
		return true
	}
	for _, prefix := range []string{"CONTAINER", "DOCKER", "PODMAN", "BUILDAH", "_CONTAINERS", "REGISTR", "STORAGE_", "XDG_", "DBUS_", "LD_", "DYLD_",
		"GODEBUG", "GOMAXPROCS", "GOGC", "GOTRACEBACK", "GOMEMLIMIT", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy", "ALL_PROXY", "all_proxy",
		"SSL_CERT_", "OTEL_", "LC_", "NETAVARK", "CNI_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return runtime.GOOS == "windows"
}

func invalid(subject, reason string) error {
	return &schema.Error{Op: "launch.container", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(subject, 300)), Err: errors.New(reason)}
}
