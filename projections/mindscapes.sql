-- The read model `mindscapes`: the document of each person's traits, at its newest version.

-- :ddl
CREATE TABLE mindscapes (
    tenant      text        NOT NULL,
    person      uuid        NOT NULL,
    version     bigint      NOT NULL,
    traits      jsonb       NOT NULL,
    derivations jsonb       NOT NULL,
    position    bigint      NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, person)
);

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
WHEN NOT MATCHED AND e.version = 1 THEN INSERT
    VALUES (e.tenant, e.stream, e.version, e.payload->'traits',
            jsonb_build_object(e.payload->>'derivation', jsonb_build_object(
                'read_through', e.payload->'read_through', 'definition', e.payload->'definition')),
            e.position, e.recorded_at)

-- :ignore PersonRegistered ObservationRecorded FeedbackReceived DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished

-- :query by_person
SELECT version, traits, derivations, position, updated_at
FROM mindscapes WHERE tenant = %(tenant)s AND person = %(person)s

-- :query by_people
SELECT person, version, traits, derivations
FROM mindscapes WHERE tenant = %(tenant)s AND person = ANY (%(people)s)

-- :query of_people
-- The documents as text: whoever reads many decodes each straight into what it needs.
SELECT tenant, person, version, traits::text AS traits, derivations::text AS derivations FROM mindscapes
WHERE (tenant, person) IN (SELECT * FROM unnest(%(tenants)s::text[], %(people)s::uuid[]))

-- :query newest
-- The newest version of each one's mindscape that the log has: the read model may not have followed it yet.
SELECT w.person, coalesce((SELECT e.version FROM personakit.events AS e
                           WHERE e.tenant = w.tenant AND e.kind = 'mindscape' AND e.stream = w.person
                           ORDER BY e.version DESC LIMIT 1), 0) AS version
FROM unnest(%(tenants)s::text[], %(people)s::uuid[]) AS w(tenant, person)
