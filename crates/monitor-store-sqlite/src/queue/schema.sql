-- Tasks of queues, one row each, so that they are sorted and filtered without reading their trees. `process` has everything else about
-- them. A time is 0 if it is unknown.
DROP TRIGGER queue_task_comes;
DROP TRIGGER queue_task_goes;
DROP TRIGGER queue_task_changes;
DROP TABLE queue_count;
ALTER TABLE queue_task RENAME TO former_task;
CREATE TABLE queue_task(
  key INTEGER PRIMARY KEY,
  root INTEGER NOT NULL,
  id INTEGER NOT NULL,
  name INTEGER NOT NULL,            -- text; 0 if it is unknown
  state INTEGER NOT NULL,           -- code, as in `process`
  phase INTEGER NOT NULL,           -- code
  queue TEXT NOT NULL,
  worker INTEGER NOT NULL,          -- 0 for none
  received INTEGER NOT NULL,
  started INTEGER NOT NULL,
  runtime INTEGER NOT NULL,         -- ns
  native TEXT NOT NULL,             -- first characters of its id in the queue; see `ids.rs`
  UNIQUE(root, id)
) STRICT;
INSERT INTO queue_task
  SELECT key, root, id, name, state,
    coalesce(CASE phase
      WHEN 'sent' THEN 0 WHEN 'received' THEN 1 WHEN 'started' THEN 2 WHEN 'succeeded' THEN 3 WHEN 'failed' THEN 4
      WHEN 'retried' THEN 5 WHEN 'requeued' THEN 6 WHEN 'rejected' THEN 7 WHEN 'revoked' THEN 8 WHEN 'cancelled' THEN 9
    END, state),
    queue, worker, received, started, runtime,
    iif(native GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f]', substr(native, 1, 8), native)
  FROM (SELECT former.key, former.root, former.id, coalesce(site.name, 0) AS name, process.state, phase, queue,
      coalesce((SELECT key FROM worker WHERE worker.id = unhex(former.worker)), 0) AS worker, received, started, runtime, native
    FROM former_task AS former JOIN process ON process.root = former.root AND process.id = former.id
      LEFT JOIN site ON site.id = process.site);
DROP TABLE former_task;
-- Each index has the state, so that the tasks of a state are listed in any order. A list of all states merges the lists of each state, or of
-- each of its phases, and a list of a queue those of the names and states that `queue_count` has for it.
CREATE INDEX queue_task_state_started ON queue_task(state, started);
CREATE INDEX queue_task_state_runtime ON queue_task(state, runtime);
CREATE INDEX queue_task_state_name ON queue_task(state, name, received);
CREATE INDEX queue_task_worker ON queue_task(worker, state, received);
CREATE INDEX queue_task_phase ON queue_task(phase, state, received);
CREATE INDEX queue_task_ids ON queue_task(native);

-- Number of tasks; triggers update it with each change of `queue_task`.
CREATE TABLE queue_count(
  queue TEXT NOT NULL,
  name INTEGER NOT NULL,
  state INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY(queue, name, state)
) STRICT, WITHOUT ROWID;
INSERT INTO queue_count SELECT queue, name, state, count(*) FROM queue_task GROUP BY queue, name, state;
CREATE TRIGGER queue_task_comes AFTER INSERT ON queue_task BEGIN
  INSERT INTO queue_count VALUES(new.queue, new.name, new.state, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER queue_task_goes AFTER DELETE ON queue_task BEGIN
  UPDATE queue_count SET count = count - 1 WHERE queue = old.queue AND name = old.name AND state = old.state;
  DELETE FROM queue_count WHERE queue = old.queue AND name = old.name AND state = old.state AND count = 0;
END;
CREATE TRIGGER queue_task_changes AFTER UPDATE ON queue_task
WHEN new.state <> old.state OR new.name <> old.name OR new.queue <> old.queue BEGIN
  INSERT INTO queue_count VALUES(new.queue, new.name, new.state, 1) ON CONFLICT DO UPDATE SET count = count + 1;
  UPDATE queue_count SET count = count - 1 WHERE queue = old.queue AND name = old.name AND state = old.state;
  DELETE FROM queue_count WHERE queue = old.queue AND name = old.name AND state = old.state AND count = 0;
END;

-- Most tasks of queues are listed by `queue_task`, and not by `rare`.
DELETE FROM rare WHERE kind = (SELECT id FROM text WHERE value = 'task')
  AND EXISTS (SELECT 1 FROM queue_task AS task WHERE task.root = rare.root AND task.id = rare.id);

-- The worker that numbered the events of a process, if it is another one; otherwise 0. All facts of a task name it.
ALTER TABLE origin ADD COLUMN relay INTEGER NOT NULL DEFAULT 0;
DROP INDEX origin_key;
CREATE UNIQUE INDEX origin_key ON origin(worker, thread, relay);
CREATE INDEX origin_relay ON origin(relay) WHERE relay > 0;
