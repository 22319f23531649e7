-- +goose Up
-- The sandboxes that there are, each with the provider that made it. The owner is a
-- learner, who need not have a row: a sandbox alone makes no record of a learner.
CREATE TABLE sandboxes (
    provider   TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    owner      TEXT   NOT NULL,
    lab        TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (provider, id)
);
