-- +goose Up
-- Who learns. The owner is opaque; seq counts this learner's changes and puts
-- everything below in order, since clocks jump. Times are Unix milliseconds.
CREATE TABLE learners (
    owner      TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sections (
    owner        TEXT   NOT NULL REFERENCES learners (owner) ON DELETE CASCADE,
    lesson       TEXT   NOT NULL,
    section      TEXT   NOT NULL,
    visited_seq  BIGINT NOT NULL,
    visited_at   BIGINT NOT NULL,
    completed_at BIGINT,
    PRIMARY KEY (owner, lesson, section)
);
