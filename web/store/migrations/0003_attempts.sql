-- +goose Up
CREATE TABLE attempts (
    owner         TEXT    NOT NULL REFERENCES learners (owner) ON DELETE CASCADE,
    id            TEXT    NOT NULL,
    seq           BIGINT  NOT NULL,
    quiz          TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    right_answers INTEGER NOT NULL,
    questions     INTEGER NOT NULL,
    answers       TEXT,
    at            BIGINT  NOT NULL,
    PRIMARY KEY (owner, id)
);
