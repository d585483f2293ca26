-- A root shows an error once it failed, no longer one of a process that failed while the root ran or succeeded. Own errors of roots that
-- were cancelled stay.
UPDATE root SET error = NULL, cause = NULL WHERE state IN (0, 1, 2) AND error IS NOT NULL;
-- The line that a list shows of an error, if that says more than its message: the causes as well. It is searched. The build that brings a
-- database to this schema fills it in for the roots that are there.
ALTER TABLE root ADD COLUMN line INTEGER;
CREATE INDEX root_line ON root(line) WHERE line IS NOT NULL;
-- How far its own process is, as JSON.
ALTER TABLE root ADD COLUMN progress BLOB;
-- Lists are in the order of the starts, or of what is known instead of them: base + at.
CREATE INDEX root_begin ON root(base + at);
DROP INDEX root_base;
DROP INDEX root_name;
DROP INDEX root_batch;
DROP INDEX root_worker;
DROP INDEX root_state;
DROP INDEX root_unattached;
CREATE INDEX root_name ON root(name, base + at);
CREATE INDEX root_batch ON root(batch, base + at) WHERE batch IS NOT NULL;
CREATE INDEX root_worker ON root(worker, base + at) WHERE worker IS NOT NULL;
CREATE INDEX root_state ON root(state, base + at);
CREATE INDEX root_unattached ON root(base + at) WHERE own = 2;
-- When the first of these failures ended. Of those that were there, the beginning of their time is known.
ALTER TABLE failure ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
UPDATE failure SET first = t * CASE level WHEN 1 THEN 3600000000 WHEN 2 THEN 86400000000 ELSE 2764800000000 END;
