-- What a key is for, and when it was last used.
ALTER TABLE api_keys ADD COLUMN label TEXT NOT NULL DEFAULT ''; -- empty: none
ALTER TABLE api_keys ADD COLUMN last_used_on INTEGER;           -- the beginning of a day in UTC; NULL: never
