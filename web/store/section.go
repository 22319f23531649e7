package store

import (
	"context"
	"database/sql"
	"time"
)

// Section is how far a learner is with a section of a lesson.
type Section struct {
	// Lesson and Section are the content's own names for them.
	Lesson  string `json:"lesson"`
	Section string `json:"section"`
	// VisitedAt is when they last came to it.
	VisitedAt time.Time `json:"visitedAt"`
	// CompletedAt is when they first completed it; zero where they have not.
	CompletedAt time.Time `json:"completedAt,omitzero"`
}

// Completed reports whether the learner has completed the section.
func (s Section) Completed() bool { return !s.CompletedAt.IsZero() }

// VisitSection keeps that the learner is at this section now: it is where they
// left off, until they visit another.
func (s *Store) VisitSection(ctx context.Context, owner, lesson, section string, at time.Time) error {
	return s.section(ctx, "visit section", owner, lesson, section, at, `
		INSERT INTO sections (owner, lesson, section, visited_seq, visited_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (owner, lesson, section) DO UPDATE SET visited_seq = excluded.visited_seq, visited_at = excluded.visited_at`)
}

// CompleteSection keeps that the learner has completed the section. That stays,
// with the time of the first call. It is a visit only if there was none: where a
// learner left off is not moved by what completes behind them.
func (s *Store) CompleteSection(ctx context.Context, owner, lesson, section string, at time.Time) error {
	return s.section(ctx, "complete section", owner, lesson, section, at, `
		INSERT INTO sections (owner, lesson, section, visited_seq, visited_at, completed_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (owner, lesson, section) DO UPDATE SET completed_at = COALESCE(sections.completed_at, excluded.completed_at)`)
}

func (s *Store) section(ctx context.Context, op, owner, lesson, section string, at time.Time, statement string) error {
	if err := checkKeys("lesson", lesson, "section", section); err != nil {
		return err
	}
	ms, err := checkOwner(owner, at)
	if err != nil {
		return err
	}
	return s.change(ctx, op, owner, ms, func(tx *sql.Tx, seq int64) error {
		_, err := tx.ExecContext(ctx, statement, owner, lesson, section, seq, ms)
		return err
	})
}

// sections has the one visited last first.
func sections(ctx context.Context, tx *sql.Tx, owner string) ([]Section, error) {
	return list(ctx, tx, func(rows *sql.Rows) (s Section, err error) {
		var visited int64
		var completed sql.NullInt64
		err = rows.Scan(&s.Lesson, &s.Section, &visited, &completed)
		s.VisitedAt, s.CompletedAt = moment(visited), momentOrNone(completed)
		return s, err
	}, `SELECT lesson, section, visited_at, completed_at FROM sections WHERE owner = $1 ORDER BY visited_seq DESC`, owner)
}
