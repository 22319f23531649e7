package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// SetName gives the learner a name, without the space around it; "" makes them
// anonymous again. The error is an *[InputError] where it is longer than
// [MaxName], has control characters, or nothing that can be seen. Any other text
// is a name, markup too: pages are to escape it.
func (s *Store) SetName(ctx context.Context, owner, name string, at time.Time) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	ms, err := checkOwner(owner, at)
	if err != nil {
		return err
	}
	return s.change(ctx, "set name", owner, ms, func(tx *sql.Tx, _ int64) error {
		_, err := tx.ExecContext(ctx, `UPDATE learners SET name = $1 WHERE owner = $2`, name, owner)
		return err
	})
}

// Named reports whether the learner has given a name.
func (s *Store) Named(ctx context.Context, owner string) (bool, error) {
	var named bool
	err := s.read.QueryRowContext(ctx, `SELECT name <> '' FROM learners WHERE owner = $1`, owner).Scan(&named)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return named, s.explain(ctx, "read name", err)
}

// Names are the names of those of the owners who have given one, by owner.
func (s *Store) Names(ctx context.Context, owners []string) (map[string]string, error) {
	names := map[string]string{}
	err := s.look(ctx, "read names", func(tx *sql.Tx) error {
		one, err := tx.PrepareContext(ctx, `SELECT name FROM learners WHERE owner = $1 AND name <> ''`)
		if err != nil {
			return err
		}
		defer one.Close()
		for _, owner := range owners {
			var name string
			switch err := one.QueryRowContext(ctx, owner).Scan(&name); {
			case err == nil:
				names[owner] = name
			case !errors.Is(err, sql.ErrNoRows):
				return err
			}
		}
		return nil
	})
	return names, err
}

// Forget deletes all that there is about the learner; nothing of it stays in the
// file, unless another program reads the file at that moment. To forget somebody
// unknown is no error.
func (s *Store) Forget(ctx context.Context, owner string) error {
	const op = "forget"
	if err := checkKeys("owner", owner); err != nil {
		return err
	}
	// One statement, so one transaction; the other tables follow (ON DELETE CASCADE).
	if _, err := s.write.ExecContext(ctx, `DELETE FROM learners WHERE owner = $1`, owner); err != nil {
		return s.explain(ctx, op, err)
	}
	return s.explain(ctx, op, s.emptyLog(ctx))
}

// Seen keeps that the learner was here then, if anything else is kept of them: a visit
// alone makes no record.
func (s *Store) Seen(ctx context.Context, owner string, at time.Time) error {
	ms, err := checkOwner(owner, at)
	if err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, `UPDATE learners SET seen_at = $1 WHERE owner = $2 AND seen_at < $1`, ms, owner)
	return s.explain(ctx, "seen", err)
}

// ForgetStrangers deletes all that there is about learners who never gave a name and
// have not been here since that time, as [Store.Forget] does of one, and says how many
// they were.
func (s *Store) ForgetStrangers(ctx context.Context, since time.Time) (int, error) {
	const op = "forget strangers"
	ms, err := checkTime(since)
	if err != nil {
		return 0, err
	}
	result, err := s.write.ExecContext(ctx, `DELETE FROM learners WHERE name = '' AND seen_at < $1`, ms)
	if err != nil {
		return 0, s.explain(ctx, op, err)
	}
	n, err := result.RowsAffected()
	if err != nil || n == 0 {
		return 0, s.explain(ctx, op, err)
	}
	return int(n), s.explain(ctx, op, s.emptyLog(ctx))
}

// checkOwner checks what every change has, the time in Unix milliseconds.
func checkOwner(owner string, at time.Time) (int64, error) {
	if err := checkKeys("owner", owner); err != nil {
		return 0, err
	}
	return checkTime(at)
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// momentOrNone is the zero time for what has not been.
func momentOrNone(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return moment(ms.Int64)
}
