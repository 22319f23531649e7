package web

import (
	"context"
	"time"

	"github.com/netpol-lab/netpol-lab/web/store"
)

// Progress keeps what learners have done; [store.Store] is it. An owner is a learner.
type Progress interface {
	OwnLabs
	// Ping fails where what is kept does not answer.
	Ping(ctx context.Context) error
	// Progress is all that is kept of the owner; the zero value where nothing is.
	Progress(ctx context.Context, owner string) (store.Progress, error)
	// RecordCheck keeps what came of a check of an exercise.
	RecordCheck(ctx context.Context, owner, lesson, exercise string, result store.CheckResult) error
	// SavePredictions keeps what was predicted of a moment, verdicts by flow ID. A second
	// prediction of it is store.ErrPredicted.
	SavePredictions(ctx context.Context, owner, lesson, exercise, moment string, verdicts map[string]string, at time.Time) error
	// UseHint keeps that the hint of that number, from 1, was looked at, and ShowSolution
	// that the solution was, which comes after them.
	UseHint(ctx context.Context, owner, lesson, exercise string, hint int, at time.Time) error
	ShowSolution(ctx context.Context, owner, lesson, exercise string, hint int, at time.Time) error
	SkipExercise(ctx context.Context, owner, lesson, exercise string, at time.Time) error
	// VisitSection keeps that the owner is at this section now, and CompleteSection
	// that they are through with it.
	VisitSection(ctx context.Context, owner, lesson, section string, at time.Time) error
	CompleteSection(ctx context.Context, owner, lesson, section string, at time.Time) error
	// RecordAttempt keeps the owner's attempt at a quiz, and returns it as it is kept:
	// of several with one ID and the same answers that is the first, for somebody
	// pressed the button twice. The error is [store.ErrOtherAttempt] where the answers
	// are others than those that count.
	RecordAttempt(ctx context.Context, owner string, attempt store.Attempt) (store.Attempt, error)
	// SetName changes the owner's name. A *[store.InputError] says what is wrong with it.
	SetName(ctx context.Context, owner, name string, at time.Time) error
	// Seen keeps that the owner was here, if anything else is kept of them.
	Seen(ctx context.Context, owner string, at time.Time) error
	// Export is the owner's own record, and Forget deletes it.
	Export(ctx context.Context, owner string) (store.Record, error)
	Forget(ctx context.Context, owner string) error
}
