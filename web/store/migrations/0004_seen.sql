-- +goose Up
-- When the learner was last here. Of those who were here before this column that is when
-- their record began, or the last section, check or attempt in it.
ALTER TABLE learners ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
UPDATE learners SET seen_at = created_at;
UPDATE learners SET seen_at = (SELECT MAX(visited_at) FROM sections WHERE sections.owner = learners.owner)
WHERE seen_at < (SELECT MAX(visited_at) FROM sections WHERE sections.owner = learners.owner);
UPDATE learners SET seen_at = (SELECT MAX(latest_at) FROM exercises WHERE exercises.owner = learners.owner)
WHERE seen_at < (SELECT MAX(latest_at) FROM exercises WHERE exercises.owner = learners.owner);
UPDATE learners SET seen_at = (SELECT MAX(at) FROM attempts WHERE attempts.owner = learners.owner)
WHERE seen_at < (SELECT MAX(at) FROM attempts WHERE attempts.owner = learners.owner);
CREATE INDEX learners_seen ON learners (seen_at);
