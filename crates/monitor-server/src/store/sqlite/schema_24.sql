-- Each index has the state, so that tasks of a state are listed in any order. Tasks of all states are merged from those of each, and tasks of a
-- queue from those of its names and states, which `queue_count` has.
DROP INDEX queue_task_received;
DROP INDEX queue_task_started;
DROP INDEX queue_task_runtime;
DROP INDEX queue_task_name;
DROP INDEX queue_task_phase;
DROP INDEX queue_task_queue;
DROP INDEX queue_task_worker;
CREATE INDEX queue_task_state_started ON queue_task(state, started);
CREATE INDEX queue_task_state_runtime ON queue_task(state, runtime);
CREATE INDEX queue_task_phase ON queue_task(phase, state, received);
-- These two have all columns that tasks are sorted by.
CREATE INDEX queue_task_state_name ON queue_task(state, name, received, key, started, runtime);
CREATE INDEX queue_task_worker ON queue_task(worker, state, received, key, started, runtime, name);
