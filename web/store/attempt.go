package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// ErrOtherAttempt is the error of an attempt whose ID the learner has used for
// other answers: they went back to an old form and filled it in anew. The earlier attempt
// stays as it is; the caller can record this one under an ID of its own.
var ErrOtherAttempt = errors.New("the attempt's ID was used for other answers")

// Attempt is one graded submission of a quiz.
type Attempt struct {
	// ID is a token that the quiz's form carries: unique among this learner's
	// attempts, so that a form which is sent twice is one attempt.
	ID string `json:"id"`
	// Quiz is the content's own name for it.
	Quiz string `json:"quiz"`
	// Version tells contents of the quiz apart, for instance by a hash of it.
	// Results of different versions are never compared.
	Version string `json:"version"`
	// Right is how many of the Total questions are right.
	Right int `json:"right"`
	Total int `json:"total"`
	// Answers is the caller's, to show the attempt again later; nil for none.
	Answers json.RawMessage `json:"answers,omitempty"`
	At      time.Time       `json:"at"`
}

// RecordAttempt keeps the attempt, and gives it back as it is kept. If it is
// there already, sent twice, nothing changes, and the first one, with its time,
// is the answer. If there is another of that ID, the error is [ErrOtherAttempt].
func (s *Store) RecordAttempt(ctx context.Context, owner string, attempt Attempt) (Attempt, error) {
	if err := checkKeys("attempt", attempt.ID, "quiz", attempt.Quiz, "version", attempt.Version); err != nil {
		return Attempt{}, err
	}
	if err := checkCounts("right answers", attempt.Right, "questions", attempt.Total); err != nil {
		return Attempt{}, err
	}
	if attempt.Total == 0 || attempt.Right > attempt.Total {
		return Attempt{}, refuse("right answers", "There cannot be %d right answers to %d questions.", attempt.Right, attempt.Total)
	}
	answers, err := checkJSON("answers", attempt.Answers)
	if err != nil {
		return Attempt{}, err
	}
	ms, err := checkOwner(owner, attempt.At)
	if err != nil {
		return Attempt{}, err
	}
	var kept Attempt
	err = s.change(ctx, "record attempt", owner, ms, func(tx *sql.Tx, seq int64) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO attempts (owner, id, seq, quiz, version, right_answers, questions, answers, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (owner, id) DO NOTHING`,
			owner, attempt.ID, seq, attempt.Quiz, attempt.Version, attempt.Right, attempt.Total, answers, ms)
		if err != nil {
			return err
		}
		rows, err := list(ctx, tx, scanAttempt, `SELECT `+attemptColumns+` FROM attempts WHERE owner = $1 AND id = $2`, owner, attempt.ID)
		if err != nil {
			return err
		}
		kept = rows[0]
		if kept.Quiz != attempt.Quiz || kept.Version != attempt.Version || !bytes.Equal(kept.Answers, rawText(answers)) {
			return ErrOtherAttempt
		}
		return nil
	})
	if err != nil {
		return Attempt{}, err
	}
	return kept, nil
}

func rawText(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

const attemptColumns = `id, quiz, version, right_answers, questions, answers, at`

func scanAttempt(rows *sql.Rows) (Attempt, error) {
	var a Attempt
	var answers sql.NullString
	var at int64
	err := rows.Scan(&a.ID, &a.Quiz, &a.Version, &a.Right, &a.Total, &answers, &at)
	a.Answers, a.At = rawJSON(answers), moment(at)
	return a, err
}

// attempts has the newest first.
func attempts(ctx context.Context, tx *sql.Tx, owner string) ([]Attempt, error) {
	return list(ctx, tx, scanAttempt, `SELECT `+attemptColumns+` FROM attempts WHERE owner = $1 ORDER BY seq DESC`, owner)
}
