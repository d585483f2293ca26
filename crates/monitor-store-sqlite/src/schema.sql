-- The tables of the server's database. Times are Unix microseconds and belong to the server's clock, unless a comment says otherwise.

-- Totals of the whole database, and bounds for searches by time. One row.
CREATE TABLE counter(
  seq INTEGER NOT NULL,             -- number of the newest change
  events INTEGER NOT NULL,          -- events stored since the database was created
  root INTEGER NOT NULL,            -- number of the newest root
  longest INTEGER NOT NULL,         -- greatest distance from a root's base to a later start of one of its processes, in µs
  earliest INTEGER NOT NULL,        -- greatest distance to a start before the base
  rolled INTEGER NOT NULL,          -- first minute whose sums are not yet included in those of hours and days
  logged INTEGER NOT NULL DEFAULT 0 -- size of the log of events in bytes
) STRICT;
INSERT INTO counter VALUES(0, 0, 0, 0, 0, 0, 0);

-- Each distinct text. Texts may be long, so the index has their hashes.
CREATE TABLE text(id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, value TEXT NOT NULL, found INTEGER NOT NULL) STRICT;
CREATE INDEX text_hash ON text(hash);
-- Full-text index of the searchable texts: names, batch marks and error messages.
CREATE VIRTUAL TABLE text_parts USING fts5(value, content='', tokenize='trigram', detail=none, columnsize=0);

-- Name, kind and source location of processes. file and line are 0 if they are unknown.
CREATE TABLE site(id INTEGER PRIMARY KEY, name INTEGER NOT NULL, kind INTEGER NOT NULL, file INTEGER NOT NULL, line INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX site_key ON site(name, kind, file, line);

-- Worker and thread of processes. thread is 0 if it is unknown.
CREATE TABLE origin(id INTEGER PRIMARY KEY, worker INTEGER NOT NULL, thread INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX origin_key ON origin(worker, thread);

CREATE TABLE worker(
  key INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  state INTEGER NOT NULL,           -- 0 online, 1 offline, 2 lost
  offline INTEGER,                  -- time of its goodbye
  last_seen INTEGER NOT NULL,
  lag INTEGER,                      -- delay of its clock against the server's in µs, measured with its fastest batch
  due INTEGER,                      -- it is lost at this time unless it sends something before; NULL if it is not watched
  open INTEGER NOT NULL,            -- number of its rows in `open`
  applied BLOB NOT NULL,            -- ranges of its event numbers that are stored
  facts BLOB NOT NULL               -- JSON
) STRICT;
-- Number of stored events of a worker, by type.
CREATE TABLE worker_events(worker INTEGER NOT NULL, type INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(worker, type)) STRICT, WITHOUT ROWID;
CREATE INDEX worker_due ON worker(due) WHERE due IS NOT NULL;

CREATE TABLE dropped(
  worker INTEGER NOT NULL, type TEXT NOT NULL, reason TEXT NOT NULL,
  root BLOB NOT NULL,               -- empty for the sum over trees that are not counted one by one
  count INTEGER NOT NULL,
  PRIMARY KEY(worker, type, reason, root)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_root ON dropped(root, type, reason);
-- Sums of `dropped` over all workers.
CREATE TABLE dropped_sum(type TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(type, reason)) STRICT, WITHOUT ROWID;

-- A root has the columns of its own process, or of its earliest process as long as its own is unknown. Times are µs after `base`, which is
-- the time in the first event of the tree and never changes.
CREATE TABLE root(
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  base INTEGER NOT NULL,            -- Unix µs
  last INTEGER NOT NULL,            -- start of its last process
  process INTEGER,
  own INTEGER NOT NULL,             -- 2 if its own process was started without a context
  at INTEGER NOT NULL,
  name INTEGER NOT NULL, batch INTEGER, worker INTEGER, state INTEGER NOT NULL,
  started INTEGER, ended INTEGER, elapsed INTEGER,
  error INTEGER, cause INTEGER,     -- the error's message; everything else about the end
  pending INTEGER NOT NULL, running INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL, lost INTEGER NOT NULL, other INTEGER NOT NULL,
  pinned INTEGER NOT NULL,          -- 1 if no retention rule deletes it
  heard INTEGER NOT NULL DEFAULT 0, -- time of the last event of the tree, in seconds after `base`; retention computes the age from it
  line INTEGER,                     -- text that lists show of an error and that is searched; NULL if it is the message alone
  progress BLOB                     -- progress of its own process, as JSON
) STRICT;
CREATE INDEX root_error ON root(error) WHERE error IS NOT NULL;
CREATE INDEX root_line ON root(line) WHERE line IS NOT NULL;
-- Lists are sorted by the start as far as it is known: base + at.
CREATE INDEX root_begin ON root(base + at);
CREATE INDEX root_name ON root(name, base + at);
CREATE INDEX root_batch ON root(batch, base + at) WHERE batch IS NOT NULL;
CREATE INDEX root_worker ON root(worker, base + at) WHERE worker IS NOT NULL;
CREATE INDEX root_state ON root(state, base + at);
CREATE INDEX root_unattached ON root(base + at) WHERE own = 2;
-- Trees with a process that started more than 32 days before or after the base. `counter` bounds the other trees only; a search by time
-- examines these as well.
CREATE TABLE wide(root INTEGER PRIMARY KEY) STRICT;

-- id and parent have their top bit inverted, so that SQLite sorts them as unsigned numbers.
CREATE TABLE process(
  root INTEGER NOT NULL, id INTEGER NOT NULL,
  parent INTEGER, site INTEGER, origin INTEGER,
  at INTEGER NOT NULL,              -- start as far as it is known, in µs after the root's base
  skew INTEGER,                     -- the end is at + elapsed / 1000 + skew; NULL if the process has not ended
  elapsed INTEGER, state INTEGER NOT NULL,
  start_no INTEGER, end_no INTEGER, -- numbers of the events
  error INTEGER, cause INTEGER,     -- the error's message; everything else about the end
  batch INTEGER,
  more BLOB,                        -- all facts, if the columns can't represent them; see more.rs
  PRIMARY KEY(root, id)
) STRICT, WITHOUT ROWID;

-- Data that few processes need is stored in tables of its own, because an index of `process` costs every row.
-- Processes that failed with an error:
CREATE TABLE failed(
  root INTEGER NOT NULL,
  ended INTEGER NOT NULL,           -- in µs after the root's base
  id INTEGER NOT NULL, parent INTEGER,
  PRIMARY KEY(root, ended, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX failed_parent ON failed(root, parent);
-- Processes of rare kinds:
CREATE TABLE rare(kind INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(kind, root, id)) STRICT, WITHOUT ROWID;
-- Processes with an id of another system, by a hash of that id:
CREATE TABLE native(hash INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(hash, root, id)) STRICT, WITHOUT ROWID;
-- Processes with links to processes of other trees, by a hash of the target's tree and id:
CREATE TABLE linked(hash INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(hash, root, id)) STRICT, WITHOUT ROWID;

-- Processes whose state depends on that of their worker.
CREATE TABLE open(worker INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(worker, root, id)) STRICT, WITHOUT ROWID;

-- Open processes that run longer than expected, and since when.
CREATE TABLE overdue(root INTEGER NOT NULL, id INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY(root, id)) STRICT, WITHOUT ROWID;

-- Log lines of processes. worker and number identify the event; about is the worker that it reports on, if that is another one.
CREATE TABLE log(
  root INTEGER NOT NULL, process INTEGER NOT NULL, time INTEGER NOT NULL, worker INTEGER NOT NULL, number INTEGER NOT NULL,
  about INTEGER, level INTEGER NOT NULL, target INTEGER, stream INTEGER, message TEXT NOT NULL,
  fields BLOB,                      -- JSON
  PRIMARY KEY(root, process, time, worker, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_time ON log(root, time);
-- Number of lines of each process that `log` has, and number of lines that are missing between the last line of the head (h_) and the first
-- line of the tail (t_). These columns are NULL as long as all lines are kept. head: number of lines up to the last line of the head.
CREATE TABLE log_kept(
  root INTEGER NOT NULL, process INTEGER NOT NULL, kept INTEGER NOT NULL, missing INTEGER NOT NULL, head INTEGER NOT NULL,
  h_time INTEGER, h_worker INTEGER, h_number INTEGER, t_time INTEGER, t_worker INTEGER, t_number INTEGER,
  PRIMARY KEY(root, process)
) STRICT, WITHOUT ROWID;

-- Events of unknown types, as they were received.
CREATE TABLE unknown(worker INTEGER NOT NULL, number INTEGER NOT NULL, type INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(worker, number)) STRICT, WITHOUT ROWID;

-- Events that wait for another event that names the tree of their process.
CREATE TABLE waiting(
  id INTEGER NOT NULL,              -- id of the process, as in `process`
  native INTEGER NOT NULL,          -- hash of its id in another system
  worker INTEGER NOT NULL, number INTEGER NOT NULL, -- of the event
  since INTEGER NOT NULL,           -- when the server received it
  event TEXT NOT NULL,              -- JSON
  PRIMARY KEY(id, native, worker, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_since ON waiting(since);

-- The log of events that the stream has sent, with a piece for each transaction.
CREATE TABLE event_log(
  first INTEGER PRIMARY KEY,        -- number of the first event
  last INTEGER NOT NULL,            -- number of the last event
  time INTEGER NOT NULL,            -- when it was stored
  piece BLOB NOT NULL               -- format: store/event_log.rs
) STRICT;
-- Number of the last event that each reader inside the server has processed.
CREATE TABLE cursor(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Sums for frequent queries. what: 0 roots by state, 1 processes by state, 2 workers by state, 3 unknown events by type
CREATE TABLE tally(what INTEGER NOT NULL, of INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(what, of)) STRICT, WITHOUT ROWID;

-- Numbers of deleted roots that still have rows in other tables.
CREATE TABLE leaving(root INTEGER PRIMARY KEY) STRICT;

-- Number of roots by name and state.
CREATE TABLE root_count(name INTEGER NOT NULL, state INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(name, state)) STRICT, WITHOUT ROWID;

-- Failures by time of their end, shape of the error's message, and name. level: 1 hours, 2 days, 3 spans of 32 days.
CREATE TABLE failure(
  level INTEGER NOT NULL, t INTEGER NOT NULL, shape INTEGER NOT NULL, name INTEGER NOT NULL,
  count INTEGER NOT NULL,
  last INTEGER NOT NULL,            -- end of the newest failure
  root INTEGER NOT NULL, id INTEGER NOT NULL, -- its process; root is 0 if that did not fail after all
  message INTEGER NOT NULL,         -- its own message
  first INTEGER NOT NULL DEFAULT 0, -- end of the oldest failure
  PRIMARY KEY(level, t, shape, name)
) STRICT, WITHOUT ROWID;

-- Ended processes by time of their end, name and state, and lost processes by time of their start. Name 0 is the sum of all names. level:
-- 0 minutes, 1 hours, 2 days, 3 spans of 32 days; t: number of such spans since 1970. A minute is added to the longer spans when it is over.
CREATE TABLE rollup(
  level INTEGER NOT NULL, t INTEGER NOT NULL, name INTEGER NOT NULL, state INTEGER NOT NULL,
  sums BLOB NOT NULL,               -- count, durations, histogram
  PRIMARY KEY(level, t, name, state)
) STRICT, WITHOUT ROWID;

-- Sums of shorter spans are deleted first. t: the first span of a level that is complete.
CREATE TABLE sums_from(level INTEGER PRIMARY KEY, t INTEGER NOT NULL) STRICT;

-- Batch tasks.
CREATE TABLE batch_task(
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  revision INTEGER NOT NULL UNIQUE, -- counts changes of all tasks; the latest change has the greatest number
  status TEXT NOT NULL,
  until INTEGER,                    -- end of its pause, if that is set
  agent TEXT,                       -- agent whose files define it; NULL if the server keeps it
  changed INTEGER NOT NULL,
  who TEXT,
  definition TEXT NOT NULL,         -- JSON
  -- For a paused task: 1 after the notification that it is paused for long, 2 after the one that this pause is over. Each change of the
  -- task sets it to 0.
  pause_told INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_task_paused ON batch_task(pause_told, changed) WHERE status = 'paused';
CREATE TABLE batch_version(
  task TEXT NOT NULL, version INTEGER NOT NULL,
  time INTEGER NOT NULL,
  who TEXT,
  status TEXT NOT NULL,
  definition TEXT NOT NULL,         -- JSON
  PRIMARY KEY(task, version)
) STRICT, WITHOUT ROWID;

-- Runs, folded from the events of their processes. They are kept when their trees are deleted.
CREATE TABLE batch_run(
  task TEXT NOT NULL, due INTEGER NOT NULL,
  run TEXT NOT NULL,                -- its native id
  version INTEGER NOT NULL,
  agent TEXT,
  trigger TEXT NOT NULL,
  who TEXT,                         -- who requested it
  root TEXT NOT NULL, process TEXT NOT NULL, -- ids
  started INTEGER, ended INTEGER,
  elapsed INTEGER,                  -- ns
  outcome TEXT NOT NULL,            -- state of its process
  exit_code INTEGER, result_code INTEGER, signal INTEGER,
  reason TEXT, error TEXT,
  PRIMARY KEY(task, due, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_run_due ON batch_run(due, run);
CREATE INDEX batch_run_outcome ON batch_run(outcome, due, run);
CREATE INDEX batch_run_agent ON batch_run(agent, due, run);
CREATE INDEX batch_run_code ON batch_run(coalesce(result_code, exit_code), due, run);

-- Due times without a run, as reported by agents.
CREATE TABLE batch_decision(
  task TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  agent TEXT NOT NULL,
  what TEXT NOT NULL,               -- skipped or missed
  reason TEXT NOT NULL,
  version INTEGER NOT NULL,
  count INTEGER NOT NULL,
  blocked_by TEXT,
  PRIMARY KEY(task, first, last, agent, what, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_agent(
  name TEXT PRIMARY KEY,
  until INTEGER NOT NULL,           -- it has decided all due times up to this one
  paused_from INTEGER, paused_until INTEGER, -- pause of the whole agent
  mistakes TEXT NOT NULL DEFAULT '[]', -- mistakes in its files of tasks, as a JSON list
  files_only INTEGER NOT NULL DEFAULT 0 -- 1 if it accepts no tasks from the server
) STRICT, WITHOUT ROWID;

-- Heartbeats of jobs that run elsewhere.
CREATE TABLE heartbeat(
  name TEXT PRIMARY KEY,
  key_hash BLOB NOT NULL UNIQUE,    -- SHA-256 of its key
  old_hash BLOB UNIQUE,             -- SHA-256 of its previous key,
  old_until INTEGER,                -- which is accepted until this time
  definition TEXT NOT NULL,         -- JSON
  created INTEGER NOT NULL,
  who TEXT NOT NULL,
  seen INTEGER,                     -- last ping
  missed INTEGER                    -- due time of the last ping that was reported as missing
) STRICT, WITHOUT ROWID;

-- Events that may matter to a rule of alerts, each written in the transaction of its event.
CREATE TABLE sign(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  cause TEXT NOT NULL,              -- cause of an alert, or what ends one
  subject TEXT NOT NULL,            -- kind:name
  root TEXT, process TEXT,          -- ids
  agent TEXT,
  detail TEXT NOT NULL              -- JSON
) STRICT;
CREATE INDEX sign_time ON sign(time);
CREATE INDEX sign_root ON sign(root) WHERE root IS NOT NULL;

-- Agents with their latest workers.
CREATE TABLE agent_heard(name TEXT PRIMARY KEY, worker TEXT NOT NULL, away INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Programs on hosts, as program@host, that were lost with open work and have not returned.
CREATE TABLE lost_worker(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE alert(
  id INTEGER PRIMARY KEY,
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  cause TEXT NOT NULL,
  severity TEXT NOT NULL,
  state TEXT NOT NULL,
  since INTEGER NOT NULL, resolved INTEGER,
  count INTEGER NOT NULL,
  root TEXT, process TEXT,
  acknowledged_by TEXT,
  detail TEXT NOT NULL              -- the whole alert as JSON
) STRICT;
CREATE INDEX alert_state ON alert(state, id);
CREATE INDEX alert_subject ON alert(subject, id);

-- Decisions, including those to notify nobody.
CREATE TABLE alert_note(
  number INTEGER PRIMARY KEY,
  alert INTEGER NOT NULL, sign INTEGER NOT NULL, -- 0 for none
  time INTEGER NOT NULL,
  rule TEXT NOT NULL,
  what TEXT NOT NULL,
  who TEXT,
  detail TEXT
) STRICT;
CREATE INDEX alert_note_alert ON alert_note(alert, number) WHERE alert > 0;
CREATE INDEX alert_note_sign ON alert_note(sign, number) WHERE sign > 0;
CREATE INDEX alert_note_time ON alert_note(time);

-- State that the rules keep between two steps.
CREATE TABLE alert_entry(subject TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY(subject, rule)) STRICT, WITHOUT ROWID;
CREATE TABLE alert_common(id INTEGER PRIMARY KEY CHECK(id = 1), cursor INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
INSERT INTO alert_common VALUES(1, 0, '{}');

CREATE TABLE outbox(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  alert INTEGER NOT NULL,
  channel TEXT NOT NULL,
  "to" TEXT,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,               -- JSON
  made INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  state TEXT NOT NULL,              -- waiting, sent, undelivered
  answer TEXT
) STRICT;
CREATE INDEX outbox_waiting ON outbox(next_at) WHERE state = 'waiting';
CREATE INDEX outbox_alert ON outbox(alert, number);
CREATE INDEX outbox_channel ON outbox(channel, number);

-- Attempts to send a message, with their answers.
CREATE TABLE outbox_attempt(message TEXT NOT NULL, number INTEGER NOT NULL, time INTEGER NOT NULL, answer TEXT NOT NULL, PRIMARY KEY(message, number)) STRICT, WITHOUT ROWID;

-- Tasks that alerts start. The server requests each from its agents at least once, always under the same key.
CREATE TABLE follow_up(
  alert INTEGER PRIMARY KEY,
  made INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  state TEXT NOT NULL,              -- waiting, sent, undelivered
  answer TEXT,
  body TEXT NOT NULL                -- JSON
) STRICT;
CREATE INDEX follow_up_waiting ON follow_up(next_at) WHERE state = 'waiting';

CREATE TABLE rule(name TEXT PRIMARY KEY, version INTEGER NOT NULL, changed INTEGER NOT NULL, who TEXT NOT NULL, definition TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE rule_version(name TEXT NOT NULL, version INTEGER NOT NULL, time INTEGER NOT NULL, who TEXT NOT NULL, definition TEXT, PRIMARY KEY(name, version)) STRICT, WITHOUT ROWID;

CREATE TABLE hush(
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL,
  "from" INTEGER NOT NULL, until INTEGER NOT NULL,
  who TEXT NOT NULL, why TEXT,
  kind TEXT NOT NULL                -- snooze, maintenance
) STRICT;

-- Tasks of queues. `queue/schema.sql` replaces these tables.
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
  native TEXT NOT NULL DEFAULT '',  -- first 16 characters of its id in the queue, in lower case
  UNIQUE(root, id)
) STRICT;
CREATE INDEX queue_task_state ON queue_task(state, received);
CREATE INDEX queue_task_state_started ON queue_task(state, started);
CREATE INDEX queue_task_state_runtime ON queue_task(state, runtime);
CREATE INDEX queue_task_state_name ON queue_task(state, name, received, key, started, runtime);
CREATE INDEX queue_task_worker ON queue_task(worker, state, received, key, started, runtime, name);
CREATE INDEX queue_task_ids ON queue_task(native, id);
CREATE INDEX queue_task_phase ON queue_task(phase, state, received, key, started, runtime, name);

-- Number of tasks; triggers update it with each change of `queue_task`.
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
