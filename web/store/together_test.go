package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// held has the writer held while so many histories, and the one of a caller who does not
// wait, are to be saved, and returns what came of it.
func held(t *testing.T, s *Store, many int, text string) (errs []error, impatient error) {
	t.Helper()
	records := s.Sandboxes("kind")
	for i := range many {
		must(t, records.Save(t.Context(), sandbox.Record{ID: sandbox.ID(fmt.Sprint("s", i)), Owner: ann, Lab: "small", State: sandbox.Ready, Created: noon}))
	}
	tx, err := s.write.BeginTx(t.Context(), nil)
	must(t, err)
	errs = make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			errs[i] = records.SaveHistory(t.Context(), sandbox.ID(fmt.Sprint("s", i)), []byte(fmt.Sprint(text, i)))
		})
	}
	waiting := func(want int) {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(time.Millisecond) {
			s.together.mu.Lock()
			now := len(s.together.waiting)
			s.together.mu.Unlock()
			if now == want {
				return
			}
			if time.Since(begun) > 10*time.Second {
				t.Fatalf("%d wait, want %d", now, want)
			}
		}
	}
	waiting(many)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- records.SaveHistory(ctx, "s0", []byte("of somebody who does not wait")) }()
	waiting(many + 1)
	leave()
	impatient = <-left
	waiting(many)
	must(t, tx.Rollback())
	all.Wait()
	waiting(0)
	return errs, impatient
}

func TestTogether_what_waits_is_committed_and_who_does_not_wait_is_told(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "lab.db"))
	errs, impatient := held(t, s, 40, "history ")
	if !errors.Is(impatient, context.Canceled) {
		t.Errorf("who did not wait was told %v", impatient)
	}
	for i, err := range errs {
		must(t, err)
		text, err := s.Sandboxes("kind").History(t.Context(), sandbox.ID(fmt.Sprint("s", i)))
		must(t, err)
		equal(t, "history", string(text), fmt.Sprint("history ", i))
	}
}

func TestTogether_what_does_not_fit_is_told_to_all_and_none_is_kept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.db")
	s := openFile(t, path)
	_, err := s.write.Exec("PRAGMA max_page_count = 120")
	must(t, err)
	errs, _ := held(t, s, 40, strings.Repeat("x", 20_000))
	for i, err := range errs {
		wantUnavailable(t, err, path, "the disk is full; free some space there")
		if text, err := s.Sandboxes("kind").History(t.Context(), sandbox.ID(fmt.Sprint("s", i))); err != nil || text != nil {
			t.Errorf("of sandbox %d is kept %.20q, %v", i, text, err)
		}
	}
	_, err = s.write.Exec("PRAGMA max_page_count = 1000000")
	must(t, err)
	must(t, s.Sandboxes("kind").SaveHistory(t.Context(), "s0", []byte("again")))
}
