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
	// Passed and Skipped are what became of it so far. WithSolution says that it was
	// passed after the solution had been shown.
	Passed, WithSolution, Skipped bool
	// Hints is how many of the hints are shown; one more shows the solution.
	Hints int
	// Predicted is the learner's own prediction by flow ID, which they have kept; nil
	// where they have not. Marked is one that is not complete.
	Predicted, Marked map[string]probe.Verdict
	// Observed is what is seen at the moment that is predicted; nil where the sandbox is
	// not at that moment.
	Observed map[string]probe.Verdict
	// Outcome is what came of it just now; nil where it was not looked at.
	Outcome *lessons.Outcome
	// Look says that nobody has asked for the Outcome, which is no pass: the page tells
	// how far it has come, and gives nothing away.
	Look bool
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

// saidNext says that the same is said of the next of the flows that are seen at once, so
// that once is enough.
func (e Exercise) saidNext(flows []sandbox.Flow, i int) bool {
	return i+1 < min(len(flows), FlowsAtOnce) && e.Feedback[flows[i].ID].Message == e.Feedback[flows[i+1].ID].Message
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

// action is where a form of the exercise goes to, and what of the page is in view then
// where no script keeps it as it is.
func (e Exercise) action(what string) string {
	part := ""
	switch what {
	case "check", "begin", "restore":
		part = "-result"
	case "hint":
		part = "-hints"
	}
	return "/lessons/" + e.Lesson + "/exercises/" + e.ID + "/" + what + "#" + e.anchor() + part
}

// policyNames lists the policies: "a, b and c".
func policyNames(policies []sandbox.AppliedPolicy) string {
	var names []string
	for _, p := range policies {
		names = append(names, p.String())
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
	case e.WithSolution:
		return "done with the solution"
	case e.Passed:
		return "passed"
	case e.Skipped:
		return "skipped"
	}
	return ""
}

// Verdict is the sentence about the outcome.
func (e Exercise) Verdict() string {
	if e.Outcome.Passed && e.WithSolution {
		return e.verdict() + " You had seen the solution, so it counts as done with the solution."
	}
	return e.verdict()
}

func (e Exercise) verdict() string {
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

// SolutionShown says that the learner has asked for more than the last hint.
func (e Exercise) SolutionShown() bool { return e.Hints > len(e.Exercise.Hints) }

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

// Open says that what gives the prediction's answer away may be seen: the prediction
// was kept, or there is none to make any more.
func (e Exercise) Open() bool {
	return len(e.Predict) == 0 || e.Predicted != nil || e.Passed || e.Skipped || e.SolutionShown()
}

// unmeasured says that what was predicted may be seen, and has not been measured here.
func (e Exercise) unmeasured() bool {
	return len(e.Predict) > 0 && e.Open() && !e.Simulated && e.Observed == nil
}

// ask is the question of the prediction.
func (e Exercise) ask() string {
	if e.Given != "" {
		return "Predict: when the start is set up and the policy below is applied, which of these get through?"
	}
	return "Predict: when the start is set up, and nothing else is changed, which of these get through?"
}

// comparison is a flow as the learner predicted it, as the engine does, and as it was
// observed at that moment.
type comparison struct {
	Flow                  sandbox.Flow
	You, Engine, Observed VerdictMark
	// Why is the engine's reason.
	Why string
	// YouDiffer says that the learner predicted another thing than the engine, and
	// SeenDiffer that another thing was observed.
	YouDiffer, SeenDiffer bool
}

// comparisons are of all flows to predict.
func (e Exercise) comparisons() []comparison {
	differ := func(a, b VerdictMark) bool {
		return a.Verdict != NotKnown && b.Verdict != NotKnown && (a.Verdict == probe.Open) != (b.Verdict == probe.Open)
	}
	var out []comparison
	for _, f := range e.Predict {
		answer := e.Answers[f.ID]
		c := comparison{Flow: f, You: markOr(e.Predicted, f.ID), Engine: MarkOf(answer.Verdict), Observed: markOr(e.Observed, f.ID), Why: answer.Why}
		c.YouDiffer, c.SeenDiffer = differ(c.You, c.Engine), differ(c.Observed, c.Engine)
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

// isWords says what the verdict makes of a flow: "is open", "fails at DNS".
func isWords(v probe.Verdict) string { return Said.Is[MarkOf(v).Verdict] }

// wantWords says what a check wants.
func wantWords(v probe.Verdict) string {
	if v == probe.Open {
		return "must be open"
	}
	return "must not get through"
}

// current is the attribute aria-current of a step.
func current(is bool) string {
	if is {
		return "step"
	}
	return "false"
}
