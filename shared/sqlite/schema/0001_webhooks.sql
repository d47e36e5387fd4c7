-- What the API keeps: webhooks, event types, API keys.
--
-- Times are milliseconds since 1970 in UTC. Every row belongs to a company; the empty company is the
-- platform. Text is stored exactly as sent and may contain NUL, so use no function that stops at one.

-- Webhooks. IDs ascend with the creation time, so listing a company's webhooks reads the unique index
-- from its start, and skipping to a later page reads only that index.
CREATE TABLE webhooks (
    number       INTEGER PRIMARY KEY,
    company      TEXT    NOT NULL,
    id           TEXT    NOT NULL, -- wh_ and a ULID
    name         TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    url          TEXT    NOT NULL,
    events       TEXT    NOT NULL, -- JSON array of event type names, in the order sent
    sealed_token BLOB    NOT NULL, -- encrypted; the token itself is never in this file
    version      INTEGER NOT NULL, -- counts changes, from 1
    created_at   INTEGER NOT NULL,
    UNIQUE (company, id)
) STRICT;

-- The webhooks that an event of a type goes to: one row for each element of webhooks.events.
CREATE TABLE subscriptions (
    company    TEXT NOT NULL,
    event_type TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    PRIMARY KEY (company, event_type, webhook_id)
) STRICT, WITHOUT ROWID;

-- The number of webhooks of a company, so that neither the list nor the quota has to count them.
CREATE TABLE counters (
    company  TEXT    PRIMARY KEY,
    webhooks INTEGER NOT NULL CHECK (webhooks >= 0)
) STRICT, WITHOUT ROWID;

-- Creations that succeeded with an Idempotency-Key. A record is valid until expires_at. Later creations
-- delete a few expired ones at a time.
CREATE TABLE idempotency_records (
    company    TEXT    NOT NULL,
    key        BLOB    NOT NULL, -- SHA-256 of the operation and the client's key
    body_hash  BLOB    NOT NULL, -- SHA-256 of the request's body
    webhook_id TEXT    NOT NULL, -- even if that webhook has been deleted since
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (company, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_records_by_expiry ON idempotency_records (expires_at);

-- Event types. Those of the platform have an empty company, the others are for their company only.
CREATE TABLE event_types (
    company     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    added_at    INTEGER NOT NULL,
    hidden      INTEGER NOT NULL CHECK (hidden IN (0, 1)), -- 1: removed, but existing webhooks keep it
    PRIMARY KEY (company, name)
) STRICT, WITHOUT ROWID;

-- API keys. Only the SHA-256 of a key is stored.
CREATE TABLE api_keys (
    hash        BLOB    PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE, -- key_, the company, _ and a ULID
    company     TEXT    NOT NULL,
    permissions TEXT    NOT NULL,        -- JSON array
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,                 -- NULL: never
    revoked_at  INTEGER                  -- NULL: not revoked
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_company ON api_keys (company, id);
