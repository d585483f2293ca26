-- Processes with links to others of other trees, by a hash of tree and id of those.
CREATE TABLE linked(hash INTEGER NOT NULL, root INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(hash, root, id)) STRICT, WITHOUT ROWID;
