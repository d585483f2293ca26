-- Processes that have an id of another system: their rows have it, found here by a hash of it.
CREATE TABLE native(hash INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(hash, root, id)) STRICT, WITHOUT ROWID;
