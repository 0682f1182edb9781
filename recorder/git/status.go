package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Touched is a path whose state may differ from the commit's. HeadMode is 0 where the commit does not have it or, with Conflict, where it
// has to be looked up. Dropped says that the index no longer has the path; where it still lies there and is not ignored, it is listed a
// second time, as untracked. Directory says that it is an untracked directory that git does not look into: a repository of its own.
type Touched struct {
	Path      string
	HeadMode  uint32
	HeadID    schema.ObjectID
	Untracked bool
	Conflict  bool
	Dropped   bool
	Directory bool
}

// Status lists the paths in which the checkout, the index or untracked files differ from the commit. Ignored files are not listed, and
// nor is what assume-unchanged and skip-worktree bits hide. Submodules are listed when they stand on another commit.
func (s *Scratch) Status(ctx context.Context) ([]Touched, error) {
	out, err := s.Run(ctx, nil, "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignored=no", "--ignore-submodules=dirty", "--no-renames",
		"--no-ahead-behind", "--no-branch")
	if err != nil {
		return nil, err
	}
	return parseStatus(out)
}

// parseStatus reads git status --porcelain=v2 -z.
func parseStatus(out []byte) ([]Touched, error) {
	var list []Touched
	for len(out) > 0 {
		end := bytes.IndexByte(out, 0)
		if end < 0 {
			return nil, fmt.Errorf("git status ends within a record")
		}
		record := string(out[:end])
		out = out[end+1:]
		t, err := parseStatusRecord(record)
		if err != nil {
			return nil, err
		}
		if t.Path != "" {
			list = append(list, t)
		}
	}
	return list, nil
}

func parseStatusRecord(record string) (Touched, error) {
	bad := fmt.Errorf("git status says %q", schema.Shorten(record, 120))
	if len(record) < 3 || record[1] != ' ' {
		return Touched{}, bad
	}
	switch record[0] {
	case '#', '!':
		return Touched{}, nil
	case '?':
		path := record[2:]
		dir := strings.HasSuffix(path, "/")
		return Touched{Path: strings.TrimSuffix(path, "/"), Untracked: true, Directory: dir}, nil
	case '1': // 1 XY sub mH mI mW hH hI path
		f := strings.SplitN(record, " ", 9)
		if len(f) != 9 || f[8] == "" || len(f[1]) != 2 {
			return Touched{}, bad
		}
		mode, err := strconv.ParseUint(f[3], 8, 32)
		if err != nil {
			return Touched{}, bad
		}
		t := Touched{Path: f[8], HeadMode: uint32(mode), Dropped: f[1][0] == 'D'}
		if mode != 0 {
			if t.HeadID, err = schema.ParseObjectID(f[6]); err != nil {
				return Touched{}, bad
			}
		}
		return t, nil
	case 'u': // u XY sub m1 m2 m3 mW h1 h2 h3 path
		f := strings.SplitN(record, " ", 11)
		if len(f) != 11 || f[10] == "" {
			return Touched{}, bad
		}
		return Touched{Path: f[10], Conflict: true}, nil
	}
	return Touched{}, bad
}

// Flagged lists the index entries that carry an assume-unchanged or skip-worktree bit, for an index that [ParseIndex] cannot read alone.
func (s *Scratch) Flagged(ctx context.Context) (*Index, error) {
	out, err := s.Run(ctx, nil, "ls-files", "-z", "--stage", "-v")
	if err != nil {
		return nil, err
	}
	idx := &Index{}
	for record := range bytes.SplitSeq(out, []byte{0}) {
		if len(record) == 0 {
			continue
		}
		head, path, ok := strings.Cut(string(record), "\t")
		f := strings.Fields(head) // tag mode id stage
		if !ok || len(f) != 4 || len(f[0]) != 1 {
			return nil, fmt.Errorf("git ls-files says %q", schema.Shorten(string(record), 120))
		}
		mode, err := strconv.ParseUint(f[1], 8, 32)
		if err != nil {
			return nil, err
		}
		id, err := schema.ParseObjectID(f[2])
		if err != nil {
			return nil, err
		}
		tag := f[0][0]
		idx.Entries = append(idx.Entries, IndexEntry{Path: path, Mode: uint32(mode), ID: id, Stage: int(f[3][0] - '0'),
			AssumeValid: tag >= 'a' && tag <= 'z', SkipWorktree: tag == 'S' || tag == 's'})
	}
	return idx, nil
}

// Attributes gives, for each path, the attributes that change a file between commit and checkout: the driver of a filter, and whether git
// itself converts line endings, keywords or the encoding.
func (s *Scratch) Attributes(ctx context.Context, paths []string) (map[string]Attributes, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	out, err := s.Run(ctx, strings.NewReader(strings.Join(paths, "\x00")+"\x00"), "check-attr", "-z", "--stdin", "filter", "text", "crlf", "eol", "ident", "working-tree-encoding")
	if err != nil {
		return nil, err
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields)%3 != 0 {
		return nil, fmt.Errorf("git check-attr answered in an unknown form")
	}
	all := map[string]Attributes{}
	for i := 0; i < len(fields); i += 3 {
		path, name, value := fields[i], fields[i+1], fields[i+2]
		a := all[path]
		switch {
		case value == "unspecified" || value == "unset":
		case name == "filter":
			if value != "set" {
				a.Filter = value
			}
		default:
			a.Converts = true
		}
		all[path] = a
	}
	return all, nil
}

// Attributes are the conversions that .gitattributes declares for a path.
type Attributes struct {
	Filter   string // the driver's name
	Converts bool   // text, crlf, eol, ident or working-tree-encoding
}

// Cleaned gives, for each path, the id of the object that git would make of the file, with git's own conversions and no filter driver,
// and the content that a checkout of that object would give. The objects are written to the scratch directory.
func (s *Scratch) Cleaned(ctx context.Context, paths []string) (map[string]CleanedFile, error) {
	if s.reads != "" {
		if err := s.ownObjects(s.repo.ObjectDirs()); err != nil {
			return nil, err
		}
	}
	var in strings.Builder
	for _, p := range paths {
		in.WriteString(quoteC(p) + "\n")
	}
	out, err := s.Run(ctx, strings.NewReader(in.String()), "hash-object", "-w", "--stdin-paths")
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(string(out))
	if len(ids) != len(paths) {
		return nil, fmt.Errorf("git hash-object answered %d of %d", len(ids), len(paths))
	}
	all := map[string]CleanedFile{}
	for i, p := range paths {
		id, err := schema.ParseObjectID(ids[i])
		if err != nil {
			return nil, err
		}
		content, err := s.Smudged(ctx, id, p)
		if err != nil {
			return nil, err
		}
		all[p] = CleanedFile{ID: id, Restored: content}
	}
	return all, nil
}

// CleanedFile is what [Scratch.Cleaned] says of a file.
type CleanedFile struct {
	ID       schema.ObjectID
	Restored []byte
}

// Smudged gives the content that a checkout of object id at path would have, with git's own conversions and no filter driver.
func (s *Scratch) Smudged(ctx context.Context, id schema.ObjectID, path string) ([]byte, error) {
	return s.Run(ctx, nil, "cat-file", "--filters", "--path="+path, string(id))
}

// TrackedWith lists the tracked paths that have one of the given attribute specifications ("filter=lfs", "eol=crlf", "ident").
func (s *Scratch) TrackedWith(ctx context.Context, specs ...string) ([]string, error) {
	args := []string{"ls-files", "-z", "--"}
	for _, spec := range specs {
		args = append(args, ":(top,attr:"+spec+")")
	}
	out, err := s.Run(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	var paths []string
	for p := range strings.SplitSeq(string(out), "\x00") {
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// Containing gives the first of tips, in their order, from which commit can be reached; none when it can be reached from no tip. Tips that
// are not in the repository are passed over.
func (s *Scratch) Containing(ctx context.Context, commit schema.ObjectID, tips []schema.ObjectID) ([]schema.ObjectID, error) {
	if len(tips) == 0 {
		return nil, nil
	}
	var in strings.Builder
	in.WriteString(string(commit) + "\n")
	for _, t := range tips {
		in.WriteString("^" + string(t) + "\n")
	}
	out, err := s.Run(ctx, strings.NewReader(in.String()), "rev-list", "--max-count=1", "--ignore-missing", "--stdin")
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		return nil, err
	}
	for i, t := range tips {
		if i == maxAncestorChecks {
			break // one of the others contains it; which one is not worth a minute
		}
		if _, err := s.Run(ctx, nil, "merge-base", "--is-ancestor", string(commit), string(t)); err == nil {
			return []schema.ObjectID{t}, nil
		} else if ctx.Err() != nil {
			return nil, err
		}
	}
	return []schema.ObjectID{""}, nil
}

// maxAncestorChecks bounds the processes that find out which remote branch holds a commit.
const maxAncestorChecks = 20
