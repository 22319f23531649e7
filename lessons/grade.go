package lessons

import (
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Outcome is what came of an exercise.
type Outcome struct {
	// Passed: every check is met, nothing is Missing and nothing Unknown; and nothing is
	// Wider, where the exercise is exact.
	Passed bool
	Checks []Checked
	// Wider are flows, among those that no check is about, that are open and need not
	// be: with the solution they are not.
	Wider []sandbox.Flow
	// Missing are flows, among those that no check is about, that have to stay open, as
	// they are with the solution, and are not.
	Missing []sandbox.Flow
	// Graded counts the flows that are graded: all but the free ones. Met counts those of
	// them that are as they should be, and Unknown those that could not be measured.
	Graded, Met, Unknown int
	// Narrow says that it is passed and that nothing is open that is not with the
	// solution, not even of what is free.
	Narrow bool
	// Observed is what was graded, by flow ID.
	Observed map[string]probe.Verdict
}

// Checked is a check and what was observed.
type Checked struct {
	Check
	Got probe.Verdict
	OK  bool
}

// Score is the share of the graded flows that are as they should be, in whole percent,
// rounded down: 100 is a pass.
func (o Outcome) Score() int { return 100 * o.Met / o.Graded }

// Grade grades what was observed of the lesson's flows, by their IDs.
func (e *Exercise) Grade(l *Lesson, observed map[string]probe.Verdict) Outcome {
	out := Outcome{Observed: observed}
	seen := func(f sandbox.Flow) probe.Verdict {
		if v, ok := observed[f.ID]; ok {
			return v
		}
		return probe.Unknown
	}
	count := func(got probe.Verdict, ok bool) {
		out.Graded++
		if ok {
			out.Met++
		}
		if got == probe.Unknown {
			out.Unknown++
		}
	}
	settled := map[string]bool{} // what no default is for
	failed, beyond := false, false
	for _, c := range e.Checks {
		got := seen(c.Flow)
		settled[c.Flow.ID] = true
		r := Checked{Check: c, Got: got, OK: meets(got, c.Want)}
		count(got, r.OK)
		failed = failed || !r.OK
		out.Checks = append(out.Checks, r)
	}
	for _, f := range e.Free {
		settled[f.Flow.ID] = true
		beyond = beyond || !e.needed[f.Flow.ID] && !meets(seen(f.Flow), probe.Blocked)
	}
	for _, f := range l.Flows {
		if settled[f.ID] {
			continue
		}
		want := probe.Blocked
		if e.needed[f.ID] {
			want = probe.Open
		}
		got := seen(f)
		ok := meets(got, want)
		count(got, ok)
		switch {
		case ok || got == probe.Unknown:
		case want == probe.Open:
			out.Missing = append(out.Missing, f)
		default:
			out.Wider = append(out.Wider, f)
		}
	}
	out.Passed = !failed && out.Unknown == 0 && len(out.Missing) == 0 && (len(out.Wider) == 0 || !e.Exact)
	out.Narrow = out.Passed && len(out.Wider) == 0 && !beyond
	return out
}

// meets reports whether the verdict is what is wanted: open, or not reached.
func meets(got, want probe.Verdict) bool {
	if want == probe.Open {
		return got == probe.Open
	}
	return got == probe.Blocked || got == probe.DNSFailed || got == probe.Refused
}
