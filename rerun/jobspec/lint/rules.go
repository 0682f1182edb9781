package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/rerun/jobspec"
	"github.com/runpin/runpin/schema"
)

// Severity is how much a finding weighs.
type Severity string

// The severities, heaviest first. A rule that is Off is not checked.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
	Off     Severity = "off"
)

var weights = map[Severity]int{Error: 3, Warning: 2, Note: 1}

// AtLeast reports whether s weighs as much as other.
func (s Severity) AtLeast(other Severity) bool { return weights[s] >= weights[other] && weights[s] > 0 }

// ParseSeverity reads a severity. An error has kind Invalid.
func ParseSeverity(s string) (Severity, error) {
	switch v := Severity(s); v {
	case Error, Warning, Note, Off:
		return v, nil
	}
	return "", &schema.Error{Op: "lint", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(s, 80)), Err: fmt.Errorf("is not a severity"), Hint: "error, warning, note or off"}
}

// The ids of the rules.
const (
	ruleLatest     = "no-latest"
	ruleDigest     = "digest-required"
	ruleMalformed  = "digest-malformed"
	ruleReference  = "invalid-reference"
	ruleExists     = "digest-exists"
	ruleMoved      = "tag-moved"
	ruleChild      = "platform-child"
	ruleSecret     = "secret-in-variable"
	ruleCode       = "code-unpinned"
	ruleDataset    = "dataset-unpinned"
	ruleTemplate   = "template"
	ruleUnderstood = "not-understood"
	ruleReason     = "ignore-without-reason"
	ruleUnused     = "ignore-unused"
)

// Rule is a row of the table.
type Rule struct {
	ID         string
	Says       string // what a spec that keeps it is like
	Remedy     string
	Network    bool // only a registry knows
	Training   Severity
	Production Severity
}

// Rules are the rules, in the order in which they are documented.
var Rules = []Rule{
	{ruleLatest, "no image is pulled by the tag latest, named or implied", "name a version, and pin it: runpin pin", false, Error, Error},
	{ruleDigest, "each image is named by a digest", "runpin pin writes it beside the tag", false, Warning, Error},
	{ruleMalformed, "a digest is sha256: and 64 lower-case hexadecimal digits", "copy it whole: runpin pin --diff shows the right one", false, Error, Error},
	{ruleReference, "an image is named by a valid reference", "write it as [HOST/]REPOSITORY[:TAG][@DIGEST]", false, Error, Error},
	{ruleExists, "the registry has each digest", "push the image again, or pin what the tag names now", true, Error, Error},
	{ruleMoved, "the tag beside a digest names that digest", "runpin pin on the reference without the digest takes the new image; leave it to keep the old one", true, Warning, Warning},
	{ruleChild, "an image for several platforms is pinned by its index", "pin the index: runpin pin without --platform", true, Warning, Warning},
	{ruleSecret, "no variable and no argument holds a secret in plain text", "take it from a secret of the cluster, or from a file", false, Error, Error},
	{ruleCode, "code is named by a full commit", "runpin pin writes the commit that the branch or tag is now", false, Warning, Error},
	{ruleDataset, "a dataset is named by a version that cannot move", "name a commit, a version id or a generation", false, Note, Warning},
	{ruleTemplate, "each value stands in the file", "check what the template makes: helm template, kustomize build, envsubst", false, Warning, Error},
	{ruleUnderstood, "the whole file is understood", "see docs/job-specs.md for what runpin reads, and declare the rest with --field", false, Warning, Error},
	{ruleReason, "an ignored finding has a reason", "write it behind the rule: # runpin:ignore RULE because …", false, Warning, Error},
	{ruleUnused, "what is ignored is there", "take the comment out", false, Note, Note},
}

func ruleNamed(id string) *Rule {
	for i := range Rules {
		if Rules[i].ID == id {
			return &Rules[i]
		}
	}
	return nil
}

func remedyOf(id string) string {
	if r := ruleNamed(id); r != nil {
		return r.Remedy
	}
	return ""
}

// ruleOf gives the rule that a problem of a spec breaks.
func ruleOf(p jobspec.Problem) string {
	switch p.Code {
	case jobspec.ProblemTemplate:
		return ruleTemplate
	case jobspec.ProblemReference:
		if strings.Contains(p.Reason, "malformed digest") {
			return ruleMalformed
		}
		return ruleReference
	case jobspec.ProblemFloating:
		return ruleCode
	}
	return ruleUnderstood
}

// Config says which rules count how much, and what is ignored.
type Config struct {
	Preset string // training, production
	Rules  map[string]Severity
	Ignore []Ignore
}

// Presets are the names of the presets.
var Presets = []string{"training", "production"}

// Severity gives the severity of a rule.
func (c Config) Severity(id string) Severity {
	if s, ok := c.Rules[id]; ok {
		return s
	}
	r := ruleNamed(id)
	if c.Preset == "production" {
		return r.Production
	}
	return r.Training
}

func (c Config) off(id string) bool { return c.Severity(id) == Off }

// required are the words of --require.
var required = map[string]string{"digest": ruleDigest, "exists": ruleExists, "code": ruleCode, "dataset": ruleDataset, "no-secret": ruleSecret, "index": ruleChild}

// Set gives a rule a severity: RULE=SEVERITY. An error has kind Invalid.
func (c *Config) Set(text string) error {
	id, severity, ok := strings.Cut(text, "=")
	if !ok {
		return &schema.Error{Op: "lint", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(text, 80)), Err: fmt.Errorf("is not RULE=SEVERITY")}
	}
	s, err := ParseSeverity(severity)
	if err != nil {
		return err
	}
	return c.set(id, s)
}

// Require makes rules errors; a word is a rule or one of the short names.
func (c *Config) Require(words string) error {
	for word := range strings.SplitSeq(words, ",") {
		word = strings.TrimSpace(word)
		if id, ok := required[word]; ok {
			word = id
		}
		if err := c.set(word, Error); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) set(id string, s Severity) error {
	if ruleNamed(id) == nil {
		return unknownRule(id)
	}
	if c.Rules == nil {
		c.Rules = map[string]Severity{}
	}
	c.Rules[id] = s
	return nil
}

// Check says what is wrong with a configuration that came from a file.
func (c Config) Check() error {
	if c.Preset != "" && !slices.Contains(Presets, c.Preset) {
		return &schema.Error{Op: "lint", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(c.Preset, 80)), Err: fmt.Errorf("is not a preset"), Hint: strings.Join(Presets, " or ")}
	}
	for id, s := range c.Rules {
		if ruleNamed(id) == nil {
			return unknownRule(id)
		}
		if _, err := ParseSeverity(string(s)); err != nil {
			return err
		}
	}
	for _, i := range c.Ignore {
		if ruleNamed(i.Rule) == nil {
			return unknownRule(i.Rule)
		}
		if strings.TrimSpace(i.Reason) == "" {
			return &schema.Error{Op: "lint", Kind: schema.Invalid, Subject: "ignore of " + i.Rule, Err: fmt.Errorf("has no reason")}
		}
	}
	return nil
}

func unknownRule(id string) error {
	var ids []string
	for _, r := range Rules {
		ids = append(ids, r.ID)
	}
	return &schema.Error{Op: "lint", Kind: schema.Invalid, Subject: fmt.Sprintf("%q", schema.Shorten(id, 80)), Err: fmt.Errorf("is not a rule"), Hint: "the rules are " + strings.Join(ids, ", ")}
}
