-- What was stored last, and what bounds a search by time: one row.
CREATE TABLE counter(
  seq INTEGER NOT NULL,             -- number of the newest change
  events INTEGER NOT NULL,          -- stored since the database began
  root INTEGER NOT NULL,            -- the newest root's number
  longest INTEGER NOT NULL,         -- the most that any process began after its root's base, in µs
  earliest INTEGER NOT NULL,        -- the most that any process began before it
  rolled INTEGER NOT NULL           -- the first minute whose sums are not in those of hours and days yet
) STRICT;
INSERT INTO counter VALUES(0, 0, 0, 0, 0, 0);

-- Every text once. The index is over a hash, for texts may be long.
CREATE TABLE text(id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, value TEXT NOT NULL, found INTEGER NOT NULL) STRICT;
CREATE INDEX text_hash ON text(hash);
-- The parts of those that are searched for: names, batch marks and messages of errors.
CREATE VIRTUAL TABLE text_parts USING fts5(value, content='', tokenize='trigram', detail=none, columnsize=0);

-- What and where a process is in its program. file and line are 0 where they are unknown.
CREATE TABLE site(id INTEGER PRIMARY KEY, name INTEGER NOT NULL, kind INTEGER NOT NULL, file INTEGER NOT NULL, line INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX site_key ON site(name, kind, file, line);

-- Who runs a process. thread is 0 where it is unknown.
CREATE TABLE origin(id INTEGER PRIMARY KEY, worker INTEGER NOT NULL, thread INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX origin_key ON origin(worker, thread);

CREATE TABLE worker(
  key INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  state INTEGER NOT NULL,           -- 0 online, 1 offline, 2 lost
  offline INTEGER,                  -- when it said goodbye
  last_seen INTEGER NOT NULL,       -- by the server's clock
  lag INTEGER,                      -- by how much its clock is behind the server's, in µs, as its quickest batch tells
  due INTEGER,                      -- when it is lost unless it is heard of; none for those that are not watched
  open INTEGER NOT NULL,            -- how many rows `open` has of it
  applied BLOB NOT NULL,            -- ranges of its event numbers
  facts BLOB NOT NULL               -- JSON
) STRICT;
-- How many of a worker's events are stored, by type.
CREATE TABLE worker_events(worker INTEGER NOT NULL, type INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(worker, type)) STRICT, WITHOUT ROWID;
CREATE INDEX worker_due ON worker(due) WHERE due IS NOT NULL;

CREATE TABLE dropped(
  worker INTEGER NOT NULL, type TEXT NOT NULL, reason TEXT NOT NULL,
  root BLOB NOT NULL,               -- empty for all trees that are not counted apart
  count INTEGER NOT NULL,
  PRIMARY KEY(worker, type, reason, root)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_root ON dropped(root, type, reason);

-- A root shows its face: its own process, or as long as that is unknown the earliest one. Times are µs after `base`, which is the
-- time of what was first heard of it and never changes.
CREATE TABLE root(
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  base INTEGER NOT NULL,            -- Unix µs
  last INTEGER NOT NULL,            -- when its last process began
  process INTEGER, own INTEGER NOT NULL, at INTEGER NOT NULL,
  name INTEGER NOT NULL, batch INTEGER, worker INTEGER, state INTEGER NOT NULL,
  started INTEGER, ended INTEGER, elapsed INTEGER,
  error INTEGER, cause INTEGER,     -- its message, and all else about it
  pending INTEGER NOT NULL, running INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL, lost INTEGER NOT NULL, other INTEGER NOT NULL,
  pinned INTEGER NOT NULL           -- no rule drops it
) STRICT;
CREATE INDEX root_name ON root(name);
CREATE INDEX root_batch ON root(batch) WHERE batch IS NOT NULL;
CREATE INDEX root_worker ON root(worker) WHERE worker IS NOT NULL;
CREATE INDEX root_state ON root(state);
CREATE INDEX root_base ON root(base);
CREATE INDEX root_error ON root(error) WHERE error IS NOT NULL;

-- id and parent have their top bit turned, so that SQLite orders them as the unsigned numbers that they are.
CREATE TABLE process(
  root INTEGER NOT NULL, id INTEGER NOT NULL,
  parent INTEGER, site INTEGER, origin INTEGER,
  at INTEGER NOT NULL,              -- its start as far as that is known, in µs after the root's base
  skew INTEGER,                     -- its end is at + elapsed / 1000 + skew; none if it has not ended
  elapsed INTEGER, state INTEGER NOT NULL,
  start_no INTEGER, end_no INTEGER, -- numbers of the events
  error INTEGER, cause INTEGER,     -- message of its error, and all else about it
  batch INTEGER,
  more BLOB,                        -- all its facts as JSON, where the columns don't say them all
  PRIMARY KEY(root, id)
) STRICT, WITHOUT ROWID;

-- What few processes need is no index of `process`, which every row would pay for. Those that failed with an error:
CREATE TABLE failed(
  root INTEGER NOT NULL,
  ended INTEGER NOT NULL,           -- in µs after the root's base
  id INTEGER NOT NULL, parent INTEGER,
  PRIMARY KEY(root, ended, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX failed_parent ON failed(root, parent);
-- Those of kinds that are rare:
CREATE TABLE rare(kind INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(kind, root, id)) STRICT, WITHOUT ROWID;

-- The processes whose state depends on their worker's.
CREATE TABLE open(worker INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(worker, root, id)) STRICT, WITHOUT ROWID;

-- Of these, the ones that run for longer than they should, and since when.
CREATE TABLE overdue(root INTEGER NOT NULL, id INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY(root, id)) STRICT, WITHOUT ROWID;

-- What processes said. worker and number are those of the event, about is the worker that it tells of if that is another.
CREATE TABLE log(
  root INTEGER NOT NULL, process INTEGER NOT NULL, time INTEGER NOT NULL, worker INTEGER NOT NULL, number INTEGER NOT NULL,
  about INTEGER, level INTEGER NOT NULL, target INTEGER, stream INTEGER, message TEXT NOT NULL,
  fields BLOB,                      -- JSON
  PRIMARY KEY(root, process, time, worker, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_time ON log(root, time);
-- How many lines `log` has of each process that said any, and how many it has not: those between the last one of the head (h_) and the
-- first one of the tail (t_), which are null as long as all are kept. head: how many there are up to that last one.
CREATE TABLE log_kept(
  root INTEGER NOT NULL, process INTEGER NOT NULL, kept INTEGER NOT NULL, missing INTEGER NOT NULL, head INTEGER NOT NULL,
  h_time INTEGER, h_worker INTEGER, h_number INTEGER, t_time INTEGER, t_worker INTEGER, t_number INTEGER,
  PRIMARY KEY(root, process)
) STRICT, WITHOUT ROWID;

-- Events of unknown types, as they came.
CREATE TABLE unknown(worker INTEGER NOT NULL, number INTEGER NOT NULL, type INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(worker, number)) STRICT, WITHOUT ROWID;

-- Sums that are asked for all the time. what: 0 roots by state, 1 processes by state, 2 workers by state, 3 unknown events by type
CREATE TABLE tally(what INTEGER NOT NULL, of INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(what, of)) STRICT, WITHOUT ROWID;

-- Numbers of roots that are dropped while rows of them are still there.
CREATE TABLE leaving(root INTEGER PRIMARY KEY) STRICT;

-- Roots by name and state.
CREATE TABLE root_count(name INTEGER NOT NULL, state INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(name, state)) STRICT, WITHOUT ROWID;

-- Finished processes by when they ended, name and state, and lost ones by when they began; name 0 is all names together. level:
-- 0 minutes, 1 hours, 2 days, 3 spans of 32 days; t: how many of these since 1970. The longer ones get a minute when it is over.
CREATE TABLE rollup(
  level INTEGER NOT NULL, t INTEGER NOT NULL, name INTEGER NOT NULL, state INTEGER NOT NULL,
  sums BLOB NOT NULL,               -- count, durations, histogram
  PRIMARY KEY(level, t, name, state)
) STRICT, WITHOUT ROWID;

-- Sums of shorter times go first. t: the first one of a level that is sure to be there.
CREATE TABLE sums_from(level INTEGER PRIMARY KEY, t INTEGER NOT NULL) STRICT;

-- Failures by when they ended, shape of their error's message, and name. level: 1 hours, 2 days, 3 spans of 32 days. last, root and
-- id: the newest of them, root 0 if that one did not fail after all; message: its own.
CREATE TABLE failure(
  level INTEGER NOT NULL, t INTEGER NOT NULL, shape INTEGER NOT NULL, name INTEGER NOT NULL,
  count INTEGER NOT NULL, last INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, message INTEGER NOT NULL,
  PRIMARY KEY(level, t, shape, name)
) STRICT, WITHOUT ROWID;
