-- Batch tasks. Times are Unix µs.
CREATE TABLE batch_task(
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  revision INTEGER NOT NULL UNIQUE, -- of all tasks, the last change has the greatest
  status TEXT NOT NULL,
  until INTEGER,                    -- until when it is paused, if that was said
  agent TEXT,                       -- whose files define it; none if the server keeps it
  changed INTEGER NOT NULL,
  who TEXT,
  definition TEXT NOT NULL          -- JSON
) STRICT, WITHOUT ROWID;
CREATE TABLE batch_version(
  task TEXT NOT NULL, version INTEGER NOT NULL,
  time INTEGER NOT NULL,
  who TEXT,
  status TEXT NOT NULL,
  definition TEXT NOT NULL,         -- JSON
  PRIMARY KEY(task, version)
) STRICT, WITHOUT ROWID;

-- Runs, folded from the events of their processes. They stay when their trees are dropped.
CREATE TABLE batch_run(
  task TEXT NOT NULL, due INTEGER NOT NULL,
  run TEXT NOT NULL,                -- its native id
  version INTEGER NOT NULL,
  agent TEXT,
  trigger TEXT NOT NULL,
  who TEXT,                         -- who asked for it
  root TEXT NOT NULL, process TEXT NOT NULL, -- ids
  started INTEGER, ended INTEGER,
  elapsed INTEGER,                  -- ns
  outcome TEXT NOT NULL,            -- the state of its process
  exit_code INTEGER, result_code INTEGER, signal INTEGER,
  reason TEXT, error TEXT,
  PRIMARY KEY(task, due, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_run_due ON batch_run(due, run);
CREATE INDEX batch_run_exit ON batch_run(exit_code, due, run);
CREATE INDEX batch_run_outcome ON batch_run(outcome, due, run);
CREATE INDEX batch_run_agent ON batch_run(agent, due, run);

-- Due times without a run, as agents told of them.
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

-- Until when each agent has decided.
CREATE TABLE batch_agent(name TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
