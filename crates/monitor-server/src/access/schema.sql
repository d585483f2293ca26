-- Times are Unix µs. What is secret is kept as a hash alone.
CREATE TABLE token(
  id TEXT PRIMARY KEY,              -- the part of it that may be shown
  name TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,               -- SHA-256 of its secret part, which is random
  scopes TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  used INTEGER                      -- to a minute
) STRICT;

CREATE TABLE user(
  name TEXT PRIMARY KEY,
  password TEXT NOT NULL,           -- argon2id, as a PHC string; empty for those who log in by a provider
  role TEXT NOT NULL,
  created INTEGER NOT NULL,
  issuer TEXT,                      -- the provider of OpenID Connect that they log in by
  subject TEXT                      -- by which it knows them
) STRICT;
CREATE UNIQUE INDEX user_identity ON user(issuer, subject);

CREATE TABLE session(
  hash BLOB PRIMARY KEY,            -- SHA-256 of what the cookie has, which is random
  user TEXT NOT NULL REFERENCES user(name) ON DELETE CASCADE,
  expires INTEGER NOT NULL
) STRICT;
CREATE INDEX session_user ON session(user);
CREATE INDEX session_expires ON session(expires);

CREATE TABLE audit(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  who TEXT NOT NULL,
  how TEXT NOT NULL,
  address TEXT,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL
) STRICT;

-- What `monitor open` prints, until a browser has come by it.
CREATE TABLE link(
  hash BLOB PRIMARY KEY,            -- SHA-256 of its secret part, which is random
  role TEXT NOT NULL,
  expires INTEGER NOT NULL
) STRICT;
