package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

// paint colours s when w is a terminal that shows colours.
func (e *Env) paint(w io.Writer, code, s string) string {
	tty := w == e.Out && e.OutTTY || w == e.Err && e.ErrTTY
	if !e.forceColor && (!tty || !e.Color) {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// table prints rows: aligned under a header on a terminal; tab-separated and without a header in a pipe.
func (e *Env) table(header []string, rows [][]string) {
	if !e.OutTTY {
		for _, row := range rows {
			for i := range row {
				row[i] = strings.NewReplacer("\t", " ", "\n", " ").Replace(oneLine(row[i]))
			}
			fmt.Fprintln(e.Out, strings.Join(row, "\t"))
		}
		return
	}
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(oneLine(cell))) // cells are plain text: a line is painted as a whole
		}
	}
	line := func(row []string, code string) {
		var b strings.Builder
		for i, cell := range row {
			cell = oneLine(cell)
			b.WriteString(cell)
			if i+1 < len(row) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text := b.String()
		if code != "" {
			text = e.paint(e.Out, code, text)
		}
		fmt.Fprintln(e.Out, text)
	}
	line(header, bold)
	for _, row := range rows {
		line(row, "")
	}
}

// printJSON writes v as one indented JSON value.
func (e *Env) printJSON(v any) error {
	enc := json.NewEncoder(e.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// when shows a time: relative for people, RFC 3339 in a pipe.
func (e *Env) when(t schema.Time) string {
	if t.IsZero() {
		return ""
	}
	if !e.OutTTY {
		return t.String()
	}
	d := e.Now().Sub(t.Time())
	switch {
	case d < 0:
		return t.Time().Local().Format("2006-01-02 15:04")
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	case d < 14*24*time.Hour:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	default:
		return t.Time().Local().Format("2006-01-02")
	}
}

// digest shows a digest: short for people, whole in a pipe.
func (e *Env) digest(d schema.Digest) string {
	if e.OutTTY {
		return d.Short()
	}
	return string(d)
}

// size shows a number of bytes.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 4 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
