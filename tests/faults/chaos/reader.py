"""A reader: writes, asks for at least that position, and must see what it wrote; and reads as it comes."""

from __future__ import annotations

from random import Random
from typing import Any

from personakit_sdk.transport import Reply
from personakit_sdk.wire import MapAnswer, Mindscape, ObservationList, Persona, Written
from tests.faults.chaos.client import Client
from tests.faults.chaos.items import COUNTED, Items
from tests.faults.chaos.ledger import Acknowledged, Claim, Ledger

NOT_KNOWN_YET = 404
PAGE = 50


class Reader:
    """Reads about everybody until it is to stop. Not answered and 503 are fine; a 2xx that misses
    something that lies at or below the position it claims is not."""

    def __init__(self, name: str, chance: Random, client: Client, ledger: Ledger) -> None:
        self._chance = chance
        self._client = client
        self._ledger = ledger
        self._items = Items(name, chance)

    def run(self) -> None:
        """One round after another."""
        while not self._client.stopping.wait(self._chance.uniform(0.0, 0.1)):
            if self._chance.random() < 0.3:
                self._own_write()
            else:
                self._as_it_comes(self._items.person())

    def _own_write(self) -> None:
        item = self._items.observation(type_=COUNTED)
        person = item["personId"]
        if self._chance.random() < 0.3:
            self._as_it_comes(person)  # by reading, a process may come to know somebody before they write
        self._ledger.sent(item["content"]["mark"])
        reply = self._client.until_answered("POST", "/observations", body=item)
        if reply is None:
            return
        written = reply.decode(Written)
        self._ledger.acknowledge(
            Acknowledged("observation", str(written.id), person, item, written.position), written.status
        )
        at_least = {"PersonaKit-Min-Position": str(written.position)}
        for look in (self._see_observation, self._see_mindscape, self._see_persona):
            look(person, written.position, at_least)

    def _see_observation(self, person: str, position: int, at_least: dict[str, str]) -> None:
        query = {"personId": person, "after": position - 1, "limit": 1}
        reply = self._client.until_answered("GET", "/observations", query=query, headers=at_least)
        if reply is not None:
            items = reply.decode(ObservationList).items
            self._reflects(reply, position, "GET /observations")
            if not items or items[0].position != position:
                self._ledger.finding(f"GET /observations missed the observation at {position}, asked for")

    def _see_mindscape(self, person: str, position: int, at_least: dict[str, str]) -> None:
        commits = sum(
            each.body["type"] == COUNTED for each in self._ledger.of_person(person, through=position)
        )
        reply = self._client.until_answered("GET", f"/mindscapes/{person}", headers=at_least)
        if reply is not None:
            found = reply.decode(Mindscape)
            self._reflects(reply, position, "GET /mindscapes")
            self._ledger.claimed(Claim("mindscape", person, found.version, found.position))
            samples = found.traits["work.commits"].samples if found.traits else 0
            if samples < commits:
                self._ledger.finding(
                    f"GET /mindscapes of {person} with at least {position} rests on {samples} observations; "
                    f"{commits} were acknowledged by then"
                )

    def _see_persona(self, person: str, position: int, at_least: dict[str, str]) -> None:
        query = {"mapperId": "work_rhythm", "personaId": person, "at": "2026-06-01T09:00:00Z"}
        reply = self._client.until_answered("GET", "/map-persona", query=query, headers=at_least)
        if reply is not None:
            found = reply.decode(MapAnswer)
            self._reflects(reply, position, "GET /map-persona")
            (version,) = found.freshness.mindscape_versions.values()
            self._ledger.claimed(Claim("mindscape", person, version, found.freshness.position))
            self._ledger.count("own writes seen")

    def _reflects(self, reply: Reply, position: int, route: str) -> None:
        if int(reply.headers["PersonaKit-Position"]) < position:
            self._ledger.finding(f"{route} answered with a position below the one asked for")

    def _as_it_comes(self, person: str) -> None:
        mindscape = self._read(f"/mindscapes/{person}")
        if mindscape is not None:
            found = mindscape.decode(Mindscape)
            self._ledger.claimed(Claim("mindscape", person, found.version, found.position))
        persona = self._read(f"/personas/{person}")
        if persona is not None:
            shown = persona.decode(Persona)
            self._ledger.claimed(Claim("persona", person, shown.core_version, shown.position))
        self._page(person)

    def _page(self, person: str) -> None:
        known = self._ledger.of_person(person, through=2**62)
        after = self._chance.choice(known).position - 1 if known else 0
        reply = self._read("/observations", query={"personId": person, "after": after, "limit": PAGE})
        if reply is None:
            return
        items = reply.decode(ObservationList).items
        claimed = int(reply.headers["PersonaKit-Position"])
        through = claimed if len(items) < PAGE else min(claimed, items[-1].position)
        shown = {str(item.id) for item in items}
        for each in known:
            if after < each.position <= through and each.id not in shown:
                self._ledger.finding(
                    f"GET /observations claimed {claimed} and missed the observation at {each.position}"
                )

    def _read(self, path: str, **given: Any) -> Reply | None:
        """One try. A process that does not know somebody yet, or not any more, says so with 404."""
        answer = self._client.once("GET", path, expected=(NOT_KNOWN_YET,), **given)
        return answer if isinstance(answer, Reply) else None
