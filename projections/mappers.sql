-- The read model `mappers`: each mapper as it is served, at its active version. A mapper that was only
-- ever a draft is shown as that draft, a withdrawn one as it was when it was withdrawn.

-- :ddl
-- What a mapper may be found by: one {"trait", "operator"} for each trait check in its rules and named
-- conditions and each prefix of its path (whoever looks for `work.focus` finds `work.focus.p90`), and one
-- {"type"} for each type of suggestion. A dot after a backslash is part of a segment.
CREATE FUNCTION mapper_facets(document jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    WITH RECURSIVE conditions(node) AS (
        SELECT rule->'conditions' FROM jsonb_array_elements(document->'rules') AS r(rule)
        UNION ALL
        SELECT named.value FROM jsonb_each(document->'conditions') AS named
        UNION ALL
        SELECT child FROM conditions CROSS JOIN LATERAL (
            SELECT jsonb_array_elements(coalesce(node->'all', node->'any', '[]'))
            UNION ALL
            SELECT node->'not' WHERE node ? 'not') AS inside(child)
    ), checks AS (
        SELECT node->'trait_check'->>'operator' AS operator,
               regexp_split_to_array(node->'trait_check'->>'path', '(?<!\\)\.') AS segments
        FROM conditions WHERE node ? 'trait_check'
    ), facets AS (
        SELECT jsonb_build_object('trait', array_to_string(segments[1:size], '.'), 'operator', operator) AS facet
        FROM checks CROSS JOIN LATERAL generate_series(1, cardinality(segments)) AS size
        UNION
        SELECT jsonb_build_object('type', action->'generate_suggestion'->>'type')
        FROM jsonb_array_elements(document->'rules') AS r(rule)
        CROSS JOIN LATERAL jsonb_array_elements(rule->'actions') AS a(action)
    )
    SELECT coalesce(jsonb_agg(facet ORDER BY facet), '[]') FROM facets
$$;
CREATE TABLE mappers (
    tenant     text        NOT NULL,
    mapper_id  text        NOT NULL,
    version    bigint      NOT NULL,  -- of the document shown here
    status     text        NOT NULL,
    document   jsonb       NOT NULL,
    facets     jsonb       NOT NULL,
    hash       text        NOT NULL,
    origin     text        NOT NULL,
    reason     text        NOT NULL,
    change     text        NOT NULL,
    source     text,
    source_of  text,                  -- the hash of the document that `source` says
    created_at timestamptz NOT NULL,
    -- What was learned of its rules, as `RuleWeightsAdjusted` said last.
    learned      jsonb   NOT NULL DEFAULT '{}',
    frozen       jsonb   NOT NULL DEFAULT '[]',
    day          date,
    morning      jsonb   NOT NULL DEFAULT '{}',
    settled      boolean NOT NULL DEFAULT true,
    evidence     jsonb   NOT NULL DEFAULT '{}',
    read_through bigint  NOT NULL DEFAULT 0,
    -- The newest version of the stream, and the newest that is not just learned, which a draft above `version`
    -- may be: what a command must know. The rest is of the latter.
    latest                bigint NOT NULL,
    newest                bigint NOT NULL,
    latest_status         text   NOT NULL,
    latest_hash           text   NOT NULL,
    latest_origin         text   NOT NULL,
    latest_author_version text   NOT NULL,
    PRIMARY KEY (tenant, mapper_id)
);
CREATE INDEX mappers_facets ON mappers USING gin (facets jsonb_path_ops);

-- :on MapperPublished exactly
-- Facets are what costs most here: they are made where they are kept, and no weight changes them.
INSERT INTO mappers AS m (tenant, mapper_id, version, status, document, facets, hash, origin, reason, change,
                          source, source_of, created_at, latest, newest, latest_status, latest_hash,
                          latest_origin, latest_author_version)
SELECT e.tenant, e.payload->>'mapper_id', e.version, e.payload->>'status', e.payload->'document',
       CASE WHEN before.latest IS NULL THEN mapper_facets(e.payload->'document') ELSE '[]' END,
       e.payload->>'hash', e.payload->>'origin', coalesce(e.payload->>'reason', ''),
       CASE WHEN e.payload->>'restores' IS NULL THEN 'published' ELSE 'restored' END, e.payload->>'source',
       e.payload->>'hash', e.recorded_at, e.version, e.version, e.payload->>'status', e.payload->>'hash',
       e.payload->>'origin', e.payload->'document'->'metadata'->>'version'
FROM personakit.events_of(%(events)s) AS e
LEFT JOIN mappers AS before ON before.tenant = e.tenant AND before.mapper_id = e.payload->>'mapper_id'
WHERE e.version = coalesce(before.latest, 0) + 1
ON CONFLICT (tenant, mapper_id) DO UPDATE SET
    latest = excluded.latest, newest = excluded.newest, latest_status = excluded.latest_status,
    latest_hash = excluded.latest_hash, latest_origin = excluded.latest_origin, latest_author_version = excluded.latest_author_version
WHERE m.latest = excluded.latest - 1

-- :on MapperPublished
-- A draft is not shown in the place of what is, or was, in use.
UPDATE mappers AS m
SET version = e.version, status = e.payload->>'status', document = e.payload->'document',
    facets = mapper_facets(e.payload->'document'), hash = e.payload->>'hash',
    origin = e.payload->>'origin', reason = coalesce(e.payload->>'reason', ''),
    change = CASE WHEN e.payload->>'restores' IS NULL THEN 'published' ELSE 'restored' END,
    source = e.payload->>'source', source_of = e.payload->>'hash', created_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.mapper_id = e.payload->>'mapper_id' AND m.version < e.version
  AND (e.payload->>'status' = 'active' OR m.status = 'draft')

-- :on RuleWeightChanged exactly
-- One weight in what is shown, if this is the next version, and nothing else. A rule that is not there is a
-- fault: then the path of `jsonb_set` has a null in it.
UPDATE mappers AS m
SET version = e.version, hash = e.payload->>'hash', origin = e.payload->>'origin',
    reason = coalesce(e.payload->>'reason', ''), change = 'weight', created_at = e.recorded_at,
    document = jsonb_set(m.document, ARRAY['rules', (
        SELECT (place - 1)::text
        FROM jsonb_array_elements(m.document->'rules') WITH ORDINALITY AS r(rule, place)
        WHERE rule->>'id' = e.payload->>'rule_id'), 'weight'], e.payload->'weight'),
    latest = e.version, newest = e.version, latest_status = m.status, latest_hash = e.payload->>'hash',
    latest_origin = e.payload->>'origin',
    latest_author_version = m.document->'metadata'->>'version'
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.mapper_id = e.payload->>'mapper_id'
  AND m.latest = e.version - 1 AND m.status <> 'deprecated'

-- :on RuleWeightsAdjusted exactly
-- The same document; a draft stays what the next one is held against.
UPDATE mappers AS m
SET version = e.version, origin = e.payload->>'origin', reason = coalesce(e.payload->>'reason', ''),
    change = 'learned', created_at = e.recorded_at, learned = e.payload->'learned',
    frozen = e.payload->'frozen', day = (e.payload->>'day')::date, morning = e.payload->'morning',
    settled = (e.payload->>'settled')::boolean, evidence = e.payload->'evidence',
    read_through = (e.payload->>'read_through')::bigint, latest = e.version
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.mapper_id = e.payload->>'mapper_id'
  AND m.latest = e.version - 1 AND m.status = 'active'

-- :on MapperWithdrawn exactly
UPDATE mappers AS m
SET version = e.version, status = 'deprecated', origin = e.payload->>'origin',
    reason = coalesce(e.payload->>'reason', ''), change = 'withdrawn', created_at = e.recorded_at,
    latest = e.version, newest = e.version, latest_status = 'deprecated', latest_hash = m.hash,
    latest_origin = e.payload->>'origin',
    latest_author_version = m.document->'metadata'->>'version'
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.mapper_id = e.payload->>'mapper_id' AND m.latest = e.version - 1

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded FeedbackReceived MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore ObservationRetracted
-- :ignore PersonaDefined PersonaRetired
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore PersonaWeightsAdjusted
-- :ignore PersonErased PersonaErased

-- :query by_id
SELECT mapper_id, version, status, document, hash, origin, reason, change, source, source_of,
       created_at, learned, frozen, evidence
FROM mappers WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s

-- :query state
-- What a command decides on.
SELECT version, status, document, hash, latest, newest, latest_status, latest_hash, latest_origin,
       latest_author_version, learned, frozen, day, morning, settled, evidence, read_through
FROM mappers WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s

-- :query active_by_ids
SELECT mapper_id, version, hash, document, learned
FROM mappers WHERE tenant = %(tenant)s AND mapper_id = ANY (%(mapper_ids)s) AND status = 'active'

-- :query undeclared
-- The active ones that do not say what they are for.
SELECT mapper_id FROM mappers
WHERE tenant = %(tenant)s AND status = 'active' AND NOT document ? 'purposes'
ORDER BY mapper_id

-- :query changed_since
-- Which mappers somebody changed after an instant; what one publishes by itself is no news to it.
SELECT tenant, mapper_id, created_at FROM mappers WHERE created_at > %(after)s AND origin <> %(but)s

-- :query list
-- Without a status, all but those that were withdrawn.
SELECT mapper_id, version, status, document->'metadata'->>'name' AS name,
       document->'metadata'->>'description' AS description, hash, created_at
FROM mappers
WHERE tenant = %(tenant)s AND mapper_id > %(after)s
  AND CASE WHEN %(status)s::text IS NULL THEN status <> 'deprecated' ELSE status = %(status)s::text END
ORDER BY mapper_id
LIMIT %(limit)s

-- :query list_by_facets
-- As `list`, of those that have all of `facets`. What is found is sorted afterwards: else the order might
-- look cheaper to come by than the index that finds it.
WITH found AS MATERIALIZED (
    SELECT mapper_id, version, status, document, hash, created_at
    FROM mappers
    WHERE tenant = %(tenant)s AND facets @> %(facets)s::jsonb AND mapper_id > %(after)s
      AND CASE WHEN %(status)s::text IS NULL THEN status <> 'deprecated' ELSE status = %(status)s::text END
)
SELECT mapper_id, version, status, document->'metadata'->>'name' AS name,
       document->'metadata'->>'description' AS description, hash, created_at
FROM found
ORDER BY mapper_id
LIMIT %(limit)s
