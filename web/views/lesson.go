package views

import "github.com/netpol-lab/netpol-lab/lessons"

// Lesson is a lesson as one learner sees it.
type Lesson struct {
	*lessons.Lesson
	// Video is the lesson's video; nil where it has not been recorded.
	Video *Video
	Lab   Lab
	// Exercises has every exercise of the lesson, by its ID.
	Exercises map[string]Exercise
	// Done says, by a section's ID, that the learner is through with it.
	Done map[string]bool
	// Quizzes lists those about the lesson.
	Quizzes []Entry
}

// bar is the page's, with how far the learner has come.
func (l Lesson) bar() Bar {
	b := Bar{Parent: "Lessons", ParentURL: "/", Here: l.Title, Lab: &l.Lab}
	next := false
	for _, section := range l.Sections {
		if section.ID == "" {
			continue
		}
		step := ProgressStep{Title: section.Title, Done: l.Done[section.ID]}
		if !step.Done && !next {
			step.Next, next = true, true
		}
		b.Progress = append(b.Progress, step)
	}
	return b
}
