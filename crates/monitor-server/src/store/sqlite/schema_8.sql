-- Trees of which a process began more than 32 days from the base: `counter` bounds only the others, so these are looked at beside them.
CREATE TABLE wide(root INTEGER PRIMARY KEY) STRICT;
INSERT INTO wide SELECT number FROM root WHERE last > 2764800000000 OR abs(at) > 2764800000000;
UPDATE counter SET longest = min(longest, 2764800000000), earliest = min(earliest, 2764800000000);
