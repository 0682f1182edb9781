package rerun

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/runpin/runpin/schema"
)

// maxCompared bounds a file whose numbers are compared.
const maxCompared = 64 << 20

// keepHint ends the reason for which an output could not be looked into.
const keepHint = "; keep the outputs, or record their numbers with --metrics"

// byTolerance compares two outputs as text: all numbers within the tolerance, everything else equal.
func (j *judging) byTolerance(c *schema.OutputComparison, o, n *schema.Output, rule schema.CompareRule) {
	var tolerance schema.Tolerance
	if rule.Tolerance != "" {
		var err error
		if tolerance, err = schema.ParseTolerance(string(rule.Tolerance)); err != nil {
			c.Result, c.Reason = schema.CannotBeCompared, "its tolerance is not one that this version of runpin understands"
			return
		}
	}
	c.Tolerance = schema.Text(tolerance.String())
	if !o.Directory {
		found := j.compareFiles(pathOf(o), pathOf(n), o.Identity(), n.Identity(), tolerance)
		c.Result, c.Reason = found.verdict(tolerance)
		return
	}
	switch {
	case c.Want == c.Got:
		return // links or executable bits are no numbers
	case len(c.Files) == 0 || c.More > 0:
		c.Result, c.Reason = schema.CannotBeCompared, c.Reason+": too much to compare number by number, or no list of its files"
		return
	}
	var all numbersFound
	for _, f := range c.Files {
		if f.Change != "changed" {
			return // a file that only one of them has is no matter of tolerance
		}
		rel := filepath.FromSlash(string(f.Name))
		if !filepath.IsLocal(rel) {
			c.Result, c.Reason = schema.CannotBeCompared, "the list of its files names one outside of it"
			return
		}
		found := j.compareFiles(filepath.Join(pathOf(o), rel), filepath.Join(pathOf(n), rel), schema.Digest(f.A), schema.Digest(f.B), tolerance)
		if found.problem != "" || found.differs != "" {
			c.Result, c.Reason = found.verdict(tolerance)
			c.Reason = string(f.Name) + ": " + c.Reason
			return
		}
		all.add(found)
	}
	if o.SidecarDigest != n.SidecarDigest {
		c.Reason = "its numbers are within the tolerance; links, empty directories or executable bits differ"
		return
	}
	c.Result, c.Reason = all.verdict(tolerance)
}

// compareFiles reads both files, proves them and compares their numbers.
func (j *judging) compareFiles(original, again string, want, got schema.Digest, t schema.Tolerance) numbersFound {
	a, err := j.readProved("the original's", original, want)
	if err != nil {
		return numbersFound{problem: err.Error() + keepHint}
	}
	b, err := j.readProved("the rerun's", again, got)
	if err != nil {
		return numbersFound{problem: err.Error() + keepHint}
	}
	return compareNumbers(a, b, t)
}

func pathOf(o *schema.Output) string {
	if o.Path == nil {
		return ""
	}
	return string(o.Path.Located)
}

// readProved reads a file of one run and proves that it still is what the run wrote.
func (j *judging) readProved(whose, path string, want schema.Digest) ([]byte, error) {
	file, err := j.openRegular(whose, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(io.LimitReader(file, maxCompared+1)); err != nil {
		return nil, fmt.Errorf("%s file cannot be read: %w", whose, err)
	}
	if content.Len() > maxCompared {
		return nil, fmt.Errorf("%s file %s is larger than %d MiB", whose, path, maxCompared>>20)
	}
	if schema.SHA256(content.Bytes()) != want {
		return nil, changedSince(whose, path)
	}
	return content.Bytes(), nil
}

func changedSince(whose, path string) error {
	return fmt.Errorf("%s file %s is no longer what the run wrote", whose, path)
}

// openRegular opens a file where the record says that it lies. A record can name anything: pipes and devices are not read.
func (j *judging) openRegular(whose, path string) (*os.File, error) {
	switch {
	case !j.evidence.Files:
		return nil, errors.New("the files were not looked at")
	case path == "" || !filepath.IsAbs(path):
		return nil, fmt.Errorf("%s record does not say where the file lies", whose)
	case j.ctx.Err() != nil:
		return nil, j.ctx.Err()
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s file is no longer at %s", whose, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s file %s cannot be read: %w", whose, path, withoutPath(err))
	}
	return file, nil
}

func withoutPath(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// byCommand has a command look at both outputs, once each is proved to be what its run wrote.
func (j *judging) byCommand(c *schema.OutputComparison, o, n *schema.Output, rule schema.CompareRule) {
	size := 0
	for _, w := range rule.Command {
		size += len(w)
	}
	if size <= maxSuspectItems*maxSuspectValue {
		c.Command = rule.Command
	}
	cannot := func(format string, args ...any) {
		c.Result, c.Reason = schema.CannotBeCompared, fmt.Sprintf(format, args...)
	}
	if len(rule.Command) == 0 {
		cannot("no command is recorded that compares it")
		return
	}
	if _, given := j.given.Outputs[c.Name]; j.evidence.Commands == nil || !given && !j.evidence.Recorded {
		cannot("a command is to compare it, and was not run: `runpin verify` does it with --run-compare-commands")
		return
	}
	for _, s := range []struct {
		whose  string
		output *schema.Output
	}{{"the original's", o}, {"the rerun's", n}} {
		if err := j.prove(s.whose, s.output); err != nil {
			cannot("%v%s", err, keepHint)
			return
		}
	}
	argv := make([]string, len(rule.Command))
	places := strings.NewReplacer("{original}", pathOf(o), "{rerun}", pathOf(n))
	for i, word := range rule.Command {
		argv[i] = places.Replace(string(word))
	}
	done, err := j.evidence.Commands.RunCompare(j.ctx, argv, j.evidence.Dir)
	said := ""
	if done.Said != "" {
		said = ": " + done.Said
	}
	switch {
	case err != nil:
		cannot("the command that compares it did not run: %v", err)
	case done.Code == 0:
		c.Result, c.Reason = schema.Equivalent, "the command that compares it finds them equivalent"+said
	case done.Code == 1:
		c.Reason = "the command that compares it finds them different" + said
	default:
		cannot("the command that compares it ended with exit code %d%s", done.Code, said)
	}
}

// prove makes sure that an output still is what its run wrote.
func (j *judging) prove(whose string, o *schema.Output) error {
	path := pathOf(o)
	if !o.Directory {
		file, err := j.openRegular(whose, path)
		if err != nil {
			return err
		}
		defer file.Close()
		hash := sha256.New()
		if _, err := io.Copy(hash, &cancelled{j, file}); err != nil {
			return fmt.Errorf("%s file %s cannot be read: %w", whose, path, withoutPath(err))
		}
		if schema.Digest("sha256:"+hex.EncodeToString(hash.Sum(nil))) != o.Identity() {
			return changedSince(whose, path)
		}
		return nil
	}
	switch {
	case !j.evidence.Files || j.evidence.Hasher == nil:
		return errors.New("the files were not looked at")
	case path == "" || !filepath.IsAbs(path):
		return fmt.Errorf("%s record does not say where the directory lies", whose)
	}
	found, err := j.evidence.Hasher.HashOutput(j.ctx, path, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s directory is no longer at %s", whose, path)
	case err != nil:
		return fmt.Errorf("%s directory cannot be read: %w", whose, err)
	case !found.Directory || found.ContentDigest != o.ContentDigest || found.SidecarDigest != o.SidecarDigest:
		return fmt.Errorf("%s directory %s is no longer what the run wrote", whose, path)
	}
	return nil
}

// cancelled reads until the context ends.
type cancelled struct {
	j    *judging
	from io.Reader
}

func (c *cancelled) Read(b []byte) (int, error) {
	if err := c.j.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(b)
}
