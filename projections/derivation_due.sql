-- The read model `derivation_due`: how far each derivation has read each person, and how far it should.
-- What awaits derivation is asked here, never taken from a message, so that a lost wake-up loses nothing.

-- :ddl
CREATE TABLE derivation_due (
    tenant       text   NOT NULL,
    person       uuid   NOT NULL,
    derivation   text   NOT NULL,
    due          bigint NOT NULL DEFAULT 0,  -- position of the newest observation or retraction
    first_due    bigint NOT NULL DEFAULT 0,  -- at or below the oldest one that is not read yet
    read_through bigint NOT NULL DEFAULT 0,
    definition   text COLLATE "C",           -- the fingerprint of the rules that read so far
    derived_at   bigint NOT NULL DEFAULT 0,  -- position of the derivation's newest event
    PRIMARY KEY (tenant, person, derivation)
);
CREATE INDEX ON derivation_due (due) WHERE due > read_through;
CREATE INDEX ON derivation_due (tenant, derived_at);
-- Who was derived by other rules is found in ranges of these, beside the fingerprint that is right: of the
-- release, those below and above it that no tenant's own rules have (they begin with `own:`, after all
-- hexadecimal digits); of a tenant with rules of its own, all others that somebody of it has.
CREATE INDEX ON derivation_due (definition) WHERE due > 0;
CREATE INDEX ON derivation_due (tenant, definition) WHERE due > 0;

-- :on ObservationRecorded ObservationRetracted
INSERT INTO derivation_due AS d (tenant, person, derivation, due, first_due)
SELECT tenant, person, 'computed', max(position), min(position)
FROM personakit.events_of(%(events)s) GROUP BY tenant, person
ON CONFLICT (tenant, person, derivation) DO UPDATE
SET due = greatest(d.due, excluded.due),
    first_due = CASE WHEN d.due > d.read_through THEN d.first_due ELSE excluded.first_due END

-- :on MindscapeUpdated DerivationCompleted
-- Other rules begin again from the first observation, so their read-through replaces the old one.
INSERT INTO derivation_due AS d (tenant, person, derivation, read_through, definition, derived_at)
SELECT tenant, person, payload->>'derivation', (payload->>'read_through')::bigint,
       payload->>'definition', position
FROM personakit.events_of(%(events)s)
ON CONFLICT (tenant, person, derivation) DO UPDATE
SET read_through = CASE WHEN d.definition = excluded.definition
                        THEN greatest(d.read_through, excluded.read_through)
                        ELSE excluded.read_through END,
    first_due = greatest(d.first_due, excluded.read_through + 1),
    definition = excluded.definition,
    derived_at = excluded.derived_at

-- :on PersonErased PersonaErased
DELETE FROM derivation_due AS d USING personakit.events_of(%(events)s) AS e
WHERE d.tenant = e.tenant AND d.person = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered FeedbackReceived PersonaCoreGenerated MapperPublished
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore PersonaDefined PersonaRetired
-- :ignore RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted

-- What happened to one person says nothing of another.
-- :apart

-- :query due_buckets
-- Which sixteenths of the people have somebody whose observations were not read, or were read by other
-- rules than those of their tenant. A bucket is derived in one go, and only its number is sent about.
-- `definition` is that of the release; `tenants` and `definitions` are those who ever had rules of their own.
SELECT (get_byte(uuid_send(person), 15) & 15) AS bucket FROM derivation_due WHERE due > read_through
UNION
SELECT (get_byte(uuid_send(person), 15) & 15) FROM derivation_due
WHERE due > 0 AND (definition < %(definition)s OR definition > %(definition)s AND definition < 'own:')
UNION
SELECT (get_byte(uuid_send(person), 15) & 15)
FROM unnest(%(tenants)s::text[], %(definitions)s::text[]) AS own(tenant, definition)
CROSS JOIN LATERAL (SELECT person FROM derivation_due AS d
                    WHERE d.due > 0 AND d.tenant = own.tenant AND d.definition < own.definition
                    UNION ALL
                    SELECT person FROM derivation_due AS d
                    WHERE d.due > 0 AND d.tenant = own.tenant AND d.definition > own.definition) AS other

-- :query due
-- Those people of a bucket, who has waited longest first, and how far which rules have read.
SELECT tenant, person, due, definition, read_through
FROM ((SELECT * FROM derivation_due
       WHERE due > read_through AND (get_byte(uuid_send(person), 15) & 15) = %(bucket)s
       ORDER BY due LIMIT %(limit)s)
      UNION
      (SELECT * FROM derivation_due
       WHERE due > 0 AND (definition < %(definition)s OR definition > %(definition)s AND definition < 'own:')
         AND (get_byte(uuid_send(person), 15) & 15) = %(bucket)s
       LIMIT %(limit)s)
      UNION
      (SELECT other.*
       FROM unnest(%(tenants)s::text[], %(definitions)s::text[]) AS own(tenant, definition)
       CROSS JOIN LATERAL (SELECT * FROM derivation_due AS d
                           WHERE d.due > 0 AND d.tenant = own.tenant AND d.definition < own.definition
                           UNION ALL
                           SELECT * FROM derivation_due AS d
                           WHERE d.due > 0 AND d.tenant = own.tenant AND d.definition > own.definition) AS other
       WHERE (get_byte(uuid_send(other.person), 15) & 15) = %(bucket)s
       LIMIT %(limit)s)) AS waiting
ORDER BY due LIMIT %(limit)s

-- :query cursor
SELECT definition, read_through FROM derivation_due
WHERE tenant = %(tenant)s AND person = %(person)s AND derivation = %(derivation)s

-- :query of_people
-- The events of `summary` and `rereading` say only what was paid: for the mindscape they read nothing.
SELECT person, derivation, read_through FROM derivation_due
WHERE tenant = %(tenant)s AND person = ANY (%(people)s) AND derivation NOT IN ('summary', 'rereading')

-- :query derived_through
-- Of a tenant: does an observation recorded up to `position` await derivation still; and where the
-- newest derivation's event stands.
SELECT EXISTS (SELECT FROM derivation_due
               WHERE tenant = %(tenant)s AND due > read_through AND first_due <= %(position)s) AS pending,
       (SELECT coalesce(max(derived_at), 0) FROM derivation_due WHERE tenant = %(tenant)s) AS derived_at

-- :query of_person
-- How far each derivation has read somebody, and how far it should.
SELECT derivation, due, read_through FROM derivation_due
WHERE tenant = %(tenant)s AND person = %(person)s
ORDER BY derivation
