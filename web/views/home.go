package views

import "fmt"

// Home is the front page as one learner sees it.
type Home struct {
	// Name is the learner's; empty where they are anonymous.
	Name string
	// LeftOff is the section that they visited last, with its lesson's title as Detail;
	// nil where they have not begun or it was the last thing to do.
	LeftOff *Entry
	Lessons []HomeLesson
	Quizzes []QuizRecord
}

// HomeLesson is a lesson on the front page.
type HomeLesson struct {
	LessonRecord
	Summary string
	Minutes int
	// Next says that it is the first that is not completed.
	Next bool
}

// begun says that the learner has done anything of any lesson.
func (h Home) begun() bool {
	for _, l := range h.Lessons {
		if l.state() != "" {
			return true
		}
	}
	return h.LeftOff != nil
}

// next is the lesson to do next; nil where all are completed.
func (h Home) next() *HomeLesson {
	for i := range h.Lessons {
		if h.Lessons[i].Next {
			return &h.Lessons[i]
		}
	}
	return nil
}

// state says in a few words how far the learner is; empty where they have not begun.
func (l HomeLesson) state() string {
	tried := false
	for _, e := range l.Exercises {
		tried = tried || e.Tries > 0 || e.Passed || e.Skipped
	}
	switch {
	case l.Completed():
		return "completed"
	case l.SectionsDone > 0 || tried:
		return fmt.Sprintf("%d of %d sections, %d of %d exercises", l.SectionsDone, l.Sections, l.Passed(), len(l.Exercises))
	}
	return ""
}

// state says what came of the quiz.
func (q QuizRecord) state() string {
	if q.Attempts == 0 {
		return fmt.Sprintf("%d questions", q.Of)
	}
	return fmt.Sprintf("best %d of %d", q.Best, q.Of)
}
