package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
)

// Exercise is how far a learner is with an exercise.
type Exercise struct {
	// Lesson and Exercise are the content's own names for them.
	Lesson   string `json:"lesson"`
	Exercise string `json:"exercise"`
	// Tries is how many checks there were.
	Tries int `json:"tries"`
	// Hints is how many of the exercise's hints, in their order, were looked at;
	// where the solution comes after them, it is one more.
	Hints int `json:"hints"`
	// SkippedAt is when the learner went on without passing; zero where they did
	// not, or came back for another check since.
	SkippedAt time.Time `json:"skippedAt,omitzero"`
	// SolutionAt is when the solution was shown first; zero where it was not.
	SolutionAt time.Time `json:"solutionAt,omitzero"`
	// Predictions is what the learner expects or expected: verdicts by flow, in
	// the caller's words. PredictedOf is the moment that they are about, in the
	// caller's words too. PredictedAt is when they said so; zero for never.
	Predictions map[string]string `json:"predictions,omitempty"`
	PredictedOf string            `json:"predictedOf,omitempty"`
	PredictedAt time.Time         `json:"predictedAt,omitzero"`
	// Latest is the newest check; nil before the first.
	Latest *CheckResult `json:"latest,omitempty"`
	// FirstPass is the first check that passed, whatever came after it; nil where
	// none has.
	FirstPass *Pass `json:"firstPass,omitempty"`
}

// Passed reports whether a check of the exercise has passed, at any time.
func (e Exercise) Passed() bool { return e.FirstPass != nil }

// WithSolution reports whether the first pass came after the solution was shown: then it
// is done, but not by the learner alone.
func (e Exercise) WithSolution() bool { return e.Passed() && e.FirstPass.WithSolution }

// Skipped reports whether the learner went on without passing.
func (e Exercise) Skipped() bool { return !e.Passed() && !e.SkippedAt.IsZero() }

// CheckResult is what came of a check: how the flows of an exercise were found.
type CheckResult struct {
	Passed bool `json:"passed"`
	// Open and Blocked are how many flows were measured so.
	Open    int `json:"open"`
	Blocked int `json:"blocked"`
	// Detail is the caller's, to show the check again later; nil for none.
	Detail json.RawMessage `json:"detail,omitempty"`
	At     time.Time       `json:"at"`
}

// Pass is a check that passed.
type Pass struct {
	CheckResult
	// Try is which of the tries it was, from 1.
	Try int `json:"try"`
	// Hints is how many hints were looked at by then.
	Hints int `json:"hints"`
	// WithSolution says that the solution had been shown by then.
	WithSolution bool `json:"withSolution"`
}

// RecordCheck keeps a check of the exercise: one more try, the latest result,
// and the first pass if it is that. Where the exercise had been skipped, it is
// not any more.
func (s *Store) RecordCheck(ctx context.Context, owner, lesson, exercise string, result CheckResult) error {
	detail, err := checkJSON("detail", result.Detail)
	if err != nil {
		return err
	}
	if err := checkCounts("open flows", result.Open, "blocked flows", result.Blocked); err != nil {
		return err
	}
	pass := make([]any, 7) // NULL
	if result.Passed {
		pass = []any{result.At.UnixMilli(), 1, 0, result.Open, result.Blocked, detail, false}
	}
	return s.exercise(ctx, "record check", owner, lesson, exercise, result.At, `
		INSERT INTO exercises (owner, lesson, exercise, changed_seq, tries, hints,
			latest_at, latest_passed, latest_open, latest_blocked, latest_detail,
			pass_at, pass_try, pass_hints, pass_open, pass_blocked, pass_detail, pass_solution)
		VALUES ($1, $2, $3, $4, 1, 0, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (owner, lesson, exercise) DO UPDATE SET
			changed_seq = excluded.changed_seq,
			tries = exercises.tries + 1,
			skipped_at = NULL,
			latest_at = excluded.latest_at, latest_passed = excluded.latest_passed,
			latest_open = excluded.latest_open, latest_blocked = excluded.latest_blocked, latest_detail = excluded.latest_detail,
			pass_at = COALESCE(exercises.pass_at, excluded.pass_at),
			pass_try = CASE WHEN exercises.pass_at IS NULL AND excluded.latest_passed THEN exercises.tries + 1 ELSE exercises.pass_try END,
			pass_hints = CASE WHEN exercises.pass_at IS NULL AND excluded.latest_passed THEN exercises.hints ELSE exercises.pass_hints END,
			pass_solution = CASE WHEN exercises.pass_at IS NULL AND excluded.latest_passed THEN exercises.solution_at IS NOT NULL ELSE exercises.pass_solution END,
			pass_open = COALESCE(exercises.pass_open, excluded.pass_open),
			pass_blocked = COALESCE(exercises.pass_blocked, excluded.pass_blocked),
			pass_detail = CASE WHEN exercises.pass_at IS NULL THEN excluded.pass_detail ELSE exercises.pass_detail END`,
		append([]any{result.Passed, result.Open, result.Blocked, detail}, pass...)...)
}

// UseHint keeps that the learner looked at the exercise's hint of that number,
// from 1, and so at those before it. To look again changes nothing.
func (s *Store) UseHint(ctx context.Context, owner, lesson, exercise string, hint int, at time.Time) error {
	return s.useHint(ctx, "use hint", owner, lesson, exercise, hint, false, at)
}

// ShowSolution keeps that the learner looked at the solution, which comes after the
// hints as the one of that number. A check that passes from now on passes with it.
func (s *Store) ShowSolution(ctx context.Context, owner, lesson, exercise string, hint int, at time.Time) error {
	return s.useHint(ctx, "show solution", owner, lesson, exercise, hint, true, at)
}

func (s *Store) useHint(ctx context.Context, op, owner, lesson, exercise string, hint int, solution bool, at time.Time) error {
	if hint < 1 || hint > 100 {
		return refuse("hint", "There is no hint %d.", hint)
	}
	var shown any // NULL
	if solution {
		shown = at.UnixMilli()
	}
	return s.exercise(ctx, op, owner, lesson, exercise, at, `
		INSERT INTO exercises (owner, lesson, exercise, changed_seq, tries, hints, solution_at) VALUES ($1, $2, $3, $4, 0, $6, $7)
		ON CONFLICT (owner, lesson, exercise) DO UPDATE SET changed_seq = excluded.changed_seq,
			hints = CASE WHEN excluded.hints > exercises.hints THEN excluded.hints ELSE exercises.hints END,
			solution_at = COALESCE(exercises.solution_at, excluded.solution_at)`, hint, shown)
}

// SkipExercise keeps that the learner goes on without passing the exercise.
func (s *Store) SkipExercise(ctx context.Context, owner, lesson, exercise string, at time.Time) error {
	return s.exercise(ctx, "skip exercise", owner, lesson, exercise, at, `
		INSERT INTO exercises (owner, lesson, exercise, changed_seq, tries, hints, skipped_at) VALUES ($1, $2, $3, $4, 0, 0, $5)
		ON CONFLICT (owner, lesson, exercise) DO UPDATE SET changed_seq = excluded.changed_seq, skipped_at = excluded.skipped_at`)
}

// ErrPredicted is the error of a second prediction of one moment.
var ErrPredicted = errors.New("it was predicted before")

// SavePredictions keeps what the learner expects of the exercise's flows at the moment
// that of names, verdicts by flow. The first one counts: another of the same moment is
// [ErrPredicted], and one of another moment takes its place.
func (s *Store) SavePredictions(ctx context.Context, owner, lesson, exercise, of string, verdicts map[string]string, at time.Time) error {
	if err := checkKeys("moment", of); err != nil {
		return err
	}
	for _, flow := range slices.Sorted(maps.Keys(verdicts)) {
		if err := checkKeys("flow", flow, "verdict", verdicts[flow]); err != nil {
			return err
		}
	}
	b, err := json.Marshal(verdicts)
	if err != nil {
		return err
	}
	text, err := checkJSON("predictions", b)
	if err != nil {
		return err
	}
	return s.exercise(ctx, "save predictions", owner, lesson, exercise, at, `
		INSERT INTO exercises (owner, lesson, exercise, changed_seq, tries, hints, predicted_at, predictions, predicted_of) VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7)
		ON CONFLICT (owner, lesson, exercise) DO UPDATE SET changed_seq = excluded.changed_seq,
			predicted_at = excluded.predicted_at, predictions = excluded.predictions, predicted_of = excluded.predicted_of
		WHERE exercises.predicted_of IS DISTINCT FROM excluded.predicted_of`, text, of)
}

// exercise carries out a statement with the parameters owner, lesson, exercise,
// the change's number, its time, and then args. One that changes nothing, because of a
// prediction that is there, is [ErrPredicted].
func (s *Store) exercise(ctx context.Context, op, owner, lesson, exercise string, at time.Time, statement string, args ...any) error {
	if err := checkKeys("lesson", lesson, "exercise", exercise); err != nil {
		return err
	}
	ms, err := checkOwner(owner, at)
	if err != nil {
		return err
	}
	return s.change(ctx, op, owner, ms, func(tx *sql.Tx, seq int64) error {
		result, err := tx.ExecContext(ctx, statement, append([]any{owner, lesson, exercise, seq, ms}, args...)...)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err == nil && rows == 0 {
			err = ErrPredicted
		}
		return err
	})
}

// exercises has the one changed last first.
func exercises(ctx context.Context, tx *sql.Tx, owner string) ([]Exercise, error) {
	return list(ctx, tx, scanExercise, `
		SELECT lesson, exercise, tries, hints, skipped_at, solution_at, predictions, predicted_of, predicted_at,
			latest_at, latest_passed, latest_open, latest_blocked, latest_detail,
			pass_at, pass_try, pass_hints, pass_open, pass_blocked, pass_detail, pass_solution
		FROM exercises WHERE owner = $1 ORDER BY changed_seq DESC`, owner)
}

func scanExercise(rows *sql.Rows) (Exercise, error) {
	var (
		e                                   Exercise
		skipped, predicted, latest, pass    sql.NullInt64
		solution                            sql.NullInt64
		open, blocked, passOpen, passBlock  sql.NullInt64
		try, passHints                      sql.NullInt64
		passed, passSolution                sql.NullBool
		of                                  sql.NullString
		predictions, latestText, passDetail sql.NullString
	)
	err := rows.Scan(&e.Lesson, &e.Exercise, &e.Tries, &e.Hints, &skipped, &solution, &predictions, &of, &predicted,
		&latest, &passed, &open, &blocked, &latestText,
		&pass, &try, &passHints, &passOpen, &passBlock, &passDetail, &passSolution)
	if err != nil {
		return e, err
	}
	e.SkippedAt, e.SolutionAt, e.PredictedAt, e.PredictedOf = momentOrNone(skipped), momentOrNone(solution), momentOrNone(predicted), of.String
	if predictions.Valid {
		if err := json.Unmarshal([]byte(predictions.String), &e.Predictions); err != nil {
			return e, err
		}
	}
	if latest.Valid {
		e.Latest = &CheckResult{Passed: passed.Bool, Open: int(open.Int64), Blocked: int(blocked.Int64), Detail: rawJSON(latestText), At: moment(latest.Int64)}
	}
	if pass.Valid {
		e.FirstPass = &Pass{
			CheckResult: CheckResult{Passed: true, Open: int(passOpen.Int64), Blocked: int(passBlock.Int64), Detail: rawJSON(passDetail), At: moment(pass.Int64)},
			Try:         int(try.Int64), Hints: int(passHints.Int64), WithSolution: passSolution.Bool,
		}
	}
	return e, nil
}

func rawJSON(text sql.NullString) json.RawMessage {
	if !text.Valid {
		return nil
	}
	return json.RawMessage(text.String)
}
