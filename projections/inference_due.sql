-- The read model `inference_due`: whose free text awaits a model, how much of it, and since when.
-- Free text is a text of four words or more, or of eight characters in a row of a script without spaces,
-- anywhere in an observation's content. Nothing has to be configured for it, and where no model is asked it
-- waits here for the day when one is.

-- :ddl
CREATE TABLE inference_due (
    tenant    text        NOT NULL,
    person    uuid        NOT NULL,
    tokens    bigint      NOT NULL,  -- of all that waits, as estimated
    oldest_at timestamptz NOT NULL,  -- when the oldest of it was recorded
    PRIMARY KEY (tenant, person)
) WITH (fillfactor = 70);  -- the tokens of a row change often, and no index has them
CREATE INDEX ON inference_due (oldest_at);
CREATE TABLE inference_texts (
    tenant      text        NOT NULL,
    person      uuid        NOT NULL,
    position    bigint      NOT NULL,
    id          uuid        NOT NULL,  -- of the observation
    recorded_at timestamptz NOT NULL,
    tokens      bigint      NOT NULL,
    PRIMARY KEY (tenant, person, position)
);

-- Nearly all observations are told apart by looking at their bytes: what separates words is a space, an escape
-- or beyond ASCII, and so is every character of the scripts without spaces.
-- :only ObservationRecorded (?:[ \\\x80-\xff].*?){3}

-- :on ObservationRecorded
-- A token is three bytes of JSON: English has about four to a token, other scripts have fewer. Every
-- observation passes here: the first pattern, over the JSON as text, is quick and passes all that the second
-- one takes (which knows a text from a list of numbers), and little else.
WITH new AS (
    INSERT INTO inference_texts
    SELECT tenant, person, position, id, recorded_at, 20 + octet_length(content::text) / 3
    FROM (SELECT tenant, person, position, stream AS id, recorded_at, payload->'content' AS content
          FROM personakit.events_of(%(events)s)) AS e
    WHERE CASE WHEN content::text ~ '([^"\\\s]|\\.)((\s|\\[nrtf])+([^"\\\s]|\\.)+){3}|[\u0E00-\u0E7F\u3040-\u30FF\u3400-\u9FFF]{8}'
          THEN jsonb_path_exists(content, '$.** ? (@.type() == "string" && (
              @ like_regex "\\S\\s+\\S+\\s+\\S+\\s+\\S" || @ like_regex "[\u0E00-\u0E7F\u3040-\u30FF\u3400-\u9FFF]{8}"))')
          ELSE false END
    RETURNING tenant, person, recorded_at, tokens
)
INSERT INTO inference_due AS d
SELECT tenant, person, sum(tokens), min(recorded_at) FROM new GROUP BY tenant, person
ON CONFLICT (tenant, person) DO UPDATE
SET tokens = d.tokens + excluded.tokens, oldest_at = least(d.oldest_at, excluded.oldest_at)

-- :on ObservationRetracted
-- What was taken back is not read any more.
DELETE FROM inference_texts AS t USING personakit.events_of(%(events)s) AS e
WHERE t.tenant = e.tenant AND t.person = e.person AND t.id = e.stream

-- :on ObservationRetracted
DELETE FROM inference_due AS d USING personakit.events_of(%(events)s) AS e
WHERE d.tenant = e.tenant AND d.person = e.person
  AND NOT EXISTS (SELECT FROM inference_texts AS t WHERE t.tenant = d.tenant AND t.person = d.person)

-- :on ObservationRetracted
UPDATE inference_due AS d SET tokens = s.tokens, oldest_at = s.oldest_at
FROM (SELECT t.tenant, t.person, sum(t.tokens) AS tokens, min(t.recorded_at) AS oldest_at
      FROM (SELECT DISTINCT tenant, person FROM personakit.events_of(%(events)s)) AS e
      JOIN inference_texts AS t USING (tenant, person)
      GROUP BY t.tenant, t.person) AS s
WHERE d.tenant = s.tenant AND d.person = s.person

-- :on MindscapeUpdated DerivationCompleted
DELETE FROM inference_texts AS t USING personakit.events_of(%(events)s) AS e
WHERE e.payload->>'derivation' = 'anthropic' AND t.tenant = e.tenant AND t.person = e.person
  AND t.position <= (e.payload->>'read_through')::bigint

-- :on MindscapeUpdated DerivationCompleted
DELETE FROM inference_due AS d USING personakit.events_of(%(events)s) AS e
WHERE e.payload->>'derivation' = 'anthropic' AND d.tenant = e.tenant AND d.person = e.person
  AND NOT EXISTS (SELECT FROM inference_texts AS t WHERE t.tenant = d.tenant AND t.person = d.person)

-- :on MindscapeUpdated DerivationCompleted
UPDATE inference_due AS d SET tokens = s.tokens, oldest_at = s.oldest_at
FROM (SELECT t.tenant, t.person, sum(t.tokens) AS tokens, min(t.recorded_at) AS oldest_at
      FROM (SELECT DISTINCT tenant, person FROM personakit.events_of(%(events)s)
            WHERE payload->>'derivation' = 'anthropic') AS e
      JOIN inference_texts AS t USING (tenant, person)
      GROUP BY t.tenant, t.person) AS s
WHERE d.tenant = s.tenant AND d.person = s.person

-- :on PersonErased
DELETE FROM inference_texts AS t USING personakit.events_of(%(events)s) AS e
WHERE t.tenant = e.tenant AND t.person = e.stream

-- :on PersonErased
DELETE FROM inference_due AS d USING personakit.events_of(%(events)s) AS e
WHERE d.tenant = e.tenant AND d.person = e.stream

-- :ignore ConsentChanged ConsentPolicyChanged
-- :ignore PersonRegistered FeedbackReceived PersonaCoreGenerated MapperPublished
-- :ignore TraitPinned TraitUnpinned TraitTrustAdjusted
-- :ignore PersonaDefined PersonaRetired RuleWeightChanged MapperWithdrawn
-- :ignore ComputedTraitsPublished ComputedTraitsWithdrawn
-- :ignore RuleWeightsAdjusted PersonaWeightsAdjusted
-- :ignore PersonaErased

-- What happened to one person says nothing of another.
-- :apart

-- :query ready
-- Who has waited longest, of those with enough text or text that is old enough; without those whom somebody
-- is at, whom it failed for lately, and the tenants named in `spent`.
SELECT d.tenant, d.person FROM inference_due AS d
LEFT JOIN personakit.leases AS l ON l.tenant = d.tenant AND l.kind = 'inference' AND l.entity = d.person
WHERE (d.tokens >= %(tokens)s OR d.oldest_at <= clock_timestamp() - make_interval(secs => %(seconds)s))
  AND d.tenant <> ALL (%(spent)s)
  AND (l.entity IS NULL
       OR ((l.holder IS NULL OR l.until <= clock_timestamp()) AND l.not_before <= clock_timestamp()))
ORDER BY d.oldest_at LIMIT %(limit)s

-- :query unread
-- A person's free text after a position, as it was observed; nothing of what has expired, though it may not be
-- retracted yet.
SELECT o.id, o.type, o.content, o.occurred_at, t.position, t.tokens,
       extract(epoch FROM o.local_time - o.occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM inference_texts AS t JOIN observations AS o USING (tenant, person, position)
WHERE t.tenant = %(tenant)s AND t.person = %(person)s AND o.retracted IS NULL
  AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
  AND t.position > %(after)s AND t.position <= %(through)s
ORDER BY t.position LIMIT %(limit)s

-- :query texts
-- All free text of a person after a position, read or not. What is free text, and how long it is, is said as
-- above: `tests/integration/test_free_text.py` holds the two against each other.
SELECT o.id, o.type, o.content, o.occurred_at, o.position, 20 + octet_length(o.content::text) / 3 AS tokens,
       extract(epoch FROM o.local_time - o.occurred_at AT TIME ZONE 'UTC')::int AS utc_offset
FROM observations AS o
WHERE o.tenant = %(tenant)s AND o.person = %(person)s AND o.retracted IS NULL
  AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
  AND o.position > %(after)s AND o.position <= %(through)s
  AND CASE WHEN o.content::text ~ '([^"\\\s]|\\.)((\s|\\[nrtf])+([^"\\\s]|\\.)+){3}|[\u0E00-\u0E7F\u3040-\u30FF\u3400-\u9FFF]{8}'
      THEN jsonb_path_exists(o.content, '$.** ? (@.type() == "string" && (
          @ like_regex "\\S\\s+\\S+\\s+\\S+\\s+\\S" || @ like_regex "[\u0E00-\u0E7F\u3040-\u30FF\u3400-\u9FFF]{8}"))')
      ELSE false END
ORDER BY o.position LIMIT %(limit)s

-- :query waiting
-- Whether anything of a person's waits up to a position.
SELECT EXISTS (SELECT FROM inference_texts
               WHERE tenant = %(tenant)s AND person = %(person)s
                 AND position > %(after)s AND position <= %(through)s) AS any

-- :query backlog
-- How many people of each tenant wait, with how much.
SELECT tenant, count(*) AS people, coalesce(sum(tokens), 0)::bigint AS tokens FROM inference_due
GROUP BY tenant ORDER BY tenant

-- :query of_person
-- The observations of somebody whose free text awaits a model.
SELECT id, tokens, recorded_at FROM inference_texts
WHERE tenant = %(tenant)s AND person = %(person)s
ORDER BY position
