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
       position, recorded_at, (payload->>'occurred_at')::timestamptz
FROM personakit.events_of(%(events)s)

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
