package views

import (
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Exercise is an exercise as one learner sees it.
type Exercise struct {
	*lessons.Exercise
	// Lesson is the lesson's slug.
	Lesson string
	// Simulated says that nothing is measured here, only simulated.
	Simulated bool
	// Passed and Skipped are what became of it so far.
	Passed, Skipped bool
	// Hints is how many of the hints are shown; one more shows the solution.
	Hints int
	// Predicted are the learner's own predictions by flow ID; nil where none were made.
	Predicted map[string]probe.Verdict
	// Outcome is what came of it just now; nil where it was not looked at.
	Outcome *lessons.Outcome
	// Look says that nobody has asked for the Outcome, which is no pass: the page tells
	// how far it has come, and gives nothing away.
	Look bool
	// Expected is what the evaluator expected then, by flow ID.
	Expected map[string]probe.Verdict
	// Feedback says, by flow ID, why the policies in force do not make of a flow what is
	// wanted; it is there only for what is shown at once.
	// The places are lines of each policy's own text.
	Feedback map[string]policy.Diagnosis
	// Began is set where the start was set up just now.
	Began *Began
	// Restored are the policies that were put back just now; nil where none were.
	Restored []sandbox.AppliedPolicy
	// Problem says why something could not be done; empty where it could.
	Problem string
}

// FlowsAtOnce is how many flows of a list are seen before it is opened.
const FlowsAtOnce = 6

// Began is what came of setting up an exercise's start.
type Began struct {
	// Replaced are the policies that it did away with, or that it changed.
	Replaced []sandbox.AppliedPolicy
	// Before is the YAML of all that was in force.
	Before string
}

// anchor is the exercise's ID in the page.
func (e Exercise) anchor() string { return "exercise-" + e.ID }

func (e Exercise) action(what string) string {
	return "/lessons/" + e.Lesson + "/exercises/" + e.ID + "/" + what + "#" + e.anchor()
}

// policyNames lists the policies: "a, b and c".
func policyNames(policies []sandbox.AppliedPolicy) string {
	var names []string
	for _, p := range policies {
		names = append(names, policyName(p))
	}
	return listed(names)
}

// are and were are the verb for that many.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// Badge is the exercise's state in a word or two; empty where there is nothing to
// tell.
func (e Exercise) Badge() string {
	switch {
	case e.Passed:
		return "passed"
	case e.Skipped:
		return "skipped"
	}
	return ""
}

// Verdict is the sentence about the outcome.
func (e Exercise) Verdict() string {
	score := ""
	if e.Final {
		score = fmt.Sprintf("Your score: %d of 100. ", e.Outcome.Score())
	}
	o := e.Outcome
	switch asIs := fmt.Sprintf("%d of %d connections are as they should be", o.Met, o.Graded); {
	case e.Look:
		return "By now " + asIs + ". Press Check to see which are not."
	case o.Passed && len(o.Wider) > 0:
		return fmt.Sprintf("%sPassed, and wider than needed: %s open and need not be.", score, areConnections(len(o.Wider)))
	case o.Passed:
		return fmt.Sprintf("%sPassed: all %d connections are as they should be.", score, o.Graded)
	case o.Unknown > 0:
		return fmt.Sprintf("%sNot yet: %s, and of %d nothing is known.", score, asIs, o.Unknown)
	case o.Met+len(o.Wider) == o.Graded && len(failed(o)) == 0:
		return fmt.Sprintf("%sNot passed: all that has to be open is open, but %s open and need not be.", score, areConnections(len(o.Wider)))
	default:
		return fmt.Sprintf("%sNot yet: %s.", score, asIs)
	}
}

func areConnections(n int) string {
	if n == 1 {
		return "1 connection is"
	}
	return fmt.Sprintf("%d connections are", n)
}

// looked says that the page's script may look by itself after a change.
func (e Exercise) looked() bool { return !e.Passed && !e.Final }

// observed is how what was seen is called.
func (e Exercise) observed() string {
	if e.Simulated {
		return "Simulated"
	}
	return "Measured"
}

// hintLabel is the text of the hint button.
func (e Exercise) hintLabel() string {
	if e.Hints < len(e.Exercise.Hints) {
		return fmt.Sprintf("Hint %d of %d", e.Hints+1, len(e.Exercise.Hints))
	}
	return "Show a solution"
}

func (e Exercise) shownHints() []markdown.Text {
	return e.Exercise.Hints[:min(e.Hints, len(e.Exercise.Hints))]
}

// solutionShown says that the learner has asked for more than the last hint.
func (e Exercise) solutionShown() bool { return e.Hints > len(e.Exercise.Hints) }

// failed are the checks that are not met.
func failed(o *lessons.Outcome) []lessons.Checked {
	var out []lessons.Checked
	for _, c := range o.Checks {
		if !c.OK {
			out = append(out, c)
		}
	}
	return out
}

// freedom is what an exercise leaves free for one reason.
type freedom struct {
	Reason markdown.Text
	Flows  []sandbox.Flow
}

// freedoms are the free flows by their reasons, in the exercise's order.
func (e Exercise) freedoms() []freedom {
	var out []freedom
	for _, f := range e.Free {
		if last := len(out) - 1; last >= 0 && out[last].Reason == f.Reason {
			out[last].Flows = append(out[last].Flows, f.Flow)
		} else {
			out = append(out, freedom{f.Reason, []sandbox.Flow{f.Flow}})
		}
	}
	return out
}

// comparison is one predicted flow beside what was expected and measured.
type comparison struct {
	Flow                          sandbox.Flow
	Predicted, Expected, Measured VerdictMark
	// Known says that the exercise was passed, so that the prediction, which is for
	// that moment, can be Right.
	Right, Known bool
}

// comparisons are the learner's predictions beside the evaluator's and what was
// measured.
func (e Exercise) comparisons() []comparison {
	measured := map[string]probe.Verdict{}
	if e.Outcome != nil {
		measured = e.Outcome.Observed
	}
	var out []comparison
	for _, f := range e.Predict {
		c := comparison{Flow: f, Predicted: markOr(e.Predicted, f.ID), Expected: markOr(e.Expected, f.ID), Measured: markOr(measured, f.ID)}
		c.Known = e.Outcome != nil && e.Outcome.Passed && c.Measured.Verdict != NotKnown && c.Predicted.Verdict != NotKnown
		c.Right = (c.Measured.Verdict == probe.Open) == (c.Predicted.Verdict == probe.Open)
		out = append(out, c)
	}
	return out
}

func markOr(verdicts map[string]probe.Verdict, flow string) VerdictMark {
	if v, ok := verdicts[flow]; ok {
		return MarkOf(v)
	}
	return MarkOf(NotKnown)
}

// wantWords says what a check wants.
func wantWords(v probe.Verdict) string {
	if v == probe.Open {
		return "must be open"
	}
	return "must not get through"
}
