-- +goose Up
-- What has become of the sandbox's policies, in JSON, which is sandbox's own.
ALTER TABLE sandboxes ADD COLUMN history TEXT;
