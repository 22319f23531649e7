package main

import (
	"context"
	"log/slog"
	"time"
)

// forgetEvery is how often strangers are looked for.
const forgetEvery = 24 * time.Hour

// strangers are the learners who never gave a name; store.Store has them.
type strangers interface {
	// ForgetStrangers forgets those who have not been here since that time, and says
	// how many they were.
	ForgetStrangers(ctx context.Context, since time.Time) (int, error)
}

// forgetStrangers forgets, now and once a day, those who have stayed away for so long,
// until ctx ends. What went wrong is tried again the next day.
func forgetStrangers(ctx context.Context, who strangers, after time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		n, err := who.ForgetStrangers(ctx, time.Now().Add(-after))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("records of learners who stayed away are not deleted", "error", err)
		case n > 0:
			log.Info("records deleted of learners who never gave a name and stayed away", "records", n, "days", int(after/(24*time.Hour)))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
