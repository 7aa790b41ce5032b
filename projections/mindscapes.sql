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
INSERT INTO mindscapes AS m
SELECT e.tenant, e.stream, e.version, e.payload->'traits',
       jsonb_build_object(e.payload->>'derivation', jsonb_build_object(
           'read_through', e.payload->'read_through', 'definition', e.payload->'definition')),
       e.position, e.recorded_at
FROM personakit.events_of(%(events)s) AS e
LEFT JOIN mindscapes AS before ON before.tenant = e.tenant AND before.person = e.stream
WHERE e.version = coalesce(before.version, 0) + 1
ON CONFLICT (tenant, person) DO UPDATE SET
    version = excluded.version,
    traits = (m.traits - (SELECT coalesce(array_agg(path), '{}')
                          FROM personakit.events_of(%(events)s) AS e,
                               jsonb_array_elements_text(e.payload->'removed') AS path
                          WHERE e.tenant = m.tenant AND e.stream = m.person)) || excluded.traits,
    derivations = m.derivations || excluded.derivations,
    position = excluded.position,
    updated_at = excluded.updated_at
WHERE m.version = excluded.version - 1

-- :ignore PersonRegistered ObservationRecorded FeedbackReceived DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished

-- :query by_person
SELECT version, traits, derivations, position, updated_at
FROM mindscapes WHERE tenant = %(tenant)s AND person = %(person)s

-- :query by_people
SELECT person, version, traits, derivations
FROM mindscapes WHERE tenant = %(tenant)s AND person = ANY (%(people)s)

-- :query of_people
SELECT tenant, person, version, traits, derivations FROM mindscapes
WHERE (tenant, person) IN (SELECT * FROM unnest(%(tenants)s::text[], %(people)s::uuid[]))
