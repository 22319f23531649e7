-- +goose Up
-- When the solution was shown, and whether the first pass came after that; and which
-- moment of the exercise was predicted.
ALTER TABLE exercises ADD COLUMN solution_at BIGINT;
ALTER TABLE exercises ADD COLUMN pass_solution BOOLEAN;
ALTER TABLE exercises ADD COLUMN predicted_of TEXT;
-- Until now the solution was the hint after the third, and nobody wrote down when.
UPDATE exercises SET solution_at = COALESCE(pass_at, latest_at, skipped_at, predicted_at,
    (SELECT created_at FROM learners WHERE learners.owner = exercises.owner)) WHERE hints > 3;
UPDATE exercises SET pass_solution = pass_hints > 3 WHERE pass_at IS NOT NULL;
