-- The read model `observations`: every observation as it was recorded, and why one counts no longer.

-- :ddl
CREATE TABLE observations (
    tenant        text        NOT NULL,
    id            uuid        NOT NULL,
    person        uuid        NOT NULL,
    type          text        NOT NULL,
    content       jsonb       NOT NULL,
    occurred_at   timestamptz NOT NULL,
    local_time    timestamp   NOT NULL,  -- what the clock on the wall said: occurred_at in its own offset
    source        text,
    metadata      jsonb,
    supersedes    uuid,
    expires_at    timestamptz,
    position      bigint      NOT NULL,
    recorded_at   timestamptz NOT NULL,
    retracted     bigint,                -- position of the retraction; with it come the columns below
    retracted_at  timestamptz,
    cause         text,
    reason        text,
    superseded_by uuid,
    late          boolean     NOT NULL   -- its time was over when it came: it never counts, though it is
        GENERATED ALWAYS AS (expires_at IS NOT NULL AND expires_at <= recorded_at) STORED,  -- retracted later
    PRIMARY KEY (tenant, id)
);
CREATE INDEX ON observations (tenant, person, position);
CREATE INDEX ON observations (tenant, person, retracted) WHERE retracted IS NOT NULL;
CREATE INDEX ON observations (expires_at, tenant, id) WHERE expires_at IS NOT NULL AND retracted IS NULL;

-- :on ObservationRecorded
INSERT INTO observations (tenant, id, person, type, content, occurred_at, local_time, source, metadata,
                          supersedes, expires_at, position, recorded_at)
SELECT tenant, stream, person, payload->>'type', payload->'content',
       (payload->>'occurred_at')::timestamptz, (payload->>'occurred_at')::timestamp,
       payload->>'source', payload->'metadata',
       (payload->>'supersedes')::uuid, (payload->>'expires_at')::timestamptz, position, recorded_at
FROM personakit.events_of(%(events)s)

-- :on ObservationRetracted exactly
UPDATE observations AS o
SET retracted = e.position, retracted_at = e.recorded_at, cause = e.payload->>'cause',
    reason = e.payload->>'reason', superseded_by = (e.payload->>'superseded_by')::uuid
FROM personakit.events_of(%(events)s) AS e
WHERE o.tenant = e.tenant AND o.id = e.stream AND o.retracted IS NULL

-- :on PersonErased
DELETE FROM observations AS o USING personakit.events_of(%(events)s) AS e
WHERE o.tenant = e.tenant AND o.person = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered FeedbackReceived MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore PersonaDefined PersonaRetired
-- :ignore RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted
-- :ignore PersonaErased

-- What happened to one person says nothing of another.
-- :apart

-- :query by_person
-- Those that count.
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s AND retracted IS NULL AND NOT late
  AND position > %(after)s AND position <= %(through)s
ORDER BY position
LIMIT %(limit)s

-- :query listed
-- A page for a caller, who may want those too that count no longer.
SELECT * FROM observations
WHERE tenant = %(tenant)s AND person = %(person)s AND position > %(after)s
  AND (%(retracted)s OR (retracted IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)))
ORDER BY position
LIMIT %(limit)s

-- :query of_people
-- Of many people, each one's after a position of their own.
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM unnest(%(tenants)s::text[], %(people)s::uuid[], %(after)s::bigint[]) AS w(tenant, person, after)
CROSS JOIN LATERAL (SELECT tenant, person, id, type, content, occurred_at, local_time, position
                    FROM observations AS each
                    WHERE each.tenant = w.tenant AND each.person = w.person AND each.retracted IS NULL
                      AND NOT each.late AND each.position > w.after AND each.position <= %(through)s
                    ORDER BY each.position LIMIT %(limit)s) AS o

-- :query anew
-- Those that count of some types through `cursor`, and those of all types after it.
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s AND retracted IS NULL AND NOT late
  AND position > %(after)s AND position <= %(through)s
  AND (position > %(cursor)s OR type = ANY (%(types)s))
ORDER BY position
LIMIT %(limit)s

-- :query taken_back
-- Of whom something was retracted since they were read, and of which types what had been read by then.
SELECT w.tenant, w.person,
       coalesce(array_agg(DISTINCT o.type) FILTER (WHERE o.position <= w.after), '{}') AS types
FROM unnest(%(tenants)s::text[], %(people)s::uuid[], %(after)s::bigint[]) AS w(tenant, person, after)
JOIN observations AS o ON o.tenant = w.tenant AND o.person = w.person
                      AND o.retracted > w.after AND o.retracted <= %(through)s AND NOT o.late
GROUP BY w.tenant, w.person

-- :query retracted_of
-- Which of these count no longer.
SELECT id FROM observations
WHERE tenant = %(tenant)s AND person = %(person)s AND id = ANY (%(ids)s) AND retracted <= %(through)s

-- :query expired
-- Whose time is over and that are not retracted yet, the longest ago first, after one of them.
SELECT tenant, id, person, expires_at FROM observations
WHERE expires_at <= %(now)s AND retracted IS NULL
  AND (expires_at, tenant, id) > (%(after)s, %(after_tenant)s, %(after_id)s)
ORDER BY expires_at, tenant, id
LIMIT %(limit)s

-- :query of_type
-- Those of one type that count, newest first.
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s AND type = %(type)s AND position < %(before)s
  AND retracted IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
ORDER BY position DESC
LIMIT %(limit)s

-- :query by_ids
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s AND id = ANY (%(ids)s) AND position < %(before)s
  AND retracted IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
ORDER BY position DESC
LIMIT %(limit)s

-- :query history
-- A page of all that the log says about a person and personas of theirs, in its order, after a position and up
-- to another, which these read models have reached. Observations are found by this one, but for those that it
-- could not take.
SELECT e.*
FROM (SELECT position FROM (SELECT position FROM observations
                            WHERE tenant = %(tenant)s AND person = %(person)s
                              AND position > %(after)s AND position <= %(through)s
                            ORDER BY position LIMIT %(limit)s) AS recorded
      UNION
      SELECT retracted FROM (SELECT retracted FROM observations
                             WHERE tenant = %(tenant)s AND person = %(person)s
                               AND retracted > %(after)s AND retracted <= %(through)s
                             ORDER BY retracted LIMIT %(limit)s) AS taken_back
      UNION
      SELECT missing.position FROM personakit.quarantine AS q
      JOIN personakit.events AS missing USING (tenant, kind, stream)
      WHERE q.tenant = %(tenant)s AND q.kind = 'observation' AND missing.tenant = %(tenant)s
        AND missing.person = %(person)s
        AND missing.position > %(after)s AND missing.position <= %(through)s
      UNION
      SELECT other.position
      FROM unnest(%(people)s::uuid[]) AS w(person)
      CROSS JOIN LATERAL (SELECT position FROM personakit.events AS each
                          WHERE each.tenant = %(tenant)s AND each.person = w.person AND each.kind <> 'observation'
                            AND each.position > %(after)s AND each.position <= %(through)s
                          ORDER BY each.position LIMIT %(limit)s) AS other) AS said
JOIN personakit.events AS e USING (position)
ORDER BY e.position
LIMIT %(limit)s
