-- Heartbeats of jobs that run elsewhere. Times are Unix µs.
CREATE TABLE IF NOT EXISTS heartbeat(
  name TEXT PRIMARY KEY,
  key_hash BLOB NOT NULL UNIQUE,    -- SHA-256 of its key
  old_hash BLOB UNIQUE,             -- of the key before it,
  old_until INTEGER,                -- which is taken until then
  definition TEXT NOT NULL,         -- JSON
  created INTEGER NOT NULL,
  who TEXT NOT NULL,
  seen INTEGER,                     -- its last ping
  missed INTEGER                    -- when the ping was due that was last told to be missing
) STRICT, WITHOUT ROWID;
