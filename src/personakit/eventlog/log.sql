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
-- The random key of the tombstones of erased people, wrapped by the master key as a person's key is. Whoever
-- wraps the keys anew under another master key wraps this one too: then tombstones stay what they are.
ALTER TABLE personakit.log_identity ADD COLUMN IF NOT EXISTS tombstone_key bytea;
ALTER TABLE personakit.log_identity ADD COLUMN IF NOT EXISTS restoring text; -- a backup, until all of it is here
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
CREATE INDEX IF NOT EXISTS person_keys_of_personas ON personakit.person_keys (tenant) WHERE person_id LIKE '~%';
-- A created persona gets another key when somebody whom it viewed is erased: what stands in the log about it
-- up to this position was sealed by the one before, and is absent.
ALTER TABLE personakit.person_keys ADD COLUMN IF NOT EXISTS sealed_after bigint NOT NULL DEFAULT 0;

-- Who was erased, without a name: `tombstone` is a keyed hash of the id, `person` the surrogate that died and
-- `personas` those whose keys died with it. As long as nobody made a person of this id again on purpose, what
-- is written about them is refused.
CREATE TABLE IF NOT EXISTS personakit.erased (
    erasure     uuid        PRIMARY KEY,
    tenant      text        NOT NULL,   -- may be older than the tenant, in a backup that was restored
    tombstone   bytea       NOT NULL,
    person      uuid        NOT NULL UNIQUE,
    personas    uuid[]      NOT NULL,
    erased_at   timestamptz NOT NULL,
    position    bigint      NOT NULL,   -- of the event PersonErased
    epoch       uuid        NOT NULL,   -- in which it was appended
    made_again  timestamptz
);
CREATE INDEX IF NOT EXISTS erased_of ON personakit.erased (tenant, tombstone);

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
-- `alive` are the people whom the events are about, `sealed_after` says by which of their keys. Whoever erases
-- one holds this lock too, so that no event about them is written after their key is gone.
--
-- What is written once (`once`) and stands already is left as it stands. A taken version of anything else
-- fails the whole append. Repeats are rare, so that the quick insert comes first and looks for none.
CREATE OR REPLACE FUNCTION personakit.append(
    append_id uuid, tenants text[], kinds text[], streams uuid[], versions bigint[], people uuid[],
    topics text[], states bytea[], once boolean[], alive uuid[], sealed_after bigint[],
    OUT head bigint, OUT repeated boolean)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    recorded timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log is appended to at isolation level read committed only';
    END IF;
    PERFORM pg_advisory_xact_lock(7165064741);
    IF EXISTS (SELECT FROM unnest(alive, append.sealed_after) AS a(person, sealed_after)
               WHERE NOT EXISTS (SELECT FROM personakit.person_keys AS k
                                 WHERE k.person = a.person AND k.sealed_after = a.sealed_after)) THEN
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

-- Refuses what was wrapped by another master key than the one of now. Whoever changes that holds the lock alone,
-- so that none is added meanwhile that the change does not see. It is taken before the other locks.
CREATE OR REPLACE FUNCTION personakit.require_master(word bytea) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7165064746);
    IF NOT EXISTS (SELECT FROM personakit.log_identity AS i WHERE i.master_check = word) THEN
        RAISE EXCEPTION 'this was wrapped by another master key' USING ERRCODE = 'PK503';
    END IF;
END $$;

-- Gives people who have none a row: not those who were erased, nor a created persona of which the log has
-- events, for its key is gone as well. Whoever erases holds this lock, so that nobody gets a row who is being
-- erased; it is a statement of its own, as above. `word` is that of the master key that wrapped the keys.
CREATE OR REPLACE FUNCTION personakit.add_people(
    of_tenant text, person_ids text[], people uuid[], keys bytea[], tombstones bytea[], word bytea) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM personakit.require_master(word);
    PERFORM pg_advisory_xact_lock_shared(7165064745);
    INSERT INTO personakit.person_keys (tenant, person_id, person, key)
    SELECT of_tenant, n.person_id, n.person, n.key
    FROM unnest(person_ids, people, keys, tombstones) AS n(person_id, person, key, tombstone)
    WHERE NOT EXISTS (SELECT FROM personakit.erased AS x
                      WHERE x.tenant = of_tenant AND x.tombstone = n.tombstone AND x.made_again IS NULL)
      AND NOT EXISTS (SELECT FROM personakit.events AS e
                      WHERE e.tenant = of_tenant AND e.kind = 'persona' AND e.stream = n.person)
    ORDER BY n.person_id
    ON CONFLICT DO NOTHING;
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
    %(people)b::uuid[], %(topics)b::text[], %(states)b::bytea[], %(once)b::boolean[], %(alive)b::uuid[],
    %(sealed_after)b::bigint[])

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
SELECT format, restoring FROM personakit.log_identity

-- :query master_check
-- The word that the master key is known by, and the key of tombstones: set by the first that comes, with the
-- right master key.
UPDATE personakit.log_identity
SET master_check = coalesce(master_check, %(word)s),
    tombstone_key = CASE WHEN coalesce(master_check, %(word)s) = %(word)s
                         THEN coalesce(tombstone_key, %(tombstone_key)s) ELSE tombstone_key END
RETURNING master_check, tombstone_key

-- :query rotation_lock
-- Held alone by whoever changes the master key; shared, by all who keep what it wraps.
SELECT pg_advisory_xact_lock(7165064746)

-- :query master_now
SELECT master_check, tombstone_key FROM personakit.log_identity

-- :query count_people
SELECT count(*) AS people FROM personakit.person_keys

-- :query wrapped_keys
SELECT tenant, person, key FROM personakit.person_keys

-- :query rewrap_keys
UPDATE personakit.person_keys AS k SET key = n.key
FROM unnest(%(people)s::uuid[], %(keys)s::bytea[]) AS n(person, key)
WHERE k.person = n.person

-- :query change_master
UPDATE personakit.log_identity SET master_check = %(word)s, tombstone_key = %(tombstone_key)s

-- :query person
SELECT person FROM personakit.person_keys WHERE tenant = %(tenant)s AND person_id = %(person_id)s

-- :query add_people
SELECT personakit.add_people(%(tenant)s, %(person_ids)s::text[], %(people)s::uuid[], %(keys)s::bytea[],
                             %(tombstones)s::bytea[], %(word)s)

-- :query require_master
SELECT personakit.require_master(%(word)s)

-- :query erased
-- The erasures of people who had this id.
SELECT * FROM personakit.erased WHERE tenant = %(tenant)s AND tombstone = %(tombstone)s
ORDER BY position DESC

-- :query erased_people
-- Those of these people whose erasure was carried out.
SELECT person FROM personakit.erased WHERE person = ANY (%(people)s)

-- :query make_again
UPDATE personakit.erased SET made_again = clock_timestamp()
WHERE tenant = %(tenant)s AND tombstone = %(tombstone)s AND made_again IS NULL

-- :query hold_people
-- Nobody gets a row until the end of the transaction.
SELECT pg_advisory_xact_lock(7165064745)

-- :query hold_log
-- Nothing is appended by others until the end of the transaction.
SELECT pg_advisory_xact_lock(7165064741)

-- :query definitions
-- All definitions of created personas that can be opened still: the present one and those before it. Each
-- stream is looked up by itself (OFFSET 0): joined, a planner that knows little of the table may read all
-- streams for each.
SELECT e.* FROM personakit.person_keys AS k
CROSS JOIN LATERAL (SELECT * FROM personakit.events AS each
                    WHERE each.tenant = k.tenant AND each.kind = 'persona' AND each.stream = k.person
                    OFFSET 0) AS e
WHERE k.tenant = %(tenant)s AND k.person_id LIKE '~%%' AND e.position > k.sealed_after
  AND e.topic LIKE 'PersonaDefined.%%'

-- :query definitions_since
SELECT e.* FROM personakit.events AS e
JOIN personakit.person_keys AS k ON k.person = e.person AND k.tenant = e.tenant
WHERE e.position > greatest(%(after)s, k.sealed_after) AND e.tenant = %(tenant)s AND e.kind = 'persona'
  AND e.topic LIKE 'PersonaDefined.%%'

-- :query newest_version
SELECT coalesce(max(version), 0) AS version FROM personakit.events
WHERE tenant = %(tenant)s AND kind = %(kind)s AND stream = %(stream)s

-- :query destroy_keys
DELETE FROM personakit.person_keys WHERE tenant = %(tenant)s AND person = ANY (%(people)s) RETURNING person_id

-- :query replace_key
-- No row where it is gone already.
UPDATE personakit.person_keys SET key = %(key)s, sealed_after = %(sealed_after)s
WHERE tenant = %(tenant)s AND person = %(person)s
RETURNING tenant, person, key, sealed_after

-- :query add_erased
INSERT INTO personakit.erased (erasure, tenant, tombstone, person, personas, erased_at, position, epoch)
SELECT %(id)s, %(tenant)s, %(tombstone)s, %(person)s, %(personas)s::uuid[], %(erased_at)s, %(position)s, epoch
FROM personakit.log_identity
RETURNING *

-- :query end_leases_of
DELETE FROM personakit.leases WHERE tenant = %(tenant)s AND entity = ANY (%(entities)s)

-- :query strike_from_keys
-- A key that was limited to somebody is limited to the others, or to nobody.
WITH struck AS (
    UPDATE personakit.api_keys
    SET people = array_remove(people, %(person_id)s), personas = array_remove(personas, %(person_id)s)
    WHERE tenant = %(tenant)s AND (%(person_id)s = ANY (people) OR %(person_id)s = ANY (personas))
    RETURNING prefix)
SELECT pg_notify('api_keys', prefix) FROM struck

-- :query tell_erased
SELECT pg_notify('erased', %(people)s)

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
SELECT tenant, person, key, sealed_after FROM personakit.person_keys WHERE person = ANY (%(people)s)

-- :query add_tenant
INSERT INTO personakit.tenants (tenant, name) VALUES (%(tenant)s, %(name)s) ON CONFLICT DO NOTHING

-- :query tenant
SELECT tenant, name FROM personakit.tenants WHERE tenant = %(tenant)s

-- :query add_key
INSERT INTO personakit.api_keys (prefix, tenant, hash, name, scopes, people, personas, expires_at)
VALUES (%(prefix)s, %(tenant)s, %(hash)s, %(name)s, %(scopes)s, %(people)s, %(personas)s, %(expires_at)s)
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

-- :query keys_used
UPDATE personakit.api_keys AS k SET last_used_at = greatest(k.last_used_at, u.used_at)
FROM unnest(%(prefixes)s::text[], %(times)s::timestamptz[]) AS u(prefix, used_at)
WHERE k.prefix = u.prefix

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
