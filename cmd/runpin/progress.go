package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows a bar on stderr for a step that takes longer than a second; off a terminal it shows nothing. It is safe for concurrent use.
type progress struct {
	env   *Env
	mu    sync.Mutex
	begun map[string]time.Time
	bar   *progressbar.ProgressBar
	shown string
}

func newProgress(env *Env) *progress { return &progress{env: env, begun: map[string]time.Time{}} }

// Step implements schema.Progress.
func (p *progress) Step(what string, done, total int64, unit string) {
	if !p.env.ErrTTY {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if _, known := p.begun[what]; !known {
		p.begun[what] = now
	}
	finished := total > 0 && done >= total
	if finished {
		delete(p.begun, what)
		if p.shown == what {
			_ = p.bar.Clear()
			p.bar, p.shown = nil, ""
		}
		return
	}
	if now.Sub(p.begun[what]) < time.Second || (p.shown != "" && p.shown != what) {
		return
	}
	if p.bar == nil {
		limit := total
		if limit <= 0 {
			limit = -1
		}
		p.bar = progressbar.NewOptions64(limit, progressbar.OptionSetWriter(p.env.Err), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(unit == "B"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(24), progressbar.OptionShowCount())
		p.shown = what
	}
	_ = p.bar.Set64(done)
}

// clear removes a bar that is still shown.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar, p.shown = nil, ""
	}
}
