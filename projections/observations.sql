-- The read model `observations`: every observation as it was recorded.

-- :ddl
CREATE TABLE observations (
    tenant      text        NOT NULL,
    id          uuid        NOT NULL,
    person      uuid        NOT NULL,
    type        text        NOT NULL,
    content     jsonb       NOT NULL,
    occurred_at timestamptz NOT NULL,
    local_time  timestamp   NOT NULL,  -- what the clock on the wall said: occurred_at in its own offset
    source      text,
    metadata    jsonb,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX ON observations (tenant, person, position);

-- :on ObservationRecorded
INSERT INTO observations
SELECT tenant, stream, person, payload->>'type', payload->'content',
       (payload->>'occurred_at')::timestamptz, (payload->>'occurred_at')::timestamp,
       payload->>'source', payload->'metadata', position, recorded_at
FROM personakit.events_of(%(events)s)

-- :ignore PersonRegistered FeedbackReceived MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished
-- :ignore TraitPinned TraitUnpinned
-- :ignore PersonaDefined PersonaRetired

-- :query by_person
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s
  AND position > %(after)s AND position <= %(through)s
ORDER BY position
LIMIT %(limit)s

-- :query of_people
-- Of many people, each one's after a position of their own.
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM unnest(%(tenants)s::text[], %(people)s::uuid[], %(after)s::bigint[]) AS w(tenant, person, after)
CROSS JOIN LATERAL (SELECT tenant, person, id, type, content, occurred_at, local_time, position
                    FROM observations AS each
                    WHERE each.tenant = w.tenant AND each.person = w.person
                      AND each.position > w.after AND each.position <= %(through)s
                    ORDER BY each.position LIMIT %(limit)s) AS o

-- :query of_type
-- Those of one type, newest first.
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s AND type = %(type)s AND position < %(before)s
ORDER BY position DESC
LIMIT %(limit)s

-- :query by_ids
SELECT o.*, extract(epoch FROM local_time - occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE tenant = %(tenant)s AND person = %(person)s AND id = ANY (%(ids)s) AND position < %(before)s
ORDER BY position DESC
LIMIT %(limit)s
