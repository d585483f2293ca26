-- The mistakes in an agent's files of tasks, as a JSON list, and whether it takes no tasks from the server.
ALTER TABLE batch_agent ADD COLUMN mistakes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE batch_agent ADD COLUMN files_only INTEGER NOT NULL DEFAULT 0;
