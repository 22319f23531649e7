package web

import (
	"context"
)

// Progress keeps what learners have done; web/store is it. An owner is a learner.
type Progress interface {
	// Exercise is what the owner has done of an exercise; the zero value where nothing.
	Exercise(ctx context.Context, owner, lesson, exercise string) (ExerciseProgress, error)
	// RecordCheck keeps the result of one check: how many of the checks were met.
	RecordCheck(ctx context.Context, owner, lesson, exercise string, passed bool, met, all int) error
	// SavePredictions keeps what was predicted, verdicts by flow ID, in place of an
	// earlier prediction.
	SavePredictions(ctx context.Context, owner, lesson, exercise string, verdicts map[string]string) error
	// UseHint counts one more hint.
	UseHint(ctx context.Context, owner, lesson, exercise string) error
	SkipExercise(ctx context.Context, owner, lesson, exercise string) error
}

// ExerciseProgress is what one learner has done of one exercise.
type ExerciseProgress struct {
	Passed, Skipped bool
	Hints           int
	Predictions     map[string]string
}
