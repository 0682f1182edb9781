package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// listFilter turns the flags of `list` into the store's filter.
func listFilter(env *Env, c *cli.Context, w *wiring) (store.Filter, error) {
	f := store.Filter{Project: c.String("project"), Status: schema.Status(c.String("status")), Image: c.String("image"), Commit: c.String("commit"),
		Dataset: c.String("dataset"), File: c.String("file"), Output: c.String("output"), Params: c.StringSlice("param"), Labels: c.StringSlice("label"),
		Metrics: c.StringSlice("metric"), Limit: c.Int("limit")}
	if f.Limit < 0 {
		return f, usageError("0 lists all", "--limit %d", f.Limit)
	}
	f.Sort, f.Reverse = strings.CutPrefix(c.String("sort"), "-")
	return f, relatedFilter(env, c, w, &f)
}

// relatedFilter reads --since, --same-as and --parent.
func relatedFilter(env *Env, c *cli.Context, w *wiring, f *store.Filter) error {
	if since := c.String("since"); since != "" {
		at, err := parseSince(env.Now(), since)
		if err != nil {
			return err
		}
		f.Since = at
	}
	for _, ref := range []struct {
		flag string
		use  func(schema.Run) error
	}{
		{"same-as", func(run schema.Run) error {
			if run.Fingerprint == "" {
				return &schema.Error{Op: "list", Kind: schema.NotComparable, Subject: "run " + run.ID.Short(), Err: errNoFingerprint}
			}
			f.SameAs = run.Fingerprint
			return nil
		}},
		{"parent", func(run schema.Run) error { f.Parent = run.ID; return nil }},
	} {
		query := c.String(ref.flag)
		if query == "" {
			continue
		}
		id, err := w.store.Find(c.Context, query, w.scope(""))
		if err != nil {
			return err
		}
		run, err := w.store.Run(c.Context, id)
		if err != nil {
			return err
		}
		if err := ref.use(run); err != nil {
			return err
		}
	}
	return nil
}

type constError string

func (e constError) Error() string { return string(e) }

const errInterrupted = constError("interrupted")

const errNoFingerprint = constError("it has no fingerprint: not every input of it is pinned, or it has not ended")

// parseSince reads a time: RFC 3339, a date, or an age such as 90m, 12h, 7d, 2w.
func parseSince(now time.Time, s string) (schema.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return schema.At(t), nil
		}
	}
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if len(s) > 1 {
		if n, err := strconv.Atoi(s[:len(s)-1]); err == nil && n >= 0 && n < 1_000_000 && units[s[len(s)-1]] > 0 {
			return schema.At(now.Add(-time.Duration(n) * units[s[len(s)-1]])), nil
		}
	}
	return schema.Time{}, usageError("write 2026-11-23, 2026-11-23T18:00:00Z, 12h or 7d", "--since %q is not a time", s)
}
