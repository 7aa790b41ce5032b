-- The read model `computed_traits`: the documents of computed traits that tenants gave themselves, as they
-- are now (or were when they were withdrawn), and every version that was.
-- All documents of a tenant are in one stream: each event makes the version of its own number.

-- :ddl
CREATE TABLE computed_traits (
    tenant      text        NOT NULL,
    document_id text        NOT NULL,
    version     bigint      NOT NULL,
    status      text        NOT NULL,  -- active or withdrawn
    document    jsonb       NOT NULL,
    hash        text        NOT NULL,
    origin      text        NOT NULL,
    reason      text        NOT NULL,
    source      text,                  -- the uploaded YAML
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, document_id)
);
CREATE TABLE computed_trait_versions (
    tenant         text        NOT NULL,
    version        bigint      NOT NULL,
    document_id    text        NOT NULL,
    author_version text        NOT NULL,
    hash           text        NOT NULL,
    origin         text        NOT NULL,
    reason         text        NOT NULL,
    change         text        NOT NULL,  -- published or withdrawn
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant, version)
);
CREATE INDEX ON computed_trait_versions (tenant, document_id, version);

-- :on ComputedTraitsPublished exactly
INSERT INTO computed_trait_versions
SELECT e.tenant, e.version, e.payload->>'document_id', e.payload->'document'->'metadata'->>'version',
       e.payload->>'hash', e.payload->>'origin', coalesce(e.payload->>'reason', ''), 'published', e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE e.version = 1 + coalesce((SELECT max(v.version) FROM computed_trait_versions AS v
                                WHERE v.tenant = e.tenant), 0)

-- :on ComputedTraitsPublished
INSERT INTO computed_traits
SELECT e.tenant, e.payload->>'document_id', e.version, 'active', e.payload->'document', e.payload->>'hash',
       e.payload->>'origin', coalesce(e.payload->>'reason', ''), e.payload->>'source', e.recorded_at
FROM personakit.events_of(%(events)s) AS e
ON CONFLICT (tenant, document_id) DO UPDATE
SET version = excluded.version, status = excluded.status, document = excluded.document,
    hash = excluded.hash, origin = excluded.origin, reason = excluded.reason, source = excluded.source,
    created_at = excluded.created_at

-- :on ComputedTraitsWithdrawn exactly
INSERT INTO computed_trait_versions
SELECT e.tenant, e.version, own.document_id, own.document->'metadata'->>'version', own.hash,
       e.payload->>'origin', coalesce(e.payload->>'reason', ''), 'withdrawn', e.recorded_at
FROM personakit.events_of(%(events)s) AS e
JOIN computed_traits AS own ON own.tenant = e.tenant AND own.document_id = e.payload->>'document_id'
WHERE e.version = 1 + (SELECT max(v.version) FROM computed_trait_versions AS v WHERE v.tenant = e.tenant)

-- :on ComputedTraitsWithdrawn
UPDATE computed_traits AS own
SET version = e.version, status = 'withdrawn', origin = e.payload->>'origin',
    reason = coalesce(e.payload->>'reason', ''), created_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE own.tenant = e.tenant AND own.document_id = e.payload->>'document_id'

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded ObservationRetracted FeedbackReceived
-- :ignore MindscapeUpdated DerivationCompleted TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore PersonaDefined PersonaRetired PersonaCoreGenerated
-- :ignore MapperPublished RuleWeightChanged MapperWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted
-- :ignore PersonErased PersonaErased

-- :query by_id
SELECT * FROM computed_traits WHERE tenant = %(tenant)s AND document_id = %(document_id)s

-- :query of_tenant
-- All that a tenant ever had.
SELECT * FROM computed_traits WHERE tenant = %(tenant)s ORDER BY document_id

-- :query hashes
-- Which documents the tenants that ever had any have in use: what tells their rules apart.
SELECT tenant, array_agg(document_id || ' ' || hash ORDER BY document_id)
                   FILTER (WHERE status = 'active') AS hashes
FROM computed_traits
WHERE %(tenants)s::text[] IS NULL OR tenant = ANY (%(tenants)s::text[])
GROUP BY tenant

-- :query in_use
SELECT tenant, document_id, document FROM computed_traits
WHERE tenant = ANY (%(tenants)s) AND status = 'active' ORDER BY tenant, document_id

-- :query made_at
SELECT created_at FROM computed_trait_versions WHERE tenant = %(tenant)s AND version = %(version)s

-- :query versions
SELECT version, author_version, hash, origin, reason, change, created_at
FROM computed_trait_versions
WHERE tenant = %(tenant)s AND document_id = %(document_id)s AND version < %(before)s
ORDER BY version DESC
LIMIT %(limit)s
