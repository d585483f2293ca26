-- The log of events: what the stream has told, a piece for each transaction.
CREATE TABLE event_log(
  first INTEGER PRIMARY KEY,        -- number of the first event
  last INTEGER NOT NULL,            -- and of the last
  time INTEGER NOT NULL,            -- when it was stored, by the server's clock, in Unix µs
  piece BLOB NOT NULL               -- as store/event_log.rs has it
) STRICT;
ALTER TABLE counter ADD COLUMN logged INTEGER NOT NULL DEFAULT 0; -- bytes of the log of events
-- How far readers inside the server are: number of the last event that each is done with.
CREATE TABLE cursor(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
