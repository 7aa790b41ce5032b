-- The read model `personas`: views of mindscapes, with the cached core and whether it is stale.
-- A core is stale when a trait it depends on changed materially in a mindscape version above the one
-- that the core was made from. The overlay is read live from `mindscapes` and is not kept here.

-- :ddl
CREATE TABLE personas (
    tenant       text   NOT NULL,
    persona      uuid   NOT NULL,
    own          boolean NOT NULL,          -- a person's own persona; its id is the person's
    name         text    NOT NULL DEFAULT '',
    paths        text[],                    -- the traits it uses, `work.*` for all below; null: all
    version      bigint NOT NULL,           -- of the persona's stream
    core         jsonb,
    core_version bigint NOT NULL DEFAULT 0,
    made_from    jsonb,                     -- {person: mindscape version}
    generated_at timestamptz,
    is_stale     boolean NOT NULL DEFAULT false,
    stale_since  timestamptz,
    PRIMARY KEY (tenant, persona)
);
CREATE TABLE persona_people (
    tenant  text NOT NULL,
    persona uuid NOT NULL,
    person  uuid NOT NULL,
    place   int  NOT NULL,
    PRIMARY KEY (tenant, persona, person)
);
CREATE INDEX ON persona_people (tenant, person);
CREATE INDEX ON personas (tenant) WHERE own AND core IS NULL;
-- The mindscape version of the last material change of each trait a core depends on.
CREATE TABLE persona_changes (
    tenant     text        NOT NULL,
    persona    uuid        NOT NULL,
    person     uuid        NOT NULL,
    path       text        NOT NULL,
    version    bigint      NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, persona, person, path)
);
-- What was learned of a mapper's rules for a persona, as `PersonaWeightsAdjusted` said last.
CREATE TABLE persona_weights (
    tenant       text    NOT NULL,
    persona      uuid    NOT NULL,
    mapper_id    text    NOT NULL,
    learned      jsonb   NOT NULL,
    day          date    NOT NULL,
    morning      jsonb   NOT NULL,
    settled      boolean NOT NULL,
    evidence     jsonb   NOT NULL,
    read_through bigint  NOT NULL,
    PRIMARY KEY (tenant, persona, mapper_id)
);
CREATE INDEX ON persona_weights (tenant, mapper_id);

-- Created personas whose past is gone, because somebody was erased whom they viewed: at which version.
CREATE TABLE erased_personas (
    tenant  text   NOT NULL,
    persona uuid   NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (tenant, persona)
);

-- :on PersonRegistered
INSERT INTO personas (tenant, persona, own, version)
SELECT tenant, stream, true, 0 FROM personakit.events_of(%(events)s)

-- :on PersonRegistered
INSERT INTO persona_people SELECT tenant, stream, person, 1 FROM personakit.events_of(%(events)s)

-- :on PersonaDefined exactly
-- What was made by another definition is stale from here on.
MERGE INTO personas AS p
USING (SELECT e.*, CASE WHEN jsonb_typeof(payload->'paths') = 'array'
                        THEN ARRAY(SELECT jsonb_array_elements_text(payload->'paths')) END AS paths,
              coalesce((SELECT x.version FROM erased_personas AS x
                        WHERE x.tenant = e.tenant AND x.persona = e.stream), 0) AS erased
       FROM personakit.events_of(%(events)s) AS e) AS e
ON p.tenant = e.tenant AND p.persona = e.stream
WHEN MATCHED AND p.version = e.version - 1 AND NOT p.own THEN UPDATE SET
    version = e.version, name = coalesce(e.payload->>'name', ''), paths = e.paths,
    made_from = '{}', is_stale = p.core IS NOT NULL,
    stale_since = CASE WHEN p.core IS NOT NULL THEN coalesce(p.stale_since, e.recorded_at) END
WHEN NOT MATCHED AND e.version = e.erased + 1 THEN
    INSERT (tenant, persona, own, version, name, paths)
    VALUES (e.tenant, e.stream, false, e.version, coalesce(e.payload->>'name', ''), e.paths)

-- :on PersonaDefined
DELETE FROM persona_people AS m USING personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.persona = e.stream

-- :on PersonaDefined
INSERT INTO persona_people
SELECT e.tenant, e.stream, viewed::uuid, place
FROM personakit.events_of(%(events)s) AS e
CROSS JOIN jsonb_array_elements_text(e.payload->'people') WITH ORDINALITY AS each(viewed, place)

-- :on PersonaDefined
DELETE FROM persona_changes AS c USING personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.persona = e.stream

-- :on PersonaRetired
DELETE FROM persona_people AS m USING personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.persona = e.stream

-- :on PersonaRetired
DELETE FROM persona_changes AS c USING personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.persona = e.stream

-- :on PersonaRetired
DELETE FROM persona_weights AS w USING personakit.events_of(%(events)s) AS e
WHERE w.tenant = e.tenant AND w.persona = e.stream

-- :on PersonaRetired exactly
DELETE FROM personas AS p USING personakit.events_of(%(events)s) AS e
WHERE p.tenant = e.tenant AND p.persona = e.stream AND p.version = e.version - 1 AND NOT p.own

-- :on MindscapeUpdated TraitPinned TraitUnpinned TraitTrustAdjusted
INSERT INTO persona_changes AS c
SELECT e.tenant, p.persona, e.person, path, e.version, e.recorded_at
FROM personakit.events_of(%(events)s) AS e
JOIN persona_people AS p USING (tenant, person)
JOIN personas AS o ON o.tenant = e.tenant AND o.persona = p.persona
CROSS JOIN jsonb_array_elements_text(e.payload->'material') AS path
WHERE o.paths IS NULL OR EXISTS (
    SELECT FROM unnest(o.paths) AS used
    WHERE path = used OR (used LIKE '%%.*' AND starts_with(path, left(used, -1))))
ON CONFLICT (tenant, persona, person, path) DO UPDATE
SET version = excluded.version, changed_at = excluded.changed_at

-- :on MindscapeUpdated TraitPinned TraitUnpinned TraitTrustAdjusted
-- The earliest counts, in whichever order updates of several people's mindscapes are taken.
UPDATE personas AS p SET is_stale = true, stale_since = least(p.stale_since, s.since)
FROM (SELECT e.tenant, m.persona, min(e.recorded_at) AS since
      FROM personakit.events_of(%(events)s) AS e
      JOIN persona_people AS m USING (tenant, person)
      JOIN persona_changes AS c
        ON c.tenant = e.tenant AND c.persona = m.persona AND c.person = e.person AND c.version = e.version
      JOIN personas AS o ON o.tenant = m.tenant AND o.persona = m.persona
      WHERE o.core IS NOT NULL AND e.version > coalesce((o.made_from->>e.person::text)::bigint, 0)
      GROUP BY e.tenant, m.persona) AS s
WHERE p.tenant = s.tenant AND p.persona = s.persona

-- :on PersonaCoreGenerated exactly
-- A core that raced an update is born stale: what changed since it was read counts at once.
UPDATE personas AS p
SET version = e.version, core_version = p.core_version + 1, generated_at = e.recorded_at,
    core = jsonb_build_object('summary', e.payload->'summary', 'traits', e.payload->'traits',
                              'source', coalesce(e.payload->>'source', 'composed'), 'use', e.payload->'use'),
    made_from = e.payload->'mindscape_versions',
    is_stale = raced.since IS NOT NULL, stale_since = raced.since
FROM personakit.events_of(%(events)s) AS e
CROSS JOIN LATERAL (
    SELECT min(c.changed_at) AS since FROM persona_changes AS c
    WHERE c.tenant = e.tenant AND c.persona = e.stream
      AND c.version > coalesce((e.payload->'mindscape_versions'->>c.person::text)::bigint, 0)) AS raced
WHERE p.tenant = e.tenant AND p.persona = e.stream AND p.version = e.version - 1

-- :on PersonaWeightsAdjusted exactly
UPDATE personas AS p SET version = e.version
FROM personakit.events_of(%(events)s) AS e
WHERE p.tenant = e.tenant AND p.persona = e.stream AND p.version = e.version - 1

-- :on PersonaWeightsAdjusted
INSERT INTO persona_weights
SELECT e.tenant, e.stream, e.payload->>'mapper_id', e.payload->'learned', (e.payload->>'day')::date,
       e.payload->'morning', (e.payload->>'settled')::boolean, e.payload->'evidence',
       (e.payload->>'read_through')::bigint
FROM personakit.events_of(%(events)s) AS e
ON CONFLICT (tenant, persona, mapper_id) DO UPDATE
SET learned = excluded.learned, day = excluded.day, morning = excluded.morning, settled = excluded.settled,
    evidence = excluded.evidence, read_through = excluded.read_through

-- :on PersonErased PersonaErased
DELETE FROM personas AS p USING personakit.events_of(%(events)s) AS e
WHERE p.tenant = e.tenant AND p.persona = e.stream

-- :on PersonErased PersonaErased
DELETE FROM persona_people AS m USING personakit.events_of(%(events)s) AS e
WHERE m.tenant = e.tenant AND m.persona = e.stream

-- :on PersonErased PersonaErased
DELETE FROM persona_changes AS c USING personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.persona = e.stream

-- :on PersonErased PersonaErased
DELETE FROM persona_weights AS w USING personakit.events_of(%(events)s) AS e
WHERE w.tenant = e.tenant AND w.persona = e.stream

-- :on PersonaErased
-- Its stream goes on, and what comes next begins it.
INSERT INTO erased_personas AS x SELECT tenant, stream, version FROM personakit.events_of(%(events)s)
ON CONFLICT (tenant, persona) DO UPDATE SET version = excluded.version

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore ObservationRecorded FeedbackReceived DerivationCompleted MapperPublished
-- :ignore ObservationRetracted
-- :ignore RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted

-- :query by_id
-- With `person_id`, the caller's name for it: a person's whose own it is, ~ and its UUID for one created; and
-- after which position of the log what is said of it is sealed with the key that it has.
SELECT p.*, (SELECT k.person_id FROM personakit.person_keys AS k WHERE k.person = p.persona) AS person_id,
       (SELECT k.sealed_after FROM personakit.person_keys AS k WHERE k.person = p.persona) AS sealed_after,
       (SELECT array_agg(person ORDER BY place) FROM persona_people AS m
             WHERE m.tenant = p.tenant AND m.persona = p.persona) AS people,
       (SELECT array_agg(coalesce(k.person_id, m.person::text) ORDER BY m.place) FROM persona_people AS m
             LEFT JOIN personakit.person_keys AS k ON k.person = m.person
             WHERE m.tenant = p.tenant AND m.persona = p.persona) AS people_ids,
       (SELECT array_agg(DISTINCT c.path ORDER BY c.path) FROM persona_changes AS c
        WHERE p.is_stale AND c.tenant = p.tenant AND c.persona = p.persona
          AND c.version > coalesce((p.made_from->>c.person::text)::bigint, 0)) AS changed,
       (SELECT jsonb_object_agg(w.mapper_id, jsonb_build_object('learned', w.learned, 'evidence', w.evidence))
        FROM persona_weights AS w WHERE w.tenant = p.tenant AND w.persona = p.persona) AS weights
FROM personas AS p
WHERE p.tenant = %(tenant)s AND p.persona = ANY (%(personas)s)

-- :query weights
-- What was learned of one mapper's rules for each persona of which anything was.
SELECT w.persona, p.version, w.learned, w.day, w.morning, w.settled, w.evidence, w.read_through
FROM persona_weights AS w JOIN personas AS p USING (tenant, persona)
WHERE w.tenant = %(tenant)s AND w.mapper_id = %(mapper_id)s

-- :query with_weights
-- For how many personas of a tenant anything was learned of a mapper's rules.
SELECT tenant, count(DISTINCT persona) AS personas FROM persona_weights GROUP BY tenant ORDER BY tenant

-- :query without_core
-- Own personas that have no core yet, in the log either, although there are traits to put into one; with
-- the person's mindscape as text.
SELECT p.tenant, p.persona, p.version AS persona_version, m.person, m.version, m.traits::text AS traits,
       m.derivations::text AS derivations, m.pins::text AS pins,
       m.trust::text AS trust
FROM personas AS p
JOIN mindscapes AS m ON m.tenant = p.tenant AND m.person = p.persona
WHERE p.own AND p.core IS NULL
  AND NOT EXISTS (SELECT FROM personakit.events AS e
                  WHERE e.tenant = p.tenant AND e.kind = 'persona' AND e.stream = p.persona
                    AND e.version > p.version)
  AND EXISTS (SELECT FROM jsonb_each(m.traits || m.pins) AS trait(path, body)
              WHERE coalesce(body->>'volatility', 'low') <> 'high'
                AND coalesce((body->>'visible')::boolean, true))
LIMIT %(limit)s

-- :query page
-- The personas of a tenant by their ids: all, if `people` is null, else those that are `named` or view nobody
-- but `people`.
SELECT k.person_id AS id, p.own, p.name, p.core_version, p.is_stale, p.stale_since, viewed.people,
       viewed.people_ids
FROM personakit.person_keys AS k JOIN personas AS p ON p.tenant = k.tenant AND p.persona = k.person
CROSS JOIN LATERAL (
    SELECT array_agg(m.person) AS people, array_agg(coalesce(w.person_id, m.person::text) ORDER BY m.place) AS people_ids
    FROM persona_people AS m LEFT JOIN personakit.person_keys AS w ON w.person = m.person
    WHERE m.tenant = p.tenant AND m.persona = p.persona) AS viewed
WHERE k.tenant = %(tenant)s AND k.person_id > %(after)s
  AND (%(people)s::text[] IS NULL OR k.person_id = ANY (%(named)s::text[])
       OR viewed.people_ids <@ %(people)s::text[])
ORDER BY k.person_id
LIMIT %(limit)s
