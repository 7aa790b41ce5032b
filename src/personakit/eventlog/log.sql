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
-- What is known of one person, without looking through everybody's. Observations are by far the most, and would
-- pay for it each with a quarter of what an append costs; the read model of them has such an index anyway.
CREATE INDEX IF NOT EXISTS events_person ON personakit.events (person, position)
    WHERE person IS NOT NULL AND kind <> 'observation';

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

-- Who read or changed whose data, by which operation and with what outcome. Equal ones of an hour are one row,
-- whichever process they came from. `key` is how an API key begins, or `cli`; `status` 0 is a command's.
-- `position` is of the newest change. People are known by surrogates, so that the rows of the erased name nobody;
-- nobody at all has the one that is all zeros: of them it is known only that they were some of many.
CREATE TABLE IF NOT EXISTS personakit.audit (
    tenant    text        NOT NULL,
    person    uuid        NOT NULL,
    key       text        NOT NULL,
    operation text        NOT NULL,
    status    smallint    NOT NULL,
    hour      timestamptz NOT NULL,
    id        bigint      GENERATED ALWAYS AS IDENTITY,
    times     bigint      NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    position  bigint,
    PRIMARY KEY (tenant, person, key, operation, status, hour)
) WITH (fillfactor = 80);  -- the counts of a row change for an hour, and no index has them
CREATE UNIQUE INDEX IF NOT EXISTS audit_page ON personakit.audit (tenant, id);
CREATE INDEX IF NOT EXISTS audit_by_key ON personakit.audit (tenant, key, id);
CREATE INDEX IF NOT EXISTS audit_by_operation ON personakit.audit (tenant, operation, id);
CREATE INDEX IF NOT EXISTS audit_hours ON personakit.audit USING brin (hour);

-- How often work met a version conflict, and was re-applied. An older release counted for all tenants
-- together: those counts are let go.
DO $$ BEGIN
    IF to_regclass('personakit.conflicts') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('personakit.conflicts') AND attname = 'tenant' AND NOT attisdropped)
    THEN DROP TABLE personakit.conflicts; END IF;
END $$;
CREATE TABLE IF NOT EXISTS personakit.conflicts (
    tenant text   NOT NULL,
    work   text   NOT NULL,
    met    bigint NOT NULL,
    PRIMARY KEY (tenant, work)
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

-- The newest event at or below a position (positions have gaps), whoever's it is: when it was recorded, and by
-- which append. By this a client's cursor knows its log again. It runs as its owner, for the reader sees the
-- events of one tenant only, and would look through all others to find the newest of them.
CREATE OR REPLACE FUNCTION personakit.standing(through bigint)
RETURNS TABLE (recorded_at timestamptz, append_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.recorded_at, e.append_id FROM personakit.events AS e
    WHERE e.position <= through ORDER BY e.position DESC LIMIT 1
$$;

-- Lets the roles into the tables of a schema, as far as they may. Rows of a tenant are shown to the reader in a
-- transaction that names this tenant, and to nobody who reads without naming one; of tables without tenants
-- the reader is shown none but those that say which build is read.
CREATE OR REPLACE FUNCTION personakit.guard(schema text, writer text, reader text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', schema, writer, reader);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', schema, writer);
    FOR found IN
        SELECT c.oid::regclass AS name, EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped) AS of_tenants
        FROM pg_class AS c WHERE c.relnamespace = schema::regnamespace AND c.relkind = 'r' ORDER BY c.relname
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', found.name, writer);
        CONTINUE WHEN NOT found.of_tenants;
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found.name);
        EXECUTE format('DROP POLICY IF EXISTS of_one_tenant ON %s', found.name);
        EXECUTE format('DROP POLICY IF EXISTS of_all_tenants ON %s', found.name);
        EXECUTE format('CREATE POLICY of_one_tenant ON %s FOR SELECT TO %I '
                       'USING (tenant = current_setting(''personakit.tenant'', true))', found.name, reader);
        EXECUTE format('CREATE POLICY of_all_tenants ON %s TO %I USING (true) WITH CHECK (true)',
                       found.name, writer);
        EXECUTE format('GRANT SELECT ON %s TO %I', found.name, reader);
    END LOOP;
    IF schema = 'personakit' THEN
        EXECUTE format('REVOKE UPDATE, DELETE ON personakit.events FROM %I', writer);
        EXECUTE format('GRANT SELECT ON personakit.active, personakit.builds TO %I', reader);
        -- Neither the keys of people nor what API keys are known by: all columns but these.
        FOR found IN
            SELECT t.name, string_agg(quote_ident(a.attname), ', ') AS columns
            FROM (VALUES ('personakit.person_keys'::regclass, 'key'), ('personakit.api_keys', 'hash'))
                     AS t(name, secret)
            JOIN pg_attribute AS a ON a.attrelid = t.name AND a.attnum > 0 AND NOT a.attisdropped
                                  AND a.attname <> t.secret
            GROUP BY t.name
        LOOP
            EXECUTE format('REVOKE SELECT ON %s FROM %I', found.name, reader);
            EXECUTE format('GRANT SELECT (%s) ON %s TO %I', found.columns, found.name, reader);
        END LOOP;
    END IF;
END $$;

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

-- :query topics_about
-- How many events of each topic there are about a created persona, of which nothing is observed, up to a position.
SELECT topic, count(*) AS events FROM personakit.events
WHERE tenant = %(tenant)s AND person = %(person)s AND kind <> 'observation' AND position <= %(through)s
GROUP BY topic ORDER BY topic

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

-- :query name_tenant
-- Whose rows the reader sees until the transaction ends, and how long a statement of it may take.
SELECT set_config('personakit.tenant', %(tenant)s, true), set_config('statement_timeout', %(timeout)s, true)

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
RETURNING person, made_again

-- :query made_again
-- That the ids of these people were made good again, where that is not known yet.
UPDATE personakit.erased AS x SET made_again = a.made_again
FROM unnest(%(people)s::uuid[], %(times)s::timestamptz[]) AS a(person, made_again)
WHERE x.person = a.person AND x.made_again IS NULL

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

-- :query ids_in_keys
-- Whom the tenant's limited keys name.
SELECT DISTINCT id FROM personakit.api_keys, unnest(people || personas) AS id WHERE tenant = %(tenant)s

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

-- :query listed
-- A page of people by their ids, without created personas: all, if `people` is null, else those of them.
SELECT person_id, person, created_at FROM personakit.person_keys
WHERE tenant = %(tenant)s AND person_id > %(after)s AND left(person_id, 1) <> '~'
  AND (%(people)s::text[] IS NULL OR person_id = ANY (%(people)s::text[]))
ORDER BY person_id
LIMIT %(limit)s

-- :query registered_at
SELECT created_at FROM personakit.person_keys WHERE tenant = %(tenant)s AND person = %(person)s

-- :query alive
-- Of how many of these the key is there.
SELECT count(*) AS people FROM personakit.person_keys WHERE tenant = %(tenant)s AND person = ANY (%(people)s)

-- :query keys
SELECT tenant, person, key, sealed_after FROM personakit.person_keys WHERE person = ANY (%(people)s)

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
-- Without what they are known by.
SELECT prefix, tenant, name, created_at, revoked_at, scopes, people, personas, expires_at, overlap_until,
       last_used_at, requests_rate, items_rate
FROM personakit.api_keys
WHERE tenant = %(tenant)s AND prefix COLLATE "C" > %(after)s
ORDER BY prefix COLLATE "C"
LIMIT %(limit)s

-- :query keys_naming
-- Those that are limited to somebody, or to one of their personas.
SELECT prefix, tenant, name, created_at, revoked_at, scopes, people, personas, expires_at, overlap_until,
       last_used_at, requests_rate, items_rate
FROM personakit.api_keys
WHERE tenant = %(tenant)s AND (people @> ARRAY[%(person_id)s::text] OR personas && %(personas)s::text[])
ORDER BY prefix COLLATE "C"

-- :query revoke_key
-- What was revoked before stays as it was. Every process hears of it, and believes no key it remembers.
WITH revoked AS (
    UPDATE personakit.api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp())
    WHERE tenant = %(tenant)s AND prefix = %(prefix)s
    RETURNING *)
SELECT revoked.*, pg_notify('api_keys', prefix) FROM revoked

-- :query keep_all
-- Nobody is erased until the end of the transaction.
SELECT pg_advisory_xact_lock_shared(7165064745)

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

-- :query leases_of
-- Who is at something about these, or failed at it.
SELECT kind, until, holder IS NOT NULL AND until > clock_timestamp() AS held, failures, failed_at, error
FROM personakit.leases
WHERE tenant = %(tenant)s AND entity = ANY (%(people)s)
ORDER BY kind, entity

-- :query quarantined_about
-- Which events about these a read model could not take.
SELECT b.name, e.position, e.topic, q.error, q.quarantined_at
FROM personakit.quarantine AS q
JOIN personakit.events AS e USING (tenant, kind, stream, position)
LEFT JOIN personakit.builds AS b USING (schema)
WHERE e.tenant = %(tenant)s AND e.person = ANY (%(people)s)
ORDER BY e.position, b.name

-- :query keep_audit
-- In the order of the primary key, so that no two processes wait for each other.
INSERT INTO personakit.audit AS a (tenant, person, key, operation, status, hour, times, first_at, last_at, position)
SELECT n.tenant, n.person, n.key, n.operation, n.status, date_trunc('hour', n.first_at, 'UTC'),
       n.times, n.first_at, n.last_at, n.position
FROM unnest(%(tenants)s::text[], %(people)s::uuid[], %(keys)s::text[], %(operations)s::text[],
            %(statuses)s::smallint[], %(times)s::bigint[], %(firsts)s::timestamptz[],
            %(lasts)s::timestamptz[], %(positions)s::bigint[])
     AS n(tenant, person, key, operation, status, times, first_at, last_at, position)
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (tenant, person, key, operation, status, hour) DO UPDATE
SET times = a.times + excluded.times, first_at = least(a.first_at, excluded.first_at),
    last_at = greatest(a.last_at, excluded.last_at), position = greatest(a.position, excluded.position)

-- :query audit
-- A page, the newest first, of what was noted since an instant. Who was erased has no id.
SELECT a.id, p.person_id, a.person, a.key, k.name AS key_name, a.operation, a.status, a.times, a.first_at,
       a.last_at, a.position
FROM personakit.audit AS a
LEFT JOIN personakit.person_keys AS p ON p.tenant = a.tenant AND p.person = a.person
LEFT JOIN personakit.api_keys AS k ON k.tenant = a.tenant AND k.prefix = a.key
WHERE a.tenant = %(tenant)s AND a.id < %(before)s AND a.last_at >= %(since)s
  AND (%(key)s::text IS NULL OR a.key = %(key)s::text)
  AND (%(operation)s::text IS NULL OR a.operation = %(operation)s::text)
ORDER BY a.id DESC
LIMIT %(limit)s

-- :query audit_of_person
-- As `audit`, of one person: all that is of them is found first, for they may have few rows among many.
SELECT a.id, p.person_id, a.person, a.key, k.name AS key_name, a.operation, a.status, a.times, a.first_at,
       a.last_at, a.position
FROM (SELECT * FROM personakit.audit WHERE tenant = %(tenant)s AND person = %(person)s OFFSET 0) AS a
LEFT JOIN personakit.person_keys AS p ON p.tenant = a.tenant AND p.person = a.person
LEFT JOIN personakit.api_keys AS k ON k.tenant = a.tenant AND k.prefix = a.key
WHERE a.id < %(before)s AND a.last_at >= %(since)s
  AND (%(key)s::text IS NULL OR a.key = %(key)s::text)
  AND (%(operation)s::text IS NULL OR a.operation = %(operation)s::text)
ORDER BY a.id DESC
LIMIT %(limit)s

-- :query prune_audit
-- The longest ago first, so many at a time; what another process is at is left to it.
DELETE FROM personakit.audit
WHERE (tenant, id) IN (SELECT tenant, id FROM personakit.audit WHERE hour < %(until)s AND last_at < %(until)s
                       LIMIT %(limit)s FOR UPDATE SKIP LOCKED)

-- :query count_conflicts
INSERT INTO personakit.conflicts AS c
SELECT * FROM unnest(%(tenants)s::text[], %(works)s::text[], %(times)s::bigint[]) AS met(tenant, work, times)
ORDER BY tenant, work
ON CONFLICT (tenant, work) DO UPDATE SET met = c.met + excluded.met

-- :query conflicts
SELECT tenant, work, met FROM personakit.conflicts ORDER BY tenant, work

-- :query failing_leases
-- How many entities are left alone for a while because work on them failed, by tenant and kind.
SELECT tenant, kind, count(*) AS entities FROM personakit.leases WHERE failures > 0
GROUP BY tenant, kind ORDER BY tenant, kind

-- :query roles_lacking
-- Which of these roles are not there, or cannot be acted as by this login.
SELECT r.role, p.oid IS NOT NULL AS there, coalesce(a.mine, false) AS mine
FROM unnest(%(roles)s::text[]) WITH ORDINALITY AS r(role, nr)
LEFT JOIN pg_roles AS p ON p.rolname = r.role
LEFT JOIN LATERAL (SELECT pg_has_role(p.oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                                                  THEN 'SET' ELSE 'MEMBER' END) AS mine) AS a ON true
WHERE a.mine IS NOT TRUE
ORDER BY r.nr

-- :query guard
SELECT personakit.guard(%(schema)s, %(writer)s, %(reader)s)

-- :query unguarded
SELECT DISTINCT n.nspname AS schema
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE (n.nspname = 'personakit' OR n.nspname IN (SELECT schema FROM personakit.builds)) AND c.relkind = 'r'
  AND (NOT has_table_privilege(%(writer)s, c.oid, 'INSERT')
       OR EXISTS (SELECT FROM pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped)
          AND (NOT c.relrowsecurity OR 2 <> (SELECT count(*) FROM pg_policy AS p
                                             WHERE p.polrelid = c.oid
                                               AND p.polname IN ('of_one_tenant', 'of_all_tenants'))))
ORDER BY schema

-- :query unbound
-- As whom this connection acts, and whether anything lets it see rows of every tenant.
SELECT current_user::text AS acting,
       r.rolsuper OR r.rolbypassrls OR pg_has_role(r.oid, %(writer)s, 'USAGE')
           OR pg_has_role(r.oid, (SELECT relowner FROM pg_class WHERE oid = 'personakit.events'::regclass), 'USAGE')
           AS bypasses,
       (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE (n.nspname = 'personakit' OR n.nspname IN (SELECT schema FROM personakit.builds))
          AND c.relkind = 'r' AND NOT c.relrowsecurity
          AND EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped)) AS open
FROM pg_roles AS r WHERE r.rolname = current_user
