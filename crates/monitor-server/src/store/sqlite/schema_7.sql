-- When something of a tree came last, by the server's clock, in seconds after its base: what its age counts from.
ALTER TABLE root ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
UPDATE root SET heard = max(last, coalesce(ended, 0)) / 1000000;

-- What all workers dropped: the counts of `dropped`, together.
CREATE TABLE dropped_sum(type TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(type, reason)) STRICT, WITHOUT ROWID;
INSERT INTO dropped_sum SELECT type, reason, CAST(min(total(count), 9.2e18) AS INTEGER) FROM dropped GROUP BY type, reason;
