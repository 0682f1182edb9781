package slurm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// place is where a job works and prints. Patterns are as Slurm keeps them, with what it replaces for each task.
type place struct {
	out, err string
	dir      string
	name     string // of the job
	user     string
	tasks    int // that the array was submitted with; 0 when nobody says
}

// What a job's paths are asked for with: any byte may stand in them, so that only the widths tell where each ends.
const placeColumns = "JobArrayID:40,stdout:4096,stderr:4096,WorkDir:4096,Name:1024,UserName:256,Comment:1024"

var placeWidths = []int{40, 4096, 4096, 4096, 1024, 256, 1024}

var taskCount = regexp.MustCompile(`(?:^| )runpin\.dev/run=[0-9A-Z]{26} try=[0-9a-f]+ array=(\S+)$`)

// place asks where the job prints, and remembers it for when Slurm has forgotten the job.
func (l *Launcher) place(ctx context.Context, id string) (place, error) {
	out, err := l.ask(ctx, patience, "squeue", "--noheader", "--states=all", "--jobs="+id, "--Format="+placeColumns)
	if err == nil && len(out) < placeWidths[0] {
		err = errForgotten
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if p, ok := l.places[id]; ok {
			return p, nil
		}
		if strings.Contains(err.Error(), "Invalid job id") {
			err = errForgotten
		}
		return place{}, err
	}
	var cells []string
	for _, w := range placeWidths {
		n := min(w, len(out))
		cells, out = append(cells, strings.TrimRight(out[:n], " \n")), out[n:]
	}
	if base, _, _ := strings.Cut(cells[0], "_"); strings.TrimSpace(base) != id {
		return place{}, fmt.Errorf("squeue says of job %s what runpin cannot read: %q", id, schema.Shorten(plain(cells[0]), 60))
	}
	p := place{out: cells[1], err: cells[2], dir: cells[3], name: cells[4], user: cells[5]}
	if p.err == p.out {
		p.err = ""
	}
	if m := taskCount.FindStringSubmatch(cells[6]); m != nil {
		p.tasks, _ = tasksOf(m[1])
	}
	l.remember(id, p)
	return p, nil
}

func (l *Launcher) remember(id string, p place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places[id] = p
}

var errPattern = errors.New("has a part that only the node knows")

// expand gives the path of a pattern for a task (man sbatch, "filename pattern").
func (p place) expand(pattern string, t task) (string, error) {
	if pattern == "" {
		return "", nil
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.dir, pattern)
	}
	if strings.Contains(pattern, `\`) { // then nothing is replaced
		return filepath.Clean(strings.ReplaceAll(pattern, `\`, "")), nil
	}
	base, index, isArray := strings.Cut(t.id, "_")
	if !isArray {
		index = "4294967294" // Slurm's own word for no task
	}
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			out.WriteByte(pattern[i])
			continue
		}
		end := i + 1
		for end < len(pattern)-1 && pattern[end] >= '0' && pattern[end] <= '9' {
			end++
		}
		width, _ := strconv.Atoi(pattern[i+1 : end])
		value := ""
		switch pattern[end] {
		case '%':
			value = "%"
		case 'A':
			value = base
		case 'j', 'J':
			value = t.raw
		case 'a':
			value = index
		case 'n', 't':
			value = "0"
		case 'N':
			value = t.node
		case 'u':
			value = p.user
		case 'x':
			value = p.name
		default:
			return "", errPattern
		}
		if value == "" {
			return "", errPattern
		}
		if n, err := strconv.ParseUint(value, 10, 63); err == nil && pattern[end] != '%' {
			value = fmt.Sprintf("%0*d", min(width, 10), n)
		}
		out.WriteString(value)
		i = end
	}
	return filepath.Clean(out.String()), nil
}
