-- Runs of jobs that the server has ordered. Ended ones stay until the server has all reports, a day has passed and the order has expired.
CREATE TABLE job_run (
    job INTEGER NOT NULL,
    step INTEGER NOT NULL,
    host INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- As `monitor_wire::JobOrder` is written; none after the end, or if the database with the order was lost.
    job_order TEXT,
    -- `accepted`, `started` or `ended`.
    state TEXT NOT NULL,
    is_stopped INTEGER NOT NULL DEFAULT 0,
    -- How it ended, as `monitor_wire::JobReportEvent` is written.
    ended TEXT,
    -- Time of the last change.
    changed_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (job, step, host, attempt)
) STRICT;
CREATE INDEX job_run_open ON job_run (job) WHERE state != 'ended';
-- Reports that the server has not taken yet.
CREATE TABLE job_report (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    -- As `monitor_wire::JobReport` is written.
    report TEXT NOT NULL
) STRICT;
