package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/web/store"
)

// flaky is the store, the first time with a disk that does not answer.
type flaky struct {
	*store.Store
	asked int
}

func (f *flaky) ForgetStrangers(ctx context.Context, since time.Time) (int, error) {
	if f.asked++; f.asked == 1 {
		return 0, errors.New("the disk did not answer")
	}
	return f.Store.ForgetStrangers(ctx, since)
}

func TestForget_strangers_go_after_ninety_days_and_nobody_else(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "learners.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := kept.Close(); err != nil {
				t.Error(err)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		if err := errors.Join(kept.SetName(ctx, "stranger", "", time.Now()), kept.SetName(ctx, "guest", "", time.Now()), kept.SetName(ctx, "ann", "Ann", time.Now())); err != nil {
			t.Fatal(err)
		}
		there := func(owner string) bool {
			t.Helper()
			record, err := kept.Export(ctx, owner)
			if err != nil {
				t.Fatal(err)
			}
			return !record.CreatedAt.IsZero()
		}
		done := make(chan struct{})
		who := &flaky{Store: kept}
		go func() {
			defer close(done)
			forgetStrangers(ctx, who, 90*24*time.Hour, slog.New(slog.NewTextHandler(io.Discard, nil)))
		}()
		time.Sleep(50 * 24 * time.Hour)
		if err := kept.Seen(ctx, "guest", time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(39 * 24 * time.Hour)
		synctest.Wait()
		if !there("stranger") {
			t.Error("the stranger is forgotten after 89 days")
		}
		time.Sleep(2 * 24 * time.Hour)
		synctest.Wait()
		if there("stranger") || !there("guest") || !there("ann") {
			t.Errorf("after 91 days there are: stranger %v, guest %v, ann %v", there("stranger"), there("guest"), there("ann"))
		}
		time.Sleep(50 * 24 * time.Hour)
		synctest.Wait()
		if there("guest") || !there("ann") {
			t.Errorf("91 days after their last visit: guest %v, ann %v", there("guest"), there("ann"))
		}
		if who.asked < 140 {
			t.Errorf("they were looked for %d times in 141 days", who.asked)
		}
		cancel()
		<-done
	})
}
