"""What is true of every push, whatever the case: the limits, one client, the same item every time, and the
order of each key.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.contract.sync.exchange import Fate

MOST_ITEMS: Final = 500
MOST_BYTES: Final = 1024 * 1024
Item = dict[str, Any]


class Outgoing:
    """The items that an SDK was given, as far as pushes have shown and settled them."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._settled: set[str] = set()
        self._shown: dict[str, Item] = {}
        self._client: str | None = None

    def queued(self, name: str, id_: str, key: str) -> str | None:
        """The SDK took an item; what is wrong with that."""
        if id_ in self._keys[key] or name in self.ids:
            return f"the item {name} has the id of another one, {id_}"
        self.ids[name] = id_
        self._keys[key].append(id_)
        return None

    def name(self, id_: str) -> str:
        """What the case calls an item."""
        return next((name for name, known in self.ids.items() if known == id_), f"unknown item {id_}")

    def wrong(self, content: bytes) -> str | None:
        """What is wrong with a push, before the case is asked."""
        if len(content) > MOST_BYTES:
            return f"the request has {len(content)} bytes, above the {MOST_BYTES} that one may have"
        try:
            body = json.loads(content)
            client, items = body["clientId"], body["items"]
            ids = [item["id"] for item in items]
        except (ValueError, LookupError, TypeError) as error:
            return f"the body of the request is no push: {error!r}"
        if len(items) > MOST_ITEMS:
            return f"the request has {len(items)} items, above the {MOST_ITEMS} that one may have"
        return self._of_another_client(client) or self._changed(items) or self._overtaken(ids)

    def settle(self, fates: Mapping[str, Fate]) -> None:
        """The service said of items, by id, what became of them."""
        self._settled |= {
            id_ for id_, fate in fates.items() if fate in {"stored", "duplicate", "rejected", "erased"}
        }

    def unsettle(self, names: Iterable[str]) -> None:
        """Somebody wants items to be sent again."""
        self._settled -= {self.ids[name] for name in names}

    def _of_another_client(self, client: Any) -> str | None:
        before, self._client = self._client or client, client
        if not client or client != before:
            return f"clientId is {client!r}, and was {before!r}; a store has one, for ever"
        return None

    def _changed(self, items: list[Item]) -> str | None:
        for item in items:
            name, first = self.name(item["id"]), self._shown.setdefault(item["id"], item)
            if item["id"] not in self.ids.values():
                return f"the request has an item that the application never gave: {item['id']}"
            if item != first:
                return f"the item {name} is sent as {item}, and was {first}; it is frozen when it is taken"
        return None

    def _overtaken(self, ids: list[str]) -> str | None:
        """First in, first out: before an item goes all older ones of its key that are not settled."""
        for queue in self._keys.values():
            sent = [id_ for id_ in ids if id_ in queue]
            if sent != sorted(sent, key=queue.index):
                return f"of one key, {[self.name(id_) for id_ in sent]} are sent in this order"
            older = queue[: queue.index(sent[-1])] if sent else []
            for id_ in older:
                if id_ not in self._settled and id_ not in sent:
                    return f"{self.name(sent[-1])} is sent while {self.name(id_)} of its key still waits"
        return None
