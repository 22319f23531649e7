package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// attempts keeps quizzes' attempts in the learners' store.
type attempts struct{ *store.Store }

// RecordAttempt keeps the attempt, once where it is sent twice.
func (a attempts) RecordAttempt(ctx context.Context, owner string, attempt quizzes.Attempt) error {
	answers, err := json.Marshal(attempt.Answers)
	if err != nil {
		return err
	}
	kept := store.Attempt{
		ID: attempt.Token, Quiz: attempt.Quiz, Version: attempt.Version,
		Right: attempt.Right, Total: attempt.Total, Answers: answers, At: attempt.At,
	}
	_, err = a.Store.RecordAttempt(ctx, owner, kept)
	if errors.Is(err, store.ErrOtherAttempt) {
		// Somebody went back to a form that was sent, and answered anew.
		kept.ID = rand.Text()
		_, err = a.Store.RecordAttempt(ctx, owner, kept)
	}
	return err
}

// BestAndLatest are the owner's best and latest attempt at the version of the quiz
// that was tried last.
func (a attempts) BestAndLatest(ctx context.Context, owner, quiz string) (best, latest *quizzes.Attempt, err error) {
	progress, err := a.Progress(ctx, owner)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range progress.Quizzes {
		if q.Quiz == quiz {
			return attempt(q.Best), attempt(q.Latest), nil
		}
	}
	return nil, nil, nil
}

func attempt(a store.Attempt) *quizzes.Attempt {
	return &quizzes.Attempt{Token: a.ID, Quiz: a.Quiz, Version: a.Version, Right: a.Right, Total: a.Total, At: a.At}
}
