-- Tasks that the agent has, and since when.
CREATE TABLE task (
    name TEXT PRIMARY KEY,
    -- The file that defines it; empty if the server keeps it.
    file TEXT NOT NULL,
    version INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    paused_from_us INTEGER,
    paused_until_us INTEGER
) STRICT;
-- Each definition that a task ever had, as JSON.
CREATE TABLE version (
    task TEXT NOT NULL,
    version INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (task, version)
) STRICT;
-- What is decided of each task, as `monitor_tasks::TaskLedger` is written.
CREATE TABLE ledger (task TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
-- What belongs to no task.
CREATE TABLE agent (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
-- Each run that was told to start.
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    due_us INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- As `monitor_tasks::Trigger` is written.
    cause TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    told_us INTEGER NOT NULL,
    started_us INTEGER,
    ended_us INTEGER,
    outcome TEXT,
    exit_code INTEGER,
    result_code INTEGER,
    signal INTEGER,
    reason TEXT,
    words TEXT,
    -- Its files are moved to this folder of history.
    publication TEXT,
    -- 0 after its folder was removed.
    has_folder INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX run_with_folder ON run (told_us) WHERE has_folder = 1;
CREATE INDEX run_by_time ON run (told_us);
CREATE INDEX run_by_task ON run (task, due_us);
-- Due times at which nothing was started, and why.
CREATE TABLE decision (
    number INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    task TEXT NOT NULL,
    version INTEGER NOT NULL,
    what TEXT NOT NULL,
    reason TEXT NOT NULL,
    first_due_us INTEGER NOT NULL,
    last_due_us INTEGER NOT NULL,
    count INTEGER NOT NULL,
    run TEXT,
    blocked_by TEXT
) STRICT;
CREATE INDEX decision_by_task ON decision (task, first_due_us);
-- What a person or program asks of the agent, as JSON, and its answer.
CREATE TABLE request (
    number INTEGER PRIMARY KEY,
    until_us INTEGER NOT NULL,
    by TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT
) STRICT;
-- Events that the server has not taken yet.
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Who tells, as `monitor_wire::WorkerRef` is written.
    worker TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    event TEXT NOT NULL,
    -- It may have reached the server: it stays as it is.
    is_sent INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Number of the last event of each who tells.
CREATE TABLE teller (
    worker TEXT PRIMARY KEY,
    last INTEGER NOT NULL,
    -- Its events that were given up, as `monitor_wire::Dropped` is written.
    dropped TEXT
) STRICT;
-- What was published, the newest last.
CREATE TABLE publication (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time_us INTEGER NOT NULL,
    task TEXT NOT NULL,
    -- Name of the target in the task's definition.
    target TEXT NOT NULL,
    -- As `monitor_tasks::definition::Target` is written.
    definition TEXT NOT NULL,
    -- The run whose files these are.
    run TEXT NOT NULL,
    by TEXT NOT NULL,
    -- The folder that the target's link leads to; none for other targets.
    content TEXT,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    -- Number of the publication that is published again.
    restores INTEGER,
    -- `begun`, `done` or `failed`.
    state TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX publication_by_task ON publication (task, number);
