package quizzes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// MaxLine is how long the line of a [Fix] question's answer may be, in characters.
const MaxLine = 200

// Answers are a learner's answers by question ID: the IDs of the chosen choices,
// or of a [Fix] question the line alone.
type Answers map[string][]string

// Result is what came of a learner's answers.
type Result struct {
	// Answers has one entry for each question, in the quiz's order.
	Answers []Answer
	// Right is how many of them are right.
	Right int
}

// Answer is the learner's answer to one question.
type Answer struct {
	Question string
	Chosen   []string
	Right    bool
	// Outcomes are what becomes of the wanted flows of a [Fix] question with the
	// learner's line; Mistake is the explanation of the line where it is a mistake
	// that the question knows.
	Outcomes []Outcome
	Mistake  markdown.Text
}

// Outcome is what becomes of a wanted flow.
type Outcome struct {
	Wanted
	Verdict probe.Verdict
	// Reason is why, as the engine says it.
	Reason string
}

// AsWanted says whether it is what was wanted.
func (o Outcome) AsWanted() bool { return o.Open == (o.Verdict == probe.Open) }

func allAsWanted(outcomes []Outcome) bool {
	return !slices.ContainsFunc(outcomes, func(o Outcome) bool { return !o.AsWanted() })
}

// AnswerError is the error of answers that cannot be graded. Problems has a
// sentence for the learner by question ID.
type AnswerError struct {
	Problems map[string]string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("quiz answers: %d cannot be graded", len(e.Problems))
}

// Grade grades the answers. Every question needs one that can be graded: choices
// that it has, or a line with which its policies can be read; else the error is
// an *[AnswerError]. Answers to questions that the quiz does not have are left
// aside.
func (q *Quiz) Grade(answers Answers) (Result, error) {
	var result Result
	problems := map[string]string{}
	for _, question := range q.Questions {
		answer, problem := question.grade(answers[question.ID])
		if problem != "" {
			problems[question.ID] = problem
		}
		if answer.Right {
			result.Right++
		}
		result.Answers = append(result.Answers, answer)
	}
	if len(problems) > 0 {
		return Result{}, &AnswerError{Problems: problems}
	}
	return result, nil
}

// Fitting are those of the answers that the quiz has questions and choices for.
func (q *Quiz) Fitting(answers Answers) Answers {
	out := Answers{}
	for _, question := range q.Questions {
		for _, a := range answers[question.ID] {
			if question.Kind == Fix || question.has(a) {
				out[question.ID] = append(out[question.ID], a)
			}
		}
	}
	return out
}

func (q Question) has(id string) bool {
	return slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.ID == id })
}

// grade grades one question, or says what the learner has to do first.
func (q Question) grade(chosen []string) (answer Answer, problem string) {
	answer = Answer{Question: q.ID, Chosen: chosen}
	if q.Kind == Fix {
		return q.gradeLine(answer)
	}
	known := slices.ContainsFunc(chosen, q.has)
	strange := slices.ContainsFunc(chosen, func(id string) bool { return !q.has(id) })
	one := q.Kind == Single || q.Kind == Verdict
	switch {
	case len(chosen) == 0 && one:
		return answer, "Choose an answer to this question."
	case len(chosen) == 0:
		return answer, "Choose at least one answer to this question."
	case strange && !known:
		return answer, "The answer that was sent is none of these. Choose one of them."
	case strange:
		return answer, "One of the answers that were sent is none of these. Look at your choice again."
	case repeats(chosen):
		return answer, "An answer was sent twice. Look at your choice again."
	case one && len(chosen) > 1:
		return answer, "More than one answer was sent. Choose one of them."
	case q.Kind == Flows && len(chosen) > 1 && slices.Contains(chosen, NoFlow):
		return answer, "You chose connections, and also that none is open. Take one of the two back."
	}
	answer.Right = !slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.Correct != slices.Contains(chosen, c.ID) })
	return answer, ""
}

// repeats reports whether one of the answers is there twice, which no page sends.
func repeats(chosen []string) bool {
	return len(slices.Compact(slices.Sorted(slices.Values(chosen)))) < len(chosen)
}

func (q Question) gradeLine(answer Answer) (Answer, string) {
	if len(answer.Chosen) != 1 {
		return answer, "Write the line anew. If you have no idea, send it as it was."
	}
	line := answer.Chosen[0]
	if n := utf8.RuneCountInString(line); n > MaxLine {
		return answer, fmt.Sprintf("Your line has %d characters; at most %d are taken.", n, MaxLine)
	}
	outcomes, err := q.try(line)
	if err != nil {
		return answer, err.Error()
	}
	answer.Outcomes, answer.Right = outcomes, allAsWanted(outcomes)
	for _, m := range q.Fix.Mistakes {
		if strings.TrimRight(m.Line, " ") == strings.TrimRight(line, " ") {
			answer.Mistake = m.Explanation
		}
	}
	return answer, ""
}

// try is what becomes of the wanted flows with the line. The error is a sentence
// for the learner: the policies cannot be read then.
func (q Question) try(line string) ([]Outcome, error) {
	if strings.ContainsAny(line, "\r\n\u0085\u2028\u2029") {
		return nil, errors.New("There is a line break in your line. Write one line alone.")
	}
	policies, err := parse(q.Topology, q.Fix.Before+line+"\n"+q.Fix.After)
	var invalid *policy.Error
	switch {
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("With your line, the policy cannot be applied: %s. Change the line, or send it as it was.", invalid.Problems[0])
	case err != nil:
		return nil, fmt.Errorf("With your line, the policy cannot be read: %w", err)
	}
	predictor, err := sandbox.NewPredictor(q.Topology, q.addresses, policies)
	if err != nil {
		return nil, fmt.Errorf("With your line, the policies cannot be applied: %w", err)
	}
	outcomes := make([]Outcome, len(q.Fix.Want))
	for i, want := range q.Fix.Want {
		outcomes[i].Wanted = want
		if outcomes[i].Verdict, outcomes[i].Reason, err = predict(predictor, want.Flow); err != nil {
			return nil, fmt.Errorf("predict %s: %w", want.Flow.ID, err)
		}
	}
	return outcomes, nil
}
