package views

import (
	"fmt"

	"github.com/netpol-lab/netpol-lab/quizzes"
)

// Quiz is a quiz's page, before and after it was graded.
type Quiz struct {
	*quizzes.Quiz
	// LessonURL leads to the lesson that the quiz is about.
	LessonURL string
	// Answers are the choices' IDs by question ID, as sent.
	Answers map[string]string
	// Problems says by question ID why an answer cannot be graded.
	Problems map[string]string
	// Result is nil where nothing has been graded.
	Result *quizzes.Result
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

// verdict says of a choice that is explained what it is.
func verdict(c quizzes.Choice) string {
	if c.Correct {
		return "Right."
	}
	return "Wrong."
}
