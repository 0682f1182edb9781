package jobspec

import (
	"path"
	"strings"
)

// engineRun notes the image of a docker or podman command, and says whether it is one that runs an image.
func (r *scriptReader) engineRun(engine string, words []word) bool {
	argv := make([]string, len(words))
	for i, w := range words {
		argv[i] = w.text
		if w.expands {
			argv[i] += "$x" // some value: it is not empty, and no option when it does not begin as one
		}
	}
	argv[0] = engine
	at, err := r.engine(argv)
	field := engine
	for _, w := range words[1:] {
		if w.text == "run" || w.text == "create" || w.text == "pull" {
			field += " " + w.text
			break
		}
	}
	switch {
	case err != nil:
		r.problem(words[0].start, ProblemElsewhere, field, "", "cannot be read: "+oneLine(err.Error()))
	case at <= 0 || at >= len(words):
		return false
	default:
		r.engineImage(field, words[at])
		r.imageMounts(field+" --mount", words[1:at])
	}
	r.seen = append(r.seen, span{words[0].start, words[len(words)-1].end})
	return true
}

// imageMounts notes the images that --mount type=image,source=REF puts into the container.
func (r *scriptReader) imageMounts(field string, words []word) {
	for i, w := range words {
		value, isMount := w, false
		if w.text == "--mount" && !w.expands && i+1 < len(words) {
			value, isMount = words[i+1], true
		} else if strings.HasPrefix(w.text, "--mount=") && len(w.text) > len("--mount=") {
			value, isMount = w.from(len("--mount=")), true
		}
		if !isMount || !strings.Contains(","+value.text+",", ",type=image,") {
			continue
		}
		if r.unknown(field, value) {
			continue
		}
		from, found := 0, false
		for option := range strings.SplitSeq(value.text, ",") {
			key, image, _ := strings.Cut(option, "=")
			if (key == "source" || key == "src") && image != "" {
				part := value
				from, found = from+len(key)+1, true
				part.text, part.at = image, value.at[from:from+len(image)]
				part.start, part.end = part.at[0], part.at[len(image)-1]+1
				r.reference(field, part, 0, image, image, TagAndDigest)
				break
			}
			from += len(option) + 1
		}
		if !found {
			r.problem(value.start, ProblemShape, field, value.text, "names no image")
		}
	}
}

func (r *scriptReader) engineImage(field string, w word) {
	if value, before, ok := r.constant(w); ok && (before == "" || before == "docker://") {
		r.seen = append(r.seen, span{w.start, w.end})
		if before == "" {
			r.engineImage(field, value)
		} else {
			r.reference(field, value, 0, value.text, value.text, TagAndDigest)
		}
		return
	}
	if r.unknown(field, w) {
		return
	}
	image := strings.TrimPrefix(w.text, "docker://")
	if strings.Contains(image, "://") || strings.HasPrefix(image, "sha256:") {
		r.problem(w.start, ProblemReference, field, w.text, "is not an image of a registry, so runpin cannot pin it")
		return
	}
	r.reference(field, w, len(w.text)-len(image), image, image, TagAndDigest)
}

// makes notes an image file that the script makes itself. certain is set when there is a new file, or nothing runs behind the command.
func (r *scriptReader) makes(file word, certain bool) {
	at := file.start
	if value, before, ok := r.constant(file); ok && before == "" {
		file = value
	}
	if file.expands || file.text == "" {
		return
	}
	r.seen = append(r.seen, span{file.start, file.end})
	certain = r.always && (certain || r.stops > 0 && r.stops <= at && !r.resumes)
	name := path.Clean(file.text)
	if had, ok := r.made[name]; !ok || had {
		r.made[name] = certain
	}
}

// enroot reads `enroot import -o FILE docker://REF`, `enroot create FILE` and `enroot start`, and says whether the command is one of them.
func (r *scriptReader) enroot(words []word) bool {
	if len(words) < 2 || words[1].expands {
		return false
	}
	field := "enroot " + words[1].text
	values := map[string]map[string]bool{
		"import": {"-o": true, "--output": true, "-a": true, "--arch": true},
		"create": {"-n": true, "--name": true},
		"start":  {"-c": true, "--rc": true, "--conf": true, "-e": true, "--env": true, "-m": true, "--mount": true},
	}[words[1].text]
	if values == nil {
		return false
	}
	r.seen = append(r.seen, span{words[0].start, words[1].end})
	var file word
	i := 2
	for ; i < len(words) && strings.HasPrefix(words[i].text, "-"); i++ {
		option, _, joined := strings.Cut(words[i].text, "=")
		switch named := option == "-o" || option == "--output"; {
		case joined && named && len(words[i].text) > len(option)+1:
			file = words[i].from(len(option) + 1)
		case !joined && values[option] && i+1 < len(words):
			i++
			if named {
				file = words[i]
			}
		}
	}
	if i >= len(words) {
		r.problem(words[0].start, ProblemShape, field, "", "names no image")
		return true
	}
	w := words[i]
	if words[1].text == "import" {
		value, before, constant := r.constant(w)
		switch {
		case len(file.at) == 0 && !file.expands:
			r.problem(w.start, ProblemWritten, field, w.text, "makes a file that is named after the tag; name the file with --output FILE")
		case !strings.HasPrefix(w.text, "docker://") && !(constant && (before == "docker://" || strings.HasPrefix(value.text, "docker://"))):
			r.problem(w.start, ProblemElsewhere, field, w.text, "is not an image of a registry (docker://REF), so runpin cannot pin it")
		default:
			r.pyxis(field, w)
			r.makes(file, false)
		}
		r.seen = append(r.seen, span{w.start, w.end}, span{file.start, file.end})
		return true
	}
	if value, before, ok := r.constant(w); ok && before == "" {
		w = value
	}
	if words[1].text == "start" && !w.expands && !isImageFile(w.text) {
		return true // a container that create made
	}
	if !r.unknown(field, w) {
		r.file(field, w)
	}
	return true
}
