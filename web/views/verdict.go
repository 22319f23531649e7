package views

import "github.com/netpol-lab/netpol-lab/sandbox/probe"

// NotKnown is the mark of a flow of which nothing has been told yet.
const NotKnown probe.Verdict = "none"

// VerdictMark is how a verdict is shown: never by colour alone.
type VerdictMark struct {
	Verdict probe.Verdict
	// Symbol is what is seen, Word what is read aloud.
	Symbol, Word string
	// Meaning is the legend's sentence.
	Meaning string
}

// VerdictMarks are the marks of all verdicts, in the legend's order. The page
// hands them to its script as templates, so that there is one source.
var VerdictMarks = []VerdictMark{
	{probe.Open, "✓", "open", "the destination answered"},
	{probe.Blocked, "✕", "blocked", "no answer came"},
	{probe.Refused, "⊘", "refused", "the host answered that nobody listens"},
	{probe.DNSFailed, "DNS", "DNS failed", "the name could not be resolved"},
	{probe.Unknown, "?", "unknown", "what comes of it could not be found out"},
	{NotKnown, "·", "not known yet", "nothing is known of it yet"},
}

// MarkOf is the mark of the verdict; a verdict that has none is unknown.
func MarkOf(v probe.Verdict) VerdictMark {
	unknown := VerdictMark{}
	for _, m := range VerdictMarks {
		if m.Verdict == v {
			return m
		}
		if m.Verdict == probe.Unknown {
			unknown = m
		}
	}
	return unknown
}
