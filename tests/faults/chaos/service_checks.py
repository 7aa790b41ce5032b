"""What the service shows afterwards, over HTTP and by its CLI, against what was sent and what the log has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from psycopg import Connection
from psycopg.rows import DictRow

from personakit_sdk.transport import Transport
from personakit_sdk.wire import Mindscape, ObservationList, Persona, StoredObservation
from tests.faults.chaos.changes import Changes
from tests.faults.chaos.items import COUNTED
from tests.faults.chaos.ledger import Acknowledged, same_instant
from tests.production import Production

PAGE = 500
_STORED = """
SELECT k.person_id,
       count(*) FILTER (WHERE e.topic LIKE 'ObservationRecorded.%')
         - count(*) FILTER (WHERE e.topic LIKE 'ObservationRetracted.%') AS observations,
       count(*) FILTER (WHERE e.kind = 'mindscape') AS versions
FROM personakit.person_keys AS k JOIN personakit.events AS e USING (person)
WHERE k.person_id NOT LIKE '~%' GROUP BY k.person_id
"""


def people(
    transport: Transport,
    connection: Connection[DictRow],
    entries: Collection[Acknowledged],
    marks: Collection[str],
    made: Collection[Changes],
) -> Iterator[str]:
    """Of each person: the observations as they were sent, each once, without what was taken back, and a
    mindscape that rests on each."""
    taken = {id_ for each in made for id_ in each.retracted}
    gone = taken | {each.unsure[1] for each in made if each.unsure is not None}
    sent: defaultdict[str, dict[str, Acknowledged]] = defaultdict(dict)
    for each in entries:
        if each.kind == "observation" and each.id not in gone:
            sent[each.person][each.id] = each
    seen: Counter[str] = Counter()
    for row in connection.execute(_STORED).fetchall():
        person = row["person_id"]
        found = list(_observations(transport, person))
        seen.update(str(item.content.get("mark")) for item in found)
        if len(found) != row["observations"]:
            yield f"The read model has {len(found)} observations of {person}, the log {row['observations']}"
        yield from _as_sent(person, found, sent[person])
        yield from _taken_back(found, taken)
        yield from _counted(transport, person, found, row["versions"])
    for mark, times in seen.items():
        if times > 1 or mark not in marks:
            yield f"The observation with the mark {mark} is stored {times} times; it was sent once at most"


def _observations(transport: Transport, person: str) -> Iterator[StoredObservation]:
    after: str | None = None
    while True:
        query: dict[str, str | int | None] = {"personId": person, "limit": PAGE, "after": after}
        page = transport.request("GET", "/observations", query=query).decode(ObservationList)
        yield from page.items
        if (after := page.next) is None:
            return


def _as_sent(
    person: str, found: Collection[StoredObservation], sent: Mapping[str, Acknowledged]
) -> Iterator[str]:
    stored = {str(item.id): item for item in found}
    for each in sent.values():
        item = stored.get(each.id)
        if item is None or item.position != each.position or not _same(item, each):
            yield f"The observation {each.id} of {person} is not shown as acknowledged at {each.position}"


def _taken_back(found: Collection[StoredObservation], taken: Collection[str]) -> Iterator[str]:
    for item in found:
        if str(item.id) in taken:
            yield f"The observation {item.id} is shown although it was taken back"


def _same(item: StoredObservation, sent: Acknowledged) -> bool:
    body = sent.body
    return (
        item.type == body["type"]
        and item.content == body["content"]
        and same_instant(item.occurred_at.isoformat(), body["occurredAt"])
    )


def _counted(
    transport: Transport, person: str, found: Collection[StoredObservation], versions: int
) -> Iterator[str]:
    commits = sum(item.type == COUNTED for item in found)
    mindscape = transport.request("GET", f"/mindscapes/{person}").decode(Mindscape)
    pinned = mindscape.pins.get("work.commits")  # what is derived goes on beneath
    trait = mindscape.traits.get("work.commits") if pinned is None else pinned.derived
    counted = (trait.samples, trait.value) if trait else (0, 0)
    if counted != (commits, commits):
        yield f"The mindscape of {person} counts {counted} of {commits} observations"
    if mindscape.version != versions:
        yield f"The mindscape of {person} is at version {mindscape.version}; the log has {versions}"
    persona = transport.request("GET", f"/personas/{person}").decode(Persona)
    if commits and persona.core_version == 0:
        yield f"The persona of {person} has no core"


def projections(production: Production) -> Iterator[str]:
    """`personakit projections verify --all` finds nothing."""
    verified = production.run("projections", "verify", "--all", "--json")
    if verified.returncode != 0:
        yield f"projections verify ended with {verified.returncode}: {verified.stdout}{verified.stderr}"
