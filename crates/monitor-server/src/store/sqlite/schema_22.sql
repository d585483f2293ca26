-- Runs are found by their result code. Older servers have left it out where it is the exit code of the command.
DROP INDEX batch_run_exit;
CREATE INDEX batch_run_code ON batch_run(coalesce(result_code, exit_code), due, run);
