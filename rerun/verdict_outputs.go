package rerun

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
)

// outputs compares those of both runs, by name and rank, and names those that are not to be compared.
func (j *judging) outputs() (all []schema.OutputComparison, ignored []string) {
	key := func(o schema.Output) string {
		rank := -1
		if o.Rank != nil {
			rank = *o.Rank
		}
		return o.Name + " " + strconv.Itoa(rank)
	}
	byKey := map[string]*schema.Output{}
	for i := range j.new.Outputs {
		byKey[key(j.new.Outputs[i])] = &j.new.Outputs[i]
	}
	compare := func(o, n *schema.Output, of schema.Output) {
		rule := j.rule(of.Name)
		if rule.Mode == schema.CompareIgnore {
			if name := outputName(of.Name, of.Rank); !slices.Contains(ignored, name) {
				ignored = append(ignored, name)
			}
			return
		}
		c := schema.OutputComparison{Name: of.Name, Rank: of.Rank, Result: schema.Differs, Compare: rule.Mode}
		j.output(&c, o, n, rule)
		c.Reason = sentence(c.Reason)
		all = append(all, c)
	}
	for i, o := range j.old.Outputs {
		compare(&j.old.Outputs[i], byKey[key(o)], o)
		delete(byKey, key(o))
	}
	for i, n := range j.new.Outputs {
		if _, extra := byKey[key(n)]; extra {
			compare(nil, &j.new.Outputs[i], n)
		}
	}
	return all, ignored
}

// output compares one output; o or n is nil where a run has none. c is different unless it is said otherwise.
func (j *judging) output(c *schema.OutputComparison, o, n *schema.Output, rule schema.CompareRule) {
	if o != nil {
		c.Want = o.Identity()
	}
	if n != nil {
		c.Got = n.Identity()
	}
	cannot := func(why string) { c.Result, c.Reason = schema.CannotBeCompared, why }
	switch {
	case n == nil && declares(j.new, c.Name):
		cannot("nobody reported what the rerun wrote: `runpin finish` takes it with --output")
	case n == nil && dropped(j.new, c.Name):
		cannot("where the rerun wrote it could not be told")
	case n == nil:
		c.Reason = "the rerun has no such output"
	case o == nil && declares(j.old, c.Name):
		cannot("nobody reported what the original wrote")
	case o == nil:
		c.Reason = "the original has no such output"
	case o.Stale:
		cannot("the original did not write it: it was there before")
	case n.Stale:
		cannot("the rerun did not write it: it was there before")
	case o.Missing && n.Missing:
		cannot("neither run wrote it")
	case o.Missing:
		c.Reason = "the original did not write it"
	case n.Missing:
		c.Reason = "the rerun did not write it"
	case c.Want == "" || c.Got == "":
		who := "the rerun's"
		if c.Want == "" {
			who = "the original's"
		}
		cannot(who + " digest is not known; if it need not be compared, say --compare " + c.Name + "=ignore")
	case c.Want == c.Got && o.SidecarDigest == n.SidecarDigest && o.Directory == n.Directory && o.DigestKind == n.DigestKind:
		c.Result = schema.Identical
	default:
		j.contents(c, o, n, rule)
	}
}

// sameShape reports whether two outputs differ in nothing but the content of files that both have.
func sameShape(c *schema.OutputComparison, o, n *schema.Output) bool {
	if o.Directory != n.Directory || o.Files != n.Files || o.SidecarDigest != n.SidecarDigest {
		return false
	}
	return c.More == 0 && !slices.ContainsFunc(c.Files, func(f schema.DifferenceItem) bool { return f.Change != "changed" })
}

// declares reports whether a run was to write an output of which nothing was reported.
func declares(r schema.Run, name string) bool {
	return slices.ContainsFunc(r.DeclaredOutputs, func(o schema.Output) bool { return o.Name == name })
}

// contents compares two outputs that both runs wrote and that are not equal bit for bit.
func (j *judging) contents(c *schema.OutputComparison, o, n *schema.Output, rule schema.CompareRule) {
	c.Reason = "its content differs"
	switch {
	case o.Directory != n.Directory:
		c.Reason = fmt.Sprintf("it is a %s; the original's is a %s", kindOf(n), kindOf(o))
		return
	case c.Want == c.Got:
		c.Reason = "the content is equal; links, empty directories or executable bits differ"
	case o.Directory:
		if err := j.listFiles(c, o, n); err != nil {
			c.Reason += "; in which files cannot be told: " + err.Error()
		} else if len(c.Files) > 0 {
			c.Reason = describeFiles(c.Files, c.More)
		}
	}
	if sameShape(c, o, n) {
		if j.alike == nil {
			j.alike = map[string]bool{}
		}
		j.alike[outputName(c.Name, c.Rank)] = true
	}
	switch rule.Mode {
	case "", schema.CompareExact:
	case schema.CompareTolerance:
		j.byTolerance(c, o, n, rule)
	case schema.CompareCommand:
		j.byCommand(c, o, n, rule)
	default:
		c.Result, c.Reason = schema.CannotBeCompared, fmt.Sprintf("it is to be compared by %q, which this version of runpin does not know", schema.Shorten(rule.Mode, 80))
	}
}

func kindOf(o *schema.Output) string {
	if o.Directory {
		return "directory"
	}
	return "file"
}

// maxListed bounds the names of files in one verdict: it has to fit into a document.
const maxListed = 1 << 20

// listFiles puts the files that differ into the comparison of two directories.
func (j *judging) listFiles(c *schema.OutputComparison, o, n *schema.Output) error {
	switch {
	case j.evidence.Blobs == nil:
		return nil
	case o.Manifest == nil || n.Manifest == nil:
		return fmt.Errorf("a list of its files was not recorded")
	case o.DigestKind != n.DigestKind:
		return fmt.Errorf("the lists of its files are written differently")
	}
	items, more, err := schema.DifferentFiles(j.ctx, *o.Manifest, *n.Manifest, o.DigestKind, j.evidence.Blobs)
	if err != nil {
		return err
	}
	for i, item := range items {
		if j.listed += len(item.Name) + 200; j.listed > maxListed {
			more += len(items) - i
			items = items[:i]
			break
		}
	}
	c.Files, c.More = items, more
	return nil
}

// describeFiles says "3 files differ (1 added, 2 changed): a.txt changed, b.txt was added, c.txt changed".
func describeFiles(items []schema.DifferenceItem, more int) string {
	const named = 3
	counts := map[string]int{}
	var words []string
	for i, item := range items {
		counts[item.Change]++
		if i < named {
			word := " was " + item.Change
			if item.Change == "changed" {
				word = " changed"
			}
			words = append(words, schema.Shorten(strconv.Quote(string(item.Name)), 200)+word)
		}
	}
	text := strconv.Itoa(len(items)+more) + " files differ"
	if len(items)+more == 1 {
		return "1 file differs: " + words[0]
	}
	if more == 0 {
		var kinds []string
		for _, change := range []string{"added", "removed", "changed"} {
			if counts[change] > 0 {
				kinds = append(kinds, fmt.Sprintf("%d %s", counts[change], change))
			}
		}
		text += " (" + strings.Join(kinds, ", ") + ")"
	}
	text += ": " + strings.Join(words, ", ")
	if len(items)+more > named {
		text += ", …"
	}
	return text
}
