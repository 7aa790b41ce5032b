"""What was retracted, pinned, defined and published is so, once: in the log and in what the service shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from personakit_sdk.transport import ServiceError, Transport
from personakit_sdk.wire import ComputedTraits, Mindscape, ObservationList, Persona, PersonaList
from tests.faults.chaos.changes import DEFINITION, DOCUMENT, PIN, RETIREMENT, RETRACTION, UNPIN, Changes

PAGE = 500
_RETRACTED: LiteralString = """
SELECT e.stream::text AS id, e.position, k.person_id
FROM personakit.events AS e JOIN personakit.person_keys AS k USING (person)
WHERE e.topic LIKE 'ObservationRetracted.%' ORDER BY e.position
"""
_IN_MINDSCAPES: LiteralString = """
SELECT k.person_id, count(*) FILTER (WHERE e.topic LIKE 'TraitPinned.%') AS pins,
       count(*) FILTER (WHERE e.topic LIKE 'TraitUnpinned.%') AS unpins
FROM personakit.events AS e JOIN personakit.person_keys AS k USING (person)
WHERE e.kind = 'mindscape' GROUP BY k.person_id
"""
_OF_PERSONAS: LiteralString = """
SELECT count(*) FILTER (WHERE topic LIKE 'PersonaDefined.%') AS defined,
       count(*) FILTER (WHERE topic LIKE 'PersonaRetired.%') AS retired,
       count(*) FILTER (WHERE topic LIKE 'ComputedTraitsPublished.%') AS published
FROM personakit.events
"""


def in_the_log(connection: Connection[DictRow], made: Collection[Changes]) -> Iterator[str]:
    """Each change that was acknowledged once, and none that nobody asked for."""
    rows = connection.execute(_RETRACTED).fetchall()
    found = {row["person_id"]: row for row in connection.execute(_IN_MINDSCAPES)}
    for each in made:
        yield from _retracted(each, [row for row in rows if row["person_id"] == each.person])
        counts = found.get(each.person, {"pins": 0, "unpins": 0})
        for kind, times in ((PIN, counts["pins"]), (UNPIN, counts["unpins"])):
            yield from _times(kind, times, each.may_be(kind), each.person)
    (counts,) = connection.execute(_OF_PERSONAS).fetchall()
    for kind, column in ((DEFINITION, "defined"), (RETIREMENT, "retired"), (DOCUMENT, "published")):
        ranges = [each.may_be(kind) for each in made]
        most = sum(each[-1] for each in ranges)
        yield from _times(kind, counts[column], range(sum(each[0] for each in ranges), most + 1), "all")


def _retracted(changes: Changes, rows: Iterable[DictRow]) -> Iterator[str]:
    positions: dict[str, list[int]] = {}
    for row in rows:
        positions.setdefault(row["id"], []).append(row["position"])
    for id_, position in changes.retracted.items():
        if positions.pop(id_, []) != [position]:
            yield f"The retraction of {id_}, acknowledged at {position}, does not stand there once"
    for id_ in positions:
        if not changes.is_unsure(RETRACTION, id_):
            yield f"The observation {id_} was retracted although nobody was told so"


def _times(kind: str, times: int, allowed: range, whose: str) -> Iterator[str]:
    if times not in allowed:
        yield f"The log has {times} of {kind} ({whose}); {allowed[0]} to {allowed[-1]} were asked for"


def shown(transport: Transport, made: Collection[Changes]) -> Iterator[str]:
    """What the service shows is what was answered last."""
    listed = [item.name for item in _personas(transport)]
    for each in made:
        mindscape = transport.request("GET", f"/mindscapes/{each.person}").decode(Mindscape)
        yield from _pinned(each, mindscape)
        yield from _own_trait(transport, each, mindscape)
        for id_, body in each.personas.items():
            yield from _persona(transport, each, id_, body)
        for name in each.names:
            if listed.count(name) > 1:
                yield f"There are {listed.count(name)} personas {name!r}; one was created"


def _pinned(changes: Changes, mindscape: Mindscape) -> Iterator[str]:
    seen = {path: mindscape.traits[path].value for path in mindscape.pins}
    for path in sorted(seen.keys() | changes.pins.keys()):
        unsure = changes.is_unsure(PIN, path) or changes.is_unsure(UNPIN, path)
        if not unsure and seen.get(path) != changes.pins.get(path):
            said = changes.pins.get(path)
            yield f"{path} of {changes.person} is pinned to {seen.get(path)!r}; {said!r} was acknowledged"


def _own_trait(transport: Transport, changes: Changes, mindscape: Mindscape) -> Iterator[str]:
    """The traits of the document that was published last, and of no other; they count what is left."""
    if not changes.documents or (changes.unsure is not None and changes.unsure[0] == DOCUMENT):
        return
    version, document = changes.documents[-1]
    shown = transport.request("GET", f"/computed-traits/{document['metadata']['id']}").decode(ComputedTraits)
    if (shown.version, shown.document["metadata"]) != (version, document["metadata"]):
        yield f"{shown.id} is at version {shown.version}; {version} was acknowledged"
    left = sum(item.type == changes.observation_type for item in _observations(transport, changes.person))
    wanted = {document["traits"][0]["path"]: left} if left else {}
    found = {path: trait.value for path, trait in mindscape.traits.items() if path.startswith("own.")}
    if found != wanted:
        yield f"The mindscape of {changes.person} has {found}; by its newest rules it is {wanted}"


def _persona(transport: Transport, changes: Changes, id_: str, body: dict[str, Any] | None) -> Iterator[str]:
    if changes.is_unsure(DEFINITION, id_) or changes.is_unsure(RETIREMENT, id_):
        return
    found: dict[str, Any] | None = None
    try:
        persona = transport.request("GET", f"/personas/{id_}").decode(Persona)
        found = {"people": persona.people, "name": persona.name, "uses": persona.uses}
    except ServiceError as error:
        if error.status != 404:
            raise
    if found != body:
        yield f"The persona {id_} is {found}; {body} was acknowledged"


def _personas(transport: Transport) -> Iterator[Any]:
    after: str | None = None
    while True:
        query = {"limit": PAGE, "after": after or ""}
        page = transport.request("GET", "/personas", query=query).decode(PersonaList)
        yield from page.items
        if (after := page.next) is None:
            return


def _observations(transport: Transport, person: str) -> Iterator[Any]:
    after: str | None = None
    while True:
        query: dict[str, str | int | None] = {"personId": person, "limit": PAGE, "after": after}
        page = transport.request("GET", "/observations", query=query).decode(ObservationList)
        yield from page.items
        if (after := page.next) is None:
            return
