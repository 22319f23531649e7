package store

import (
	"context"
	"slices"
	"sync"
)

// together has writes that wait for the writer at the same time share one commit: the disk
// takes as long for many as for one, and those of a class that applies at the same moment
// would else wait in a line for it.
type together struct {
	mu      sync.Mutex
	waiting []*joint
}

// joint is one of these writes.
type joint struct {
	query string
	args  []any
	// taken says that somebody carries it out, with others.
	taken bool
	// leave ends its own wait for the writer, which is over when it is done; err is then
	// why it has failed.
	leave context.CancelFunc
	done  chan struct{}
	err   error
}

// exec carries out the statement, and returns when that is committed, with whatever else
// waits to be. Of what is committed together all is kept, or nothing, and then all have
// that error.
func (s *Store) exec(ctx context.Context, query string, args ...any) error {
	turn, leave := context.WithCancel(ctx)
	defer leave()
	own := &joint{query: query, args: args, leave: leave, done: make(chan struct{})}
	t := &s.together
	t.mu.Lock()
	t.waiting = append(t.waiting, own)
	t.mu.Unlock()
	tx, err := s.write.BeginTx(turn, nil)
	if err == nil {
		defer tx.Rollback()
	}
	t.mu.Lock()
	if own.taken {
		t.mu.Unlock()
		<-own.done
		return own.err
	}
	if err != nil {
		t.waiting = slices.DeleteFunc(t.waiting, func(j *joint) bool { return j == own })
		t.mu.Unlock()
		return err
	}
	all := t.waiting
	t.waiting = nil
	for _, j := range all {
		j.taken = true
	}
	t.mu.Unlock()
	for i := 0; i < len(all) && err == nil; i++ {
		_, err = tx.ExecContext(ctx, all[i].query, all[i].args...)
	}
	if err == nil {
		err = tx.Commit()
	}
	for _, j := range all {
		j.err = err
		close(j.done)
		j.leave()
	}
	return err
}
