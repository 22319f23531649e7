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
