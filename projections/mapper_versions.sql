-- The read model `mapper_versions`: every version of every mapper, with who or what made it, and why.
-- Each event of a mapper's stream makes the version of its own number.

-- :ddl
CREATE TABLE mapper_versions (
    tenant     text        NOT NULL,
    mapper_id  text        NOT NULL,
    version    bigint      NOT NULL,
    status     text        NOT NULL,
    document   jsonb       NOT NULL,
    hash       text        NOT NULL,
    origin     text        NOT NULL,
    reason     text        NOT NULL,
    change     text        NOT NULL,  -- published, restored, weight, learned or withdrawn
    restores   bigint,                -- the version whose document was published anew, or its multipliers
    source     text,                  -- the uploaded YAML
    source_of  text,                  -- the hash of the document that it says: weights may have changed since
    created_at timestamptz NOT NULL,
    cause      text,                  -- why multipliers changed, where they did
    learned    jsonb       NOT NULL,  -- what was learned of rules, up to this version
    moved      jsonb       NOT NULL,  -- {rule: the version that gave it its multiplier}
    evidence   jsonb       NOT NULL,  -- what was believed of rules when that was learned
    PRIMARY KEY (tenant, mapper_id, version)
);
CREATE INDEX ON mapper_versions (tenant, mapper_id, version) WHERE status = 'active';
CREATE INDEX ON mapper_versions (cause) WHERE cause IS NOT NULL;

-- What a change of a mapper starts from: its active version, or the newest where none is. `newest` is the
-- number of the newest, whichever that is, which has what was learned; there is no row of a mapper without
-- versions.
CREATE FUNCTION base_of(of_tenant text, of_mapper text)
RETURNS TABLE (newest bigint, mapper_id text, status text, document jsonb, hash text,
               source text, source_of text, learned jsonb, moved jsonb, evidence jsonb)
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT found.newest, v.mapper_id, v.status, v.document, v.hash, v.source, v.source_of,
           n.learned, n.moved, n.evidence
    FROM (SELECT (SELECT max(version) FROM mapper_versions
                  WHERE tenant = of_tenant AND mapper_id = of_mapper) AS newest,
                 (SELECT max(version) FROM mapper_versions
                  WHERE tenant = of_tenant AND mapper_id = of_mapper AND status = 'active') AS active) AS found
    JOIN mapper_versions AS v ON v.tenant = of_tenant AND v.mapper_id = of_mapper
                             AND v.version = coalesce(found.active, found.newest)
    JOIN mapper_versions AS n ON n.tenant = of_tenant AND n.mapper_id = of_mapper AND n.version = found.newest;
END;

-- :on MapperPublished exactly
INSERT INTO mapper_versions
SELECT e.tenant, e.payload->>'mapper_id', e.version, e.payload->>'status', e.payload->'document',
       e.payload->>'hash', e.payload->>'origin', coalesce(e.payload->>'reason', ''),
       CASE WHEN e.payload->>'restores' IS NULL THEN 'published' ELSE 'restored' END,
       (e.payload->>'restores')::bigint, e.payload->>'source', e.payload->>'hash', e.recorded_at, NULL,
       coalesce(base.learned, '{}'), coalesce(base.moved, '{}'), coalesce(base.evidence, '{}')
FROM personakit.events_of(%(events)s) AS e
LEFT JOIN LATERAL base_of(e.tenant, e.payload->>'mapper_id') AS base ON true
WHERE e.version = coalesce(base.newest, 0) + 1

-- :on MapperPublished
-- Exactly one version is active: the one before is deprecated by the one that follows.
UPDATE mapper_versions AS v SET status = 'deprecated'
FROM personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.mapper_id = e.payload->>'mapper_id' AND v.version < e.version
  AND v.status = 'active' AND e.payload->>'status' = 'active'

-- :on RuleWeightChanged exactly
-- A rule that is not there is a fault: then the path of `jsonb_set` has a null in it.
INSERT INTO mapper_versions
SELECT e.tenant, base.mapper_id, e.version, base.status,
       jsonb_set(base.document, ARRAY['rules', (
           SELECT (place - 1)::text
           FROM jsonb_array_elements(base.document->'rules') WITH ORDINALITY AS r(rule, place)
           WHERE rule->>'id' = e.payload->>'rule_id'), 'weight'], e.payload->'weight'),
       e.payload->>'hash', e.payload->>'origin', coalesce(e.payload->>'reason', ''), 'weight', NULL,
       base.source, base.source_of, e.recorded_at, NULL, base.learned, base.moved, base.evidence
FROM personakit.events_of(%(events)s) AS e
CROSS JOIN LATERAL base_of(e.tenant, e.payload->>'mapper_id') AS base
WHERE e.version = base.newest + 1 AND base.status <> 'deprecated'

-- :on RuleWeightsAdjusted exactly
-- The document of the active version, with other multipliers.
INSERT INTO mapper_versions
SELECT e.tenant, base.mapper_id, e.version, base.status, base.document, base.hash, e.payload->>'origin',
       coalesce(e.payload->>'reason', ''), 'learned', (e.payload->>'restores')::bigint, base.source,
       base.source_of, e.recorded_at, e.payload->>'cause', e.payload->'learned',
       base.moved || (SELECT coalesce(jsonb_object_agg(now.rule, e.version), '{}')
                      FROM jsonb_each(e.payload->'learned') AS now(rule, multiplier)
                      WHERE now.multiplier IS DISTINCT FROM base.learned->now.rule),
       e.payload->'evidence'
FROM personakit.events_of(%(events)s) AS e
CROSS JOIN LATERAL base_of(e.tenant, e.payload->>'mapper_id') AS base
WHERE e.version = base.newest + 1 AND base.status = 'active'

-- :on MapperWithdrawn exactly
INSERT INTO mapper_versions
SELECT e.tenant, base.mapper_id, e.version, 'deprecated', base.document, base.hash, e.payload->>'origin',
       coalesce(e.payload->>'reason', ''), 'withdrawn', NULL, base.source, base.source_of, e.recorded_at,
       NULL, base.learned, base.moved, base.evidence
FROM personakit.events_of(%(events)s) AS e
CROSS JOIN LATERAL base_of(e.tenant, e.payload->>'mapper_id') AS base
WHERE e.version = base.newest + 1

-- :on RuleWeightChanged RuleWeightsAdjusted MapperWithdrawn
UPDATE mapper_versions AS v SET status = 'deprecated'
FROM personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.mapper_id = e.payload->>'mapper_id' AND v.version < e.version
  AND v.status = 'active'

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded FeedbackReceived MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted PersonaWeightsAdjusted
-- :ignore ObservationRetracted
-- :ignore PersonaDefined PersonaRetired
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore PersonErased PersonaErased

-- :query one
SELECT * FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND version = %(version)s

-- :query has_rule
-- Whether any version of the mapper, gone ones too, has this rule, and whether the active one has.
SELECT count(*) > 0 AS found, coalesce(bool_or(status = 'active'), false) AS in_use FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s
  AND document->'rules' @> jsonb_build_array(jsonb_build_object('id', %(rule_id)s::text))

-- :query causes
-- How often the multipliers of any mapper of a tenant changed, and why.
SELECT tenant, cause, count(*) AS times FROM mapper_versions WHERE cause IS NOT NULL
GROUP BY tenant, cause ORDER BY tenant, cause

-- :query moved
-- Which version gave each rule the multiplier that it has at a version.
SELECT moved FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND version <= %(version)s
ORDER BY version DESC LIMIT 1

-- :query adjusted
-- The newest versions that were made by what was learned, or by what somebody did about it.
SELECT version, created_at, cause, origin, reason, restores, learned, moved, evidence FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND cause IS NOT NULL
ORDER BY version DESC
LIMIT %(limit)s

-- :query made
-- When some versions were made.
SELECT version, created_at FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND version = ANY (%(versions)s)

-- :query list
SELECT version, status, document->'metadata'->>'version' AS author_version, hash, origin, reason, change,
       restores, created_at, cause
FROM mapper_versions
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND version < %(before)s
ORDER BY version DESC
LIMIT %(limit)s
