package jobspec

import (
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// signs are what hints at a container wherever it stands.
var signs = regexp.MustCompile(`--container-image\b|\bSLURM_CONTAINER_IMAGE=|\b(docker|dockerd|podman|oras|library|shub)://|\b(apptainer|singularity)[ \t]+(-\S+[ \t]+)*(exec|run|shell|instance)\b|\benroot[ \t]+(import|start)\b|` +
	`\b(docker|podman|podman-hpc|nerdctl)[ \t]+(-\S+([ \t]+[a-z]+)?[ \t]+)*(container[ \t]+)?(run|create)\b|[\w./-]+\.(sif|sqsh|squashfs|simg)\b`)

// imageActions are the actions of apptainer that take an image.
var imageActions = map[string]bool{"exec": true, "run": true, "shell": true, "test": true}

// valueOptions are the options of apptainer's actions (and before them) that take the next word.
var valueOptions = map[string]bool{"-B": true, "--bind": true, "-H": true, "--home": true, "-W": true, "--workdir": true, "-S": true, "--scratch": true, "-o": true, "--overlay": true,
	"-s": true, "--shell": true, "-c": false, "-p": false, "-e": false, "--pwd": true, "--cwd": true, "--env": true, "--env-file": true, "--mount": true, "--network": true,
	"--network-args": true, "--dns": true, "--hostname": true, "--security": true, "--app": true, "--apply-cgroups": true, "--add-caps": true, "--drop-caps": true, "--fusemount": true,
	"--pem-path": true, "--authfile": true, "--cpus": true, "--memory": true, "--memory-reservation": true, "--memory-swap": true, "--blkio-weight": true, "--blkio-weight-device": true,
	"--cpu-shares": true, "--cpuset-cpus": true, "--cpuset-mems": true, "--pids-limit": true, "--device": true, "--cdi-dirs": true, "--data": true, "--no-mount": true,
	"--docker-host": true, "--docker-username": true, "--docker-password": true, "--config": true}

// engines take an image among the words of a command, as [Reader.ContainerImage] reads it.
var engines = map[string]bool{"docker": true, "podman": true, "podman-hpc": true, "nerdctl": true}

// otherEngines start a container in a way that cannot be pinned here; the words are the actions that do, "" is the program itself.
var otherEngines = map[string][]string{"docker": {"run", "create"}, "podman": {"run", "create"}, "podman-hpc": {"run", "create"}, "nerdctl": {"run", "create"},
	"shifter": {""}, "ch-run": {""}, "sarus": {"run"}, "enroot": {"load", "bundle"}}

// someEngine is a variable that by its name holds the program that starts containers.
var someEngine = regexp.MustCompile(`(?i)^"?\$\{?\w*(docker|podman|nerdctl|engine|runtime|container|apptainer|singularity|enroot)`)

// engineActions are what such a program is told to do.
var engineActions = map[string]bool{"run": true, "exec": true, "shell": true, "create": true, "pull": true, "instance": true, "container": true, "import": true, "start": true}

// talk are commands whose arguments are words about programs, not programs.
var talk = map[string]bool{"echo": true, "printf": true, "cp": true, "mv": true, "rm": true, "ls": true, "ln": true, "rsync": true, "stat": true, "test": true, "[": true, "sha256sum": true, "mkdir": true, "du": true, "module": true, "ml": true, "which": true, "type": true, "spack": true, "pip": true, "apt-get": true}

// commands looks at every command of the script, also those in functions, substitutions and arrays.
func (r *scriptReader) commands(tree *syntax.File) {
	top := map[syntax.Command]bool{}
	output := map[*syntax.CallExpr]bool{} // commands whose output goes into a file or a pipe
	for _, s := range tree.Stmts {
		top[s.Cmd] = !s.Background && !s.Negated
	}
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				r.piped[n.X] = true
			}
		case *syntax.Stmt:
			for _, redirect := range n.Redirs {
				if redirect.Op == syntax.RdrOut || redirect.Op == syntax.AppOut || redirect.Op == syntax.RdrAll {
					if to := redirect.Word.Lit(); !strings.HasPrefix(to, "/dev/") {
						r.piped[n] = true
					}
				}
			}
			if call, ok := n.Cmd.(*syntax.CallExpr); ok && r.piped[n] {
				output[call] = true
			} else if n.Cmd != nil && r.piped[n] && !r.spread[n] { // the output of a group is that of its commands
				syntax.Walk(n.Cmd, func(inner syntax.Node) bool {
					if stmt, ok := inner.(*syntax.Stmt); ok {
						r.piped[stmt], r.spread[stmt] = true, true
					}
					return true
				})
			}
		case *syntax.CallExpr:
			for _, a := range n.Assigns {
				r.assignment(a, false)
			}
			r.evaluated(n)
			var words []word
			for _, w := range n.Args {
				words = append(words, r.wordOf(w))
			}
			if len(words) > 0 {
				r.always = top[n] && !output[n]
				r.call(words, output[n])
			}
		case *syntax.DeclClause:
			for _, a := range n.Args {
				r.assignment(a, top[n] && n.Variant.Value == "export" && len(n.Args) == 1)
			}
		case *syntax.ArrayExpr:
			var words []word
			for _, e := range n.Elems {
				if e.Value != nil {
					words = append(words, r.wordOf(e.Value))
				}
			}
			r.container("an array", words)
			r.apptainer(words)
		}
		return true
	})
}

// setters are commands that set variables that they are given by name, and those after which nothing is known.
var (
	setters = map[string]bool{"read": true, "mapfile": true, "readarray": true, "printf": true, "getopts": true, "unset": true, "let": true}
	sources = map[string]bool{".": true, "source": true, "eval": true}
)

func (r *scriptReader) call(words []word, output bool) {
	name := path.Base(words[0].text)
	if talk[name] && !words[0].expands {
		if !output {
			r.seen = append(r.seen, span{words[0].start, words[len(words)-1].end})
		}
		return
	}
	field := "a command"
	for _, w := range words {
		if b := path.Base(w.text); b == "srun" || b == "sbatch" || b == "salloc" {
			field = b
			break
		}
	}
	r.container(field, words)
	r.apptainer(words)
	tries := 0
	for i, w := range words {
		engine := r.program(w)
		if engine == "" {
			j := skipOptions(words, i+1)
			if shown := string(r.spec.source.data[w.start:w.end]); j < len(words) && engineActions[words[j].text] && someEngine.MatchString(shown) {
				r.problem(w.start, ProblemTemplate, "", shown, "is a program that only the running shell knows, and it may start a container; write its name")
				r.seen = append(r.seen, span{w.start, words[len(words)-1].end})
				return
			}
			continue
		}
		if engine == "enroot" && r.enroot(words[i:]) {
			return
		}
		actions, known := otherEngines[engine]
		if !known {
			continue
		}
		if engines[engine] {
			if tries++; tries > maxEngines {
				r.problem(w.start, ProblemElsewhere, engine, "", "is named too often in one command")
				return
			}
			if r.engine != nil && r.engineRun(engine, words[i:]) {
				return
			}
		}
		for _, action := range actions {
			if action == "" || i+1 < len(words) && words[i+1].text == action {
				r.problem(w.start, ProblemElsewhere, strings.TrimSpace(engine+" "+action), "", "starts a container in a way that runpin cannot pin in a script; use pyxis (srun --container-image), enroot import, apptainer exec docker://REF, docker run or podman run")
				r.seen = append(r.seen, span{w.start, words[len(words)-1].end})
				return
			}
		}
	}
}

// container looks for the options that name a container among the words of srun or of an #SBATCH line.
func (r *scriptReader) container(field string, words []word) {
	slurm := field == "#SBATCH" || field == "srun" || field == "sbatch" || field == "salloc"
	for i, w := range words {
		option, _, joined := strings.Cut(w.text, "=")
		image := option == "--container-image"
		if !image && !(slurm && (option == "--container" || field == "#SBATCH" && option == "--image")) {
			continue
		}
		value := word{start: w.end, end: w.end}
		if joined {
			value = w.from(len(option) + 1)
		} else if i+1 < len(words) && !w.expands {
			value = words[i+1]
		}
		r.seen = append(r.seen, span{w.start, w.end}, span{value.start, value.end})
		at := field + " " + option
		switch {
		case option == "--container":
			r.problem(w.start, ProblemElsewhere, at, value.text, "names an OCI bundle on a file system, which has no digest to pin")
		case option == "--image":
			r.problem(w.start, ProblemElsewhere, at, value.text, "is for an engine that runpin cannot pin; use pyxis (--container-image) or apptainer exec docker://REF")
		case value.text == "" && !value.expands && !w.expands:
			r.problem(w.start, ProblemShape, at, "", "names no image")
		default:
			r.pyxis(at, value)
		}
	}
}

// pyxis notes an image as pyxis and enroot take it: [docker://][USER@][REGISTRY#]IMAGE[:TAG][@DIGEST], or the path of a file.
func (r *scriptReader) pyxis(field string, w word) {
	if value, before, ok := r.constant(w); ok && (before == "" || before == "docker://") && field[0] != '#' {
		r.seen = append(r.seen, span{w.start, w.end})
		if before == "" {
			r.pyxis(field, value)
		} else {
			r.reference(field, value, 0, value.text, value.text, TagAndDigest)
		}
		return
	}
	if r.unknown(field, w) {
		return
	}
	text, skip := w.text, 0
	if rest, ok := strings.CutPrefix(text, "docker://"); ok {
		text, skip = rest, len(w.text)-len(rest)
	}
	switch {
	case strings.Contains(text, "://"):
		r.problem(w.start, ProblemElsewhere, field, w.text, "is not in a registry that pyxis pulls from, so runpin cannot pin it")
		return
	case skip == 0 && (strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") || isImageFile(text)):
		r.file(field, w)
		return
	}
	if at := strings.IndexByte(text, '@'); at >= 0 && !strings.HasPrefix(text[at:], "@sha256:") {
		text, skip = text[at+1:], skip+at+1 // the user that logs in
	}
	registry, image, separate := strings.Cut(text, "#")
	if !separate {
		registry, image = "", text
	}
	value := image
	if separate {
		value = registry + "/" + image
		skip += len(registry) + 1
	}
	r.reference(field, w, skip, value, image, TagAndDigest)
}

// apptainer looks for `apptainer exec IMAGE`, behind whatever starts it: srun, mpirun, runpin record --join.
func (r *scriptReader) apptainer(words []word) {
	for i, w := range words {
		program := r.program(w)
		if program != "apptainer" && program != "singularity" {
			continue
		}
		j, group := skipOptions(words, i+1), ""
		if j < len(words) && words[j].text == "instance" {
			j, group = skipOptions(words, j+1), "instance "
			if j < len(words) && words[j].text != "start" && words[j].text != "run" {
				r.seen = append(r.seen, span{w.start, words[j].end})
				continue
			}
		} else if j < len(words) && (words[j].text == "pull" || words[j].text == "build") {
			r.pulled(program+" "+words[j].text, words[j+1:])
			return
		} else if j >= len(words) || words[j].expands || !imageActions[words[j].text] {
			continue
		}
		if j >= len(words) {
			continue
		}
		field := program + " " + group + words[j].text
		j = skipOptions(words, j+1)
		r.seen = append(r.seen, span{w.start, words[min(j, len(words)-1)].end})
		if j >= len(words) {
			r.problem(w.start, ProblemShape, field, "", "names no image")
			return
		}
		r.apptainerImage(field, words[j])
		return
	}
}

// skipOptions gives the place of the first word from i on that is neither an option nor the value of one.
func skipOptions(words []word, i int) int {
	for i < len(words) && strings.HasPrefix(words[i].text, "-") && len(words[i].text) > 1 {
		if words[i].text == "--" {
			return i + 1
		}
		if valueOptions[words[i].text] && !words[i].expands {
			i++
		}
		i++
	}
	return i
}

// pulled notes the image that `apptainer pull FILE docker://REF` makes a file of; the file is what the script makes, and no input.
func (r *scriptReader) pulled(field string, words []word) {
	forced := false
	for i, w := range words {
		if w.text == "--force" || w.text == "-F" {
			forced = true
		}
		text := w.text
		if value, before, ok := r.constant(w); ok {
			text = before + value.text
		}
		if !strings.HasPrefix(text, "docker://") && !strings.HasPrefix(text, "oras://") {
			if w.text != "" && path.Ext(w.text) == ".def" {
				r.problem(w.start, ProblemElsewhere, field, w.text, "builds an image while the job runs, which has no digest before; build it first, or pin the definition file and run what it makes")
			}
			continue
		}
		var file word
		if i > 0 && !strings.HasPrefix(words[i-1].text, "-") {
			file = words[i-1]
		}
		if len(file.at) == 0 && !file.expands {
			r.problem(w.start, ProblemWritten, field, w.text, "makes a file that is named after the tag; name the file: "+field+" FILE "+w.text)
			return
		}
		r.apptainerImage(field, w)
		r.makes(file, forced)
		for _, other := range words[:i] {
			r.seen = append(r.seen, span{other.start, other.end})
		}
		return
	}
}

func (r *scriptReader) apptainerImage(field string, w word) {
	if value, before, ok := r.constant(w); ok && (before == "" || before == "docker://" || before == "oras://") {
		r.seen = append(r.seen, span{w.start, w.end})
		if before == "" {
			r.apptainerImage(field, value)
		} else {
			r.reference(field, value, 0, value.text, value.text, DigestOnly)
		}
		return
	}
	if r.unknown(field, w) {
		return
	}
	for _, scheme := range []string{"docker://", "oras://"} {
		if image, ok := strings.CutPrefix(w.text, scheme); ok {
			r.reference(field, w, len(scheme), image, image, DigestOnly)
			return
		}
	}
	if strings.Contains(w.text, "://") {
		r.problem(w.start, ProblemElsewhere, field, w.text, "is not an image of a registry (docker://REF, oras://REF), so runpin cannot pin it")
		return
	}
	r.file(field, w)
}

func isImageFile(text string) bool {
	switch path.Ext(text) {
	case ".sqsh", ".squashfs", ".sif", ".simg", ".img", ".tar":
		return true
	}
	return false
}

// unknown tells of a word that only the running shell can know.
func (r *scriptReader) unknown(field string, w word) bool {
	shown := string(r.spec.source.data[w.start:max(w.start, w.end)])
	if w.expands || strings.ContainsAny(w.text, "$`") {
		r.problem(w.start, ProblemTemplate, field, shown, "is made by the shell while the job runs (a variable or a command), so runpin cannot pin it; write the image itself")
		return true
	}
	if field[0] == '#' && strings.Contains(w.text, "%") {
		r.problem(w.start, ProblemTemplate, field, shown, "is a pattern that Slurm fills in")
		return true
	}
	return false
}
