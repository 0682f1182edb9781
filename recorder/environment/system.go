package environment

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// readSystem reads what the kernel and /etc say: system, processor, memory, limits and facts.
func (r *Reader) readSystem(dir string, vars map[string]string) findings {
	var f findings
	f.env.OS.Arch = runtime.GOARCH
	f.env.OS.Name = runtime.GOOS
	if host := strings.TrimSpace(r.system("/proc/sys/kernel/hostname")); host != "" {
		f.env.Node = host
	} else if host, err := os.Hostname(); err == nil {
		f.env.Node = host
	}
	if isLinux() {
		r.readRelease(&f)
		f.env.OS.Kernel = strings.TrimSpace(r.system("/proc/sys/kernel/osrelease"))
		r.readCPU(&f)
		r.readMemory(&f)
	}
	readPlatform(&f) // what needs system calls
	r.readLimits(&f)
	r.readFacts(&f, dir, vars)
	return f
}

// readRelease reads os-release(5).
func (r *Reader) readRelease(f *findings) {
	text := r.system("/etc/os-release")
	if text == "" {
		text = r.system("/usr/lib/os-release")
	}
	if text == "" {
		f.because("no-os-release", "os", "there is no readable /etc/os-release")
		return
	}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = unquote(value)
		switch key {
		case "ID":
			f.env.OS.Name = value
		case "VERSION_ID":
			f.env.OS.Version = value
		case "PRETTY_NAME":
			f.env.OS.Pretty = value
		}
	}
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(s[1 : len(s)-1])
	}
	return s
}

func (r *Reader) readMemory(f *findings) {
	for _, line := range strings.SplitN(r.system("/proc/meminfo"), "\n", 3) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			if kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil && kib > 0 && kib < 1<<43 {
				f.env.MemoryBytes = kib << 10
			}
		}
	}
}

var glibcVersion = regexp.MustCompile(`(?m)^ *(?:echo|printf).*?["'(]?ldd \(.*?\) ([0-9]+\.[0-9.]*[0-9])|GNU C Library .*?release version ([0-9]+\.[0-9.]*[0-9])`)

// readFacts collects what has no field of its own.
func (r *Reader) readFacts(f *findings, dir string, vars map[string]string) {
	set := func(name, value string) { f.env.Facts = setFact(f.env.Facts, name, value) }
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := vars[name]; v != "" {
			set("locale", v)
			break
		}
	}
	set("timezone", r.timezone(vars))
	if dir != "" {
		set("filesystem", fileSystem(dir))
	}
	if !isLinux() {
		return
	}
	if _, rest, ok := strings.Cut(r.system("/proc/self/status"), "\nUmask:"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		set("umask", strings.TrimSpace(line))
	}
	if uid := os.Getuid(); uid >= 0 {
		set("uid", strconv.Itoa(uid))
	}
	if n := sharedMemory(r.at("/dev/shm")); n > 0 {
		set("shm_bytes", strconv.FormatInt(n, 10))
	}
	set("container", r.container(vars))
	// ldd is a script that says the version of the library it came with; the library itself has to be searched for it.
	if m := glibcVersion.FindStringSubmatch(r.system("/usr/bin/ldd")); m != nil {
		set("glibc", m[1]+m[2])
	} else if v := r.libcVersion(); v != "" {
		set("glibc", v)
	} else if musl, _ := filepath.Glob(r.at("/lib/ld-musl-*.so.1")); len(musl) > 0 {
		set("musl", filepath.Base(musl[0]))
	}
}

func (r *Reader) libcVersion() string {
	for _, pattern := range []string{"/lib64/libc.so.6", "/lib/*-linux-gnu*/libc.so.6", "/usr/lib/libc.so.6", "/lib/libc.so.6"} {
		found, _ := filepath.Glob(r.at(pattern))
		for _, path := range found {
			b, err := readSmall(path, 16<<20)
			if err != nil {
				continue
			}
			i := bytes.Index(b, []byte("GNU C Library ")) // a regular expression over the whole library takes far longer
			if i < 0 {
				continue
			}
			if m := glibcVersion.FindSubmatch(b[i:min(len(b), i+256)]); m != nil {
				return string(m[1]) + string(m[2])
			}
		}
	}
	return ""
}

func (r *Reader) timezone(vars map[string]string) string {
	if tz, ok := vars["TZ"]; ok {
		if tz == "" {
			return "UTC"
		}
		return strings.TrimPrefix(tz, ":")
	}
	if target, err := os.Readlink(r.at("/etc/localtime")); err == nil {
		if _, zone, ok := strings.Cut(filepath.ToSlash(target), "zoneinfo/"); ok {
			return zone
		}
	}
	if zone := strings.TrimSpace(r.system("/etc/timezone")); zone != "" && !strings.ContainsAny(zone, " \n") {
		return zone
	}
	if !r.exists("/etc/localtime") && isLinux() {
		return "UTC" // the C library's default
	}
	return ""
}

// container says in what kind of container we are, "no" if in none that can be recognised.
func (r *Reader) container(vars map[string]string) string {
	cgroups := r.system("/proc/1/cgroup")
	switch {
	case vars["KUBERNETES_SERVICE_HOST"] != "" || strings.Contains(cgroups, "kubepods"):
		return "kubernetes"
	case r.exists("/run/.containerenv") || strings.Contains(cgroups, "libpod"):
		return "podman"
	case r.exists("/.dockerenv") || strings.Contains(cgroups, "/docker"):
		return "docker"
	case r.exists("/.singularity.d") || vars["APPTAINER_CONTAINER"] != "" || vars["SINGULARITY_CONTAINER"] != "":
		return "apptainer"
	case strings.Contains(cgroups, "/lxc"):
		return "lxc"
	case cgroups == "":
		return ""
	}
	return "no"
}
