package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Progress is what the pages show of a learner.
type Progress struct {
	// Name is empty where the learner is anonymous.
	Name string
	// Sections has the one visited last first.
	Sections []Section
	// Exercises has the one changed last first.
	Exercises []Exercise
	// Quizzes has one entry for each version of each quiz that was tried, the one
	// tried last first.
	Quizzes []Quiz
}

// Quiz is how far a learner is with one version of a quiz.
type Quiz struct {
	Quiz    string
	Version string
	// Attempts is how many there were.
	Attempts int
	// Best is the one with the most right answers, the first of several such;
	// Latest is the newest.
	Best, Latest Attempt
}

// LeftOff is the section of the lesson that was visited last, "" for any lesson;
// false where none was.
func (p Progress) LeftOff(lesson string) (Section, bool) {
	for _, s := range p.Sections {
		if lesson == "" || s.Lesson == lesson {
			return s, true
		}
	}
	return Section{}, false
}

// Section is the learner's progress with that section, the zero Section where
// they have not been there.
func (p Progress) Section(lesson, section string) Section {
	for _, s := range p.Sections {
		if s.Lesson == lesson && s.Section == section {
			return s
		}
	}
	return Section{}
}

// Exercise is the learner's progress with that exercise, the zero Exercise where
// they have not begun it.
func (p Progress) Exercise(lesson, exercise string) Exercise {
	for _, e := range p.Exercises {
		if e.Lesson == lesson && e.Exercise == exercise {
			return e
		}
	}
	return Exercise{}
}

// Quiz is the learner's progress with the version of the quiz that they tried last;
// false where they have not tried it.
func (p Progress) Quiz(quiz string) (Quiz, bool) {
	for _, q := range p.Quizzes {
		if q.Quiz == quiz {
			return q, true
		}
	}
	return Quiz{}, false
}

// Record is all that is kept of one learner, for themselves to take away. The
// owner is not in it: it is the server's name for their browser.
type Record struct {
	// Format is the version of this structure, 1. Fields may be added to it;
	// where one changes its meaning or goes, the format is another.
	Format int `json:"format"`
	// Name is empty where the learner is anonymous.
	Name string `json:"name"`
	// CreatedAt is when the first thing was kept; zero where nothing is.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// SeenAt is when the learner was last here, to the day; zero where nothing is kept.
	SeenAt time.Time `json:"seenAt,omitzero"`
	// Sections, Exercises and Attempts have the newest first, and are never null.
	Sections  []Section  `json:"sections"`
	Exercises []Exercise `json:"exercises"`
	Attempts  []Attempt  `json:"attempts"`
	// Labs are those of the learner's own, the newest first; left out where there is none.
	Labs []Lab `json:"labs,omitempty"`
}

// Progress is what the pages show of the learner, all of one moment.
func (s *Store) Progress(ctx context.Context, owner string) (Progress, error) {
	var p Progress
	err := s.look(ctx, "progress", func(tx *sql.Tx) (err error) {
		who, err := learner(ctx, tx, owner)
		if err != nil {
			return err
		}
		p.Name = who.Name
		if p.Sections, err = sections(ctx, tx, owner); err != nil {
			return err
		}
		if p.Exercises, err = exercises(ctx, tx, owner); err != nil {
			return err
		}
		p.Quizzes, err = quizzes(ctx, tx, owner)
		return err
	})
	if err != nil {
		return Progress{}, err
	}
	return p, nil
}

// Export is all that is kept of the learner, all of one moment.
func (s *Store) Export(ctx context.Context, owner string) (Record, error) {
	var r Record
	err := s.look(ctx, "export", func(tx *sql.Tx) (err error) {
		if r, err = learner(ctx, tx, owner); err != nil {
			return err
		}
		if r.Sections, err = sections(ctx, tx, owner); err != nil {
			return err
		}
		if r.Exercises, err = exercises(ctx, tx, owner); err != nil {
			return err
		}
		if r.Attempts, err = attempts(ctx, tx, owner); err != nil {
			return err
		}
		if r.Labs, err = labs(ctx, tx, owner); len(r.Labs) == 0 {
			r.Labs = nil
		}
		return err
	})
	if err != nil {
		return Record{}, err
	}
	return r, nil
}

// learner is the part of the record that is about the learner alone.
func learner(ctx context.Context, tx *sql.Tx, owner string) (Record, error) {
	r := Record{Format: 1}
	var created, seen int64
	err := tx.QueryRowContext(ctx, `SELECT name, created_at, seen_at FROM learners WHERE owner = $1`, owner).Scan(&r.Name, &created, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	r.CreatedAt, r.SeenAt = moment(created), moment(seen)
	return r, err
}

func quizzes(ctx context.Context, tx *sql.Tx, owner string) ([]Quiz, error) {
	type row struct {
		attempt  Attempt
		attempts int
		best     bool
	}
	// The latest of a quiz comes before its best, if that is another.
	rows, err := list(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		a := &r.attempt
		var answers sql.NullString
		var at, best int64
		if err := rows.Scan(&a.ID, &a.Quiz, &a.Version, &a.Right, &a.Total, &answers, &at, &r.attempts, &best); err != nil {
			return r, err
		}
		a.At, r.best = moment(at), best == 1
		return r, a.readAnswers(answers)
	}, `
		SELECT `+attemptColumns+`, attempts, best FROM (
			SELECT `+attemptColumns+`, seq,
				COUNT(*) OVER (PARTITION BY quiz, version) AS attempts,
				ROW_NUMBER() OVER (PARTITION BY quiz, version ORDER BY right_answers DESC, seq) AS best,
				ROW_NUMBER() OVER (PARTITION BY quiz, version ORDER BY seq DESC) AS latest
			FROM attempts WHERE owner = $1) AS ranked
		WHERE best = 1 OR latest = 1 ORDER BY seq DESC`, owner)
	if err != nil {
		return nil, err
	}
	var quizzes []Quiz
	place := map[[2]string]int{}
	for _, r := range rows {
		key := [2]string{r.attempt.Quiz, r.attempt.Version}
		i, seen := place[key]
		if !seen {
			i = len(quizzes)
			place[key] = i
			quizzes = append(quizzes, Quiz{Quiz: r.attempt.Quiz, Version: r.attempt.Version, Attempts: r.attempts, Latest: r.attempt})
		}
		if r.best {
			quizzes[i].Best = r.attempt
		}
	}
	return quizzes, nil
}

// list is the query's rows; never nil.
func list[T any](ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
