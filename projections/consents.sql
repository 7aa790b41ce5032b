-- The read model `consents`: what each person consents to, and whether a tenant's mapping takes it.

-- :ddl
CREATE TABLE consents (
    tenant   text   NOT NULL,
    person   uuid   NOT NULL,
    version  bigint NOT NULL,  -- how often it changed
    purposes text[] NOT NULL,
    reason   text   NOT NULL,
    latest   bigint NOT NULL,  -- the version of the person's stream
    PRIMARY KEY (tenant, person)
);
CREATE TABLE consent_policies (
    tenant     text        NOT NULL,
    version    bigint      NOT NULL,
    policy     text        NOT NULL,  -- off or required
    origin     text        NOT NULL,
    reason     text        NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant)
);

-- :on ConsentChanged exactly
INSERT INTO consents AS c
SELECT tenant, stream, 1, ARRAY(SELECT jsonb_array_elements_text(payload->'purposes')),
       coalesce(payload->>'reason', ''), version
FROM personakit.events_of(%(events)s)
ON CONFLICT (tenant, person) DO UPDATE
SET version = c.version + 1, purposes = excluded.purposes, reason = excluded.reason, latest = excluded.latest

-- :on ConsentPolicyChanged exactly
INSERT INTO consent_policies
SELECT tenant, version, payload->>'policy', payload->>'origin', coalesce(payload->>'reason', ''), recorded_at
FROM personakit.events_of(%(events)s)
ON CONFLICT (tenant) DO UPDATE
SET version = excluded.version, policy = excluded.policy, origin = excluded.origin, reason = excluded.reason,
    changed_at = excluded.changed_at

-- :on PersonErased
DELETE FROM consents AS c USING personakit.events_of(%(events)s) AS e
WHERE c.tenant = e.tenant AND c.person = e.stream

-- :ignore PersonaErased
-- :ignore PersonRegistered ObservationRecorded ObservationRetracted FeedbackReceived
-- :ignore MindscapeUpdated DerivationCompleted TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore PersonaDefined PersonaRetired PersonaCoreGenerated PersonaWeightsAdjusted
-- :ignore MapperPublished RuleWeightChanged MapperWithdrawn RuleWeightsAdjusted
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn

-- What happened to one person says nothing of another.
-- :apart

-- :query of_people
-- Of those who ever said anything.
SELECT person, purposes, reason, version, latest FROM consents
WHERE tenant = %(tenant)s AND person = ANY (%(people)s)

-- :query policy
SELECT policy, version, origin, reason, changed_at FROM consent_policies WHERE tenant = %(tenant)s
