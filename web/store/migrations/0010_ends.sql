-- +goose Up
-- When the sandbox is stopped at the latest, where its learner has put that off; else 0.
ALTER TABLE sandboxes ADD COLUMN ends_at BIGINT NOT NULL DEFAULT 0;
