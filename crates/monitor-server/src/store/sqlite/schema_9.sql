-- Workers that never announced themselves are offline 15 minutes after their last word, if nothing of them is open.
UPDATE worker SET due = last_seen + 900000000
WHERE due IS NULL AND state = 0 AND open = 0 AND json_extract(CAST(facts AS TEXT), '$.online') IS NULL;
