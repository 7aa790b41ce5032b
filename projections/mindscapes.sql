-- The read model `mindscapes`: the document of each person's traits, at its newest version.

-- :ddl
CREATE TABLE mindscapes (
    tenant      text        NOT NULL,
    person      uuid        NOT NULL,
    version     bigint      NOT NULL,
    traits      jsonb       NOT NULL,
    derivations jsonb       NOT NULL,
    pins        jsonb       NOT NULL DEFAULT '{}',  -- by path: value, volatility, reason, origin
    trust       jsonb       NOT NULL DEFAULT '{}',  -- what feedback taught: multipliers by path, day, morning, settled
    position    bigint      NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, person)
);
CREATE INDEX ON mindscapes (tenant) WHERE trust->'settled' = 'false';

-- :on MindscapeUpdated exactly
-- Only version 1 may begin a document and only version n + 1 may follow n; anything else is a fault,
-- which `exactly` makes loud: each event must change exactly one row.
MERGE INTO mindscapes AS m
USING personakit.events_of(%(events)s) AS e ON m.tenant = e.tenant AND m.person = e.stream
WHEN MATCHED AND m.version = e.version - 1 THEN UPDATE SET
    version = e.version,
    traits = (m.traits - ARRAY(SELECT jsonb_array_elements_text(e.payload->'removed')))
             || (e.payload->'traits'),
    derivations = m.derivations || jsonb_build_object(e.payload->>'derivation', jsonb_build_object(
        'read_through', e.payload->'read_through', 'definition', e.payload->'definition')),
    position = e.position,
    updated_at = e.recorded_at
WHEN NOT MATCHED AND e.version = 1 THEN
    INSERT (tenant, person, version, traits, derivations, position, updated_at)
    VALUES (e.tenant, e.stream, e.version, e.payload->'traits',
            jsonb_build_object(e.payload->>'derivation', jsonb_build_object(
                'read_through', e.payload->'read_through', 'definition', e.payload->'definition')),
            e.position, e.recorded_at)

-- :on TraitPinned exactly
MERGE INTO mindscapes AS m
USING (SELECT e.*, jsonb_build_object(payload->>'path', jsonb_build_object(
                  'value', payload->'value', 'volatility', payload->'volatility',
                  'reason', payload->'reason', 'origin', payload->'origin')) AS pin
       FROM personakit.events_of(%(events)s) AS e) AS e
ON m.tenant = e.tenant AND m.person = e.stream
WHEN MATCHED AND m.version = e.version - 1 THEN UPDATE SET
    version = e.version, pins = m.pins || e.pin, position = e.position, updated_at = e.recorded_at
WHEN NOT MATCHED AND e.version = 1 THEN
    INSERT (tenant, person, version, traits, derivations, pins, position, updated_at)
    VALUES (e.tenant, e.stream, e.version, '{}', '{}', e.pin, e.position, e.recorded_at)

-- :on TraitUnpinned exactly
UPDATE mindscapes AS m SET
    version = e.version, pins = m.pins - (e.payload->>'path'), position = e.position, updated_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.person = e.stream AND m.version = e.version - 1

-- :on TraitTrustAdjusted exactly
UPDATE mindscapes AS m SET
    version = e.version, position = e.position, updated_at = e.recorded_at,
    trust = jsonb_build_object('multipliers', e.payload->'trust', 'day', e.payload->'day',
                               'morning', e.payload->'morning', 'settled', e.payload->'settled')
FROM personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.person = e.stream AND m.version = e.version - 1

-- :on PersonErased
DELETE FROM mindscapes AS m USING personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.person = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded FeedbackReceived DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished
-- :ignore ObservationRetracted
-- :ignore PersonaDefined PersonaRetired
-- :ignore RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted
-- :ignore PersonaErased

-- :query by_person
SELECT version, traits, derivations, pins, trust, position, updated_at
FROM mindscapes WHERE tenant = %(tenant)s AND person = %(person)s

-- :query by_people
SELECT person, version, traits, derivations, pins, trust
FROM mindscapes WHERE tenant = %(tenant)s AND person = ANY (%(people)s)

-- :query unsettled
-- Whose trust has further to go, on another day.
SELECT person FROM mindscapes
WHERE tenant = %(tenant)s AND trust->'settled' = 'false' AND (trust->>'day')::date < %(today)s

-- :query trait_paths
-- The paths that some of a tenant's people have traits at, derived or pinned.
SELECT DISTINCT path
FROM (SELECT traits, pins FROM mindscapes
      WHERE tenant = %(tenant)s ORDER BY person LIMIT %(people)s) AS looked_at
CROSS JOIN LATERAL (SELECT jsonb_object_keys(traits) UNION ALL SELECT jsonb_object_keys(pins)) AS each(path)

-- :query newest
-- Of those people whose mindscape stands here as the log has it (it may not have been followed yet): the
-- documents as text, for whoever reads many decodes each straight into what it needs. Version 0: none yet.
SELECT w.tenant, w.person, coalesce(m.version, 0) AS version, coalesce(m.traits::text, '{}') AS traits,
       coalesce(m.derivations::text, '{}') AS derivations, coalesce(m.pins::text, '{}') AS pins,
       coalesce(m.trust::text, '{}') AS trust
FROM unnest(%(tenants)s::text[], %(people)s::uuid[]) AS w(tenant, person)
LEFT JOIN mindscapes AS m ON m.tenant = w.tenant AND m.person = w.person
WHERE NOT EXISTS (SELECT FROM personakit.events AS e
                  WHERE e.tenant = w.tenant AND e.kind = 'mindscape' AND e.stream = w.person
                    AND e.version > coalesce(m.version, 0))
