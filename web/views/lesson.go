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
	// Record is what the learner has done of it.
	Record LessonRecord
	// Quizzes lists those about the lesson. Next is the lesson after it; nil for the last.
	Quizzes []Entry
	Next    *Entry
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

// left are the sections and exercises that are still to do.
func (l Lesson) left() []Entry {
	var left []Entry
	for _, section := range l.Sections {
		if section.ID != "" && !l.Done[section.ID] {
			left = append(left, Entry{URL: "#" + section.ID, Title: section.Title, Detail: "to read"})
		}
	}
	for _, e := range l.Record.Exercises {
		if !e.Passed {
			left = append(left, Entry{URL: "#exercise-" + e.ID, Title: e.Title, Detail: e.State()})
		}
	}
	return left
}
