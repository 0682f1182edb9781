package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// maxShownNodes is how many nodes, and how many tries, `show` lists one by one; --json has them all.
const maxShownNodes = 16

// showMachines prints each distinct environment once, with the nodes and ranks that saw it.
func (e *Env) showMachines(all []schema.Environment) {
	var order []schema.Digest
	byID := map[schema.Digest][]schema.Environment{}
	for _, env := range all {
		if byID[env.ID] == nil {
			order = append(order, env.ID)
		}
		byID[env.ID] = append(byID[env.ID], env)
	}
	for _, id := range order {
		same := byID[id]
		e.field("machine", "%s", machineText(same[0], len(all) > 1))
		if len(all) > 1 {
			for i, env := range same {
				if i == maxShownNodes {
					e.field("", "  and %s more with the same environment", plural(int64(len(same)-i), "node"))
					break
				}
				e.field("", "  on %s%s", orNone(env.Node), ranksText(env.Ranks))
			}
		} else if len(same[0].Ranks) > 0 {
			e.field("", " %s", ranksText(same[0].Ranks))
		}
		e.reasons(same[0].Reasons)
	}
}

// machineText describes an environment; the node's name is left out where several nodes share it.
func machineText(env schema.Environment, shared bool) string {
	parts := []string{env.Node, env.OS.Pretty, env.OS.Kernel, env.OS.Arch}
	if shared {
		parts = parts[1:]
	}
	if env.CPU.Model != "" {
		parts = append(parts, fmt.Sprintf("%d × %s", env.CPU.Logical, env.CPU.Model))
	}
	for _, g := range env.GPUs {
		parts = append(parts, g.Model)
	}
	if env.GPUDriver != "" {
		parts = append(parts, "driver "+env.GPUDriver)
	}
	if env.Interpreter != nil && env.Interpreter.Count > 0 {
		parts = append(parts, fmt.Sprintf("%s %s with %s", env.Interpreter.Kind, env.Interpreter.Version, plural(int64(env.Interpreter.Count), "package")))
	}
	shown := slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
	if len(shown) == 0 {
		return env.ID.Short()
	}
	return strings.Join(shown, ", ")
}

func ranksText(ranks []int) string {
	switch len(ranks) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(", rank %d", ranks[0])
	}
	return ", ranks " + ranges(ranks)
}

// ranges writes sorted numbers as 0-3,7.
func ranges(sorted []int) string {
	var b strings.Builder
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] == sorted[end]+1 {
			end++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", sorted[i])
		if end > i {
			fmt.Fprintf(&b, "-%d", sorted[end])
		}
		i = end + 1
	}
	return b.String()
}

// showAttempts prints the tries of a run that was tried more than once or by several ranks: those that went wrong first, the others as far as there is room.
func (e *Env) showAttempts(all []schema.Attempt) {
	if len(all) == 1 && all[0].Number <= 1 && all[0].Reason == "" {
		return
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b schema.Attempt) int { return wentWrong(b) - wentWrong(a) })
	for i, a := range sorted {
		if i == maxShownNodes {
			e.field("", "  and %s more", plural(int64(len(sorted)-i), "attempt"))
			return
		}
		e.field("attempt", "%s", e.attemptText(a))
	}
}

func wentWrong(a schema.Attempt) int {
	if a.Reason != "" || a.ExitCode != nil && *a.ExitCode != 0 {
		return 1
	}
	return 0
}

func (e *Env) attemptText(a schema.Attempt) string {
	var parts []string
	if a.Number > 0 {
		parts = append(parts, fmt.Sprintf("%d", a.Number))
	}
	if a.ID != "" {
		parts = append(parts, a.ID)
	}
	if a.Rank != nil {
		parts = append(parts, fmt.Sprintf("rank %d", *a.Rank))
	}
	if a.Node != "" {
		parts = append(parts, "on "+a.Node)
	}
	switch {
	case a.ExitCode != nil && *a.ExitCode != 0:
		parts = append(parts, e.paint(e.Out, red, fmt.Sprintf("exit code %d", *a.ExitCode)))
	case a.ExitCode != nil:
		parts = append(parts, "exit code 0")
	case a.Finished.IsZero():
		parts = append(parts, "no end was reported")
	}
	if !a.Started.IsZero() && !a.Finished.IsZero() {
		parts = append(parts, "took "+a.Finished.Time().Sub(a.Started.Time()).String())
	}
	if a.Reason != "" {
		parts = append(parts, a.Reason)
	}
	return strings.Join(parts, ", ")
}
