"""A writer: sends what has ids until it is answered, remembers each answer, and tries what is not allowed."""

from __future__ import annotations

from random import Random
from uuid import UUID

import msgspec

from personakit_sdk.transport import Reply
from personakit_sdk.wire import BatchAnswer, Mapper, Persona, Written
from tests.faults.chaos.client import Client
from tests.faults.chaos.items import Items
from tests.faults.chaos.ledger import Acknowledged, Body, Claim, Ledger, Uploaded

LARGEST_BATCH = 25
CONFLICT, NOT_KNOWN_YET = 409, 404


class Writer:
    """Writes about everybody until it is to stop."""

    def __init__(self, name: str, chance: Random, client: Client, ledger: Ledger) -> None:
        self._chance = chance
        self._client = client
        self._ledger = ledger
        self._items = Items(name, chance)
        self._actions = {
            self._single: 40,
            self._keyed: 8,
            self._anonymous: 4,
            self._batch: 30,
            self._feedback: 10,
            self._other_body: 3,
            self._mapper: 2,
            self._regenerate: 3,
        }

    def run(self) -> None:
        """One action after another."""
        actions, weights = list(self._actions), list(self._actions.values())
        while not self._client.stopping.wait(self._chance.uniform(0.0, 0.06)):
            (act,) = self._chance.choices(actions, weights)
            act()

    def _single(self) -> None:
        item = self._observation()
        self._written("observation", item, self._post("/observations", item))

    def _keyed(self) -> None:
        """No id, but an Idempotency-Key."""
        item = self._observation()
        headers = {"Idempotency-Key": item.pop("id")}
        self._written("observation", item, self._post("/observations", item, headers))

    def _anonymous(self) -> None:
        """Neither: sent once, whatever becomes of it."""
        item = self._observation()
        del item["id"]
        self._written("observation", item, self._client.reply("POST", "/observations", body=item))

    def _batch(self) -> None:
        """With one of it twice, and with some that were acknowledged before, whoever sent them."""
        items = [self._observation() for _ in range(self._chance.randint(2, LARGEST_BATCH))]
        if self._chance.random() < 0.3:
            items.append(self._chance.choice(items))
        if self._chance.random() < 0.3:
            earlier = self._ledger.some(self._chance.random(), 5)
            items += [each.body for each in earlier if "id" in each.body]
        self._chance.shuffle(items)
        reply = self._client.until_answered("POST", "/observations/batch", body=items)
        if reply is None:
            return
        for item, result in zip(items, reply.decode(BatchAnswer).results, strict=True):
            if result.position is None:
                self._ledger.finding(f"An observation of a batch was answered {result.status}")
            else:
                self._acknowledged("observation", item, result.id, result.position, result.status)

    def _feedback(self) -> None:
        known = self._ledger.some(self._chance.random(), 1)
        for each in known:
            item = self._items.feedback(each.person)
            self._written("feedback", item, self._post("/feedback", item))

    def _other_body(self) -> None:
        """Another body under an id that was acknowledged is refused."""
        for each in self._ledger.some(self._chance.random(), 1):
            other = {**each.body, "id": each.id, "content": {"other": True}}
            answer = self._client.once("POST", "/observations", body=other, expected=(CONFLICT,))
            if isinstance(answer, Reply):
                self._ledger.finding(f"Another body was taken under the id of the observation {each.id}")

    def _mapper(self) -> None:
        document = self._items.mapper()
        reply = self._post("/mappers", document)
        if reply is not None:
            found = reply.decode(Mapper)
            self._ledger.uploaded(Uploaded(found.id, found.version, document))

    def _regenerate(self) -> None:
        """A read model that is behind, as after a crash, does not know everybody: that is 404."""
        for each in self._ledger.some(self._chance.random(), 1):
            answer = self._client.once(
                "POST", f"/personas/{each.person}/regenerate", expected=(NOT_KNOWN_YET,)
            )
            if isinstance(answer, Reply):
                found = answer.decode(Persona)
                self._ledger.claimed(Claim("persona", each.person, found.core_version, found.position))

    def _observation(self) -> Body:
        item = self._items.observation()
        self._ledger.sent(item["content"]["mark"])
        return item

    def _post(self, path: str, item: Body, headers: dict[str, str] | None = None) -> Reply | None:
        return self._client.until_answered("POST", path, body=item, headers=headers)

    def _written(self, kind: str, item: Body, reply: Reply | None) -> None:
        if reply is not None:
            found = msgspec.json.decode(reply.body, type=Written)
            self._acknowledged(kind, item, found.id, found.position, found.status)

    def _acknowledged(self, kind: str, item: Body, id_: UUID | None, position: int, status: str) -> None:
        person = item["personaId" if kind == "feedback" else "personId"]
        self._ledger.acknowledge(Acknowledged(kind, str(id_), person, item, position), status)
