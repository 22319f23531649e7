-- +goose Up
-- The cluster that the sandbox is, which bore its name once; empty while it waits for one.
ALTER TABLE sandboxes ADD COLUMN cluster TEXT NOT NULL DEFAULT '';
UPDATE sandboxes SET cluster = id;
