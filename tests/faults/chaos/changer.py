"""A changer: takes observations back, pins traits and unpins them, defines personas and retires them, and
publishes computed traits; each change is sent until it is answered."""

from __future__ import annotations

from random import Random
from typing import Any

from personakit_sdk.transport import Reply, ServiceError
from personakit_sdk.wire import ComputedTraits, Persona, Retracted, Written
from tests.faults.chaos.changes import DEFINITION, DOCUMENT, PIN, RETIREMENT, RETRACTION, UNPIN, Changes
from tests.faults.chaos.client import Client
from tests.faults.chaos.items import COUNTED, Items
from tests.faults.chaos.ledger import Acknowledged, Ledger

GONE_OR_NOT_KNOWN_YET = 404
PATHS = ("taste.food", "taste.food.sweet", "taste.music", "work.commits", "rest")


class Changer:
    """Changes what there is of a person of its own until it is to stop."""

    def __init__(self, name: str, chance: Random, client: Client, ledger: Ledger) -> None:
        self._name = name.replace("-", "_")
        self._chance = chance
        self._client = client
        self._ledger = ledger
        self._items = Items(name, chance)
        self._kept: list[str] = []
        self.changes = Changes(f"fickle-{name}")
        ledger.changed(self.changes)
        self._actions = {
            self._observe: 40,
            self._retract: 20,
            self._pin: 15,
            self._unpin: 8,
            self._define: 4,
            self._redefine: 4,
            self._retire: 2,
            self._publish: 2,
        }

    def run(self) -> None:
        """One action after another; the first makes its person known."""
        self._observe()
        actions, weights = list(self._actions), list(self._actions.values())
        while not self._client.stopping.wait(self._chance.uniform(0.0, 0.06)):
            (act,) = self._chance.choices(actions, weights)
            act()

    def _observe(self) -> None:
        changes = self.changes
        type_ = self._chance.choice((COUNTED, changes.observation_type))
        item = self._items.observation(changes.person, type_)
        self._ledger.sent(item["content"]["mark"])
        reply = self._client.until_answered("POST", "/observations", body=item)
        if reply is not None:
            written = reply.decode(Written)
            entry = Acknowledged("observation", str(written.id), changes.person, item, written.position)
            self._ledger.acknowledge(entry, written.status)
            self._kept.append(str(written.id))

    def _retract(self) -> None:
        if not self._kept:
            return
        id_ = self._kept.pop(self._chance.randrange(len(self._kept)))
        reply = self._change(RETRACTION, id_, "DELETE", f"/observations/{id_}")
        if isinstance(reply, Reply):
            found = reply.decode(Retracted)
            again = self._client.reply("DELETE", f"/observations/{id_}")
            if again is not None and again.decode(Retracted).position != found.position:
                self._ledger.finding(f"The observation {id_} was retracted at {found.position}, and again")
            self.changes.retracted[id_] = found.position

    def _pin(self) -> None:
        path, value = self._chance.choice(PATHS), self._items.mark()
        body = {"value": value, "reason": "So they say"}
        address = f"/mindscapes/{self.changes.person}/traits/{path}"
        if isinstance(self._change(PIN, path, "PUT", address, body=body), Reply):
            self.changes.pins[path] = value

    def _unpin(self) -> None:
        if not self.changes.pins:
            return
        path = self._chance.choice(sorted(self.changes.pins))
        address = f"/mindscapes/{self.changes.person}/traits/{path}"
        query = {"reason": "Not any more"}
        # Taken away by a request whose answer was lost: that is 404.
        if self._change(UNPIN, path, "DELETE", address, gone=True, query=query) is not None:
            del self.changes.pins[path]

    def _define(self) -> None:
        body = self._definition()
        self.changes.names.add(body["name"])
        headers = {"Idempotency-Key": self._items.id()}
        reply = self._change(DEFINITION, body["name"], "POST", "/personas", body=body, headers=headers)
        if isinstance(reply, Reply):
            self.changes.personas[reply.decode(Persona).id] = body

    def _redefine(self) -> None:
        for id_ in self._some_persona():
            body = self._definition()
            self.changes.names.add(body["name"])
            reply = self._change(DEFINITION, id_, "PUT", f"/personas/{id_}", body=body)
            if isinstance(reply, Reply):
                self.changes.personas[id_] = body

    def _retire(self) -> None:
        for id_ in self._some_persona():
            if self._change(RETIREMENT, id_, "DELETE", f"/personas/{id_}", gone=True) is not None:
                self.changes.personas[id_] = None

    def _publish(self) -> None:
        number = len(self.changes.documents) + 1
        trait = {"path": f"own.{self._name}_{number}", "aggregate": "count", "volatility": "low"}
        document = {
            "metadata": {
                "id": f"own_{self._name}",
                "version": f"1.{number}.0",
                "description": f"Counts what {self._name} saw",
            },
            "observes": self.changes.observation_type,
            "traits": [trait],
        }
        reply = self._change(DOCUMENT, str(number), "POST", "/computed-traits", body=document)
        if isinstance(reply, Reply):
            self.changes.documents.append((reply.decode(ComputedTraits).version, document))

    def _definition(self) -> dict[str, Any]:
        other = f"person-{self._chance.randrange(3)}"
        people = [self.changes.person]
        if self._ledger.of_person(other, through=2**62):
            people.append(other)
        return {"people": people, "name": self._items.mark(), "uses": ["taste.*", "work.*"]}

    def _some_persona(self) -> list[str]:
        there = sorted(id_ for id_, defined in self.changes.personas.items() if defined is not None)
        return [self._chance.choice(there)] if there else []

    def _change(
        self, kind: str, what: str, method: str, path: str, *, gone: bool = False, **given: Any
    ) -> Reply | ServiceError | None:
        """The answer to a change that is sent until there is one; None when it is to stop first. A 404 says
        that it was done before where it takes something away (`gone`), else that a process is behind."""
        with self.changes.under_way(kind, what):
            while not self._client.stopping.is_set():
                answer = self._client.once(method, path, expected=(GONE_OR_NOT_KNOWN_YET,), **given)
                if isinstance(answer, Reply) or (gone and answer is not None):
                    self.changes.answered()
                    self._ledger.count(f"acknowledged {kind}")
                    return answer
                self._ledger.count("sent again")
                self._client.stopping.wait(self._chance.uniform(0.02, 0.2))
        return None
