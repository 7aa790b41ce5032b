-- The read model `changes`: what `/sync` serves, one row an entity, at the position that last changed
-- what a client would be given of it.

-- :ddl
CREATE TABLE changes (
    tenant     text        NOT NULL,
    kind       text        NOT NULL,  -- mapper or persona
    entity     text        NOT NULL,  -- a mapper's id, a persona's UUID
    position   bigint      NOT NULL,
    changed_at timestamptz NOT NULL,
    op         text        NOT NULL,  -- put, delete, or erase: nothing may be kept of it
    PRIMARY KEY (tenant, kind, entity)
);
CREATE UNIQUE INDEX ON changes (tenant, position, kind, entity);
-- Which created personas view a person's mindscape.
CREATE TABLE viewers (
    tenant  text NOT NULL,
    persona uuid NOT NULL,
    person  uuid NOT NULL,
    PRIMARY KEY (tenant, person, persona)
);
CREATE INDEX ON viewers (tenant, persona);
-- Whom each created persona views, and has viewed: whoever saw it and may not any more is told that it is gone.
CREATE TABLE defined (
    tenant   text   NOT NULL,
    persona  uuid   NOT NULL,
    position bigint NOT NULL,
    people   uuid[] NOT NULL,
    PRIMARY KEY (tenant, persona, position)
);

-- :on PersonRegistered
INSERT INTO changes SELECT tenant, 'persona', stream::text, position, recorded_at, 'put'
FROM personakit.events_of(%(events)s)

-- :on MindscapeUpdated TraitPinned TraitUnpinned TraitTrustAdjusted ConsentChanged exactly
UPDATE changes AS c SET position = e.position, changed_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.kind = 'persona' AND c.entity = e.person::text

-- :on MindscapeUpdated TraitPinned TraitUnpinned TraitTrustAdjusted ConsentChanged
-- Several of the people whom one persona views may be among the events, in one statement or in two: the last
-- one counts.
UPDATE changes AS c SET position = n.position, changed_at = n.recorded_at
FROM (SELECT DISTINCT ON (v.tenant, v.persona) v.tenant, v.persona, e.position, e.recorded_at
      FROM personakit.events_of(%(events)s) AS e JOIN viewers AS v USING (tenant, person)
      ORDER BY v.tenant, v.persona, e.position DESC) AS n
WHERE c.tenant = n.tenant AND c.kind = 'persona' AND c.entity = n.persona::text AND c.position < n.position

-- :on PersonaDefined
DELETE FROM viewers AS v USING personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.persona = e.stream

-- :on PersonaDefined
INSERT INTO viewers
SELECT e.tenant, e.stream, viewed::uuid
FROM personakit.events_of(%(events)s) AS e CROSS JOIN jsonb_array_elements_text(e.payload->'people') AS viewed

-- :on PersonaDefined
INSERT INTO defined
SELECT e.tenant, e.stream, e.position,
       ARRAY(SELECT viewed::uuid FROM jsonb_array_elements_text(e.payload->'people') AS viewed)
FROM personakit.events_of(%(events)s) AS e

-- :on PersonaDefined
INSERT INTO changes AS c
SELECT tenant, 'persona', stream::text, position, recorded_at, 'put' FROM personakit.events_of(%(events)s)
ON CONFLICT (tenant, kind, entity) DO UPDATE
SET position = excluded.position, changed_at = excluded.changed_at, op = excluded.op

-- :on PersonaRetired
DELETE FROM viewers AS v USING personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.persona = e.stream

-- :on PersonaRetired exactly
UPDATE changes AS c SET position = e.position, changed_at = e.recorded_at, op = 'delete'
FROM personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.kind = 'persona' AND c.entity = e.stream::text

-- :on PersonaCoreGenerated PersonaWeightsAdjusted exactly
UPDATE changes AS c SET position = e.position, changed_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.kind = 'persona' AND c.entity = e.stream::text

-- :on MapperPublished
-- A draft is nobody's business but its author's.
INSERT INTO changes AS c
SELECT tenant, 'mapper', payload->>'mapper_id', position, recorded_at, 'put'
FROM personakit.events_of(%(events)s) WHERE payload->>'status' = 'active'
ON CONFLICT (tenant, kind, entity) DO UPDATE
SET position = excluded.position, changed_at = excluded.changed_at, op = excluded.op

-- :on RuleWeightChanged RuleWeightsAdjusted
-- A mapper that has no row here was never more than a draft.
UPDATE changes AS c SET position = e.position, changed_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.kind = 'mapper' AND c.entity = e.payload->>'mapper_id'

-- :on MapperWithdrawn
UPDATE changes AS c SET position = e.position, changed_at = e.recorded_at, op = 'delete'
FROM personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.kind = 'mapper' AND c.entity = e.payload->>'mapper_id'

-- :on PersonErased PersonaErased
-- There may be no row: in a replay, what made one is absent.
INSERT INTO changes AS c
SELECT tenant, 'persona', stream::text, position, recorded_at, 'erase' FROM personakit.events_of(%(events)s)
ON CONFLICT (tenant, kind, entity) DO UPDATE
SET position = excluded.position, changed_at = excluded.changed_at, op = excluded.op

-- :on PersonErased PersonaErased
DELETE FROM viewers AS v USING personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND (v.person = e.stream OR v.persona = e.stream)

-- :on PersonaErased
DELETE FROM defined AS d USING personakit.events_of(%(events)s) AS e
WHERE d.tenant = e.tenant AND d.persona = e.stream

-- :on ConsentPolicyChanged
-- A mapper says whether it takes consent.
UPDATE changes AS c SET position = e.position, changed_at = e.recorded_at
FROM personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.kind = 'mapper' AND c.op = 'put'

-- :ignore ObservationRecorded FeedbackReceived DerivationCompleted
-- :ignore ObservationRetracted
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn

-- :query since
-- What changed after a row of the order (position, kind, entity), up to a position: one event may have changed
-- several personas. `personas` are those asked for; null is all.
SELECT kind, entity, position, changed_at, op FROM changes
WHERE tenant = %(tenant)s AND (position, kind, entity) > (%(after)s, %(after_kind)s, %(after_entity)s)
  AND position <= %(through)s
  AND (%(personas)s::text[] IS NULL OR kind <> 'persona' OR entity = ANY (%(personas)s::text[]))
ORDER BY position, kind, entity
LIMIT %(limit)s

-- :query there
-- What is there and has not changed since `head`, by kind and entity.
SELECT kind, entity, position, changed_at, op FROM changes
WHERE tenant = %(tenant)s AND (kind, entity) > (%(after_kind)s, %(after_entity)s)
  AND op = 'put' AND position <= %(head)s
  AND (%(personas)s::text[] IS NULL OR kind <> 'persona' OR entity = ANY (%(personas)s::text[]))
ORDER BY kind, entity
LIMIT %(limit)s

-- :query versions
-- All that is there, under the ids that callers know, each at its version.
SELECT c.kind, coalesce(k.person_id, c.entity) AS id, c.position AS version
FROM changes AS c
LEFT JOIN personakit.person_keys AS k
  ON c.kind = 'persona' AND k.tenant = c.tenant AND k.person::text = c.entity
WHERE c.tenant = %(tenant)s AND c.op = 'put' AND c.position <= %(through)s
  AND (c.kind <> 'persona' OR k.person IS NOT NULL)
  AND (%(personas)s::text[] IS NULL OR c.kind <> 'persona' OR c.entity = ANY (%(personas)s::text[]))

-- :query in_scope
-- The personas of a limited key: those of `people`, those that are `named`, and those created ones that view
-- nobody but `people`; with those that did so once, which are not there `now`. Nor are the erased, of whom
-- nothing is left that would say who saw them: everybody is told that they are gone, for as long as a cursor
-- is good.
WITH limits AS (
    SELECT array_agg(person) AS people FROM personakit.person_keys
    WHERE tenant = %(tenant)s AND person_id = ANY (%(people)s::text[])
)
SELECT person::text AS entity, true AS now FROM personakit.person_keys
WHERE tenant = %(tenant)s AND person_id = ANY (%(people)s::text[] || %(named)s::text[])
UNION ALL
SELECT d.persona::text, (array_agg(d.people <@ l.people ORDER BY d.position DESC))[1]
FROM defined AS d CROSS JOIN limits AS l
WHERE d.tenant = %(tenant)s
GROUP BY d.persona
HAVING bool_or(d.people <@ l.people)
UNION ALL
SELECT entity, false FROM changes
WHERE tenant = %(tenant)s AND kind = 'persona' AND op = 'erase'
  AND changed_at > clock_timestamp() - interval '90 days'

-- :query standing
-- The newest event at or below a position (positions have gaps): when it was recorded, by which append.
SELECT recorded_at, append_id FROM personakit.standing(%(position)s)

-- :query stirred
-- What changed for any of these tenants after a position.
SELECT c.tenant, c.kind, c.entity
FROM unnest(%(tenants)s::text[]) AS t(tenant)
CROSS JOIN LATERAL (SELECT tenant, kind, entity FROM changes
                    WHERE tenant = t.tenant AND position > %(after)s LIMIT %(limit)s) AS c

-- :query viewing
-- The created personas that view a person's mindscape, or did once.
SELECT DISTINCT persona FROM defined
WHERE tenant = %(tenant)s AND people @> ARRAY[%(person)s::uuid]
ORDER BY persona
