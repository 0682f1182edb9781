package recorder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// datasetsOfSpec adds the data sets that the job spec names, unless the user names them with --dataset or --model. Nobody has looked at them: what
// the spec says is declared, and a version that can move leaves the pin unresolved.
func (p *Planned) datasetsOfSpec() {
	plan := &p.Run.Plan
	for _, d := range p.spec.Datasets {
		if slices.ContainsFunc(plan.Datasets, func(pin schema.DatasetPin) bool { return pin.Name == d.Name }) {
			continue
		}
		uri, _ := redact.URL(d.URI)
		scheme, _, ok := strings.Cut(uri, ":")
		if !ok {
			scheme = "declared"
		}
		pin := schema.DatasetPin{Name: d.Name, Role: schema.RoleData, URI: schema.Text(uri), Scheme: scheme, Strength: schema.StrengthDeclared, Use: schema.Claimed,
			Origin: schema.Origin{Kind: schema.FromDeclared, By: "job spec", At: schema.At(p.r.Now())}}
		if d.Name == string(schema.RoleModel) {
			pin.Role = schema.RoleModel
		}
		if d.Version != "" {
			pin.VersionKind, pin.VersionID = "declared", d.Version
			if d.URI != "" && d.Immutable {
				pin.VersionID = uri + "@" + d.Version // a version is relative to what it is of
			}
		}
		if d.Immutable {
			pin.Strength = schema.StrengthImmutableID
		} else {
			pin.Reasons = append(pin.Reasons, schema.Reason{Code: "unresolved", Subject: schema.Text("dataset:" + d.Name),
				Text: fmt.Sprintf("%s names a data set by what can move; record its version with --dataset %s=URI", strings.Join(d.Where, ", "), d.Name)})
		}
		plan.Datasets = append(plan.Datasets, pin)
	}
}

// pinnedDatasets gives the versions that the places of the spec are to carry: those of the data sets that the user named.
func (p *Planned) pinnedDatasets() map[string]string {
	versions := map[string]string{}
	for _, d := range p.spec.Datasets {
		if !d.Settable || d.Immutable {
			continue
		}
		for _, pin := range p.Run.Plan.Datasets {
			if pin.Name != d.Name || pin.Origin.By == "job spec" {
				continue
			}
			if version := pin.VersionID; version != "" {
				versions[d.Name] = version
			} else if pin.ContentDigest != "" {
				versions[d.Name] = string(pin.ContentDigest)
			}
		}
	}
	return versions
}
