-- The read model `mappers`: each mapper as it is served, at its active version. A mapper that was only
-- ever a draft is shown as that draft.

-- :ddl
CREATE TABLE mappers (
    tenant     text        NOT NULL,
    mapper_id  text        NOT NULL,
    version    bigint      NOT NULL,  -- of the document shown here
    latest     bigint      NOT NULL,  -- newest version of the stream; a draft may be above `version`
    status     text        NOT NULL,
    document   jsonb       NOT NULL,
    hash       text        NOT NULL,
    origin     text        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, mapper_id)
);

-- :on MapperPublished exactly
INSERT INTO mappers AS m
SELECT e.tenant, e.payload->>'mapper_id', e.version, e.version, e.payload->>'status', e.payload->'document',
       e.payload->>'hash', e.payload->>'origin', e.recorded_at
FROM personakit.events_of(%(events)s) AS e
LEFT JOIN mappers AS before ON before.tenant = e.tenant AND before.mapper_id = e.payload->>'mapper_id'
WHERE e.version = coalesce(before.latest, 0) + 1
ON CONFLICT (tenant, mapper_id) DO UPDATE SET latest = excluded.latest
WHERE m.latest = excluded.latest - 1

-- :on MapperPublished
-- A draft is not shown in the place of an active version.
UPDATE mappers AS m
SET version = e.version, status = e.payload->>'status', document = e.payload->'document',
    hash = e.payload->>'hash', origin = e.payload->>'origin', created_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.mapper_id = e.payload->>'mapper_id'
  AND (e.payload->>'status' = 'active' OR m.status = 'draft')

-- :ignore PersonRegistered ObservationRecorded FeedbackReceived MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated
-- :ignore TraitPinned TraitUnpinned
-- :ignore PersonaDefined PersonaRetired

-- :query by_id
SELECT * FROM mappers WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s

-- :query by_ids
SELECT * FROM mappers WHERE tenant = %(tenant)s AND mapper_id = ANY (%(mapper_ids)s)

-- :query list
SELECT * FROM mappers
WHERE tenant = %(tenant)s AND mapper_id > %(after)s
  AND (%(status)s::text IS NULL OR status = %(status)s::text)
ORDER BY mapper_id
LIMIT %(limit)s
