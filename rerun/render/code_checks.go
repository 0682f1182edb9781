package render

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/runpin/runpin/schema"
)

// splitBundle takes a git bundle apart (gitformat-bundle): the commits that it builds on, and its pack.
func splitBundle(data []byte) (needs []schema.ObjectID, pack []byte, err error) {
	r := bufio.NewReader(bytes.NewReader(data))
	for n := 0; ; n++ {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, nil, errors.New("it ends in its header")
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case n == 0 && line != "# v2 git bundle" && line != "# v3 git bundle":
			return nil, nil, errors.New("it is none")
		case line == "":
			pack, err = io.ReadAll(r)
			if err == nil && !bytes.HasPrefix(pack, []byte("PACK")) {
				err = errors.New("it has no pack")
			}
			return needs, pack, err
		case strings.HasPrefix(line, "-"):
			id, _, _ := strings.Cut(line[1:], " ")
			oid, err := schema.ParseObjectID(id)
			if err != nil {
				return nil, nil, err
			}
			needs = append(needs, oid)
		case strings.HasPrefix(line, "@filter"):
			return nil, nil, errors.New("it is a partial one")
		}
	}
}

var (
	fullURL  = regexp.MustCompile(`^(https?|ssh|git|file)://[^\s\x00-\x1f-][^\s\x00-\x1f]*$`)
	shortURL = regexp.MustCompile(`^[A-Za-z0-9_][^@/\\:\s\x00-\x1f]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^\s\x00-\x1f]+$`)
)

// usableURL leaves out what git would take for an option or a program, and for a cluster the paths of this machine.
func usableURL(url string, cluster bool) bool {
	if strings.HasPrefix(url, "/") || strings.HasPrefix(url, "file://") {
		return !cluster && !strings.ContainsAny(url, "\x00\n\r")
	}
	return fullURL.MatchString(url) || shortURL.MatchString(url)
}

// checkPath refuses what must not be written below a checkout. The rules are those of recorder/git.CheckPath for the systems that a shell runs on.
func checkPath(p string) error {
	switch {
	case p == "" || len(p) > 4096 || strings.HasPrefix(p, "/") || strings.IndexByte(p, 0) >= 0:
		return errors.New("it is not a path within the code")
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("the path leaves the code")
		}
		for piece := range strings.SplitSeq(part, `\`) {
			if isDotGit(piece) {
				return errors.New("a path inside .git")
			}
		}
	}
	return nil
}

func isDotGit(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff {
			return -1
		}
		return r
	}, name)
	name, _, _ = strings.Cut(name, ":")
	name = strings.ToLower(strings.TrimRight(name, ". "))
	rest, short := strings.CutPrefix(name, "git~")
	return name == ".git" || short && rest != "" && strings.Trim(rest, "0123456789") == ""
}
