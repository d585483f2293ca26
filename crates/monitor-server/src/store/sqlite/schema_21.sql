-- Tasks of queues, one row each, so that they are sorted and filtered without a look at their trees. Times are Unix µs, 0 for unknown.
CREATE TABLE queue_task(
  key INTEGER PRIMARY KEY,
  root INTEGER NOT NULL,
  id INTEGER NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  phase TEXT NOT NULL,
  queue TEXT NOT NULL,
  worker TEXT NOT NULL,
  received INTEGER NOT NULL,
  started INTEGER NOT NULL,
  runtime INTEGER NOT NULL,         -- ns
  body TEXT NOT NULL,               -- the process as JSON, without its attempts
  UNIQUE(root, id)
) STRICT;
CREATE INDEX queue_task_received ON queue_task(received);
CREATE INDEX queue_task_started ON queue_task(started);
CREATE INDEX queue_task_runtime ON queue_task(runtime);
CREATE INDEX queue_task_name ON queue_task(name, received);
CREATE INDEX queue_task_state ON queue_task(state, received);
CREATE INDEX queue_task_phase ON queue_task(phase, received);
CREATE INDEX queue_task_queue ON queue_task(queue, received);
CREATE INDEX queue_task_worker ON queue_task(worker, received);

-- How many there are, counted by every change of `queue_task`.
CREATE TABLE queue_count(
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY(queue, name, state)
) STRICT, WITHOUT ROWID;
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
