package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Scratch is a temporary git directory that borrows the objects of others. With a checkout it reads that checkout's index and looks at
// its files; nothing is ever written outside of the temporary directory. Close removes it.
type Scratch struct {
	Dir     string
	program *Program
	repo    *Repo
	reads   string // the repository's own object directory, while nothing has to be written; directories cost more than the rest
}

// NewScratch makes a scratch directory for the checkout r, standing on commit ("" for a branch without commits). Paths that ignore lists,
// relative to the root, are not looked at where they are untracked: a data set of a million files beside the code need not be walked.
func (p *Program) NewScratch(r *Repo, commit schema.ObjectID, ignore []string) (*Scratch, error) {
	dir, err := os.MkdirTemp("", "runpin-git-")
	if err != nil {
		return nil, err
	}
	s := &Scratch{Dir: dir, program: p, repo: r, reads: filepath.Join(r.Common, "objects")}
	for _, sub := range []string{"refs", "info"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := s.dress(r, commit, ignore); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// NewStore makes a scratch directory without a checkout that borrows from objectDirs. idSize is the length of an id in bytes.
func (p *Program) NewStore(idSize int, objectDirs []string) (*Scratch, error) {
	dir, err := os.MkdirTemp("", "runpin-git-")
	if err != nil {
		return nil, err
	}
	s := &Scratch{Dir: dir, program: p}
	if err := s.ownObjects(objectDirs); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.write("config", scratchConfig(idSize, true, nil)); err != nil {
		s.Close()
		return nil, err
	}
	return s, s.write("HEAD", "ref: refs/heads/unborn\n")
}

// ownObjects gives the scratch directory objects of its own, which borrow from others. It is called before anything is written.
func (s *Scratch) ownObjects(borrowed []string) error {
	for _, sub := range []string{"objects/info", "objects/pack", "refs", "info"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, sub), 0o700); err != nil {
			return err
		}
	}
	s.reads = ""
	return s.borrowObjects(borrowed)
}

// borrowObjects says which object directories of others are read beside the own one.
func (s *Scratch) borrowObjects(dirs []string) error {
	const file = "objects/info/alternates"
	if len(dirs) == 0 {
		if err := os.Remove(filepath.Join(s.Dir, file)); err != nil && !os.IsNotExist(err) {
			return err
		}
		return nil
	}
	var alternates strings.Builder
	for _, d := range dirs {
		if strings.ContainsAny(d, "\n\"\\") || strings.HasPrefix(d, "#") {
			d = quoteC(d)
		}
		alternates.WriteString(d + "\n")
	}
	return s.write(file, alternates.String())
}

// Close removes the directory.
func (s *Scratch) Close() error { return os.RemoveAll(s.Dir) }

func (s *Scratch) write(name, content string) error {
	return os.WriteFile(filepath.Join(s.Dir, filepath.FromSlash(name)), []byte(content), 0o600)
}

// inherited are the settings of a repository that describe its file system or its layout; they execute nothing.
var inherited = []string{"core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode", "core.longpaths", "core.sparsecheckout",
	"core.sparsecheckoutcone", "index.sparse"}

func (s *Scratch) dress(r *Repo, commit schema.ObjectID, ignore []string) error {
	settings := map[string]string{}
	for _, key := range inherited {
		if v, ok := r.Config.Get(key); ok {
			settings[key] = v
		}
	}
	if file, ok := r.Config.Get("core.excludesfile"); ok {
		settings["core.excludesfile"] = resolveIn(r.Root, expandHome(file))
	}
	if err := s.write("config", scratchConfig(r.HashSize(), false, settings)); err != nil {
		return err
	}
	head := string(commit) + "\n"
	if commit == "" {
		head = "ref: refs/heads/unborn\n"
	}
	if err := s.write("HEAD", head); err != nil {
		return err
	}
	if err := s.borrow(filepath.Join(r.Common, "shallow"), "shallow"); err != nil {
		return err
	}
	if err := s.borrow(filepath.Join(r.Dir, "info", "sparse-checkout"), "info/sparse-checkout"); err != nil {
		return err
	}
	shared, _ := filepath.Glob(filepath.Join(globQuote(r.Dir), "sharedindex.*"))
	for _, path := range shared {
		// A copy: git renews the times of a shared index that it reads.
		b, err := readAtMost(path, maxIndex)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Dir, filepath.Base(path)), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	exclude := filepath.Join(r.Common, "info", "exclude")
	if len(ignore) == 0 {
		return s.borrow(exclude, "info/exclude") // a link, so that an untracked cache in the index stays valid
	}
	own, _ := readSmall(exclude)
	text := string(own) + "\n"
	for _, path := range ignore {
		if !strings.ContainsAny(path, "\n\r\x00") {
			text += "/" + quoteGlob(path) + "\n"
		}
	}
	return s.write("info/exclude", text)
}

// borrow makes a file of the repository's appear in the scratch directory, as a link where the system has links.
func (s *Scratch) borrow(from, name string) error {
	to := filepath.Join(s.Dir, filepath.FromSlash(name))
	if !isFile(from) {
		return nil
	}
	if runtime.GOOS != "windows" && os.Symlink(from, to) == nil {
		return nil
	}
	b, err := readAtMost(from, maxIndex)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func scratchConfig(idSize int, bare bool, settings map[string]string) string {
	var b strings.Builder
	version := 0
	if idSize == 32 {
		version = 1
		b.WriteString("[extensions]\n\tobjectformat = sha256\n")
	}
	fmt.Fprintf(&b, "[core]\n\trepositoryformatversion = %d\n\tbare = %t\n\tautocrlf = false\n\teol = lf\n\tsafecrlf = false\n\tfsmonitor = false\n", version, bare)
	b.WriteString("[status]\n\trelativepaths = false\n\trenames = false\n[diff]\n\trenames = false\n\tignoresubmodules = none\n[pack]\n\tthreads = 1\n")
	for key, value := range settings {
		section, name, _ := strings.Cut(key, ".")
		if value == "\x00" {
			value = "true"
		}
		fmt.Fprintf(&b, "[%s]\n\t%s = %s\n", section, name, quoteConfig(value))
	}
	return b.String()
}

func quoteConfig(v string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(v) + `"`
}

func quoteGlob(path string) string {
	path = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
	if strings.HasSuffix(path, " ") {
		path = strings.TrimSuffix(path, " ") + `\ `
	}
	return path
}

func globQuote(path string) string {
	if runtime.GOOS == "windows" {
		return path
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// quoteC writes a path in the C style that git reads back.
func quoteC(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 127:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// call prepares a run in the scratch directory.
func (s *Scratch) call(args ...string) Call {
	c := Call{Args: args, Dir: s.Dir, Env: []string{"GIT_DIR=" + s.Dir}}
	if s.repo != nil {
		c.Dir = s.repo.Root
		if s.reads != "" {
			c.Env = append(c.Env, "GIT_OBJECT_DIRECTORY="+s.reads)
		}
		c.Env = append(c.Env, "GIT_WORK_TREE="+s.repo.Root, "GIT_INDEX_FILE="+s.repo.IndexPath())
	}
	return c
}

// Run gives what a git command prints.
func (s *Scratch) Run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	c := s.call(args...)
	c.Stdin = stdin
	return s.program.Output(ctx, c)
}

// Stream writes what a git command prints to w.
func (s *Scratch) Stream(ctx context.Context, stdin io.Reader, w io.Writer, args ...string) error {
	c := s.call(args...)
	c.Stdin = stdin
	return s.program.Stream(ctx, c, w)
}

// Fetch runs git fetch into the scratch directory with the user's own configuration for the network.
func (s *Scratch) Fetch(ctx context.Context, args ...string) error {
	c := s.call(append([]string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"}, args...)...)
	c.Network = true
	_, err := s.program.Output(ctx, c)
	return err
}

// Sizes gives the size of each object, -1 for a missing one.
func (s *Scratch) Sizes(ctx context.Context, ids []schema.ObjectID) ([]int64, error) {
	var in bytes.Buffer
	for _, id := range ids {
		in.WriteString(string(id))
		in.WriteByte('\n')
	}
	out, err := s.Run(ctx, &in, "cat-file", "--buffer", "--batch-check=%(objectsize)")
	if err != nil {
		return nil, err
	}
	sizes := make([]int64, 0, len(ids))
	for line := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{'\n'}), []byte{'\n'}) {
		n, err := strconv.ParseInt(string(line), 10, 64)
		if err != nil {
			n = -1
		}
		sizes = append(sizes, n)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if len(sizes) != len(ids) {
		return nil, fmt.Errorf("git cat-file answered %d of %d", len(sizes), len(ids))
	}
	return sizes, nil
}
