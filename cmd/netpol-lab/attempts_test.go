package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/quizzes"
	"github.com/netpol-lab/netpol-lab/web/store"
)

func TestAttempts_are_kept_once_and_anew_where_the_answers_are_others(t *testing.T) {
	kept, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "learners.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	}()
	a := attempts{kept}
	attempt := func(answer string, right int) quizzes.Attempt {
		return quizzes.Attempt{Token: "form", Quiz: "q", Version: "v", Answers: quizzes.Answers{"one": {answer}}, Right: right, Total: 2, At: time.Now()}
	}
	if best, latest, err := a.BestAndLatest(t.Context(), "me", "q"); best != nil || latest != nil || err != nil {
		t.Errorf("before the first attempt: %v, %v, %v", best, latest, err)
	}
	// The form twice, then again from the history with another answer.
	for _, sent := range []quizzes.Attempt{attempt("good", 2), attempt("good", 2), attempt("bad", 1)} {
		if err := a.RecordAttempt(t.Context(), "me", sent); err != nil {
			t.Fatal(err)
		}
	}
	progress, err := kept.Progress(t.Context(), "me")
	if err != nil || len(progress.Quizzes) != 1 || progress.Quizzes[0].Attempts != 2 {
		t.Errorf("%+v, %v: want two attempts", progress.Quizzes, err)
	}
	best, latest, err := a.BestAndLatest(t.Context(), "me", "q")
	if err != nil || best == nil || latest == nil || best.Right != 2 || latest.Right != 1 {
		t.Errorf("best %+v, latest %+v, %v", best, latest, err)
	}
	if best, _, err := a.BestAndLatest(t.Context(), "somebody else", "q"); best != nil || err != nil {
		t.Errorf("somebody else's best is %+v, %v", best, err)
	}
}
