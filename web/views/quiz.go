package views

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// Quiz is a quiz's page, before and after it was graded.
type Quiz struct {
	// Quiz is shuffled already.
	*quizzes.Quiz
	// LessonURL leads to the lesson that the quiz is about.
	LessonURL string
	// Attempt is the attempt's token, which is in the page's address.
	Attempt string
	// Answers are as sent.
	Answers quizzes.Answers
	// Changed says that the quiz is not the one any more that was answered.
	Changed bool
	// Problems says by question ID why an answer cannot be graded.
	Problems map[string]string
	// Result is nil where nothing has been graded.
	Result *quizzes.Result
	// Kept are the learner's attempts so far; nil where there are none.
	Kept *store.Quiz
	// NotCounted says why what was graded does not count; empty where it does.
	NotCounted string
}

// Score is the sentence about the result.
func (q Quiz) Score() string {
	total := len(q.Questions)
	switch right := q.Result.Right; right {
	case total:
		return fmt.Sprintf("All %d answers are right.", total)
	case 1:
		return fmt.Sprintf("1 of %d answers is right.", total)
	default:
		return fmt.Sprintf("%d of %d answers are right.", right, total)
	}
}

// Record is the sentence about earlier attempts, empty where there are none.
func (q Quiz) Record() string {
	if q.Kept == nil {
		return ""
	}
	best, latest := q.Kept.Best, q.Kept.Latest
	return fmt.Sprintf("Your best attempt: %d of %d. Your latest: %d of %d.", best.Right, best.Total, latest.Right, latest.Total)
}

// action is the address that the form is sent to: that of the attempt.
func (q Quiz) action() string {
	return "/quizzes/" + q.Slug + "?" + url.Values{"attempt": {q.Attempt}}.Encode()
}

// answer is what came of the question, nil where nothing has been graded.
func (q Quiz) answer(question string) *quizzes.Answer {
	if q.Result == nil {
		return nil
	}
	for i := range q.Result.Answers {
		if q.Result.Answers[i].Question == question {
			return &q.Result.Answers[i]
		}
	}
	return nil
}

// question is one question of the page, with what was answered.
type question struct {
	quizzes.Question
	number int
	// chosen is what was answered, problem what is wrong with it.
	chosen  []string
	problem string
	// answer is nil where nothing has been graded.
	answer *quizzes.Answer
	// proveURL leads to the workbench with the policies, empty where they cannot be
	// tried out.
	proveURL string
}

func (q Quiz) question(i int) question {
	out := question{Question: q.Questions[i], number: i + 1}
	out.chosen, out.problem, out.answer = q.Answers[out.ID], q.Problems[out.ID], q.answer(out.ID)
	if out.Provable() {
		out.proveURL = Proof{Quiz: q.Slug, Question: out.ID}.URL()
	}
	return out
}

// id is the ID of an element that belongs to the question.
func (q question) id(parts ...any) string {
	id := "q-" + q.ID
	for _, p := range parts {
		id += fmt.Sprint("-", p)
	}
	return id
}

// label names a part of the question as there is none else on the page.
func (q question) label(part string) string {
	return fmt.Sprintf("%s, question %d", part, q.number)
}

// describedBy are the elements that say more of the question than its legend.
func (q question) describedBy() string {
	var ids []string
	if q.problem != "" {
		ids = append(ids, q.id("problem"))
	}
	if q.answer != nil {
		ids = append(ids, q.id("verdict"))
	}
	return strings.Join(append(ids, q.id("hint")), " ")
}

// hint says how the question is to be answered.
func (q question) hint() string {
	switch q.Kind {
	case quizzes.Multiple:
		return "Choose all that are right."
	case quizzes.Flows:
		return "Choose all connections that are open."
	case quizzes.Fix:
		return fmt.Sprintf("Change line %d alone. What counts is what the policy then does, not how you write it.", q.Fix.Line)
	}
	return "Choose one."
}

// drawn is the picture of the question's flows; nil where it is about none.
func (q question) drawn() *picture.Picture {
	if q.answer != nil {
		return q.Answered
	}
	return q.Asked
}

func (q question) input() string {
	if q.Kind == quizzes.Single || q.Kind == quizzes.Verdict {
		return "radio"
	}
	return "checkbox"
}

func (q question) isChosen(c quizzes.Choice) bool { return slices.Contains(q.chosen, c.ID) }

// line is what stands in the field of a question of the kind Fix.
func (q question) line() string {
	if len(q.chosen) == 1 {
		return q.chosen[0]
	}
	return q.Fix.Fault
}

// before and after are the lines around the one to change, without the line ends
// beside it, which the page has of itself.
func (q question) before() string { return strings.TrimSuffix(q.Fix.Before, "\n") }
func (q question) after() string  { return strings.TrimSuffix(q.Fix.After, "\n") }

// verdict says whether the question was answered right.
func (q question) verdict() string {
	if q.answer.Right {
		return "✓ Right."
	}
	return "✕ Not right."
}

// judgement says of a choice what it is, and whether it was chosen.
func (q question) judgement(c quizzes.Choice) string {
	chosen := q.isChosen(c)
	if q.input() == "radio" {
		switch {
		case chosen && c.Correct:
			return "Your answer: Right."
		case chosen:
			return "Your answer: Wrong."
		case c.Correct:
			return "Right."
		}
		return "Wrong."
	}
	switch {
	case chosen && c.Correct:
		return "✓ Right to choose."
	case chosen:
		return "✕ Wrong to choose."
	case c.Correct:
		return "✕ Wrong to leave out."
	}
	return "✓ Right to leave out."
}

// tone is the class of a choice's explanation: right where it is the right choice, or
// one that was rightly ticked or left; wrong where it was wrongly chosen or left.
func (q question) tone(c quizzes.Choice) string {
	one := q.input() == "radio"
	switch {
	case one && c.Correct, !one && q.isChosen(c) == c.Correct:
		return "right"
	case !one, q.isChosen(c):
		return "wrong"
	}
	return ""
}

// flowWords names a flow: "production/web to production/api, 8080/TCP".
func flowWords(f sandbox.Flow) string {
	return f.From + " to " + f.To + ", " + flowPort(f)
}

func flowPort(f sandbox.Flow) string {
	port := fmt.Sprintf("%d/%s", f.Port, f.Protocol)
	if f.Via == sandbox.ViaName {
		return fmt.Sprintf("%s, by the name of the Service %s", port, f.Service)
	}
	return port
}

// outcomeWords says what is wanted of a flow, or has become of it.
func outcomeWords(open bool) string {
	if open {
		return "open"
	}
	return "not open"
}

// labels writes labels as kubectl does, sorted.
func labels(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// podPorts lists what a pod or an outside host serves.
func podPorts(ports []sandbox.Port) string {
	var out []string
	for _, p := range ports {
		port := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.Name != "" {
			port += " (" + p.Name + ")"
		}
		out = append(out, port)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// services lists the Services that lead to the pod.
func services(ns sandbox.Namespace, pod string) string {
	var out []string
	for _, s := range ns.Services {
		if s.Pod != pod {
			continue
		}
		for _, p := range s.Ports {
			out = append(out, fmt.Sprintf("%s:%d to %d/%s", s.Name, p.Port, p.TargetPort, p.Protocol))
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
