-- What was given up of each who tells, as `monitor_wire::Dropped` is written.
ALTER TABLE teller ADD COLUMN dropped TEXT;
