-- +goose Up
-- The labs that learners have made themselves.
CREATE TABLE labs (
    owner TEXT   NOT NULL REFERENCES learners (owner) ON DELETE CASCADE,
    name  TEXT   NOT NULL,
    title TEXT   NOT NULL,
    yaml  TEXT   NOT NULL,
    seq   BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    PRIMARY KEY (owner, name)
);
