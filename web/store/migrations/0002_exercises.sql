-- +goose Up
-- One row an exercise: the latest check, and the first that passed. A column of
-- either group is NULL exactly where that check has not been.
CREATE TABLE exercises (
    owner          TEXT    NOT NULL REFERENCES learners (owner) ON DELETE CASCADE,
    lesson         TEXT    NOT NULL,
    exercise       TEXT    NOT NULL,
    changed_seq    BIGINT  NOT NULL,
    tries          INTEGER NOT NULL,
    hints          INTEGER NOT NULL,
    skipped_at     BIGINT,
    predictions    TEXT,
    predicted_at   BIGINT,
    latest_passed  BOOLEAN,
    latest_open    INTEGER,
    latest_blocked INTEGER,
    latest_detail  TEXT,
    latest_at      BIGINT,
    pass_try       INTEGER,
    pass_hints     INTEGER,
    pass_open      INTEGER,
    pass_blocked   INTEGER,
    pass_detail    TEXT,
    pass_at        BIGINT,
    PRIMARY KEY (owner, lesson, exercise)
);
