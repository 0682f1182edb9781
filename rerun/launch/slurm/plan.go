package slurm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/rerun/launch"
	"github.com/runpin/runpin/schema"
)

// plan is what Submit does with a script.
type plan struct {
	data  []byte // the script, less what would make sbatch wait
	dir   string // where it runs
	make  bool   // dir is to be made
	args  []string
	tasks string // of an array, as the script writes it
	named bool   // the comment is ours, so that the job can be found by it
	lines []string
}

// maxScript is what Slurm takes, unless its max_script_size says otherwise.
const maxScript = 4 << 20

// Plan says what would be submitted, where it runs and where its output goes. It refuses what sbatch would refuse, and what could not be followed: a heterogeneous
// job, another cluster, --test-only. Errors are of kind Invalid.
func (l *Launcher) Plan(spec launch.Spec) ([]string, error) {
	p, err := l.plan(spec)
	if err != nil {
		return nil, err
	}
	return p.lines, nil
}

func (l *Launcher) plan(spec launch.Spec) (*plan, error) {
	d := readDirectives(spec.Data)
	if err := refuse(spec, d); err != nil {
		return nil, err
	}
	p := &plan{dir: spec.Dir, named: d.comment == ""}
	own := ownName(string(spec.Run))
	if p.dir == "" {
		p.dir, p.make = filepath.Join(l.options.Files, own), true
	}
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, fail(schema.Invalid, fmt.Sprintf("%q", spec.Dir), err, "")
	}
	if p.dir = dir; strings.ContainsAny(dir, "%\\\n\r") {
		return nil, fail(schema.Invalid, fmt.Sprintf("%q", dir), errors.New("has a character in its path that means something to Slurm: % or \\ or a line end"), "run it in another directory")
	}
	p.say("sbatch takes %s for the job; it runs in %s", shown(spec.Name), dir)
	work := dir
	if d.chdir != "" {
		if !filepath.IsLocal(d.chdir) {
			p.say("its --chdir=%s is not used: that is where the original ran", shown(d.chdir))
		} else if work = filepath.Join(dir, d.chdir); work != dir {
			p.say("its --chdir=%s is below that directory", shown(d.chdir))
		}
	}
	p.args = append(slices.Clone(l.options.Args), "--parsable", "--chdir="+work)
	if len(l.options.Args) > 0 {
		p.say("more arguments for sbatch: %s", shown(strings.Join(l.options.Args, " ")))
	}
	if d.name == "" && os.Getenv("SBATCH_JOB_NAME") == "" {
		p.args = append(p.args, "--job-name="+jobName(spec.Name))
	}
	if p.tasks = d.array; d.array != "" {
		n, _ := tasksOf(d.array)
		p.say("it is an array of %d tasks; its exit code is the highest of theirs", n)
	}
	p.outputs(d, own, work)
	if p.data = cut(spec.Data, d.wait); len(d.wait) > 0 {
		p.say("its --wait is taken out: runpin waits for the job itself")
	}
	if d.held {
		p.say("it is held: it starts when somebody releases it (scontrol release)")
	}
	if p.named {
		p.say("its comment names the run: squeue --me -o '%%i %%k' finds it")
	}
	return p, nil
}

// outputs says where the output goes: to where the script says, unless that is outside of its directory and holds what somebody else printed.
func (p *plan) outputs(d directives, own, work string) {
	pattern := own + "-%j"
	if d.array != "" {
		pattern = own + "-%A_%a"
	}
	taken := writesOver(d.output, p.dir, work)
	switch {
	case d.output == "":
		p.args = append(p.args, "--output="+pattern+".out")
		p.say("its output goes to %s", filepath.Join(work, pattern+".out"))
	case taken:
		p.args = append(p.args, "--output="+pattern+".out")
		p.say("its --output=%s is not used: the file is there already; its output goes to %s", shown(d.output), filepath.Join(work, pattern+".out"))
	default:
		p.say("its output goes to %s, as it says", shown(d.output))
	}
	if d.hasError && writesOver(d.errors, p.dir, work) {
		p.args = append(p.args, "--error="+pattern+".err")
		p.say("its --error=%s is not used: the file is there already; its errors go to %s", shown(d.errors), filepath.Join(work, pattern+".err"))
	}
}

func (p *plan) say(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

func refuse(spec launch.Spec, d directives) error {
	name := shown(spec.Name)
	no := func(reason, hint string) error { return fail(schema.Invalid, name, errors.New(reason), hint) }
	if _, err := schema.ParseRunID(string(spec.Run)); err != nil {
		return err
	}
	switch {
	case !bytes.HasPrefix(spec.Data, []byte("#!")):
		return no("does not begin with #!, so sbatch refuses it", "")
	case bytes.IndexByte(spec.Data, 0) >= 0 || bytes.Contains(spec.Data, []byte("\r\n")):
		return no("holds a NUL byte or line ends of DOS, so sbatch refuses it", "")
	case len(spec.Data) > maxScript:
		return no(fmt.Sprintf("is larger than the %d MiB that Slurm takes", maxScript>>20), "")
	case d.hetjob:
		return no("is a heterogeneous job, which runpin cannot follow", "submit it yourself, then: runpin finish RUN --slurm JOBID")
	case d.clusters != "":
		return no("goes to another cluster (--clusters), where runpin cannot follow it", "take the option out, and run this on a host of that cluster")
	case d.testOnly:
		return no("is only tested (--test-only): nothing would run", "take the option out")
	case d.waitInside:
		return no("has -W together with another option, which would make sbatch wait", "write -W by itself, or take it out")
	}
	if d.array != "" {
		if _, ok := tasksOf(d.array); !ok {
			return no(fmt.Sprintf("has an --array that runpin cannot read: %q", schema.Shorten(d.array, 60)), "write it as numbers and ranges: 0-9:2,15%4")
		}
	}
	return nil
}

// maxTasks bounds an array; Slurm's own MaxArraySize is 1001 by default.
const maxTasks = 1 << 20

var arrayPart = regexp.MustCompile(`^([0-9]{1,8})(?:-([0-9]{1,8})(?::([0-9]{1,8}))?)?$`)

// tasksOf counts the tasks of an array: 0-9:2,15%4 has six.
func tasksOf(array string) (int, bool) {
	list, limit, has := strings.Cut(array, "%")
	if _, err := strconv.ParseUint(limit, 10, 31); has && err != nil {
		return 0, false
	}
	tasks := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		m := arrayPart.FindStringSubmatch(part)
		if m == nil {
			return 0, false
		}
		from, _ := strconv.Atoi(m[1])
		to, step := from, 1
		if m[2] != "" {
			to, _ = strconv.Atoi(m[2])
		}
		if m[3] != "" {
			step, _ = strconv.Atoi(m[3])
		}
		if to < from || step == 0 || (to-from)/step+len(tasks) >= maxTasks {
			return 0, false
		}
		for n := from; n <= to; n += step {
			tasks[n] = true
		}
	}
	return len(tasks), true
}

var replacement = regexp.MustCompile(`%[0-9]*[a-zA-Z]`)

// writesOver reports whether the file of a pattern is there already and is not in the directory, which is a copy.
func writesOver(pattern, dir, work string) bool {
	if pattern == "" {
		return false
	}
	path := pattern
	if !filepath.IsAbs(path) {
		path = filepath.Join(work, path)
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return false
	}
	for _, m := range replacement.FindAllString(path, -1) {
		if strings.HasSuffix(m, "j") || strings.HasSuffix(m, "A") || strings.HasSuffix(m, "J") { // the job's own
			return false
		}
	}
	glob := regexp.MustCompile(`[\\*?[]`).ReplaceAllString(path, `\$0`)
	found, err := filepath.Glob(replacement.ReplaceAllString(glob, "*"))
	if err != nil {
		return true
	}
	return slices.ContainsFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !info.Mode().IsDir() && info.Mode()&os.ModeDevice == 0
	})
}

// cut takes words out; what separates them stays.
func cut(data []byte, out []span) []byte {
	data = slices.Clone(data)
	for _, s := range slices.Backward(out) {
		data = slices.Delete(data, s.start, s.end)
	}
	return data
}

func ownName(run string) string { return "runpin-" + run }

// jobName is what sbatch would call the job if it read the file.
func jobName(file string) string {
	name := regexp.MustCompile(`[^A-Za-z0-9._-]`).ReplaceAllString(filepath.Base(file), "_")
	if name = strings.TrimLeft(name, "-."); name == "" {
		return "runpin"
	}
	return schema.Shorten(name, 100)
}

func shown(s string) string {
	if s == "" {
		return "the script"
	}
	s = schema.Shorten(s, 200)
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` || strings.ContainsAny(s, " \t") {
		return quoted
	}
	return s
}
