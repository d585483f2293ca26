-- The failed job that a job follows, and true for a job that another one can still follow.
ALTER TABLE job ADD COLUMN follows INTEGER;
ALTER TABLE job ADD COLUMN can_be_followed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_follows ON job(follows) WHERE follows IS NOT NULL;
CREATE INDEX job_to_follow ON job(id) WHERE can_be_followed;
