"""The cache of hot reads, kept honest by what followers tell with each commit (`moved.py`).

An entry was read in one snapshot. It is served while nothing was heard that could have changed it since, and
then it is as good as read at the position that the followers have told last. Correctness never depends on
it: an answer says that position, and where nothing is heard any more the cache is empty.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from personakit.projections import moved
from personakit.projections.moved import CHANNEL, Moved

MOST_BYTES = 64 * 1024 * 1024
MOST_TOUCHED = 50_000
POLL_SECONDS = 0.002
BEAT_SECONDS = 0.5
BELIEVED_SECONDS = 3.0
"""How long after a sign of life from the database what is cached is believed."""
_CONNECTING_SECONDS = 5

logger = logging.getLogger(__name__)
Positions = Mapping[str, int]


class Found(NamedTuple):
    """What was cached, and the position of the log that it reflects."""

    value: Any
    position: int


class _Entry(NamedTuple):
    value: Any
    positions: Positions
    marks: frozenset[str]
    size: int


class Freshness:
    """What was read, by key; and how far the projections have come, as far as this process has heard."""

    def __init__(self, definitions: Mapping[str, str], most_bytes: int = MOST_BYTES) -> None:
        """`definitions` are those that this process reads: of each, the name of its projection."""
        self._definitions = definitions
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Any, _Entry] = OrderedDict()
        self._by_mark: dict[str, set[Any]] = {}
        self._bytes = 0
        self._heard: dict[str, int] = {}
        self._touched: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._floor: dict[str, int] = {}
        self._believed_until = 0.0
        self._on_moved: list[Callable[[], None]] = []

    def on_moved(self, hear: Callable[[], None]) -> None:
        """Lets `hear` know, from whichever thread, when projections have moved or may have: shortly."""
        self._on_moved.append(hear)

    @property
    def size(self) -> int:
        """The bytes that the entries are reckoned to take."""
        return self._bytes

    def get(self, key: Any) -> Found | None:
        """What is cached under `key`, if it may be believed."""
        if time.monotonic() > self._believed_until:
            return None
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return Found(entry.value, self._reflected(entry.positions))

    def put(self, key: Any, value: Any, positions: Positions, marks: Collection[str], size: int) -> None:
        """Keeps what was read in a snapshot at `positions`, unless something newer was heard meanwhile.

        `marks` are those of all people and entities that it was read from; `size` is in bytes.
        """
        with self._lock:
            if size > self._most_bytes or self._outdated(positions, marks):
                return
            self._drop(key)
            self._entries[key] = _Entry(value, dict(positions), frozenset(marks), size)
            self._bytes += size
            for each in marks:
                self._by_mark.setdefault(each, set()).add(key)
            while self._bytes > self._most_bytes:
                self._drop(next(iter(self._entries)))

    def hear(self, message: Moved) -> None:
        """Takes in what a follower told."""
        names = [self._definitions[each] for each in message.definitions if each in self._definitions]
        if not names:
            return
        with self._lock:
            if message.marks is None:
                # Another build may be read from here on: what was read at this very position may be the
                # old one's.
                self._forget_all(dict.fromkeys(names, message.through + 1))
            else:
                for each in message.marks:
                    self._touch(each, names, message.through)
            for name in names:
                self._heard[name] = max(message.through, self._heard.get(name, 0))
        self._tell()

    def until_heard(self, position: int, seconds: float) -> None:
        """Returns when nothing older than `position` is served any more: it was heard, or nothing is
        believed. Forgets everything where that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < self._believed_until:
            if min((self._heard.get(name, 0) for name in self._definitions.values()), default=0) >= position:
                return
            if time.monotonic() > deadline:
                with self._lock:
                    self._forget_all(dict.fromkeys(self._definitions.values(), position))
                return
            time.sleep(POLL_SECONDS)

    def believe(self) -> None:
        """The database has given a sign of life on the connection that messages come by."""
        self._believed_until = time.monotonic() + BELIEVED_SECONDS

    def doubt(self, positions: Positions) -> None:
        """Messages may have been missed: forgets everything, and keeps nothing read before `positions`."""
        with self._lock:
            self._believed_until = 0.0
            self._heard = dict(positions)
            self._forget_all(positions)
        self._tell()

    def _tell(self) -> None:
        for hear in self._on_moved:
            hear()

    def _reflected(self, positions: Positions) -> int:
        """The position that something read at `positions` reflects by now, as nothing has touched it."""
        heard = self._heard
        return min([heard[name] if heard.get(name, -1) > at else at for name, at in positions.items()])

    def _outdated(self, positions: Positions, marks: Collection[str]) -> bool:
        if any(at < self._floor.get(name, 0) for name, at in positions.items()):
            return True
        touched = (item for each in marks for item in self._touched.get(each, {}).items())
        return any(positions.get(name, through) < through for name, through in touched)

    def _touch(self, each: str, names: Collection[str], through: int) -> None:
        for key in self._by_mark.get(each, set()).copy():
            self._drop(key)
        touched = self._touched.setdefault(each, {})
        touched.update(dict.fromkeys(names, through))
        self._touched.move_to_end(each)
        if len(self._touched) > MOST_TOUCHED:
            _, forgotten = self._touched.popitem(last=False)
            self._raise_floor(forgotten)

    def _forget_all(self, positions: Positions) -> None:
        self._entries.clear()
        self._by_mark.clear()
        self._bytes = 0
        self._raise_floor(positions)

    def _raise_floor(self, positions: Positions) -> None:
        for name, at in positions.items():
            self._floor[name] = max(at, self._floor.get(name, 0))

    def _drop(self, key: Any) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= entry.size
        for each in entry.marks:
            keys = self._by_mark[each]
            keys.discard(key)
            if not keys:
                del self._by_mark[each]


_POSITIONS = """
SELECT a.definition, b.position FROM personakit.active AS a JOIN personakit.builds AS b USING (schema)
WHERE a.definition = ANY (%(definitions)s)
"""


class FreshnessListener:
    """Hears what followers tell, from a thread and a connection of its own, until it is closed.

    On `others`, channels that have no follower, it hears as well: each is told what comes, and None when
    something may have been missed.
    """

    def __init__(
        self,
        conninfo: str,
        freshness: Freshness,
        definitions: Mapping[str, str],
        others: Mapping[str, Callable[[str | None], None]] | None = None,
    ) -> None:
        self._conninfo = conninfo
        self._freshness = freshness
        self._definitions = definitions
        self._others = others or {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="freshness", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops hearing, within a beat."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                logger.warning("Nothing is heard of the projections; reads go to the database: %s", error)
            self._doubt({})
            self._closing.wait(random.uniform(0.2, 1.0))  # noqa: S311 - jitter, not a secret

    def _listen(self) -> None:
        with psycopg.connect(
            self._conninfo, autocommit=True, connect_timeout=_CONNECTING_SECONDS
        ) as connection:
            for channel in (CHANNEL, *self._others):
                connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
            # What was told before the LISTEN was missed: nothing read before this is kept.
            self._doubt(self._positions(connection))
            while not self._closing.is_set():
                connection.execute("SELECT 1")
                self._freshness.believe()
                for message in connection.notifies(timeout=BEAT_SECONDS):
                    self._hear(message)

    def _hear(self, message: psycopg.Notify) -> None:
        if message.channel == CHANNEL:
            self._freshness.hear(moved.read(message.payload))
        else:
            self._others[message.channel](message.payload)

    def _doubt(self, positions: Positions) -> None:
        self._freshness.doubt(positions)
        for hear in self._others.values():
            hear(None)

    def _positions(self, connection: psycopg.Connection[Any]) -> Positions:
        rows = connection.execute(_POSITIONS, {"definitions": list(self._definitions)}).fetchall()
        return {self._definitions[definition]: position for definition, position in rows}
