-- Id of the job's tree. It differs for two jobs of one number, as after a restore of the server. None before this schema, and for orders that were refused.
ALTER TABLE job_run ADD COLUMN root TEXT;
