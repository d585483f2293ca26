-- The mistakes in an agent's files of tasks, as a JSON list.
ALTER TABLE batch_agent ADD COLUMN mistakes TEXT NOT NULL DEFAULT '[]';
