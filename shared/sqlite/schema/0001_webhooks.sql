-- What the API keeps: webhooks, event types, API keys.
--
-- Times are milliseconds since 1970 in UTC. Companies own everything; the empty company is the
-- platform. Text is exactly what was sent, NUL included, so use no function here that stops at one.

-- A webhook. The id ascends with the time of making, so a company's list is the unique index read
-- from its start, and skipping to a later page reads that index alone.
CREATE TABLE webhooks (
    number       INTEGER PRIMARY KEY,
    company      TEXT    NOT NULL,
    id           TEXT    NOT NULL, -- wh_ and a ULID
    name         TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    url          TEXT    NOT NULL,
    events       TEXT    NOT NULL, -- JSON array of event type names, in the order sent
    sealed_token BLOB    NOT NULL, -- encrypted; this file never has the token
    version      INTEGER NOT NULL, -- counts changes, from 1
    created_at   INTEGER NOT NULL,
    UNIQUE (company, id)
) STRICT;

-- Which webhooks an event of a type goes to: one row for each entry of webhooks.events.
CREATE TABLE subscriptions (
    company    TEXT NOT NULL,
    event_type TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    PRIMARY KEY (company, event_type, webhook_id)
) STRICT, WITHOUT ROWID;

-- How many webhooks a company has, so that neither the list nor the quota has to count them.
CREATE TABLE counters (
    company  TEXT    PRIMARY KEY,
    webhooks INTEGER NOT NULL CHECK (webhooks >= 0)
) STRICT, WITHOUT ROWID;

-- Creations that succeeded under an Idempotency-Key. A record is live while expires_at is in the
-- future; expired ones are removed a few at a time by later creations.
CREATE TABLE idempotency_records (
    company    TEXT    NOT NULL,
    key        BLOB    NOT NULL, -- SHA-256 of the operation and the client's key
    body_hash  BLOB    NOT NULL, -- SHA-256 of the request's body
    webhook_id TEXT    NOT NULL, -- also when that webhook has been deleted since
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (company, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_records_by_expiry ON idempotency_records (expires_at);

-- Event types: the platform's under the empty company, others under the one that may use them.
CREATE TABLE event_types (
    company     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    added_at    INTEGER NOT NULL,
    hidden      INTEGER NOT NULL CHECK (hidden IN (0, 1)), -- 1: removed, but webhooks keep it
    PRIMARY KEY (company, name)
) STRICT, WITHOUT ROWID;

-- API keys. The key itself is nowhere, its SHA-256 alone.
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
