package jobspec

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// word is a word of a script as the command sees it. at holds, for each byte of text, its place in the file. A word that the shell makes while it
// runs has expands set; text then is what stands before the first expansion.
type word struct {
	text       string
	at         []int
	start, end int // in the file, quotes included
	expands    bool
	param      string // the variable that follows text and ends the word, when that is all there is
}

// from gives the word without its first n bytes.
func (w word) from(n int) word {
	w.start = w.at[n-1] + 1
	w.text, w.at = w.text[n:], w.at[n:]
	if len(w.at) > 0 {
		w.start = w.at[0]
	}
	return w
}

// wordOf reads a word of a command. Inside it the shell takes away quotes and backslashes.
func (r *scriptReader) wordOf(w *syntax.Word) word {
	out := word{start: int(w.Pos().Offset()), end: int(w.End().Offset())}
	var text strings.Builder
	add := func(from, to int, quoted bool) {
		data := r.spec.source.data
		for i := from; i < to && i < len(data); i++ {
			if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
				continue // of the line end
			}
			if data[i] == '\\' && i+1 < to {
				next := data[i+1]
				if next == '\n' {
					i++
					continue
				}
				if !quoted || strings.IndexByte("\\\"$`", next) >= 0 {
					i++
				}
			}
			text.WriteByte(data[i])
			out.at = append(out.at, i)
		}
	}
	for i, part := range w.Parts {
		last := i == len(w.Parts)-1
		switch p := part.(type) {
		case *syntax.Lit:
			add(int(p.Pos().Offset()), int(p.End().Offset()), false)
		case *syntax.SglQuoted:
			if p.Dollar {
				out.expands = true
				break
			}
			for i := int(p.Left.Offset()) + 1; i < int(p.Right.Offset()); i++ {
				text.WriteByte(r.spec.source.data[i])
				out.at = append(out.at, i)
			}
		case *syntax.DblQuoted:
			if p.Dollar {
				out.expands = true
				break
			}
			for j, inner := range p.Parts {
				lit, ok := inner.(*syntax.Lit)
				if !ok {
					out.expands = true
					if last && j == len(p.Parts)-1 {
						out.param = plainParam(inner)
					}
					break
				}
				add(int(lit.Pos().Offset()), int(lit.End().Offset()), true)
			}
		default:
			out.expands = true
			if last {
				out.param = plainParam(part)
			}
		}
		if out.expands {
			break
		}
	}
	if data := r.spec.source.data; out.end < len(data) && data[out.end] == '\n' && data[out.end-1] == '\r' {
		out.end--
	}
	out.text = text.String()
	return out
}

// plainParam gives the name of $NAME or ${NAME}, "" for any other expansion.
func plainParam(n syntax.WordPart) string {
	p, ok := n.(*syntax.ParamExp)
	if !ok || p.Param == nil || p.Excl || p.Length || p.Width || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Exp != nil || p.Names != 0 {
		return ""
	}
	return p.Param.Value
}

// directiveWords splits the options of an #SBATCH line as sbatch does: quotes and backslashes are taken away, a bare # begins a comment, and
// nothing is expanded.
func (r *scriptReader) directiveWords(start, end int) (words []word, reason string) {
	data := r.spec.source.data
	for at := start; at < end; {
		if isBlank(data[at]) {
			at++
			continue
		}
		if data[at] == '#' {
			break
		}
		w := word{start: at}
		var text strings.Builder
		quote := byte(0)
		for ; at < end; at++ {
			c := data[at]
			if quote == 0 && (isBlank(c) || c == '#') {
				break
			}
			switch {
			case quote != 0 && c == quote:
				quote = 0
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
				continue
			case c == '\\' && quote != '\'' && at+1 < end && data[at+1] != '\r':
				at++
			}
			text.WriteByte(data[at])
			w.at = append(w.at, at)
		}
		if quote != 0 {
			return words, "has a quote that is not closed"
		}
		w.text, w.end = text.String(), at
		words = append(words, w)
	}
	return words, ""
}
