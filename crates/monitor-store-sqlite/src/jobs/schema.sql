-- Times are Unix µs. Numbers of removed rows are never used again.
CREATE TABLE host(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  definition TEXT NOT NULL,         -- JSON
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE job(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  status INTEGER NOT NULL,
  name TEXT NOT NULL,
  request_id TEXT,
  request TEXT NOT NULL,            -- JSON
  by TEXT NOT NULL,                 -- user or token that has started it
  created INTEGER NOT NULL,
  started INTEGER,
  ended INTEGER
) STRICT;
CREATE INDEX job_request ON job(request_id, created) WHERE request_id IS NOT NULL;
CREATE INDEX job_open ON job(id) WHERE ended IS NULL;
CREATE INDEX job_ended ON job(ended) WHERE ended IS NOT NULL;

CREATE TABLE step(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  status INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  batches INTEGER NOT NULL,
  started INTEGER,
  ended INTEGER,
  UNIQUE(job, position)
) STRICT;

CREATE TABLE target(
  job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  host INTEGER,                     -- none if there is no such host
  name TEXT NOT NULL,
  ip TEXT,
  cloud INTEGER NOT NULL,
  PRIMARY KEY(job, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_host ON target(host, job) WHERE host IS NOT NULL;

-- The hosts of the steps. One that still waits for its first start has no row.
CREATE TABLE run(
  job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE,
  step INTEGER NOT NULL,            -- position of the step
  position INTEGER NOT NULL,        -- position of the target
  status INTEGER NOT NULL,
  tag TEXT,
  state TEXT NOT NULL,              -- JSON
  PRIMARY KEY(job, step, position)
) STRICT, WITHOUT ROWID;

-- Changes that are not yet recorded as events. They have no reference to their job, so that its removal keeps them.
CREATE TABLE change(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  change TEXT NOT NULL              -- JSON
) STRICT;
