"""The log and the read models against what was acknowledged and claimed; each finding is a sentence."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from tests.faults.chaos.ledger import Acknowledged, Claim, Uploaded
from tests.faults.chaos.settled import one

_ITEMS: LiteralString = """
SELECT e.kind, e.stream::text AS id, e.position, k.person_id
FROM personakit.events AS e JOIN personakit.person_keys AS k USING (person)
WHERE e.kind IN ('observation', 'feedback') AND e.version = 1 ORDER BY e.position
"""
_ORDER: LiteralString = """
SELECT count(*) AS misplaced FROM (
    SELECT recorded_at, lag(recorded_at) OVER (ORDER BY position) AS before FROM personakit.events
) AS each WHERE before >= recorded_at
"""
_VERSIONS: LiteralString = """
SELECT kind, stream::text AS stream FROM personakit.events
GROUP BY tenant, kind, stream HAVING count(*) <> max(version) OR min(version) <> 1
"""
_UNREGISTERED: LiteralString = """
SELECT DISTINCT k.person_id FROM personakit.events AS e JOIN personakit.person_keys AS k USING (person)
WHERE k.person_id NOT LIKE '~%'
  AND NOT EXISTS (SELECT FROM personakit.events AS p WHERE p.kind = 'person' AND p.stream = e.person)
"""
_VERSIONS_OF: LiteralString = """
SELECT e.kind, k.person_id, array_agg(e.position ORDER BY e.position) AS positions
FROM personakit.events AS e JOIN personakit.person_keys AS k USING (person)
WHERE e.kind = 'mindscape' OR e.topic LIKE 'PersonaCoreGenerated.%'
GROUP BY 1, 2
"""
_FEEDBACK: LiteralString = "SELECT id::text AS id, position, rating, comment FROM feedback"
_MAPPERS: LiteralString = "SELECT mapper_id, version, document FROM mapper_versions"
_QUARANTINED: LiteralString = "SELECT count(*) AS streams FROM personakit.quarantine"
_HEAD: LiteralString = "SELECT coalesce(max(position), 0) AS head FROM personakit.events"


def in_the_log(connection: Connection[DictRow], entries: Iterable[Acknowledged]) -> Iterator[str]:
    """Each acknowledged item once, where and about whom it was acknowledged."""
    stored = defaultdict(list)
    for row in connection.execute(_ITEMS):
        stored[row["kind"], row["id"]].append((row["position"], row["person_id"]))
    for each in entries:
        found = stored[each.kind, each.id]
        if found != [(each.position, each.person)]:
            acknowledged = f"The {each.kind} {each.id} of {each.person}, acknowledged at {each.position}"
            yield f"{acknowledged}: the log has {found or 'nothing'}"


def in_order(connection: Connection[DictRow]) -> Iterator[str]:
    """`recorded_at` rises with the position, and each stream's versions are 1, 2, 3 …"""
    if misplaced := one(connection, _ORDER)["misplaced"]:
        yield f"{misplaced} events of the log were recorded no later than the one before them"
    for row in connection.execute(_VERSIONS):
        yield f"The versions of {row['kind']} {row['stream']} are not consecutive"
    for row in connection.execute(_UNREGISTERED):
        yield f"{row['person_id']} was never registered and has no persona"
    if streams := one(connection, _QUARANTINED)["streams"]:
        yield f"{streams} streams are quarantined"


def feedback(connection: Connection[DictRow], entries: Iterable[Acknowledged]) -> Iterator[str]:
    """The read model has each acknowledged feedback, as it was sent."""
    rows = {row["id"]: row for row in connection.execute(_FEEDBACK)}
    for each in entries:
        if each.kind == "feedback":
            wanted = (each.position, each.body["rating"], each.body["comment"])
            row = rows.get(each.id)
            if row is None or (row["position"], row["rating"], row["comment"]) != wanted:
                yield f"The feedback {each.id} does not stand as acknowledged at {each.position}"


def mappers(connection: Connection[DictRow], uploads: Iterable[Uploaded]) -> Iterator[str]:
    """The read model has each acknowledged version, and no document twice."""
    rows = connection.execute(_MAPPERS).fetchall()
    stored = {(row["mapper_id"], row["version"]): row["document"] for row in rows}
    for each in uploads:
        document: Any = stored.get((each.mapper, each.version))
        if document is None or document["metadata"] != each.document["metadata"]:
            yield f"Version {each.version} of the mapper {each.mapper} is not the one that was acknowledged"
    documents = Counter(
        (mapper, json.dumps(document, sort_keys=True)) for (mapper, _), document in stored.items()
    )
    for (mapper, _), times in documents.items():
        if times > 1:
            yield f"The mapper {mapper} has a document {times} times"


def claims(connection: Connection[DictRow], made: Iterable[Claim]) -> Iterator[str]:
    """An answer that claimed a position showed all versions that stand at or below it."""
    head = one(connection, _HEAD)["head"]
    positions = {
        (row["kind"], row["person_id"]): row["positions"] for row in connection.execute(_VERSIONS_OF)
    }
    for claim in made:
        through = bisect_right(positions.get((claim.what, claim.person), []), claim.position)
        if claim.version < through:
            yield (
                f"The {claim.what} of {claim.person} was shown at version {claim.version} as of position "
                f"{claim.position}, where it was at {through}"
            )
        if claim.position > head:
            yield f"An answer claimed position {claim.position}; the log ends at {head}"
