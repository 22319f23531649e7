package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
	"unicode/utf8"
)

const (
	// MaxLabs is how many labs of their own a learner may have.
	MaxLabs = 12
	// MaxLab is in bytes: of such a lab's text.
	MaxLab = 32 << 10
)

// Lab is a lab that a learner has made.
type Lab struct {
	// Name tells it from others. The same lab has the same name with every learner.
	Name string `json:"name"`
	// Title is what the learner calls it.
	Title string `json:"title"`
	// YAML is its text as the learner wrote it.
	YAML string    `json:"yaml"`
	At   time.Time `json:"at"`
}

// SaveLab keeps the lab, in the place of the one of its name, if any. An *[InputError]
// says that there are too many.
func (s *Store) SaveLab(ctx context.Context, owner string, lab Lab) error {
	if err := checkKeys("lab", lab.Name, "title", lab.Title); err != nil {
		return err
	}
	if len(lab.YAML) > MaxLab || !utf8.ValidString(lab.YAML) {
		return refuse("yaml", "The lab's text is %d KiB, and %d are possible.", (len(lab.YAML)+1023)>>10, MaxLab>>10)
	}
	ms, err := checkOwner(owner, lab.At)
	if err != nil {
		return err
	}
	return s.change(ctx, "save lab", owner, ms, func(tx *sql.Tx, seq int64) error {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO labs (owner, name, title, yaml, seq, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (owner, name) DO UPDATE SET title = excluded.title, yaml = excluded.yaml, seq = excluded.seq, at = excluded.at`,
			owner, lab.Name, lab.Title, lab.YAML, seq, ms); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM labs WHERE owner = $1`, owner).Scan(&n); err != nil {
			return err
		}
		if n > MaxLabs {
			return refuse("lab", "You have %d labs of your own, which is as many as there can be. Delete one that you do not need.", MaxLabs)
		}
		return nil
	})
}

// DeleteLab deletes the lab; one that is not there is no error.
func (s *Store) DeleteLab(ctx context.Context, owner, name string) error {
	_, err := s.write.ExecContext(ctx, `DELETE FROM labs WHERE owner = $1 AND name = $2`, owner, name)
	return s.explain(ctx, "delete lab", err)
}

// Labs are the owner's labs, the newest first.
func (s *Store) Labs(ctx context.Context, owner string) (all []Lab, err error) {
	err = s.look(ctx, "read labs", func(tx *sql.Tx) error {
		all, err = labs(ctx, tx, owner)
		return err
	})
	return all, err
}

func labs(ctx context.Context, tx *sql.Tx, owner string) ([]Lab, error) {
	return list(ctx, tx, scanLab, `SELECT name, title, yaml, at FROM labs WHERE owner = $1 ORDER BY seq DESC`, owner)
}

func scanLab(rows *sql.Rows) (lab Lab, err error) {
	var at int64
	err = rows.Scan(&lab.Name, &lab.Title, &lab.YAML, &at)
	lab.At = moment(at)
	return lab, err
}

// Lab is the owner's lab of that name; false where there is none.
func (s *Store) Lab(ctx context.Context, owner, name string) (Lab, bool, error) {
	var lab Lab
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT name, title, yaml, at FROM labs WHERE owner = $1 AND name = $2`, owner, name).Scan(&lab.Name, &lab.Title, &lab.YAML, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return Lab{}, false, nil
	}
	if err != nil {
		return Lab{}, false, s.explain(ctx, "read lab", err)
	}
	lab.At = moment(at)
	return lab, true, nil
}
