// Package store keeps what learners did: where they left off, what they
// completed, their checks, predictions and quiz attempts. It outlives restarts
// and upgrades.
//
// A learner is an owner: an opaque string of the caller's, and anonymous unless
// they give a name. Their row is made by the first thing that is worth keeping;
// to read about an owner who has none gives an empty answer, not an error.
//
// Each writing method is one transaction: once it returns nil, its change
// survives the end of the process and the loss of power; else nothing of it is
// there. What happened later is told by a number that only grows, one for each
// learner, and never by a clock: the times are there to be shown. They are kept
// to the millisecond, and read back as UTC.
//
// All methods may be called at the same time.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

var (
	// ErrInUse is the error of opening a file that another server has open.
	ErrInUse = errors.New("another netpol-lab is using it")
	// ErrNewer is the error of opening a file that a newer version of the
	// program has written.
	ErrNewer = errors.New("it was written by a newer version of netpol-lab")
	// ErrUnavailable is the error of a file that cannot be read or written: no
	// permission, no space, damaged. The error's text says what to do. Nothing of
	// the change was kept; earlier ones are safe.
	ErrUnavailable = errors.New("it cannot be used")
)

// Store is an open database of learners. [Open] makes it.
type Store struct {
	path string
	lock interface{ Close() error }
	// SQLite has one writer at a time. That one connection makes the others wait
	// in line here, rather than poll for a lock there; readers are not held up.
	write, read *sql.DB
	together    together
}

// Open opens the SQLite database in the file of that path, and makes it, and
// its folder, where they are missing, readable for this user alone. An older
// database is brought up to date. One process can have it open at a time,
// guarded by a lock on a file beside it.
//
// The errors are [ErrInUse], [ErrNewer] and [ErrUnavailable]; they name the file
// and say what to do.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, migrations)
}

// Close waits for the calls that run, and gives the file free.
func (s *Store) Close() error {
	// The writer is last: the last connection to close tidies the file up, which
	// a reader may not do.
	err := errors.Join(s.read.Close(), s.write.Close(), s.lock.Close())
	if err != nil {
		return fmt.Errorf("store: close %s: %w", s.path, err)
	}
	return nil
}

// Ping fails where the database does not answer.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.explain(ctx, "ping", s.read.QueryRowContext(ctx, `SELECT 1 FROM sqlite_schema LIMIT 1`).Scan(&one))
}

// change carries out one change by the learner: all of f, or nothing. The number
// that f gets is the change's place among those of this learner. The learner's row is
// made where there is none, and stays locked until the end, so that the numbers
// have the order in which the changes become visible.
func (s *Store) change(ctx context.Context, op, owner string, at int64, f func(tx *sql.Tx, seq int64) error) error {
	return s.explain(ctx, op, func() error {
		tx, err := s.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		var seq int64
		err = tx.QueryRowContext(ctx, `
			INSERT INTO learners (owner, name, seq, created_at, seen_at) VALUES ($1, '', 1, $2, $2)
			ON CONFLICT (owner) DO UPDATE SET seq = learners.seq + 1,
				seen_at = CASE WHEN excluded.seen_at > learners.seen_at THEN excluded.seen_at ELSE learners.seen_at END
			RETURNING seq`, owner, at).Scan(&seq)
		if err != nil {
			return err
		}
		if err := f(tx, seq); err != nil {
			return err
		}
		return tx.Commit()
	}())
}

// look runs f on one state of the database, whatever is written meanwhile.
func (s *Store) look(ctx context.Context, op string, f func(tx *sql.Tx) error) error {
	return s.explain(ctx, op, func() error {
		tx, err := s.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit()
	}())
}
