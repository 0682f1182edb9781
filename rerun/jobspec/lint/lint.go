// Package lint answers one question: does a job spec keep the rules that make its run repeatable and safe?
//
// The rules are a table (rules.go); a preset gives each a severity. References are taken apart by rerun/jobspec and never matched by pattern. What only a
// registry knows is asked through a port, each distinct reference once. A finding can be ignored with a reason, beside the place or in runpin.yaml
// (ignore.go). The findings are printed by sarif.go and github.go, and by cmd/runpin as text and JSON.
//
// It imports schema, rerun/jobspec and errgroup. Start reading at Linter.Lint.
package lint

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// Registry says what a registry knows. Implemented in cmd/runpin by recorder/registry.
type Registry interface {
	// Digest gives what the reference names now; kind Unpinnable when it names nothing.
	Digest(ctx context.Context, ref string) (schema.Digest, error)
	// Children gives the digests of the platforms of an index, nothing of a single image.
	Children(ctx context.Context, ref string) ([]schema.Digest, error)
}

// File is one input. A walked file that is no job spec is left out.
type File struct {
	Name   string
	Data   []byte
	Walked bool
}

// Finding is one breach of a rule. Line and Column are from 1, Column 0 where only the line is known; EndColumn is behind the last character, 0 where that is not known.
type Finding struct {
	Rule      string   `json:"rule"`
	Severity  Severity `json:"severity"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Column    int      `json:"column,omitempty"`
	EndColumn int      `json:"end_column,omitempty"`
	Field     string   `json:"field,omitempty"`
	Value     string   `json:"value,omitempty"` // never of a secret
	Message   string   `json:"message"`
	Remedy    string   `json:"remedy,omitempty"`
	Ignored   string   `json:"ignored,omitempty"` // the reason that was given for it
}

// Linter checks files.
type Linter struct {
	Config   Config
	Reader   jobspec.Reader
	Registry Registry                      // nil: rules that need one are not checked
	Secret   func(name, value string) bool // whether a literal is a secret
	Jobs     int
	Progress schema.Progress
}

// Result is what was found. Err joins what kept a rule from being checked: a registry that did not answer.
type Result struct {
	Files    int
	Findings []Finding // by file, line and column
	Err      error
}

// answer is what a registry said of a reference.
type answer struct {
	digest   schema.Digest
	children []schema.Digest
	err      error
}

// Lint checks the files.
func (l *Linter) Lint(ctx context.Context, files []File) Result {
	type one struct {
		spec *jobspec.Spec
		err  error
	}
	read := make([]one, len(files))
	var reading errgroup.Group
	reading.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range files {
		reading.Go(func() error {
			read[i].spec, read[i].err = l.Reader.Read(f.Name, f.Data)
			return nil
		})
	}
	_ = reading.Wait()
	asked := map[string]bool{}
	for _, r := range read {
		if r.err == nil {
			for _, ref := range r.spec.References {
				for _, q := range questions(ref) {
					asked[q] = true
				}
			}
		}
	}
	answers, err := l.ask(ctx, asked)
	var out Result
	for i, f := range files {
		c := &check{linter: l, file: f, answers: answers}
		switch {
		case read[i].err != nil && f.Walked && errors.Is(read[i].err, jobspec.ErrNothing):
			continue
		case read[i].err != nil:
			c.unreadable(read[i].err)
		default:
			c.spec(read[i].spec)
		}
		out.Files++
		out.Findings = append(out.Findings, l.Config.ignore(f, c.findings)...)
	}
	sort.SliceStable(out.Findings, func(i, j int) bool {
		a, b := out.Findings[i], out.Findings[j]
		switch {
		case a.File != b.File:
			return a.File < b.File
		case a.Line != b.Line:
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	out.Err = err
	return out
}

// questions are the references that a registry is to be asked for: what is pinned, and the tag beside it.
func questions(ref jobspec.Reference) []string {
	if ref.Kind != jobspec.KindImage || !ref.Pinned || ref.File != "" {
		return nil
	}
	repository, tag, digest := ref.Parts()
	all := []string{repository + "@" + string(digest)}
	if tag != "" {
		all = append(all, repository+":"+tag)
	}
	return all
}

func (l *Linter) ask(ctx context.Context, asked map[string]bool) (map[string]answer, error) {
	answers := map[string]answer{}
	if l.Registry == nil || l.Config.off(ruleExists) && l.Config.off(ruleMoved) && l.Config.off(ruleChild) {
		return answers, nil
	}
	all := make([]string, 0, len(asked))
	for q := range asked {
		all = append(all, q)
	}
	slices.Sort(all)
	var mu sync.Mutex
	var asking errgroup.Group
	asking.SetLimit(max(l.Jobs, 1))
	for _, q := range all {
		if ctx.Err() != nil {
			break
		}
		asking.Go(func() error {
			var a answer
			a.digest, a.err = l.Registry.Digest(ctx, q)
			if byTag := !strings.Contains(q, "@"); a.err == nil && byTag {
				// The tag may be elsewhere now, and then it may be the index of what is pinned.
				if now := q[:strings.LastIndexByte(q, ':')] + "@" + string(a.digest); !asked[now] {
					a.children, a.err = l.Registry.Children(ctx, now)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			answers[q] = a
			if l.Progress != nil {
				l.Progress.Step("asking registries", int64(len(answers)), int64(len(all)), "")
			}
			return nil
		})
	}
	_ = asking.Wait()
	if err := ctx.Err(); err != nil {
		return answers, &schema.Error{Op: "lint", Kind: schema.Interrupted, Subject: "lint", Err: err}
	}
	var failures []error
	for _, q := range all {
		if err := answers[q].err; err != nil && !schema.IsKind(err, schema.Unpinnable) {
			failures = append(failures, err)
		}
	}
	return answers, errors.Join(failures...)
}

// check collects the findings of one file.
type check struct {
	linter   *Linter
	file     File
	answers  map[string]answer
	findings []Finding
}

func (c *check) add(rule string, f Finding, format string, args ...any) {
	f.Severity = c.linter.Config.Severity(rule)
	if f.Severity == Off {
		return
	}
	f.Rule, f.File, f.Message = rule, c.file.Name, fmt.Sprintf(format, args...)
	if f.Remedy == "" {
		f.Remedy = remedyOf(rule)
	}
	c.findings = append(c.findings, f)
}

// unreadable tells of a file that is no job spec at all. The position stands in what the error is about.
func (c *check) unreadable(err error) {
	for _, failure := range schema.Failures(err) {
		f := Finding{Line: 1}
		var e *schema.Error
		text := failure.Error()
		if errors.As(failure, &e) {
			text = e.Err.Error()
			if rest, ok := strings.CutPrefix(e.Subject, c.file.Name+":"); ok {
				_, _ = fmt.Sscanf(rest, "%d:%d", &f.Line, &f.Column)
			}
		}
		c.add(ruleUnderstood, f, "%s", strings.TrimPrefix(text, c.file.Name+": "))
	}
}

func (c *check) spec(s *jobspec.Spec) {
	for _, p := range s.Problems {
		f := Finding{Line: p.Line, Column: p.Column, Field: p.Field, Value: schema.Shorten(p.Value, 200)}
		if f.Column > 0 && p.Value != "" && !strings.Contains(p.Value, "\n") {
			f.EndColumn = f.Column + len([]rune(p.Value))
		}
		c.add(ruleOf(p), f, "%s", p.String())
	}
	for _, ref := range s.References {
		f := Finding{Line: ref.Line, Column: ref.Column, EndColumn: ref.Column + max(len([]rune(ref.Value)), 1), Field: ref.Field, Value: schema.Shorten(ref.Value, 200)}
		switch ref.Kind {
		case jobspec.KindImage:
			c.image(ref, f)
		case jobspec.KindCode:
			c.code(ref, f)
		case jobspec.KindDataset:
			if !ref.Pinned {
				f.Value = ""
				c.add(ruleDataset, f, "dataset %s names no version that cannot move", ref.Name)
			}
		}
	}
	for _, v := range s.Variables() {
		if c.linter.Secret != nil && c.linter.Secret(v.Name, v.Value) {
			what := "a word of the command"
			if v.Name != "" {
				what = v.Name
			}
			c.add(ruleSecret, Finding{Line: v.Line, Column: v.Column, EndColumn: v.End, Field: v.Field}, "%s holds a secret in plain text", what)
		}
	}
}

func (c *check) image(ref jobspec.Reference, f Finding) {
	repository, tag, digest := ref.Parts()
	name := repository
	if tag != "" {
		name += ":" + tag
	}
	switch {
	case ref.File != "":
		return
	case tag == "latest" && digest != "":
		c.add(ruleLatest, f, "%q is pinned, and its tag latest tells nobody which version that is", name)
	case tag == "latest":
		c.add(ruleLatest, f, "%q is pulled by the tag latest, which is whatever was pushed last", name)
	case tag == "" && digest == "":
		c.add(ruleLatest, f, "%q names no tag, so it means latest", name)
	}
	if digest == "" {
		c.add(ruleDigest, f, "%q has no digest, so it can name another image tomorrow", name)
		return
	}
	byDigest, asked := c.answers[repository+"@"+string(digest)]
	if asked && schema.IsKind(byDigest.err, schema.Unpinnable) {
		c.add(ruleExists, f, "no registry has %s of %q: %v", digest.Short(), name, byDigest.err)
		return
	}
	now, asked := c.answers[name]
	switch {
	case tag == "" || !asked:
	case schema.IsKind(now.err, schema.Unpinnable):
		c.add(ruleMoved, f, "the tag %q is gone; the digest beside it is still there", tag)
	case now.err != nil || now.digest == digest:
	case slices.Contains(now.children, digest):
		c.add(ruleChild, f, "%s is one platform of %q, whose index is %s: on any other platform it does not run", digest.Short(), name, now.digest)
	default:
		c.add(ruleMoved, f, "the tag %q names %s now", tag, now.digest)
	}
}

func (c *check) code(ref jobspec.Reference, f Finding) {
	switch {
	case ref.Pinned:
	case ref.Value == "":
		f.Value = ""
		c.add(ruleCode, f, "the code comes from a place that names no revision")
	case ref.Soft && ref.URL == "":
		c.add(ruleCode, f, "%q is not a full commit id, so it does not say which code ran", ref.Value)
	default:
		c.add(ruleCode, f, "revision %q is a branch or a tag, which can move", ref.Value)
	}
}
