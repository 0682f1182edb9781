package recorder

import (
	"context"
	"strings"
	"testing"

	"github.com/runpin/runpin/schema"
)

// specs reads every spec as one image and one place that fetches code.
type specs struct{ pins SpecPins }

func (s *specs) ReadSpec(string, []byte, []string) (Spec, error) {
	return Spec{Format: "kubernetes", Template: schema.SHA256([]byte("t")), Images: []SpecImage{{Name: "main", Ref: "team/trainer:1.4", Where: []string{"job.yaml:1:1"}}},
		Code: []SpecCode{{Name: "sync", URL: "https://git.example/team/train.git", Rev: "main", Where: []string{"job.yaml:2:1"}}}}, nil
}

func (s *specs) PinSpec(_ string, data []byte, _ []string, pins SpecPins, _ schema.RunID) ([]byte, error) {
	s.pins = pins
	return data, nil
}

// labelled gives images with labels, and code from a remote.
type labelled struct {
	*fakes
	labels map[string]string
	asked  []CodeRequest
}

func (l *labelled) ResolveImage(ctx context.Context, req ImageRequest) (schema.ImagePin, error) {
	pin, err := l.fakes.ResolveImage(ctx, req)
	pin.Labels = l.labels
	return pin, err
}

func (l *labelled) ResolveCode(ctx context.Context, req CodeRequest) (schema.CodePin, error) {
	l.asked = append(l.asked, req)
	pin, err := l.fakes.ResolveCode(ctx, req)
	pin.Remote, pin.Use = "https://git.example/team/train.git", schema.Claimed
	return pin, err
}

const otherCommit = "1111111111111111111111111111111111111111"

func TestCodeOfAJob(t *testing.T) {
	for _, c := range []struct {
		name   string
		labels map[string]string
		req    Request
		pins   string // of the plan, as name=commit(origin)
		asked  string
		reason string
	}{
		{"from the spec", nil, Request{}, "sync=" + oid + "(git)", "git+https://git.example/team/train.git@main", ""},
		{"from a label too", map[string]string{labelRevision: oid, labelSource: "https://u:p@git.example/other"}, Request{}, "sync=" + oid + "(git) main=" + oid + "(label)", "git+https://git.example/team/train.git@main", ""},
		{"label contradicts", map[string]string{labelRevision: otherCommit, labelSource: "git@git.example:team/train"}, Request{}, "sync=" + oid + "(git) main=" + otherCommit + "(label)",
			"git+https://git.example/team/train.git@main", "code-contradicts"},
		{"label is a branch", map[string]string{labelRevision: "main"}, Request{}, "sync=" + oid + "(git) main=(label)", "git+https://git.example/team/train.git@main", ""},
		{"the user says", map[string]string{labelRevision: otherCommit}, Request{Code: []CodeRef{{"sync", "git+https://git.example/fork@v1"}}}, "sync=" + oid + "(git)", "git+https://git.example/fork@v1", ""},
		{"none", map[string]string{labelRevision: oid}, Request{NoCode: true}, "", "", "spec-unpinned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, s := &labelled{fakes: &fakes{}, labels: c.labels}, &specs{}
			r, dir := newTestRecorder(t, l.fakes)
			r.Images, r.Code, r.Specs, r.Pinner, r.Host = l, l, s, s, "laptop"
			req := c.req
			req.WorkDir, req.Job = dir, &Job{Path: "job.yaml", Data: []byte("a: b")}
			p, err := r.Plan(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			var pins, asked []string
			for _, pin := range p.Run.Code {
				pins = append(pins, pin.Name+"="+string(pin.Commit)+"("+string(pin.Origin.Kind)+")")
				if strings.Contains(pin.Remote, "u:p") {
					t.Errorf("remote %q holds a password", pin.Remote)
				}
				if pin.Commit == "" && len(pin.Reasons) == 0 {
					t.Errorf("%s has no commit and no reason", pin.Name)
				}
			}
			for _, a := range l.asked {
				asked = append(asked, a.Ref)
			}
			if got := strings.Join(pins, " "); got != c.pins {
				t.Errorf("pins %q, want %q", got, c.pins)
			}
			if got := strings.Join(asked, " "); got != c.asked {
				t.Errorf("asked for %q, want %q", got, c.asked)
			}
			if c.asked != "" && s.pins.Code["sync"] != oid {
				t.Errorf("the spec is pinned to %v", s.pins.Code)
			}
			reason := ""
			for _, one := range p.Run.Reasons {
				reason = one.Code
			}
			if reason != c.reason || p.Run.Launcher != "kubernetes" || p.Run.SubmittedFrom == nil || p.Run.SubmittedFrom.Host != "laptop" {
				t.Errorf("reason %q, launcher %q, from %+v", reason, p.Run.Launcher, p.Run.SubmittedFrom)
			}
		})
	}
}
