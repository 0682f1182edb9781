package schema

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

func (c *comparing) job() {
	a, b := c.a.Job, c.b.Job
	switch {
	case a == nil && b == nil:
		return
	case a == nil || b == nil:
		c.only("job", a != nil, b != nil, firstOf(a, b).Path.Typed)
		return
	}
	c.differ("job", "format", ClassMust, true, Text(a.Format), Text(b.Format))
	if a.TemplateDigest == "" || b.TemplateDigest == "" {
		c.unproven("job", "template_digest", ClassMust, Text(a.TemplateDigest), Text(b.TemplateDigest),
			"job: whether the specs are the same cannot be told: that of "+either(a.TemplateDigest == "", b.TemplateDigest == "")+" was withheld")
		return
	}
	if c.differ("job", "template_digest", ClassMust, true, Text(a.TemplateDigest), Text(b.TemplateDigest)) {
		c.found[len(c.found)-1].Text = "job: the specs differ in more than the references they name"
		return
	}
	if a.Blob != nil && b.Blob != nil {
		c.differ("job", "blob", ClassNoise, false, Text(a.Blob.Digest), Text(b.Blob.Digest))
	}
}

func (c *comparing) command() {
	a, b := c.a.template(), c.b.template()
	if !slices.Equal(a, b) {
		d := Difference{Subject: "command", Field: "command", Class: ClassMust, Input: true, A: joinArgs(a), B: joinArgs(b)}
		if len(a) == len(b) {
			for i := range a {
				if a[i] != b[i] {
					d.Items = append(d.Items, DifferenceItem{Name: Text("argument " + strconv.Itoa(i)), Change: "changed", A: a[i], B: b[i]})
				}
			}
			d.Text = "command: " + countItems("argument", d.Items, 0)
		} else {
			d.Text = phrase("command", "command", d.A, d.B)
		}
		if len(d.Items) > maxItems {
			d.Items, d.More = d.Items[:maxItems], len(d.Items)-maxItems
		}
		c.add(d)
	} else if !slices.Equal(c.a.Command, c.b.Command) {
		c.differ("command", "as_started", ClassNoise, false, joinArgs(c.a.Command), joinArgs(c.b.Command))
	}
	rel := func(p *Path) Text {
		if p == nil || p.Rel == "." {
			return ""
		}
		return p.Rel
	}
	c.differ("workdir", "rel", ClassMust, true, rel(c.a.WorkDir), rel(c.b.WorkDir))
}

// joinArgs writes argv so that a person sees where each argument ends.
func joinArgs(args []Text) Text {
	var b strings.Builder
	for i, arg := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if s := string(arg); s == "" || strings.ContainsAny(s, " \t\n\"'\\") {
			b.WriteString("'" + strings.ReplaceAll(s, "'", `'\''`) + "'")
		} else {
			b.WriteString(s)
		}
	}
	return Text(b.String())
}

// values compares params and variables.
func (c *comparing) values() {
	c.mapValues("params", c.a.Params, c.b.Params, func(string) Class { return ClassMust })
	c.mapValues("variables", c.a.Variables, c.b.Variables, func(k string) Class { return classByName(variableClasses, k) })
}

func (c *comparing) mapValues(subject string, a, b map[string]Text, class func(string) Class) {
	for _, k := range keysOf(a, b) {
		x, inA := a[k]
		y, inB := b[k]
		if inA == inB && x == y {
			continue
		}
		d := Difference{Subject: subject, Field: k, Class: class(k), Input: true, A: x, B: y, Text: phrase(subject, k, x, y)}
		switch {
		case !inA:
			d.Text = fmt.Sprintf("%s: only the second run has %s: %s", subject, k, quote(y))
		case !inB:
			d.Text = fmt.Sprintf("%s: only the first run has %s: %s", subject, k, quote(x))
		case sameNumber(x, y):
			d.Class, d.Text = ClassNoise, d.Text+": the same number, written differently"
		default:
			d.Delta = Delta(x, y)
		}
		c.add(d)
	}
}

// whole compares what is of the run and no pin: what was withheld, what drifted, who ran it.
func (c *comparing) whole() {
	for i, r := range []Run{c.a, c.b} {
		which := []string{"the first run", "the second run"}[i]
		for _, w := range r.Withheld {
			c.unproven("run", "withheld", ClassLikely, "", "", fmt.Sprintf("run: the %s %s of %s was withheld and cannot be compared", w.What, w.Name, which))
		}
		for _, d := range r.Drift {
			if d.ofInput() {
				c.unproven(d.Pin, "drift", ClassMust, d.Expected, d.Found, fmt.Sprintf("%s: in %s it was not what it was pinned to: %s", d.Pin, which, d.Text))
			}
		}
	}
	c.differ("run", "launcher", ClassLikely, false, Text(c.a.Launcher), Text(c.b.Launcher))
	c.differ("run", "gpus", ClassLikely, false, Text(c.a.GPUs), Text(c.b.GPUs))
	c.differ("run", "recorder", ClassNoise, false, Text(c.a.Recorder), Text(c.b.Recorder))
	c.differ("run", "user", ClassNoise, false, Text(c.a.User), Text(c.b.User))
}

// outcome compares what the runs gave.
func (c *comparing) outcome() {
	c.differ("run", "status", ClassOutcome, false, Text(c.a.Status), Text(c.b.Status))
	code := func(r Run) Text {
		if r.ExitCode == nil {
			return ""
		}
		return Text(strconv.Itoa(*r.ExitCode))
	}
	c.differ("run", "exit_code", ClassOutcome, false, code(c.a), code(c.b))
	outputs := func(r Run) map[string]Output {
		m := map[string]Output{}
		for _, o := range r.Outputs {
			name := o.Name
			if o.Rank != nil {
				name += " of rank " + strconv.Itoa(*o.Rank)
			}
			m[name] = o
		}
		return m
	}
	a, b := outputs(c.a), outputs(c.b)
	for _, name := range keysOf(a, b) {
		x, y := a[name], b[name]
		if c.differ("outputs", name, ClassOutcome, false, x.result(), y.result()) && x.Directory && y.Directory {
			c.manifests("outputs", name, ClassOutcome, false, [2]manifestRef{{x.Manifest, x.DigestKind}, {y.Manifest, y.DigestKind}})
		}
	}
	for _, k := range keysOf(c.a.Metrics, c.b.Metrics) {
		x, inA := c.a.Metrics[k]
		y, inB := c.b.Metrics[k]
		if inA && inB && (x == y || sameNumber(x, y)) {
			continue
		}
		d := Difference{Subject: "metrics", Field: k, Class: ClassOutcome, A: x, B: y, Text: phrase("metrics", k, x, y)}
		if inA && inB {
			if d.Delta = Delta(x, y); d.Delta != "" {
				d.Text += " (" + d.Delta + ")"
			}
		}
		c.add(d)
	}
}

// result gives what an output is compared by.
func (o Output) result() Text {
	switch {
	case o.Missing:
		return "missing"
	case o.Stale:
		return "stale"
	case o.Identity() != "":
		return Text(o.Identity())
	}
	return o.URI
}

// number reads a decimal number as it stands, without rounding; ok is false for NaN, infinities and anything else.
func number(t Text) (*big.Rat, bool) {
	if len(t) == 0 || len(t) > 80 || strings.Trim(string(t), "0123456789+-.eE") != "" {
		return nil, false
	}
	if f, err := strconv.ParseFloat(string(t), 64); err != nil || f != 0 && math.Abs(f) < 1e-300 {
		return nil, false // an exponent so large that an exact number would fill memory
	}
	return new(big.Rat).SetString(string(t))
}

func sameNumber(a, b Text) bool {
	x, okX := number(a)
	y, okY := number(b)
	return okX && okY && x.Cmp(y) == 0
}

// Delta gives b less a and the relative change, or "" where either is no number.
func Delta(a, b Text) string {
	x, okX := number(a)
	y, okY := number(b)
	if !okX || !okY {
		return ""
	}
	diff := new(big.Rat).Sub(y, x)
	f, _ := diff.Float64()
	text := strconv.FormatFloat(f, 'g', 6, 64)
	if diff.IsInt() && diff.Num().IsInt64() {
		text = diff.Num().String()
	}
	if diff.Sign() > 0 {
		text = "+" + text
	}
	if x.Sign() != 0 {
		relative, _ := new(big.Rat).Quo(diff, new(big.Rat).Abs(x)).Float64()
		text += fmt.Sprintf(" (%+.3g%%)", 100*relative)
	}
	return text
}
