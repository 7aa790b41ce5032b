-- The read model `votes`: what feedback counts for and against each rule, by persona and day. The sums are
-- whole numbers, so that the order in which feedback comes changes no bit of them.

-- :ddl
CREATE TABLE votes (
    tenant    text   NOT NULL,
    mapper_id text   NOT NULL,
    persona   uuid   NOT NULL,
    rule_id   text   NOT NULL,
    day       date   NOT NULL,  -- in UTC
    good      bigint NOT NULL,  -- in thousandths of a vote
    bad       bigint NOT NULL,
    PRIMARY KEY (tenant, mapper_id, persona, rule_id, day)
);
-- The newest feedback that counts for anything, of each persona on each mapper.
CREATE TABLE voted (
    tenant    text   NOT NULL,
    mapper_id text   NOT NULL,
    persona   uuid   NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (tenant, mapper_id, persona)
);
CREATE INDEX ON voted (position);
CREATE INDEX ON votes (tenant, persona);
-- What `learning.votes_of` says, in SQL: what is said counts before what was done, and being ignored the less
-- the lower the suggestion stood.
CREATE FUNCTION votes_of(feedback jsonb, OUT good bigint, OUT bad bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN helpful IS NOT NULL THEN CASE WHEN helpful THEN 1000 ELSE 0 END
                WHEN rating IS NOT NULL THEN (rating - 1) * 1000 / 4
                WHEN outcome = 'accepted' THEN 1000
                ELSE 0 END,
           CASE WHEN helpful IS NOT NULL THEN CASE WHEN helpful THEN 0 ELSE 1000 END
                WHEN rating IS NOT NULL THEN (5 - rating) * 1000 / 4
                WHEN outcome = 'dismissed' THEN 1000
                WHEN outcome = 'ignored' AND rank > 0 THEN div(1000, 2 * rank - 1)
                ELSE 0 END
    FROM (SELECT (feedback->>'helpful')::boolean AS helpful, (feedback->>'rating')::bigint AS rating,
                 feedback->>'outcome' AS outcome, (feedback->>'rank')::numeric AS rank) AS said
$$;

-- :on FeedbackReceived
-- A vote's day is when it was given, as far as that is told and does not lie ahead. What a clock says that
-- is out of its mind is as old as a date can be.
INSERT INTO votes AS v
SELECT e.tenant, e.payload->>'mapper_id', e.person, e.payload->>'rule_id',
       greatest((least((e.payload->>'occurred_at')::timestamptz, e.recorded_at) AT TIME ZONE 'UTC')::date,
                '0001-01-01') AS day,
       sum(counts.good), sum(counts.bad)
FROM personakit.events_of(%(events)s) AS e CROSS JOIN LATERAL votes_of(e.payload) AS counts
WHERE counts.good + counts.bad > 0
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (tenant, mapper_id, persona, rule_id, day) DO UPDATE
SET good = v.good + excluded.good, bad = v.bad + excluded.bad

-- :on FeedbackReceived
INSERT INTO voted AS v
SELECT e.tenant, e.payload->>'mapper_id', e.person, max(e.position)
FROM personakit.events_of(%(events)s) AS e CROSS JOIN LATERAL votes_of(e.payload) AS counts
WHERE counts.good + counts.bad > 0
GROUP BY 1, 2, 3
ON CONFLICT (tenant, mapper_id, persona) DO UPDATE SET position = greatest(v.position, excluded.position)

-- :on PersonErased PersonaErased
DELETE FROM votes AS v USING personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.persona = e.stream

-- :on PersonErased PersonaErased
DELETE FROM voted AS v USING personakit.events_of(%(events)s) AS e
WHERE v.tenant = e.tenant AND v.persona = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded MindscapeUpdated DerivationCompleted
-- :ignore PersonaCoreGenerated MapperPublished TraitPinned TraitUnpinned ObservationRetracted
-- :ignore TraitTrustAdjusted PersonaDefined PersonaRetired RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted

-- What one persona says is added to what another said.
-- :apart

-- :query since
-- On which mappers there are votes after a position.
SELECT DISTINCT tenant, mapper_id FROM voted WHERE position > %(after)s ORDER BY tenant, mapper_id

-- :query voters
-- Who voted on a mapper, and where their newest feedback stands.
SELECT persona, position FROM voted WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s

-- :query of_persona
-- What one persona voted, on all mappers.
SELECT mapper_id, rule_id, day, good, bad FROM votes WHERE tenant = %(tenant)s AND persona = %(persona)s

-- :query days
SELECT DISTINCT day FROM votes WHERE tenant = %(tenant)s AND mapper_id = %(mapper_id)s ORDER BY day

-- :query tallies
-- The votes on a mapper by rule and persona, each weighed by the weights of its day: exact sums. Days that
-- are not among `days` count nothing.
SELECT v.rule_id, v.persona,
       sum(v.good::numeric * w.recent) AS recent_good, sum(v.bad::numeric * w.recent) AS recent_bad,
       sum(v.good::numeric * w.history) AS history_good, sum(v.bad::numeric * w.history) AS history_bad
FROM votes AS v
JOIN unnest(%(days)s::date[], %(recent)s::bigint[], %(history)s::bigint[]) AS w(day, recent, history)
     USING (day)
WHERE v.tenant = %(tenant)s AND v.mapper_id = %(mapper_id)s
GROUP BY v.rule_id, v.persona
ORDER BY v.rule_id, v.persona
