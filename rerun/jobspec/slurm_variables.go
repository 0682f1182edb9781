package jobspec

import (
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

func (r *scriptReader) assignment(a *syntax.Assign, plain bool) {
	if a.Name == nil {
		return
	}
	if a.Name.Value == "SLURM_CONTAINER_IMAGE" && a.Value != nil { // as pyxis takes it
		w := r.wordOf(a.Value)
		r.seen = append(r.seen, span{int(a.Name.Pos().Offset()), w.end})
		r.pyxis(a.Name.Value, w)
		return
	}
	if a.Name.Value != StampVariable {
		return
	}
	s := assign{at: int(a.Name.Pos().Offset())}
	if a.Value != nil && !a.Append {
		w := r.wordOf(a.Value)
		s.start, s.end, s.value = w.start, w.end, w.text
		s.plain = plain && !w.expands
	}
	r.spec.script.stamps = append(r.spec.script.stamps, s)
}

// findConstants notes the variables that a script sets exactly once, on its top level, to a text. What another file or eval may set is not known.
func (r *scriptReader) findConstants(tree *syntax.File) {
	count := map[string]int{}
	known := true
	var within []bool // whether each node around is arithmetic, in which names are set without a $
	inArithmetic := 0
	syntax.Walk(tree, func(n syntax.Node) bool {
		if n == nil {
			if within[len(within)-1] {
				inArithmetic--
			}
			within = within[:len(within)-1]
			return true
		}
		arithmetic := false
		switch n.(type) {
		case *syntax.ArithmCmd, *syntax.ArithmExp, *syntax.CStyleLoop:
			arithmetic = true
			inArithmetic++
		}
		within = append(within, arithmetic)
		switch n := n.(type) {
		case *syntax.Lit:
			if inArithmetic > 0 {
				count[n.Value] += 2
			}
		case *syntax.Assign:
			if n.Name != nil {
				count[n.Name.Value]++
				if n.Append || n.Index != nil {
					count[n.Name.Value]++
				}
			}
		case *syntax.DeclClause:
			for _, a := range n.Args {
				switch v := n.Variant.Value; {
				case a.Name != nil && a.Naked && a.Value == nil && (v == "export" || v == "readonly"):
					count[a.Name.Value]-- // it sets nothing
				case a.Name == nil && a.Value != nil && strings.HasPrefix(a.Value.Lit(), "-") && strings.Contains(a.Value.Lit(), "n") && v != "export":
					known = false // a variable of this kind sets another one
				}
			}
		case *syntax.WordIter:
			count[n.Name.Value] += 2
		case *syntax.ParamExp:
			if n.Exp != nil && (n.Exp.Op == syntax.AssignUnset || n.Exp.Op == syntax.AssignUnsetOrNull) && n.Param != nil {
				count[n.Param.Value] += 2
			}
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				return true
			}
			name := n.Args[0].Lit()
			if sources[name] {
				known = false
			}
			r.shellState(name, int(n.Pos().Offset()), n.Args[1:])
			if setters[name] {
				for _, w := range n.Args[1:] {
					count[w.Lit()] += 2
				}
			}
			for _, a := range n.Assigns { // of that command alone
				if a.Name != nil {
					count[a.Name.Value] += 2
				}
			}
		}
		return true
	})
	if !known {
		return
	}
	note := func(a *syntax.Assign) {
		if a.Name == nil || a.Value == nil || count[a.Name.Value] != 1 || a.Append {
			return
		}
		if w := r.wordOf(a.Value); !w.expands && w.text != "" {
			r.constants[a.Name.Value] = w
		}
	}
	for _, stmt := range tree.Stmts {
		if stmt.Background || stmt.Negated {
			continue
		}
		switch c := stmt.Cmd.(type) {
		case *syntax.CallExpr:
			if len(c.Args) == 0 {
				for _, a := range c.Assigns {
					note(a)
				}
			}
		case *syntax.DeclClause:
			if v := c.Variant.Value; v == "export" || v == "readonly" || v == "declare" {
				for _, a := range c.Args {
					note(a)
				}
			}
		}
	}
}

// constant gives the text that a word stands for when it is a variable that is set once, behind some text (docker://$IMAGE).
func (r *scriptReader) constant(w word) (value word, before string, ok bool) {
	if !w.expands || w.param == "" {
		return word{}, "", false
	}
	value, ok = r.constants[w.param]
	return value, w.text, ok && value.end <= w.start
}

// shellState notes whether a script goes on behind a command that fails, and whether it leaves the directory that it starts in.
func (r *scriptReader) shellState(name string, at int, args []*syntax.Word) {
	switch name {
	case "cd", "pushd", "popd":
		if len(args) == 1 {
			if w := r.wordOf(args[0]); w.expands && w.text == "" && w.param == "SLURM_SUBMIT_DIR" {
				return
			}
		}
		r.moves = true
	case "set":
		for i, w := range args {
			switch lit := w.Lit(); {
			case strings.HasPrefix(lit, "+") && strings.Contains(lit, "e"):
				r.resumes = true
			case r.stops == 0 && strings.HasPrefix(lit, "-") && !strings.HasPrefix(lit, "--") && strings.Contains(lit, "e"), r.stops == 0 && lit == "errexit" && i > 0:
				r.stops = at + 1
			}
		}
	}
}

// evaluated notes the commands whose output a command runs: eval "$(…)", bash -c "$(…)", and $(…) alone.
func (r *scriptReader) evaluated(call *syntax.CallExpr) {
	if len(call.Args) == 0 {
		return
	}
	args := call.Args[:1]
	if name := call.Args[0].Lit(); name == "eval" || shells[path.Base(name)] {
		args = call.Args
	}
	for _, w := range args {
		for _, part := range w.Parts {
			inner := []syntax.WordPart{part}
			if q, ok := part.(*syntax.DblQuoted); ok {
				inner = q.Parts
			}
			for _, p := range inner {
				if subst, ok := p.(*syntax.CmdSubst); ok {
					for _, stmt := range subst.Stmts {
						r.piped[stmt] = true
					}
				}
			}
		}
	}
}

// program gives the name of the program that a word names, also through a variable that is set once.
func (r *scriptReader) program(w word) string {
	if value, before, ok := r.constant(w); ok && before == "" {
		return path.Base(value.text)
	}
	if w.expands {
		return ""
	}
	return path.Base(w.text)
}
