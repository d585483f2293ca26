-- Callbacks of jobs and their deliveries.
CREATE TABLE callback(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE,
  body TEXT NOT NULL,               -- JSON
  attempts INTEGER NOT NULL,
  answer TEXT,
  tried INTEGER,
  next INTEGER,                     -- time of the next attempt; none after the end
  is_delivered INTEGER NOT NULL
) STRICT;
CREATE INDEX callback_job ON callback(job, id);
CREATE INDEX callback_waiting ON callback(job, id) WHERE next IS NOT NULL;
