"""The Python SDK, driven by the runner: `python -m tests.contract.sync.python_sdk`.

It is the client that applications use; only its clocks, which stand still between commands, are put in.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit_sdk import (
    DataExpired,
    ItemTooLarge,
    NotCached,
    OutboxFull,
    PersonaKit,
    PersonaKitError,
    ServiceError,
    SyncStuck,
    Unreachable,
    UpgradeRequired,
)
from personakit_sdk.outbox import MAX_ITEMS, WhenFull

REFUSALS: Final = {
    DataExpired: "expired",
    ItemTooLarge: "too-large",
    NotCached: "not-cached",
    OutboxFull: "outbox-full",
    ServiceError: "service-error",
    SyncStuck: "stuck",
    Unreachable: "unreachable",
    UpgradeRequired: "upgrade-required",
}
Answer = dict[str, Any]


class Clocks:
    """What the device shows, and seconds on a clock that nobody sets."""

    def __init__(self, now: str, steady: float) -> None:
        self.set(now, steady)

    def set(self, now: str, steady: float) -> None:
        self.now, self.steady = datetime.fromisoformat(now), steady

    def govern(self, kit: PersonaKit) -> None:
        """Makes the client tell the time by these."""
        device = kit._clock
        device._wall, device._steady = lambda: self.now, lambda: self.steady
        device._anchor = (device._anchor[0], self.steady)
        kit._delivery._wall = kit._pull._wall = self._seconds
        kit._pull._sleep = lambda _: None

    def _seconds(self) -> float:
        return self.now.timestamp()


class Adapter:
    """One client, and a method for each command."""

    def open(
        self,
        url: str,
        key: str,
        store: str,
        now: str,
        steady: float,
        maxItems: int = MAX_ITEMS,  # noqa: N803 - the protocol's own word
        whenFull: WhenFull = "raise",  # noqa: N803
    ) -> Answer:
        self.told: list[str] = []
        self.clocks = Clocks(now, steady)
        self.kit = PersonaKit(
            url,
            key,
            store=store,
            background=False,
            max_items=maxItems,
            when_full=whenFull,
            on_event=lambda notice: self.told.append(notice.kind),
        )
        self.clocks.govern(self.kit)
        return {}

    def clock(self, now: str, steady: float) -> Answer:
        self.clocks.set(now, steady)
        return {}

    def observe(self, person: str, type: str, content: dict[str, Any]) -> Answer:  # noqa: A002
        return {"id": str(self.kit.observe(person, type, content))}

    def feedback(self, mapper: str, rule: str, persona: str, helpful: bool) -> Answer:
        made = self.kit.feedback(mapper_id=mapper, rule_id=rule, persona_id=persona, helpful=helpful)
        return {"id": str(made)}

    def push(self) -> Answer:
        return {"retryIn": self.kit._delivery.run()}

    def flush(self) -> Answer:
        self.kit._delivery.hurry()
        return self.push()

    def pull(self) -> Answer:
        self.kit.sync()
        return {}

    def map(self, mapper: str, persona: str) -> Answer:
        answer = self.kit.map_persona(mapper, persona)
        rules = [suggestion.rule_id for suggestion in answer.suggestions]
        return {"rules": rules, "position": answer.data.position, "seconds": answer.data.seconds}

    def persona(self, id: str) -> Answer:  # noqa: A002
        return {"summary": self.kit.personas.get(id).core.summary}

    def retry(self, ids: list[str]) -> Answer:
        return {"count": self.kit.dead_letters.retry([UUID(id_) for id_ in ids])}

    def discard(self, ids: list[str]) -> Answer:
        return {"count": self.kit.dead_letters.discard([UUID(id_) for id_ in ids])}

    def state(self) -> Answer:
        status = self.kit.status()
        waiting = self.kit._outbox.batch((), most=sys.maxsize, most_bytes=sys.maxsize)
        entities = self.kit._cache.versions()
        notices, self.told = self.told, []
        return {
            "outbox": [item.id for item in waiting],
            "deadLetters": [{"id": each.id, "type": each.problem.type} for each in self.kit.dead_letters],
            "entities": [
                {"kind": kind, "id": id_, "version": version} for (kind, id_), version in entities.items()
            ],
            "cursor": status.cache.cursor,
            "validUntil": status.cache.valid_until,
            "upgradeRequired": status.cache.upgrade_required,
            "lost": status.outbox.lost,
            "paused": bool(status.outbox.paused),
            "notices": notices,
        }

    def close(self) -> Answer:
        self.kit.close()
        return {}


def answered(adapter: Adapter, line: str) -> Answer:
    """What one command gives, or why it does not."""
    asked = json.loads(line)
    act: Callable[..., Answer] = getattr(adapter, asked.pop("do"))
    try:
        return {"ok": act(**asked)}
    except PersonaKitError as error:
        kind = next((word for raised, word in REFUSALS.items() if isinstance(error, raised)), "other")
        return {"error": {"kind": kind, "detail": str(error)}}


def main() -> None:
    """Answers each line of the input with one of the output."""
    logging.getLogger("personakit_sdk").setLevel(logging.ERROR)  # notices are told by `state`
    adapter = Adapter()
    for line in sys.stdin:
        print(msgspec.json.encode(answered(adapter, line)).decode(), flush=True)


if __name__ == "__main__":
    main()
