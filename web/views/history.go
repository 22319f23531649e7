package views

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// timeline are the history's entries, the newest first.
func (l Lab) timeline() []sandbox.Entry {
	all := slices.Clone(l.History.Entries)
	slices.Reverse(all)
	return all
}

// newest is the number of the last change that is in the history.
func (l Lab) newest() int64 {
	if n := len(l.History.Entries); n > 0 {
		return l.History.Entries[n-1].Change
	}
	return l.History.From
}

// beginning says what was before the oldest change that is kept.
func (l Lab) beginning() string {
	if l.History.From == 0 {
		return "The beginning"
	}
	return "What there was before; older changes are not kept"
}

func originWords(o sandbox.Origin) string {
	switch o {
	case sandbox.OriginApply:
		return "Applied"
	case sandbox.OriginDelete:
		return "Deleted"
	case sandbox.OriginExercise:
		return "Set up by an exercise"
	case sandbox.OriginRestore:
		return "Gone back"
	case sandbox.OriginCluster:
		return "Changed in the cluster"
	}
	return "Changed"
}

func verdictWords(v probe.Verdict) string {
	if words, ok := Said.Verdicts[v]; ok {
		return words
	}
	return string(v)
}

// flipsSentence says how many connections the change has turned, and how.
func flipsSentence(e sandbox.Entry, newest bool) string {
	switch {
	case !e.Settled && newest:
		return "Its effect is being measured."
	case !e.Settled:
		return "The next change came before its effect was measured."
	case len(e.Flips) == 0:
		return "No connection turned."
	}
	type turn struct{ from, to probe.Verdict }
	counts := map[turn]int{}
	var turns []turn
	for _, f := range e.Flips {
		t := turn{f.From, f.To}
		if counts[t] == 0 {
			turns = append(turns, t)
		}
		counts[t]++
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return counts[b] - counts[a] })
	parts := make([]string, len(turns))
	for i, t := range turns {
		parts[i] = fmt.Sprintf("%d from %s to %s", counts[t], verdictWords(t.from), verdictWords(t.to))
	}
	return "Connections that turned: " + strings.Join(parts, ", ") + "."
}
