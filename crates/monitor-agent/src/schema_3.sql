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
