package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// ErrOtherAttempt is the error of an attempt whose ID the learner has used for
// other answers: they went back to a form that was graded and filled it in anew. The
// earlier attempt is the one that counts, and stays as it is.
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
	// Answers are by question, in the content's own names for both; nil for none.
	Answers map[string][]string `json:"answers,omitempty"`
	// At is when it was graded.
	At time.Time `json:"at"`
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
	answers, err := answersText(attempt.Answers)
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
		if kept.Quiz != attempt.Quiz || kept.Version != attempt.Version || !maps.EqualFunc(kept.Answers, attempt.Answers, slices.Equal) {
			return ErrOtherAttempt
		}
		return nil
	})
	if err != nil {
		return Attempt{}, err
	}
	return kept, nil
}

// answersText is how answers are kept: as JSON; nil for none.
func answersText(answers map[string][]string) (*string, error) {
	if len(answers) == 0 {
		return nil, nil
	}
	for question, given := range answers {
		if err := checkKeys("question", question); err != nil {
			return nil, err
		}
		for _, answer := range given {
			if !utf8.ValidString(answer) {
				return nil, refuse("answers", "The answer to %s is not valid text (UTF-8).", question)
			}
		}
	}
	b, err := json.Marshal(answers)
	if err != nil {
		return nil, err
	}
	return checkJSON("answers", b)
}

const attemptColumns = `id, quiz, version, right_answers, questions, answers, at`

func scanAttempt(rows *sql.Rows) (Attempt, error) {
	var a Attempt
	var answers sql.NullString
	var at int64
	if err := rows.Scan(&a.ID, &a.Quiz, &a.Version, &a.Right, &a.Total, &answers, &at); err != nil {
		return a, err
	}
	a.At = moment(at)
	return a, a.readAnswers(answers)
}

func (a *Attempt) readAnswers(text sql.NullString) error {
	if !text.Valid {
		return nil
	}
	return json.Unmarshal([]byte(text.String), &a.Answers)
}

// attempts has the newest first.
func attempts(ctx context.Context, tx *sql.Tx, owner string) ([]Attempt, error) {
	return list(ctx, tx, scanAttempt, `SELECT `+attemptColumns+` FROM attempts WHERE owner = $1 ORDER BY seq DESC`, owner)
}
