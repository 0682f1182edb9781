package rerun

import (
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// Bounds on the suspects of a verdict; comparing the two runs lists all.
const (
	maxSuspects     = 20
	maxSuspectItems = 10
	maxSuspectValue = 500
)

// notRecorded is what a program can depend on without any record showing it.
const notRecorded = "the time, random numbers without a seed, the network, a file that is no declared data set"

// explain says what differs between the two runs and explains another result first, and lists all that could: what the user wanted otherwise, then what
// [schema.Compare] finds, in its order.
func (j *judging) explain(v *schema.Verdict) string {
	compared, err := schema.CompareContext(j.ctx, j.old, j.new, j.evidence.Blobs)
	if err != nil {
		return ""
	}
	var known, unproven []schema.Difference
	for _, d := range compared.Differences {
		switch {
		case d.Class != schema.ClassMust && d.Class != schema.ClassLikely:
			continue
		case d.Unproven:
			unproven = append(unproven, d)
		default:
			known = append(known, d)
		}
		if len(v.Suspects) == maxSuspects {
			v.More++
			continue
		}
		v.Suspects = append(v.Suspects, bounded(d))
	}
	if wanted := j.wanted(); wanted != "" {
		return wanted
	}
	if absent := j.absent(); absent != "" {
		return absent
	}
	if len(known) > 0 {
		return "what differs between the runs: " + firstOf(texts(known))
	}
	if added := j.added(); added != "" {
		return added
	}
	for _, r := range j.new.Relaxed {
		if r.Code == "program-elsewhere" {
			return "nothing recorded is known to differ; " + string(r.Subject) + ": " + r.Text
		}
	}
	suspicion := j.suspicion()
	switch {
	case v.SameInputs != nil && *v.SameInputs && len(unproven) == 0:
		return "same inputs, different outputs: not deterministic, or it depends on what is not recorded: " + j.unheldByBoth() + notRecorded + suspicionAlso(suspicion)
	case suspicion != "":
		return "nothing recorded is known to differ; " + suspicion
	case len(unproven) > 0:
		return "nothing recorded is known to differ, and this is not proved equal: " + firstOf(texts(unproven))
	case len(compared.Reasons) > 0:
		return "nothing recorded is known to differ, and that the inputs are the same is not proved: " + roles.Replace(compared.Reasons[0].Text)
	default:
		return "nothing recorded is known to differ"
	}
}

func suspicionAlso(suspicion string) string {
	if suspicion == "" {
		return ""
	}
	return "; or else " + suspicion
}

// wanted says what the user changed: the first cause of whatever came of it.
func (j *judging) wanted() string {
	var all []string
	added := lacking(j.new, j.old)
	for _, r := range j.new.Relaxed {
		switch r.Code {
		case "set":
			all = append(all, string(r.Subject)+" was "+r.Text)
		case "moved-into-image", "moved-to-slurm", "moved-from-slurm", "gpus":
			all = append(all, r.Text)
		case envFileCode: // what the original had, too, is no change
			if name := strings.TrimPrefix(string(r.Subject), "env."); slices.ContainsFunc(added, func(v unheld) bool { return v.name == name }) {
				all = append(all, string(r.Subject)+" was "+r.Text)
			}
		case "tracker-run", withoutCode, "overwrite-outputs":
			all = append(all, string(r.Subject)+" was "+r.Text)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return firstOf(all)
}

// suspicion says what the original's record knows of inputs that it does not hold.
func (j *judging) suspicion() string {
	for _, o := range j.old.Outputs {
		for _, r := range o.Reasons {
			if r.Code == "existed-before" && !o.Stale {
				return "output " + o.Name + " existed before the original ran, which may have read it"
			}
		}
	}
	for _, r := range j.old.Reasons {
		if r.Code == "code-edited" || r.Code == "stdin-unrecorded" {
			return "of the original it is known that " + r.Text
		}
	}
	return ""
}

// texts gives the sentences of differences, about the original and the rerun.
func texts(all []schema.Difference) []string {
	out := make([]string, len(all))
	for i, d := range all {
		out[i] = roles.Replace(d.Text)
	}
	return out
}

// roles names the two runs of a comparison as a verdict does.
var roles = strings.NewReplacer("the first run", "the original", "the second run", "the rerun", "first run: ", "the original: ", "second run: ", "the rerun: ")

// bounded cuts a difference so that a verdict stays small.
func bounded(d schema.Difference) schema.Difference {
	if len(d.A)+len(d.B) > maxSuspectValue {
		d.A, d.B = "", ""
	}
	for i, size := 0, 0; i < len(d.Items); i++ {
		if size += len(d.Items[i].Name) + len(d.Items[i].A) + len(d.Items[i].B); i == maxSuspectItems || size > maxSuspectValue*maxSuspectItems {
			d.More += len(d.Items) - i
			d.Items = slices.Clip(d.Items[:i])
		}
	}
	d.Text = sentence(d.Text)
	return d
}
