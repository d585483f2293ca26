-- Events that wait until another one tells in which tree their process is.
CREATE TABLE waiting(
  id INTEGER NOT NULL,              -- of the process, as in `process`
  native INTEGER NOT NULL,          -- hash of the id that another system gave it
  worker INTEGER NOT NULL, number INTEGER NOT NULL, -- of the event
  since INTEGER NOT NULL,           -- when it came, by the server's clock, in Unix µs
  event TEXT NOT NULL,              -- JSON
  PRIMARY KEY(id, native, worker, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_since ON waiting(since);
