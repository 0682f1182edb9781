package jobspec

import (
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// signs are what hints at a container wherever it stands.
var signs = regexp.MustCompile(`--container-image\b|\b(docker|dockerd|podman|oras|library|shub)://|\b(apptainer|singularity)[ \t]+(exec|run|shell)\b`)

// imageActions are the actions of apptainer that take an image.
var imageActions = map[string]bool{"exec": true, "run": true, "shell": true, "test": true}

// valueOptions are the options of apptainer's actions (and before them) that take the next word.
var valueOptions = map[string]bool{"-B": true, "--bind": true, "-H": true, "--home": true, "-W": true, "--workdir": true, "-S": true, "--scratch": true, "-o": true, "--overlay": true,
	"-s": true, "--shell": true, "-c": false, "-p": false, "-e": false, "--pwd": true, "--cwd": true, "--env": true, "--env-file": true, "--mount": true, "--network": true,
	"--network-args": true, "--dns": true, "--hostname": true, "--security": true, "--app": true, "--apply-cgroups": true, "--add-caps": true, "--drop-caps": true, "--fusemount": true,
	"--pem-path": true, "--authfile": true, "--cpus": true, "--memory": true, "--memory-reservation": true, "--memory-swap": true, "--blkio-weight": true, "--blkio-weight-device": true,
	"--cpu-shares": true, "--cpuset-cpus": true, "--cpuset-mems": true, "--pids-limit": true, "--device": true, "--cdi-dirs": true, "--data": true, "--no-mount": true,
	"--docker-host": true, "--docker-username": true, "--docker-password": true, "--config": true}

// otherEngines start a container in a way that cannot be pinned here; the words are the actions that do, "" is the program itself.
var otherEngines = map[string][]string{"docker": {"run", "create"}, "podman": {"run", "create"}, "podman-hpc": {"run", "create"}, "nerdctl": {"run", "create"},
	"shifter": {""}, "ch-run": {""}, "sarus": {"run"}, "enroot": {"import", "start", "create", "load"}}

// talk are commands whose arguments are words about programs, not programs.
var talk = map[string]bool{"echo": true, "printf": true, "module": true, "ml": true, "which": true, "type": true, "spack": true, "pip": true, "apt-get": true}

// commands looks at every command of the script, also those in functions, substitutions and arrays.
func (r *scriptReader) commands(tree *syntax.File) {
	top := map[syntax.Command]bool{}
	for _, s := range tree.Stmts {
		top[s.Cmd] = true
	}
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			for _, a := range n.Assigns {
				r.assignment(a, false)
			}
			var words []word
			for _, w := range n.Args {
				words = append(words, r.wordOf(w))
			}
			if len(words) > 0 {
				r.call(words)
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

func (r *scriptReader) assignment(a *syntax.Assign, plain bool) {
	if a.Name == nil || a.Name.Value != StampVariable {
		return
	}
	s := assign{at: int(a.Name.Pos().Offset())}
	if a.Value != nil && !a.Append {
		w := r.wordOf(a.Value)
		s.start, s.end, s.value = w.start, w.end, w.text
		s.plain = plain && !w.expands
	}
	r.spec.script.stamps = append(r.spec.script.stamps, s)
}

func (r *scriptReader) call(words []word) {
	name := path.Base(words[0].text)
	if talk[name] && !words[0].expands {
		r.seen = append(r.seen, span{words[0].start, words[len(words)-1].end})
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
	for i, w := range words {
		engine := path.Base(w.text)
		actions, known := otherEngines[engine]
		if !known || w.expands {
			continue
		}
		for _, action := range actions {
			if action == "" || i+1 < len(words) && words[i+1].text == action {
				r.problem(w.start, strings.TrimSpace(engine+" "+action), "", "starts a container in a way that runpin cannot pin in a batch script; use pyxis (srun --container-image) or apptainer exec docker://REF")
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
			r.problem(w.start, at, value.text, "names an OCI bundle on a file system, which has no digest to pin")
		case option == "--image":
			r.problem(w.start, at, value.text, "is for an engine that runpin cannot pin; use pyxis (--container-image) or apptainer exec docker://REF")
		case value.text == "" && !value.expands && !w.expands:
			r.problem(w.start, at, "", "names no image")
		default:
			r.pyxis(at, value)
		}
	}
}

// pyxis notes an image as pyxis and enroot take it: [docker://][USER@][REGISTRY#]IMAGE[:TAG][@DIGEST], or the path of a file.
func (r *scriptReader) pyxis(field string, w word) {
	if r.unknown(field, w) {
		return
	}
	text, skip := w.text, 0
	if rest, ok := strings.CutPrefix(text, "docker://"); ok {
		text, skip = rest, len(w.text)-len(rest)
	}
	switch {
	case strings.Contains(text, "://"):
		r.problem(w.start, field, w.text, "is not in a registry that pyxis pulls from, so runpin cannot pin it")
		return
	case skip == 0 && (strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") || isImageFile(text)):
		r.problem(w.start, field, w.text, "is a file, which has no digest in a registry; name the image that it was made from")
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
		program := path.Base(w.text)
		if w.expands || program != "apptainer" && program != "singularity" {
			continue
		}
		j := skipOptions(words, i+1)
		if j >= len(words) || words[j].expands || !imageActions[words[j].text] {
			continue
		}
		field := program + " " + words[j].text
		j = skipOptions(words, j+1)
		r.seen = append(r.seen, span{w.start, words[min(j, len(words)-1)].end})
		if j >= len(words) {
			r.problem(w.start, field, "", "names no image")
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

func (r *scriptReader) apptainerImage(field string, w word) {
	if r.unknown(field, w) {
		return
	}
	image, ok := strings.CutPrefix(w.text, "docker://")
	switch {
	case ok:
		r.reference(field, w, len("docker://"), image, image, DigestOnly)
	case strings.Contains(w.text, "://"):
		r.problem(w.start, field, w.text, "is not an image of a registry (docker://REF), so runpin cannot pin it")
	default:
		r.problem(w.start, field, w.text, "is a file, which has no digest in a registry; name the image that it was made from (docker://REF)")
	}
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
		r.problem(w.start, field, shown, "is made by the shell while the job runs (a variable or a command), so runpin cannot pin it; write the image itself")
		return true
	}
	if field[0] == '#' && strings.Contains(w.text, "%") {
		r.problem(w.start, field, shown, "is a pattern that Slurm fills in")
		return true
	}
	return false
}

// reference notes an image. value is what the registry calls it; image is the part of w from skip on that a pin ends with a digest.
func (r *scriptReader) reference(field string, w word, skip int, value, image string, shape Shape) {
	parts, reason := splitReference(value)
	if reason == "" && image == "" {
		reason = "is not an image reference: it is empty"
	}
	if reason != "" {
		r.problem(w.start, field, w.text, reason)
		return
	}
	// The tag and the digest are what a pin replaces; the repository stays as it is spelled.
	tail := skip + len(image)
	if parts.digest != "" {
		tail -= len(parts.digest) + 1
	}
	if parts.tag != "" {
		tail -= len(parts.tag) + 1
	}
	start, end := w.at[0], w.at[len(w.at)-1]+1
	cut := w.at[tail-1] + 1
	if tail < len(w.text) {
		cut = w.at[tail]
		if string(r.spec.source.data[cut:end]) != w.text[tail:] {
			r.problem(w.start, field, w.text, "is quoted in the middle; write it in one piece")
			return
		}
	}
	name := parts.repository[strings.LastIndexByte(parts.repository, '/')+1:]
	ref := Reference{Name: name, Kind: KindImage, Value: value, Pinned: parts.digest != "", Shape: shape, Field: field, Offset: start, End: end,
		token: token{start: start, end: end}, cut: cut}
	ref.Line, ref.Column = r.spec.source.position(start)
	r.spec.References = append(r.spec.References, ref)
	r.seen = append(r.seen, span{w.start, w.end})
}
