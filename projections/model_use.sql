-- The read model `model_use`: what was asked of models and what that cost, by tenant, day (UTC), person and
-- agent. By person, because what is rebuilt leaves the erased out. `usd` is numeric, so that a sum does not
-- depend on the order it was made in.

-- :ddl
CREATE TABLE model_use (
    tenant             text    NOT NULL,
    day                date    NOT NULL,
    person             uuid    NOT NULL,  -- of a persona's core, the persona
    agent              text    NOT NULL,  -- a derivation, or `summary` for the cores of personas
    model              text    NOT NULL,
    calls              bigint  NOT NULL,
    input_tokens       bigint  NOT NULL,
    output_tokens      bigint  NOT NULL,
    cache_read_tokens  bigint  NOT NULL,
    cache_write_tokens bigint  NOT NULL,
    usd                numeric NOT NULL,
    PRIMARY KEY (tenant, day, person, agent, model)
);
-- What models proposed that was not taken, by reason.
CREATE TABLE model_dropped (
    tenant  text   NOT NULL,
    day     date   NOT NULL,
    person  uuid   NOT NULL,
    agent   text   NOT NULL,
    reason  text   NOT NULL,
    dropped bigint NOT NULL,
    PRIMARY KEY (tenant, day, person, agent, reason)
);

-- :on MindscapeUpdated DerivationCompleted PersonaCoreGenerated
INSERT INTO model_use AS u
SELECT tenant, (recorded_at AT TIME ZONE 'UTC')::date, person, agent, use->>'model',
       sum(coalesce((use->>'calls')::bigint, 1)), sum((use->>'input_tokens')::bigint),
       sum((use->>'output_tokens')::bigint), sum((use->>'cache_read_tokens')::bigint),
       sum((use->>'cache_write_tokens')::bigint), sum((use->>'usd')::numeric)
FROM (SELECT tenant, recorded_at, person, coalesce(payload->>'derivation', 'summary') AS agent, payload->'use' AS use
      FROM personakit.events_of(%(events)s)) AS e
WHERE jsonb_typeof(use) = 'object'
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (tenant, day, person, agent, model) DO UPDATE
SET calls = u.calls + excluded.calls,
    input_tokens = u.input_tokens + excluded.input_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    cache_read_tokens = u.cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = u.cache_write_tokens + excluded.cache_write_tokens,
    usd = u.usd + excluded.usd

-- :on MindscapeUpdated DerivationCompleted
INSERT INTO model_dropped AS d
SELECT tenant, (recorded_at AT TIME ZONE 'UTC')::date, person, payload->>'derivation', reason, sum(count::bigint)
FROM personakit.events_of(%(events)s) AS e
CROSS JOIN jsonb_each_text(coalesce(payload->'dropped', '{}')) AS each(reason, count)
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (tenant, day, person, agent, reason) DO UPDATE SET dropped = d.dropped + excluded.dropped

-- :on PersonErased PersonaErased
DELETE FROM model_use AS u USING personakit.events_of(%(events)s) AS e
WHERE u.tenant = e.tenant AND u.person = e.stream

-- :on PersonErased PersonaErased
DELETE FROM model_dropped AS d USING personakit.events_of(%(events)s) AS e
WHERE d.tenant = e.tenant AND d.person = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered ObservationRecorded FeedbackReceived MapperPublished
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore PersonaDefined PersonaRetired ObservationRetracted RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted

-- What happened to one person says nothing of another.
-- :apart

-- :query spent
-- What a tenant spent on a day.
SELECT coalesce(sum(usd), 0)::float8 AS usd FROM model_use WHERE tenant = %(tenant)s AND day = %(day)s

-- :query spent_above
-- How many tenants spent more than that on a day.
SELECT count(*) AS tenants FROM (SELECT FROM model_use WHERE day = %(day)s
                                 GROUP BY tenant HAVING sum(usd) > %(usd)s::numeric) AS those

-- :query by_day
SELECT day, agent, model, sum(calls)::bigint AS calls, sum(input_tokens)::bigint AS input_tokens,
       sum(output_tokens)::bigint AS output_tokens, sum(cache_read_tokens)::bigint AS cache_read_tokens,
       sum(cache_write_tokens)::bigint AS cache_write_tokens, sum(usd)::float8 AS usd
FROM model_use
WHERE tenant = %(tenant)s AND day >= %(first)s AND day <= %(last)s
GROUP BY day, agent, model ORDER BY day, agent, model

-- :query dropped_by_day
SELECT day, agent, reason, sum(dropped)::bigint AS dropped FROM model_dropped
WHERE tenant = %(tenant)s AND day >= %(first)s AND day <= %(last)s
GROUP BY day, agent, reason ORDER BY day, agent, reason

-- :query totals
-- Since the beginning.
SELECT tenant, agent, model, sum(calls)::bigint AS calls, sum(input_tokens)::bigint AS input_tokens,
       sum(output_tokens)::bigint AS output_tokens, sum(cache_read_tokens)::bigint AS cache_read_tokens,
       sum(cache_write_tokens)::bigint AS cache_write_tokens, sum(usd)::float8 AS usd
FROM model_use GROUP BY tenant, agent, model ORDER BY tenant, agent, model

-- :query dropped_totals
SELECT tenant, agent, reason, sum(dropped)::bigint AS dropped FROM model_dropped
GROUP BY tenant, agent, reason ORDER BY tenant, agent, reason

-- :query of_people
-- What was asked and paid for some people and personas.
SELECT day, agent, model, sum(calls)::bigint AS calls, sum(input_tokens)::bigint AS input_tokens,
       sum(output_tokens)::bigint AS output_tokens, sum(cache_read_tokens)::bigint AS cache_read_tokens,
       sum(cache_write_tokens)::bigint AS cache_write_tokens, sum(usd)::float8 AS usd
FROM model_use
WHERE tenant = %(tenant)s AND person = ANY (%(people)s)
GROUP BY day, agent, model ORDER BY day, agent, model

-- :query dropped_of_people
SELECT day, agent, reason, sum(dropped)::bigint AS dropped FROM model_dropped
WHERE tenant = %(tenant)s AND person = ANY (%(people)s)
GROUP BY day, agent, reason ORDER BY day, agent, reason
