-- Times are Unix µs.
CREATE TABLE command(
  number INTEGER PRIMARY KEY,
  id INTEGER NOT NULL UNIQUE,       -- 64 random bits
  method TEXT NOT NULL,
  arguments TEXT NOT NULL,          -- JSON
  created INTEGER NOT NULL,
  who TEXT NOT NULL,                -- who asked
  key TEXT,                         -- the Idempotency-Key that they gave
  request BLOB NOT NULL,            -- SHA-256 of what they asked
  timeout INTEGER NOT NULL,         -- in ms
  until INTEGER,                    -- none for one that isn't durable
  done INTEGER NOT NULL,
  counts TEXT NOT NULL,             -- JSON: workers by status
  bytes INTEGER NOT NULL,           -- what its lines take
  lines TEXT                        -- JSON, of one that isn't durable; none once it is forgotten
) STRICT;
CREATE UNIQUE INDEX command_key ON command(who, key) WHERE key IS NOT NULL;
CREATE INDEX command_open ON command(until) WHERE done = 0;
CREATE INDEX command_bytes ON command(number, bytes, done) WHERE bytes > 0;

-- What became of a durable command with each worker.
CREATE TABLE line(
  command INTEGER NOT NULL, place INTEGER NOT NULL,
  worker BLOB,                      -- who it is for, or who has taken it
  target TEXT,                      -- whoever has this name may take it; none if it is for that one worker
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  at INTEGER,                       -- when it was taken
  elapsed INTEGER,                  -- from then to the answer, in ns
  value TEXT,                       -- JSON
  error TEXT,
  PRIMARY KEY(command, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX line_worker ON line(worker, command) WHERE worker IS NOT NULL;
CREATE INDEX line_target ON line(target, command) WHERE target IS NOT NULL AND status = 'waiting';

-- Which workers a command is for that isn't durable, as long as its lines are kept.
CREATE TABLE meant(command INTEGER NOT NULL, worker BLOB NOT NULL, PRIMARY KEY(command, worker)) STRICT, WITHOUT ROWID;
CREATE INDEX meant_worker ON meant(worker, command);

-- Who has opened a worker's channel: SHA-256 of the key, and the worker's name at that time, `program@host`.
CREATE TABLE channel(number INTEGER PRIMARY KEY, worker BLOB NOT NULL UNIQUE, key BLOB NOT NULL, name TEXT) STRICT;

-- Tasks that workers that come later aren't to run.
CREATE TABLE revoked(number INTEGER PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
