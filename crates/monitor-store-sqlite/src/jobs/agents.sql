-- 1 once the agent of the host has connected.
ALTER TABLE host ADD COLUMN has_agent INTEGER NOT NULL DEFAULT 0;
