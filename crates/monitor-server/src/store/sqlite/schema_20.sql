-- Since when an agent is paused as a whole, and until when.
ALTER TABLE batch_agent ADD COLUMN paused_from INTEGER;
ALTER TABLE batch_agent ADD COLUMN paused_until INTEGER;

-- Of a paused task: 1 once somebody was told that it is paused for long, 2 once that pause was over. Any change of the task begins anew.
ALTER TABLE batch_task ADD COLUMN pause_told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batch_task_paused ON batch_task(pause_told, changed) WHERE status = 'paused';

-- Programs on hosts, as program@host, that were lost with work open and are not there again.
CREATE TABLE lost_worker(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- Tasks that alerts start, each asked of its agents at least once under the same key. Times are Unix µs.
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
