-- Grants to run jobs on hosts, as JSON.
ALTER TABLE token ADD COLUMN jobs TEXT;
ALTER TABLE user ADD COLUMN jobs TEXT;
