-- The event log, and the operational tables beside it. Operational tables are not projections: they
-- are not in the log, are never rebuilt, and go into the backup.

-- :query create
CREATE SCHEMA IF NOT EXISTS personakit;

-- All that happened. `position` is the total order; a reader that has seen N has seen all below N.
-- `person` is a random surrogate. The primary key is also what makes a repeated delivery harmless:
-- an observation's stream is the id that the client gave it, and its only version is 1.
CREATE TABLE IF NOT EXISTS personakit.events (
    tenant      text        NOT NULL,
    kind        text        NOT NULL,
    stream      uuid        NOT NULL,
    version     bigint      NOT NULL CHECK (version > 0),
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    append_id   uuid        NOT NULL,
    person      uuid,
    topic       text        NOT NULL,
    state       bytea       NOT NULL,
    PRIMARY KEY (tenant, kind, stream, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS events_position ON personakit.events (position);

-- One row: the life of this log, and the secret that signs what leaves it.
CREATE TABLE IF NOT EXISTS personakit.log_identity (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    uuid        NOT NULL DEFAULT gen_random_uuid(),
    secret   bytea       NOT NULL DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO personakit.log_identity DEFAULT VALUES ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS personakit.tenants (
    tenant     text        PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A person's caller-given id, the surrogate that the log knows, and their key: they die together.
CREATE TABLE IF NOT EXISTS personakit.person_keys (
    tenant     text        NOT NULL REFERENCES personakit.tenants,
    person_id  text        NOT NULL,
    person     uuid        NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    key        bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, person_id)
);

CREATE TABLE IF NOT EXISTS personakit.api_keys (
    prefix     text        PRIMARY KEY,
    tenant     text        NOT NULL REFERENCES personakit.tenants,
    hash       bytea       NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- Every definition of a projection has a schema of its own; readers use the active one.
CREATE TABLE IF NOT EXISTS personakit.projections (
    name       text        NOT NULL,
    definition text        NOT NULL,
    schema     text        NOT NULL UNIQUE,
    position   bigint      NOT NULL DEFAULT 0,
    active     boolean     NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, definition)
);
CREATE UNIQUE INDEX IF NOT EXISTS projections_active ON personakit.projections (name) WHERE active;

-- Streams that stand still in one definition of a projection, because it cannot take the event named.
CREATE TABLE IF NOT EXISTS personakit.quarantine (
    schema         text        NOT NULL,
    tenant         text        NOT NULL,
    kind           text        NOT NULL,
    stream         uuid        NOT NULL,
    position       bigint      NOT NULL,
    error          text        NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schema, tenant, kind, stream)
);

-- A batch of events as a follower hands it to a projection: one JSON array, read as rows.
CREATE OR REPLACE FUNCTION personakit.events_of(batch jsonb)
RETURNS TABLE ("position" bigint, recorded_at timestamptz, tenant text, stream uuid, version bigint,
               person uuid, payload jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e."position", e.recorded_at, e.tenant, e.stream, e.version, e.person, e.payload
    FROM jsonb_to_recordset(batch) AS e("position" bigint, recorded_at timestamptz, tenant text,
                                        stream uuid, version bigint, person uuid, payload jsonb)
$$;

-- :query lock
-- Held to the end of the transaction. Without it a transaction that took an early position could
-- commit after a later one, and a reader would pass over it for good; a sequence alone has that fault,
-- and gaps besides. A table lock would do, but blocks vacuum. It is a statement of its own, before the
-- insert, so that the insert's snapshot is taken when the transaction before has committed.
SELECT pg_advisory_xact_lock(7165064741)

-- :query insert
WITH head AS MATERIALIZED (
    SELECT coalesce(max(last.position), 0) AS position,
           greatest(clock_timestamp(), max(last.recorded_at) + interval '1 microsecond') AS now
    FROM (SELECT position, recorded_at FROM personakit.events ORDER BY position DESC LIMIT 1) AS last
)
INSERT INTO personakit.events (tenant, kind, stream, version, position, recorded_at, append_id, person, topic, state)
SELECT n.tenant, n.kind, n.stream, n.version, head.position + n.ordinal,
       head.now + (n.ordinal - 1) * interval '1 microsecond', %(append_id)s, n.person, n.topic, n.state
FROM unnest(%(tenants)s::text[], %(kinds)s::text[], %(streams)s::uuid[], %(versions)s::bigint[],
            %(people)s::uuid[], %(topics)s::text[], %(states)s::bytea[])
     WITH ORDINALITY AS n(tenant, kind, stream, version, person, topic, state, ordinal), head
ORDER BY n.ordinal
ON CONFLICT (tenant, kind, stream, version) DO NOTHING

-- :query stored
-- The rows that stand at the keys of an append, whoever wrote them.
SELECT n.ordinal, e.position, e.append_id, e.topic, e.state, e.person
FROM unnest(%(tenants)s::text[], %(kinds)s::text[], %(streams)s::uuid[], %(versions)s::bigint[])
     WITH ORDINALITY AS n(tenant, kind, stream, version, ordinal)
JOIN personakit.events AS e USING (tenant, kind, stream, version)
ORDER BY n.ordinal

-- :query stream
SELECT * FROM personakit.events
WHERE tenant = %(tenant)s AND kind = %(kind)s AND stream = %(stream)s
  AND version > %(gt)s AND version <= coalesce(%(lte)s, 9223372036854775807)
ORDER BY version
LIMIT %(limit)s

-- :query stream_backwards
SELECT * FROM personakit.events
WHERE tenant = %(tenant)s AND kind = %(kind)s AND stream = %(stream)s
  AND version > %(gt)s AND version <= coalesce(%(lte)s, 9223372036854775807)
ORDER BY version DESC
LIMIT %(limit)s

-- :query notifications
SELECT * FROM personakit.events
WHERE position > %(after)s AND position <= coalesce(%(stop)s, 9223372036854775807)
  AND (%(topics)s::text[] IS NULL OR topic = ANY (%(topics)s::text[]))
ORDER BY position
LIMIT %(limit)s

-- :query batch
-- The next events for a follower: at most `limit`, and no more bytes than fit into one parameter; one
-- event at least, however large.
SELECT * FROM (
    SELECT e.*, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (SELECT * FROM personakit.events WHERE position > %(after)s ORDER BY position LIMIT %(limit)s) AS e
) AS next
WHERE bytes_before < 16 * 1024 * 1024
ORDER BY position

-- :query head
SELECT max(position) AS position FROM personakit.events

-- :query recorded_at
-- When the newest event at or below a position was recorded: positions have gaps.
SELECT recorded_at FROM personakit.events WHERE position <= %(position)s ORDER BY position DESC LIMIT 1

-- :query position_at
-- The position of the newest event recorded at or before an instant; 0 for none. `recorded_at` rises
-- strictly with position, so a binary search finds it in as many steps as the head has bits, each one look
-- into the index on position (there is none on time). The answer lies from `low` to `high`, both included;
-- where no event stands at or below `middle`, nothing there is too new.
WITH RECURSIVE search(low, high) AS (
    SELECT 0::bigint, coalesce(max(position), 0) FROM personakit.events
    UNION ALL
    SELECT CASE WHEN newest.recorded_at > %(instant)s THEN low ELSE middle END,
           CASE WHEN newest.recorded_at > %(instant)s THEN middle - 1 ELSE high END
    FROM (SELECT low, high, low + (high - low + 1) / 2 AS middle FROM search WHERE low < high) AS halved
    LEFT JOIN LATERAL (SELECT recorded_at FROM personakit.events WHERE position <= middle
                       ORDER BY position DESC LIMIT 1) AS newest ON true
)
SELECT coalesce((SELECT position FROM personakit.events WHERE position <= low
                 ORDER BY position DESC LIMIT 1), 0) AS position
FROM search WHERE low = high

-- :query identity
SELECT epoch, secret FROM personakit.log_identity

-- :query person
SELECT person, key FROM personakit.person_keys WHERE tenant = %(tenant)s AND person_id = %(person_id)s

-- :query add_person
INSERT INTO personakit.person_keys (tenant, person_id, key)
VALUES (%(tenant)s, %(person_id)s, %(key)s)
ON CONFLICT DO NOTHING

-- :query add_tenant
INSERT INTO personakit.tenants (tenant, name) VALUES (%(tenant)s, %(name)s) ON CONFLICT DO NOTHING

-- :query tenant
SELECT tenant, name FROM personakit.tenants WHERE tenant = %(tenant)s

-- :query add_key
INSERT INTO personakit.api_keys (prefix, tenant, hash, name) VALUES (%(prefix)s, %(tenant)s, %(hash)s, %(name)s)

-- :query key
SELECT tenant, hash FROM personakit.api_keys WHERE prefix = %(prefix)s AND revoked_at IS NULL
