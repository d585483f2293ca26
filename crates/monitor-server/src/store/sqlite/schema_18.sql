-- Alerts. Times are Unix µs.

-- Events that may matter to a rule, each written in the transaction of its event.
CREATE TABLE sign(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  cause TEXT NOT NULL,              -- or what ends one
  subject TEXT NOT NULL,            -- kind:name
  root TEXT, process TEXT,          -- ids
  agent TEXT,
  detail TEXT NOT NULL              -- JSON
) STRICT;
CREATE INDEX sign_time ON sign(time);
CREATE INDEX sign_root ON sign(root) WHERE root IS NOT NULL;

-- The agents, and the worker that each was last.
CREATE TABLE agent_heard(name TEXT PRIMARY KEY, worker TEXT NOT NULL, away INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE alert(
  id INTEGER PRIMARY KEY,
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  cause TEXT NOT NULL,
  severity TEXT NOT NULL,
  state TEXT NOT NULL,
  since INTEGER NOT NULL, resolved INTEGER,
  count INTEGER NOT NULL,
  root TEXT, process TEXT,
  acknowledged_by TEXT,
  detail TEXT NOT NULL              -- JSON, all of it
) STRICT;
CREATE INDEX alert_state ON alert(state, id);
CREATE INDEX alert_subject ON alert(subject, id);

-- Decisions, those to tell nobody as well.
CREATE TABLE alert_note(
  number INTEGER PRIMARY KEY,
  alert INTEGER NOT NULL, sign INTEGER NOT NULL, -- 0 for none
  time INTEGER NOT NULL,
  rule TEXT NOT NULL,
  what TEXT NOT NULL,
  who TEXT,
  detail TEXT
) STRICT;
CREATE INDEX alert_note_alert ON alert_note(alert, number) WHERE alert > 0;
CREATE INDEX alert_note_sign ON alert_note(sign, number) WHERE sign > 0;
CREATE INDEX alert_note_time ON alert_note(time);

-- What is remembered between steps.
CREATE TABLE alert_entry(subject TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY(subject, rule)) STRICT, WITHOUT ROWID;
CREATE TABLE alert_common(id INTEGER PRIMARY KEY CHECK(id = 1), cursor INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
INSERT INTO alert_common VALUES(1, 0, '{}');

CREATE TABLE outbox(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  alert INTEGER NOT NULL,
  channel TEXT NOT NULL,
  "to" TEXT,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,               -- JSON
  made INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  state TEXT NOT NULL,              -- waiting, sent, undelivered
  answer TEXT
) STRICT;
CREATE INDEX outbox_waiting ON outbox(next_at) WHERE state = 'waiting';
CREATE INDEX outbox_alert ON outbox(alert, number);
CREATE INDEX outbox_channel ON outbox(channel, number);

-- Each attempt with its answer.
CREATE TABLE outbox_attempt(message TEXT NOT NULL, number INTEGER NOT NULL, time INTEGER NOT NULL, answer TEXT NOT NULL, PRIMARY KEY(message, number)) STRICT, WITHOUT ROWID;

CREATE TABLE rule(name TEXT PRIMARY KEY, version INTEGER NOT NULL, changed INTEGER NOT NULL, who TEXT NOT NULL, definition TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE rule_version(name TEXT NOT NULL, version INTEGER NOT NULL, time INTEGER NOT NULL, who TEXT NOT NULL, definition TEXT, PRIMARY KEY(name, version)) STRICT, WITHOUT ROWID;

CREATE TABLE hush(
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL,
  "from" INTEGER NOT NULL, until INTEGER NOT NULL,
  who TEXT NOT NULL, why TEXT,
  kind TEXT NOT NULL                -- snooze, maintenance
) STRICT;
