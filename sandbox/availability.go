package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// checkLimit is how long the provider may take to say whether it can make
	// sandboxes, and checkPause the least time between two such questions.
	checkLimit = 10 * time.Second
	checkPause = 5 * time.Second
)

// availability knows whether sandboxes can be made. The provider is asked in the
// background, one question at a time, so that nobody waits for the answer and
// nobody's going away changes it.
type availability struct {
	check func(context.Context) error
	log   *slog.Logger
	asked chan struct{} // has a token when somebody wants to know

	mu     sync.Mutex
	answer error
}

// now is the last answer. Before the first there is none: then sandboxes count as
// available, for one that cannot be made says so itself.
func (a *availability) now() error {
	select {
	case a.asked <- struct{}{}:
	default:
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answer
}

// run asks once at the start; then, as long as all is well, when somebody wants to
// know, and else again and again, so that the end of the trouble is seen.
func (a *availability) run(ctx context.Context) {
	said := ""
	for {
		err := a.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			a.log.Error("no sandboxes can be made", "error", err)
		case err == nil && said != "":
			said = ""
			a.log.Info("sandboxes can be made again")
		}
		a.mu.Lock()
		a.answer = err
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkPause):
		}
		if err != nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-a.asked:
		}
	}
}

func (a *availability) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	err := a.check(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("what makes the sandboxes has not answered for %s", checkLimit)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}
