package quizzes

import "fmt"

// Result is what came of a learner's answers.
type Result struct {
	// Answers has one entry for each question, in the quiz's order.
	Answers []Answer
	// Right is how many of them are right.
	Right int
}

// Answer is the learner's answer to one question.
type Answer struct {
	// Question and Choice are their IDs.
	Question string
	Choice   string
	Right    bool
}

// AnswerError is the error of answers that cannot be graded. Problems has a
// sentence for the learner by question ID.
type AnswerError struct {
	Problems map[string]string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("quiz answers: %d cannot be graded", len(e.Problems))
}

// Grade grades the answers, choice IDs by question ID. Every question needs an
// answer that is one of its choices; else the error is an *[AnswerError].
// Answers to questions that the quiz does not have are left aside.
func (q *Quiz) Grade(answers map[string]string) (Result, error) {
	var result Result
	problems := map[string]string{}
	for _, question := range q.Questions {
		id := answers[question.ID]
		choice, known := question.choice(id)
		switch {
		case id == "":
			problems[question.ID] = "Choose an answer to this question."
		case !known:
			problems[question.ID] = "The answer that was sent is none of these. Choose one of them."
		}
		if choice.Correct {
			result.Right++
		}
		result.Answers = append(result.Answers, Answer{Question: question.ID, Choice: id, Right: choice.Correct})
	}
	if len(problems) > 0 {
		return Result{}, &AnswerError{Problems: problems}
	}
	return result, nil
}

func (q Question) choice(id string) (Choice, bool) {
	for _, c := range q.Choices {
		if c.ID == id {
			return c, true
		}
	}
	return Choice{}, false
}
