-- Sentences of the rules that a job matches, as a JSON list.
ALTER TABLE job ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
