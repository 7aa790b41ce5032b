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

-- One row: the life of this log, the secret that signs what leaves it, the format of its rows, and a
-- word by which the master key of its people's keys is known again.
CREATE TABLE IF NOT EXISTS personakit.log_identity (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch      uuid        NOT NULL DEFAULT gen_random_uuid(),
    secret     bytea       NOT NULL DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE personakit.log_identity ADD COLUMN IF NOT EXISTS format integer NOT NULL DEFAULT 1;
ALTER TABLE personakit.log_identity ADD COLUMN IF NOT EXISTS master_check bytea;
INSERT INTO personakit.log_identity (format) VALUES (2) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS personakit.tenants (
    tenant     text        PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A person's caller-given id, the surrogate that the log knows, and their key, wrapped by the master key:
-- they die together.
CREATE TABLE IF NOT EXISTS personakit.person_keys (
    tenant     text        NOT NULL REFERENCES personakit.tenants,
    person_id  text        NOT NULL,
    person     uuid        NOT NULL UNIQUE,
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
-- What a key may do, which of those made before this was asked may all; and to whom: null is everybody.
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS scopes text[] NOT NULL
    DEFAULT '{observe,feedback,read,map,mappers:write,people:erase,admin}';
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS people text[];
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS personas text[];
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS expires_at timestamptz;
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS overlap_until timestamptz; -- set by a rotation
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS last_used_at timestamptz;
-- How fast it may go, a second; NULL is as fast as is usual. What it has spent is counted for all processes.
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS requests_rate float8;
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS items_rate float8;
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS requests_spent bigint NOT NULL DEFAULT 0;
ALTER TABLE personakit.api_keys ADD COLUMN IF NOT EXISTS items_spent bigint NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS api_keys_of ON personakit.api_keys (tenant, prefix);

-- A build: the tables of one definition of a projection, in a schema of their own, and how far they follow
-- the log. `source` is the text of the definition: another release's is followed as long as it is used.
CREATE TABLE IF NOT EXISTS personakit.builds (
    schema     text        PRIMARY KEY,
    name       text        NOT NULL,
    definition text        NOT NULL,
    source     text        NOT NULL,
    position   bigint      NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz              -- when another build was put in its place
);
CREATE INDEX IF NOT EXISTS builds_of ON personakit.builds (name, definition);

-- Which build of a definition is read. To switch is to update one row.
CREATE TABLE IF NOT EXISTS personakit.active (
    name       text NOT NULL,
    definition text NOT NULL,
    schema     text NOT NULL REFERENCES personakit.builds,
    PRIMARY KEY (name, definition)
);

-- When a process last said that it reads a definition; apart from `builds`, whose rows followers hold.
CREATE TABLE IF NOT EXISTS personakit.definitions_used (
    name       text        NOT NULL,
    definition text        NOT NULL,
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, definition)
);

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

-- Who is at something that costs money and must not be done twice at once, such as asking a model about a
-- person. A row ends with the work; after a failure it stays, with how often in a row it failed and until when
-- it is to be left alone. A lease whose holder is gone ends at `until`: no connection holds it.
CREATE TABLE IF NOT EXISTS personakit.leases (
    tenant     text        NOT NULL,
    kind       text        NOT NULL,
    entity     uuid        NOT NULL,
    holder     uuid,
    until      timestamptz NOT NULL,
    failures   integer     NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    failed_at  timestamptz,
    error      text,
    PRIMARY KEY (tenant, kind, entity)
);

-- How often work met a version conflict, and was re-applied.
CREATE TABLE IF NOT EXISTS personakit.conflicts (
    work text   PRIMARY KEY,
    met  bigint NOT NULL
);

-- Appends all of the given events in one transaction, or none; called in a transaction of its own, so that
-- begin, lock, insert and commit are one round trip. `head` is the position before the first: the event at
-- ordinal n stands at head + n, unless `repeated` says that some were there already.
--
-- The lock is held to the end of the transaction. Without it a transaction that took an early position
-- could commit after a later one, and a reader would pass over it for good; a sequence alone has that
-- fault, and gaps besides. A table lock would do, but blocks vacuum. It is a statement of its own, before
-- the insert: a volatile function takes a new snapshot for each of its statements, so what is read and
-- checked after the lock holds all that the writer before has committed.
--
-- `alive` are the people whom the events are about. Whoever erases one holds this lock too, so that no
-- event about them is written after their key is gone.
--
-- What is written once (`once`) and stands already is left as it stands. A taken version of anything else
-- fails the whole append. Repeats are rare, so that the quick insert comes first and looks for none.
CREATE OR REPLACE FUNCTION personakit.append(
    append_id uuid, tenants text[], kinds text[], streams uuid[], versions bigint[], people uuid[],
    topics text[], states bytea[], once boolean[], alive uuid[], OUT head bigint, OUT repeated boolean)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    recorded timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log is appended to at isolation level read committed only';
    END IF;
    PERFORM pg_advisory_xact_lock(7165064741);
    IF EXISTS (SELECT FROM unnest(alive) AS a(person)
               WHERE NOT EXISTS (SELECT FROM personakit.person_keys AS k WHERE k.person = a.person)) THEN
        RAISE EXCEPTION 'a person of this append is not there any more' USING ERRCODE = 'PK410';
    END IF;
    SELECT e.position, greatest(clock_timestamp(), e.recorded_at + interval '1 microsecond')
    INTO head, recorded FROM personakit.events AS e ORDER BY e.position DESC LIMIT 1;
    head := coalesce(head, 0);
    recorded := coalesce(recorded, clock_timestamp());
    repeated := false;
    BEGIN
        INSERT INTO personakit.events
        SELECT n.tenant, n.kind, n.stream, n.version, head + n.ordinal,
               recorded + (n.ordinal - 1) * interval '1 microsecond', append_id, n.person, n.topic, n.state
        FROM unnest(tenants, kinds, streams, versions, people, topics, states)
             WITH ORDINALITY AS n(tenant, kind, stream, version, person, topic, state, ordinal);
    EXCEPTION WHEN unique_violation THEN
        repeated := true;
    END;
    IF repeated THEN
        INSERT INTO personakit.events
        SELECT n.tenant, n.kind, n.stream, n.version, head + n.ordinal,
               recorded + (n.ordinal - 1) * interval '1 microsecond', append_id, n.person, n.topic, n.state
        FROM unnest(tenants, kinds, streams, versions, people, topics, states, once)
             WITH ORDINALITY AS n(tenant, kind, stream, version, person, topic, state, once, ordinal)
        WHERE NOT n.once;
        INSERT INTO personakit.events
        SELECT n.tenant, n.kind, n.stream, n.version, head + n.ordinal,
               recorded + (n.ordinal - 1) * interval '1 microsecond', append_id, n.person, n.topic, n.state
        FROM unnest(tenants, kinds, streams, versions, people, topics, states, once)
             WITH ORDINALITY AS n(tenant, kind, stream, version, person, topic, state, once, ordinal)
        WHERE n.once
        ORDER BY n.ordinal
        ON CONFLICT (tenant, kind, stream, version) DO NOTHING;
    END IF;
    PERFORM pg_notify('events', (head + cardinality(streams))::text);
END $$;

-- A batch of events as a follower hands it to a projection: one JSON array, read as rows.
CREATE OR REPLACE FUNCTION personakit.events_of(batch jsonb)
RETURNS TABLE ("position" bigint, recorded_at timestamptz, tenant text, stream uuid, version bigint,
               person uuid, payload jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e."position", e.recorded_at, e.tenant, e.stream, e.version, e.person, e.payload
    FROM jsonb_to_recordset(batch) AS e("position" bigint, recorded_at timestamptz, tenant text,
                                        stream uuid, version bigint, person uuid, payload jsonb)
$$;

-- :query made_by
-- Which text the schema was made by, as its comment has it; no row, or null, where it is not made yet.
SELECT obj_description(oid, 'pg_namespace') AS text FROM pg_namespace WHERE nspname = 'personakit'

-- :query append
SELECT head, repeated FROM personakit.append(
    %(append_id)b::uuid, %(tenants)b::text[], %(kinds)b::text[], %(streams)b::uuid[], %(versions)b::bigint[],
    %(people)b::uuid[], %(topics)b::text[], %(states)b::bytea[], %(once)b::boolean[], %(alive)b::uuid[])

-- :query stored
-- The rows that stand at the keys of an append, whoever wrote them.
SELECT n.ordinal, e.*
FROM unnest(%(tenants)b::text[], %(kinds)b::text[], %(streams)b::uuid[], %(versions)b::bigint[])
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
-- The next events for followers: of the topics that they handle, from the positions after `after` up to
-- `after` + `span`, `stop` or the head, and no more bytes than fit into one parameter; one event at least,
-- however large. The content is given where it is asked for. `through` is what was looked through: in it
-- lies all that these rows are not.
WITH span AS MATERIALIZED (
    SELECT least(%(after)s::bigint + %(span)s::bigint, %(stop)s::bigint, coalesce(max(position), 0)) AS through
    FROM personakit.events
), found AS (
    SELECT e.position, e.recorded_at, e.tenant, e.kind, e.stream, e.version, e.person, e.topic, e.state,
           sum(octet_length(e.state)) OVER (ORDER BY e.position) - octet_length(e.state) AS bytes_before
    FROM personakit.events AS e, span
    WHERE e.position > %(after)s AND e.position <= span.through AND e.topic = ANY (%(topics)s)
)
SELECT f.position, f.recorded_at, f.tenant, f.kind, f.stream, f.version, f.person, f.topic,
       CASE WHEN f.topic = ANY (%(contents)s) THEN f.state END,
       coalesce((SELECT min(position) - 1 FROM found WHERE bytes_before >= %(bytes)s), through) AS through
FROM span LEFT JOIN found AS f ON f.bytes_before < %(bytes)s
ORDER BY f.position

-- :query batch_of_person
-- As `batch`, of one person only.
SELECT e.position, e.recorded_at, e.tenant, e.kind, e.stream, e.version, e.person, e.topic, e.state,
       %(stop)s::bigint AS through
FROM personakit.events AS e
WHERE e.position > %(after)s AND e.position <= %(stop)s AND e.person = %(person)s
  AND e.topic = ANY (%(topics)s)
ORDER BY e.position
LIMIT %(span)s

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

-- :query format
SELECT format FROM personakit.log_identity

-- :query master_check
-- The word that the master key is known by: set by the first that comes.
UPDATE personakit.log_identity SET master_check = coalesce(master_check, %(word)s) RETURNING master_check

-- :query person
SELECT person FROM personakit.person_keys WHERE tenant = %(tenant)s AND person_id = %(person_id)s

-- :query add_people
INSERT INTO personakit.person_keys (tenant, person_id, person, key)
SELECT %(tenant)s, n.person_id, n.person, n.key
FROM unnest(%(person_ids)s::text[], %(people)s::uuid[], %(keys)s::bytea[]) AS n(person_id, person, key)
ORDER BY n.person_id
ON CONFLICT DO NOTHING

-- :query people
SELECT person_id, person FROM personakit.person_keys
WHERE tenant = %(tenant)s AND person_id = ANY (%(person_ids)s)

-- :query names
SELECT person_id, person FROM personakit.person_keys WHERE tenant = %(tenant)s AND person = ANY (%(people)s)

-- :query people_of_tenant
-- All who are there, by surrogate: in an order that says nothing of them. Who was erased has no row.
SELECT person_id, person FROM personakit.person_keys
WHERE tenant = %(tenant)s AND person > %(after)s
ORDER BY person
LIMIT %(limit)s

-- :query keys
SELECT tenant, person, key FROM personakit.person_keys WHERE person = ANY (%(people)s)

-- :query add_tenant
INSERT INTO personakit.tenants (tenant, name) VALUES (%(tenant)s, %(name)s) ON CONFLICT DO NOTHING

-- :query tenant
SELECT tenant, name FROM personakit.tenants WHERE tenant = %(tenant)s

-- :query add_key
INSERT INTO personakit.api_keys
    (prefix, tenant, hash, name, scopes, people, personas, expires_at, requests_rate, items_rate)
VALUES (%(prefix)s, %(tenant)s, %(hash)s, %(name)s, %(scopes)s, %(people)s, %(personas)s, %(expires_at)s,
        %(requests_rate)s, %(items_rate)s)
RETURNING *

-- :query key
SELECT * FROM personakit.api_keys WHERE prefix = %(prefix)s AND revoked_at IS NULL

-- :query key_of_tenant
SELECT * FROM personakit.api_keys WHERE tenant = %(tenant)s AND prefix = %(prefix)s

-- :query keys_of_tenant
SELECT * FROM personakit.api_keys
WHERE tenant = %(tenant)s AND prefix COLLATE "C" > %(after)s
ORDER BY prefix COLLATE "C"
LIMIT %(limit)s

-- :query revoke_key
-- What was revoked before stays as it was. Every process hears of it, and believes no key it remembers.
WITH revoked AS (
    UPDATE personakit.api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp())
    WHERE tenant = %(tenant)s AND prefix = %(prefix)s
    RETURNING *)
SELECT revoked.*, pg_notify('api_keys', prefix) FROM revoked

-- :query rotate_key
-- It ends at `until`, or before that if it was to end earlier.
WITH rotated AS (
    UPDATE personakit.api_keys SET overlap_until = least(overlap_until, %(until)s)
    WHERE tenant = %(tenant)s AND prefix = %(prefix)s AND revoked_at IS NULL
      AND coalesce(least(expires_at, overlap_until), 'infinity') > %(now)s
    RETURNING *)
SELECT rotated.*, pg_notify('api_keys', prefix) FROM rotated

-- :query any_key
SELECT 1 FROM personakit.api_keys
WHERE revoked_at IS NULL AND coalesce(least(expires_at, overlap_until), 'infinity') > clock_timestamp()
LIMIT 1

-- :query add_spent
-- In the order of their prefixes, so that two processes never wait for each other.
WITH locked AS (
    SELECT k.prefix, s.requests, s.items
    FROM unnest(%(prefixes)s::text[], %(requests)s::bigint[], %(items)s::bigint[]) AS s(prefix, requests, items)
    JOIN personakit.api_keys AS k USING (prefix)
    ORDER BY k.prefix
    FOR UPDATE OF k)
UPDATE personakit.api_keys AS k
SET requests_spent = k.requests_spent + l.requests, items_spent = k.items_spent + l.items
FROM locked AS l
WHERE k.prefix = l.prefix
RETURNING k.prefix, k.requests_spent, k.items_spent

-- :query keys_used
-- In the same order.
WITH locked AS (
    SELECT k.prefix, u.used_at
    FROM unnest(%(prefixes)s::text[], %(times)s::timestamptz[]) AS u(prefix, used_at)
    JOIN personakit.api_keys AS k USING (prefix)
    ORDER BY k.prefix
    FOR UPDATE OF k)
UPDATE personakit.api_keys AS k SET last_used_at = greatest(k.last_used_at, l.used_at)
FROM locked AS l
WHERE k.prefix = l.prefix

-- :query take_lease
-- No row where another has it, where it failed with an error in the last `failed_within` seconds, or where it
-- is to be left alone (`patient` heeds that).
INSERT INTO personakit.leases AS l (tenant, kind, entity, holder, until)
VALUES (%(tenant)s, %(kind)s, %(entity)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (tenant, kind, entity) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE (l.holder IS NULL OR l.until <= clock_timestamp())
  AND (NOT %(patient)s OR l.not_before <= clock_timestamp())
  AND (l.error IS NULL OR l.failed_at <= clock_timestamp() - make_interval(secs => %(failed_within)s))
RETURNING failures

-- :query extend_lease
-- No row where another has taken it.
UPDATE personakit.leases SET until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE tenant = %(tenant)s AND kind = %(kind)s AND entity = %(entity)s AND holder = %(holder)s
RETURNING until

-- :query end_lease
DELETE FROM personakit.leases
WHERE tenant = %(tenant)s AND kind = %(kind)s AND entity = %(entity)s AND holder = %(holder)s

-- :query fail_lease
UPDATE personakit.leases
SET holder = NULL, failures = failures + 1, failed_at = clock_timestamp(), error = %(error)s,
    not_before = clock_timestamp() + make_interval(secs => %(pause)s)
WHERE tenant = %(tenant)s AND kind = %(kind)s AND entity = %(entity)s AND holder = %(holder)s

-- :query lease
-- Whether somebody is at it, and the error of whoever failed at it no longer ago than `seconds`.
SELECT holder IS NOT NULL AND until > clock_timestamp() AS held,
       CASE WHEN failed_at > clock_timestamp() - make_interval(secs => %(seconds)s) THEN error END AS error
FROM personakit.leases
WHERE tenant = %(tenant)s AND kind = %(kind)s AND entity = %(entity)s

-- :query count_conflicts
INSERT INTO personakit.conflicts AS c
SELECT * FROM unnest(%(works)s::text[], %(times)s::bigint[]) AS met(work, times) ORDER BY work
ON CONFLICT (work) DO UPDATE SET met = c.met + excluded.met

-- :query conflicts
SELECT work, met FROM personakit.conflicts ORDER BY work

-- :query failing_leases
-- How many entities are left alone for a while because work on them failed, by kind.
SELECT kind, count(*) AS entities FROM personakit.leases WHERE failures > 0 GROUP BY kind ORDER BY kind
