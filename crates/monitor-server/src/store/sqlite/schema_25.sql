-- The first 16 characters of a task's id in its queue, in lower case, so that tasks are found by the beginning of an id. The server writes again the
-- few ids that have letters beyond ASCII, which `lower` leaves as they are.
ALTER TABLE queue_task ADD COLUMN native TEXT NOT NULL DEFAULT '';
UPDATE queue_task SET native = substr(lower(json_extract(body, '$.native_id')), 1, 16) WHERE json_extract(body, '$.native_id') IS NOT NULL;
CREATE INDEX queue_task_ids ON queue_task(native, id);
-- With all columns that tasks are sorted by, like the index of workers.
DROP INDEX queue_task_phase;
CREATE INDEX queue_task_phase ON queue_task(phase, state, received, key, started, runtime, name);
-- Older servers stored a rule of alerts without `to` like one with an empty list, which gets no warning. A rule with the name of a built-in one keeps
-- its empty list: this is how a built-in rule is turned off.
UPDATE rule SET definition = json_remove(definition, '$.to') WHERE json_extract(definition, '$.to') = '[]'
  AND name NOT IN ('failed', 'timeout', 'missed', 'unknown', 'late', 'skipped', 'deleted', 'notified', 'slow', 'lost', 'server');
