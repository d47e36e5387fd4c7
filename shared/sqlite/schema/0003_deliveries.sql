-- Events and their deliveries, and the lanes of webhooks.

-- Numbers of webhooks are never reused, so the remaining deliveries of a deleted webhook never belong to a new one. The columns
-- from failures on are the webhook's lane. Their times are 0 if there is none.
CREATE TABLE webhooks_with_lanes (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    company         TEXT    NOT NULL,
    id              TEXT    NOT NULL, -- wh_ and a ULID
    name            TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    events          TEXT    NOT NULL, -- JSON array of event type names, in the order sent
    sealed_token    BLOB    NOT NULL, -- encrypted; the token itself is never in this file
    version         INTEGER NOT NULL, -- counts changes, from 1
    created_at      INTEGER NOT NULL,
    failures        INTEGER NOT NULL DEFAULT 0, -- failed attempts since the last success
    first_failure   INTEGER NOT NULL DEFAULT 0, -- when the first of them ended
    failing_since   INTEGER NOT NULL DEFAULT 0, -- 0: not failing
    probe_at        INTEGER NOT NULL DEFAULT 0, -- while failing: the time of the next attempt
    probes          INTEGER NOT NULL DEFAULT 0, -- while failing: how many attempts have failed
    paused_until    INTEGER NOT NULL DEFAULT 0,
    disabled_reason TEXT    NOT NULL DEFAULT '', -- empty: enabled
    held_before     INTEGER NOT NULL DEFAULT 0, -- unfinished deliveries of events accepted earlier are held
    UNIQUE (company, id)
) STRICT;

INSERT INTO webhooks_with_lanes (number, company, id, name, description, url, events, sealed_token, version, created_at)
SELECT number, company, id, name, description, url, events, sealed_token, version, created_at FROM webhooks ORDER BY number;

DROP TABLE webhooks;
ALTER TABLE webhooks_with_lanes RENAME TO webhooks;

-- The webhooks that subscribe to a type, by number, which is the order of the fan-out.
DROP TABLE subscriptions;
CREATE TABLE subscriptions (
    company    TEXT    NOT NULL,
    event_type TEXT    NOT NULL,
    webhook    INTEGER NOT NULL,
    PRIMARY KEY (company, event_type, webhook)
) STRICT, WITHOUT ROWID;

INSERT INTO subscriptions SELECT company, value, number FROM webhooks, json_each(events);

-- Events. A number is the time at which the event was accepted, times 2^20, plus a count, so that ranges of time are ranges of
-- numbers.
CREATE TABLE events (
    number      INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE, -- evt_ and a ULID
    company     TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    key         TEXT    NOT NULL, -- the publisher's own ID; empty: none
    timestamp   INTEGER NOT NULL, -- when it happened
    sent        BLOB    NOT NULL, -- SHA-256 of what the publisher sent
    fan_out_at  INTEGER,          -- the last webhook that has a delivery; NULL: fan-out is complete
    fan_out_end INTEGER,          -- the last webhook when the event was accepted; NULL: fan-out is complete
    body        BLOB    NOT NULL  -- what receivers get
) STRICT;

CREATE INDEX events_to_fan_out ON events (company, number) WHERE fan_out_end IS NOT NULL;

-- Deliveries. Numbers ascend in the order in which deliveries become visible, and are never reused. A delivery whose webhook or
-- event does not exist will be deleted.
CREATE TABLE deliveries (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook  INTEGER NOT NULL,
    event    INTEGER NOT NULL,
    status   INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2), -- pending, delivered, failed
    due      INTEGER,                    -- when the next attempt is due; 0: it waits for its lane; NULL: finished
    step     INTEGER NOT NULL DEFAULT 0, -- of the schedule
    made     INTEGER NOT NULL DEFAULT 0, -- attempts
    granted  INTEGER NOT NULL DEFAULT 0 CHECK (granted IN (0, 1)), -- 1: a client requested the next attempt
    attempts BLOB                        -- the latest ones; NULL: none
) STRICT;

CREATE UNIQUE INDEX deliveries_by_event ON deliveries (webhook, event);
CREATE INDEX deliveries_unfinished ON deliveries (webhook, due) WHERE due IS NOT NULL;
CREATE INDEX deliveries_granted ON deliveries (webhook) WHERE granted = 1;

-- Webhooks that were deleted and may still have deliveries.
CREATE TABLE deleted_webhooks (
    number INTEGER PRIMARY KEY
) STRICT;
