-- The read model `feedback`: what people said of suggestions.

-- :ddl
CREATE TABLE feedback (
    tenant         text        NOT NULL,
    id             uuid        NOT NULL,
    person         uuid        NOT NULL,
    mapper_id      text        NOT NULL,
    rule_id        text        NOT NULL,
    mapper_version bigint,
    rank           integer,
    suggested_at   timestamptz,
    helpful        boolean,
    rating         integer,
    outcome        text,
    comment        text,
    propensity     double precision,  -- the chance that the rule stood at its rank, where that is known
    among          text[]      NOT NULL,  -- the rules that could have stood there
    position       bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL,
    occurred_at    timestamptz,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX ON feedback (tenant, mapper_id, rule_id, position);

-- :on FeedbackReceived
INSERT INTO feedback
SELECT tenant, stream, person, payload->>'mapper_id', payload->>'rule_id',
       (payload->>'mapper_version')::bigint, (payload->>'rank')::int, (payload->>'suggested_at')::timestamptz,
       (payload->>'helpful')::boolean, (payload->>'rating')::int, payload->>'outcome', payload->>'comment',
       (payload->>'propensity')::double precision, ARRAY(SELECT jsonb_array_elements_text(payload->'among')),
       position, recorded_at, (payload->>'occurred_at')::timestamptz
FROM personakit.events_of(%(events)s)

-- :on PersonErased PersonaErased
DELETE FROM feedback AS f USING personakit.events_of(%(events)s) AS e
WHERE f.tenant = e.tenant AND f.person = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore ObservationRetracted
-- :ignore PersonaDefined PersonaRetired
-- :ignore RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted

-- :query by_rule
SELECT * FROM feedback
WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND rule_id = %(rule_id)s
ORDER BY position

-- :query explored
-- What was said of suggestions whose chances are known, by persona and in the order of the instants they were
-- made for; of each suggestion, what was said last.
SELECT person, rule_id, mapper_version, rank, suggested_at, helpful, rating, outcome, propensity, among
FROM (SELECT DISTINCT ON (person, suggested_at, mapper_version, rank, rule_id) *
      FROM feedback
      WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s AND propensity IS NOT NULL
        AND suggested_at >= coalesce(%(since)s, suggested_at)
      ORDER BY person, suggested_at, mapper_version, rank, rule_id, position DESC) AS said
ORDER BY person, suggested_at, rank
