package sandbox

import (
	"context"
	"time"
)

// Action is one step of a provider's, and what it does.
type Action struct {
	// Name is the step's name.
	Name string
	// Do does it. Work of later steps may begin in it: each step's own Do returns when
	// its own work has ended.
	Do func(ctx context.Context) error
}

// Names are the actions' names.
func Names(actions []Action) []string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = a.Name
	}
	return names
}

// Run carries the actions out, one after the other, and tells progress, which may be
// nil, as each begins and ends. It ends with the first that fails, or when ctx ends, with
// the name of that step.
func Run(ctx context.Context, actions []Action, progress Progress) (failed string, err error) {
	for i, a := range actions {
		began := time.Now()
		tell := func(status StepStatus) {
			step := Step{Index: i + 1, Total: len(actions), Name: a.Name, Status: status}
			if status != StepRunning {
				step.ElapsedMillis = time.Since(began).Milliseconds()
			}
			if progress != nil {
				progress(step)
			}
		}
		tell(StepRunning)
		if err = context.Cause(ctx); err == nil {
			err = a.Do(ctx)
		}
		if err != nil {
			tell(StepFailed)
			return a.Name, err
		}
		tell(StepDone)
	}
	// It may have ended while the last step was told.
	return "", context.Cause(ctx)
}
