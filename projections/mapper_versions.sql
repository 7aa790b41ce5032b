-- The read model `mapper_versions`: every version of every mapper, with who or what made it.

-- :ddl
CREATE TABLE mapper_versions (
    tenant     text        NOT NULL,
    mapper_id  text        NOT NULL,
    version    bigint      NOT NULL,
    status     text        NOT NULL,
    document   jsonb       NOT NULL,
    hash       text        NOT NULL,
    origin     text        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, mapper_id, version)
);

-- :on MapperPublished
-- Exactly one version is active: the one before is deprecated by the one that follows.
UPDATE mapper_versions AS v SET status = 'deprecated'
FROM personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.mapper_id = e.payload->>'mapper_id'
  AND v.status = 'active' AND e.payload->>'status' = 'active'

-- :on MapperPublished
INSERT INTO mapper_versions
SELECT tenant, payload->>'mapper_id', version, payload->>'status', payload->'document', payload->>'hash',
       payload->>'origin', recorded_at
FROM personakit.events_of(%(events)s)

-- :ignore PersonRegistered ObservationRecorded FeedbackReceived MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated
-- :ignore TraitPinned TraitUnpinned
-- :ignore PersonaDefined PersonaRetired

-- :query one
SELECT * FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND version = %(version)s

-- :query has_rule
-- Whether any version of the mapper, gone ones too, has this rule.
SELECT EXISTS (SELECT FROM mapper_versions
               WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s
                 AND document->'rules' @> jsonb_build_array(jsonb_build_object('id', %(rule_id)s::text))
              ) AS found

-- :query list
SELECT version, status, document->'metadata'->>'version' AS author_version, hash, origin, created_at
FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND version < %(before)s
ORDER BY version DESC
LIMIT %(limit)s
