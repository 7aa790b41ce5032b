"""Who is erased is in no byte of the store's file, nor beside it; and nobody else loses anything."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit_sdk import schema, store_file, wire
from personakit_sdk.cache import Cache
from personakit_sdk.erasing import SCRUB
from personakit_sdk.outbox import Outbox, Rejection, Waiting
from personakit_sdk.store import Store
from tests.unit.sdk.conftest import NOW, item

CANARY = "canary-2c9e"
EPOCH = uuid4()
PROBLEM = wire.Problem(type="t", title="No", status=422, detail=f"{CANARY} is no good.")


def put(id_: str, version: int, ref: str | None, said: str = "") -> wire.SyncItem:
    return wire.SyncItem(kind="persona", id=id_, version=version, op="put", body={"said": said}, ref=ref)


def gone(ref: str, version: int, *, erased: bool = True) -> wire.SyncItem:
    return wire.SyncItem(kind="persona", id=f"~{ref}", version=version, op="delete", ref=ref, erased=erased)


def page(items: list[wire.SyncItem], digest: str | None = None) -> wire.SyncAnswer:
    return wire.SyncAnswer(
        epoch=EPOCH,
        intent="changes",
        items=items,
        next="c",
        has_more=False,
        up_to_date=True,
        as_of=NOW,
        position=1,
        valid_until=NOW + timedelta(days=7),
        digest=digest,
        rule_language=1,
        time_zone_data="2026.1",
    )


def raw(path: Path) -> bytes:
    """All bytes of the file, and of its journals."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))


@pytest.mark.parametrize("mode", ["WAL", "TRUNCATE"])
def test_no_byte_of_the_file_says_anything_of_the_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(store_file, "journal_mode", lambda: mode)
    path = tmp_path / "store.db"
    store = Store(path)
    cache, outbox = Cache(store), Outbox(store)
    many = [put(f"{CANARY}-{n}", n + 1, f"r{n}", CANARY * (1 + 300 * n)) for n in range(20)]
    many.append(put("bob", 99, "rb", "he stays"))
    cache.apply(page(many, digest=None), None, NOW, full=True)
    for n in range(20):
        for state in ("confirmed", "dead", "waiting"):
            kept = item(key=f"{CANARY}-{n}", content={"said": CANARY * 50})
            outbox.put(kept, NOW)
            if state == "confirmed":
                outbox.settle([str(kept.id)], [], NOW)
            elif state == "dead":
                outbox.settle([], [Rejection(str(kept.id), PROBLEM)], NOW)
    outbox.put(item(key="bob"), NOW)
    assert CANARY.encode() in raw(path)
    waiting = outbox.batch([], 500, 10**7)
    outbox.settle([], [], NOW, [each for each in waiting if each.key != "bob"])
    cache.apply(page([gone(f"r{n}", 100 + n) for n in range(20)]), None, NOW, full=False)
    assert CANARY.encode() not in raw(path)
    assert cache.ids("persona") == ["bob"]
    assert [each.key for each in outbox.batch([], 500, 10**7)] == ["bob"]
    assert (outbox.tally("confirmed").items, outbox.tally("dead").items) == (0, 0)
    store.close()
    assert CANARY.encode() not in raw(path)


def test_where_another_reads_the_file_is_rewritten_by_the_next_pull(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path, busy_seconds=0.05)
    cache = Cache(store)
    cache.apply(page([put(CANARY, 1, "r", CANARY)]), None, NOW, full=True)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM notes").fetchall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "scrub", lambda: None)  # else the commit itself would wait for the reader
        reader.execute("COMMIT")
        cache.apply(page([gone("r", 2)]), None, NOW, full=False)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM notes").fetchall()
    store.scrub()
    assert store.peek(SCRUB) == 1
    reader.execute("COMMIT")
    reader.close()
    cache.apply(page([]), None, NOW, full=False)
    assert store.peek(SCRUB) is None
    assert CANARY.encode() not in raw(path)


def test_a_store_from_before_refs_is_pulled_anew_and_serves_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    with monkeypatch.context() as old:
        old.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        store = Store(path)
        with store.writing() as connection:
            connection.execute("INSERT INTO entities VALUES ('persona', 'ada', 7, x'7b7d')")
        store.close()
    store = Store(path)
    cache = Cache(store)
    assert cache.ids("persona") == ["ada"]
    assert cache.is_of_old()
    cache.apply(page([put("ada", 7, "r")]), None, NOW, full=True)
    assert not cache.is_of_old()
    assert not Cache(Store(tmp_path / "new.db")).is_of_old()


IDS = st.sampled_from(["ada", "bob", "~p"])


class Device:
    """A store, and what the service has and had: who has which id, under which ref."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder, "store.db")
        self.store = Store(self.path)
        self.cache, self.outbox = Cache(self.store), Outbox(self.store)
        self.there: dict[str, tuple[str, int]] = {}
        self.pending: dict[str, wire.SyncItem] = {}
        self.refs = self.version = self.pulls = 0

    def put(self, id_: str) -> None:
        """A change of the persona of this id; of a new one, where there is none."""
        self.version += 1
        if id_ not in self.there:
            self.refs += 1
        ref = self.there[id_][0] if id_ in self.there else f"ref{self.refs}"
        self.there[id_] = ref, self.version
        self.pending[ref] = self._put(id_)

    def erase(self, id_: str) -> None:
        if id_ in self.there:
            self.version += 1
            ref, _ = self.there.pop(id_)
            self.pending[ref] = gone(ref, self.version)

    def reject(self, id_: str) -> None:
        """What the application said of whoever it knows by this id, and the service will not have."""
        if id_ in self.cache.ids("persona") and id_ in self.there:
            said = item(key=id_, content={"said": f"of-{self.there[id_][0]}-rejected"})
            self.outbox.put(said, NOW)
            self.outbox.settle([], [Rejection(str(said.id), PROBLEM)], NOW)

    def pull(self, *, full: bool) -> None:
        full = full or self.pulls == 0
        items = [self._put(id_) for id_ in self.there] if full else list(self.pending.values())
        digest = wire.sync_digest(("persona", id_, at) for id_, (_, at) in self.there.items())
        self.cache.apply(page(items, digest if full else None), None, NOW, full=full)
        self.pending, self.pulls = {}, self.pulls + 1

    def require_as_the_service(self) -> None:
        """What is served is what is there, and of no one else a byte is left."""
        assert self.cache.versions() == {("persona", id_): at for id_, (_, at) in self.there.items()}
        alive = {ref for ref, _ in self.there.values()}
        bytes_ = raw(self.path)
        for number in range(1, self.refs + 1):
            assert f"ref{number}" in alive or f"of-ref{number}-".encode() not in bytes_

    def _put(self, id_: str) -> wire.SyncItem:
        ref, version = self.there[id_]
        return put(id_, version, ref, f"of-{ref}-said")


STEPS = st.tuples(st.sampled_from(["put", "erase", "reject"]), IDS) | st.tuples(
    st.just("pull"), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_after_a_pull_the_store_has_what_the_service_has_and_nothing_of_the_erased(
    history: list[tuple[str, str | bool]],
) -> None:
    """Puts, erasures and people made again, pulled now and then, whole or what changed."""
    with TemporaryDirectory() as folder:
        device = Device(folder)
        for what, of in history:
            if what == "pull":
                device.pull(full=bool(of))
                device.require_as_the_service()
            else:
                getattr(device, what)(of)
        device.store.close()


def test_what_is_merely_out_of_sight_keeps_its_dead_letters(tmp_path: Path) -> None:
    """A persona that was retired: what was rejected is the application's to decide on."""
    store = Store(tmp_path / "store.db")
    cache, outbox = Cache(store), Outbox(store)
    cache.apply(page([put("~r", 1, "r")]), None, NOW, full=True)
    dead = item(key="~r")
    outbox.put(dead, NOW)
    outbox.settle([], [Rejection(str(dead.id), PROBLEM)], NOW)
    cache.apply(page([gone("r", 2, erased=False)]), None, NOW, full=False)
    assert outbox.tally("dead").items == 1
    outbox.settle([], [], NOW, [Waiting("none", "~r", b"")])
    assert outbox.tally("dead").items == 0


def test_an_item_under_an_id_of_the_erased_goes_alone(tmp_path: Path) -> None:
    """Whom it is about is there: what was rejected and confirmed of theirs says nothing of the erased."""
    path = tmp_path / "store.db"
    outbox = Outbox(Store(path))
    dead, confirmed, refused = item(key="wim"), item(key="wim"), item(key="wim", content={"said": CANARY})
    for each in (dead, confirmed, refused):
        outbox.put(each, NOW)
    outbox.settle([str(confirmed.id)], [Rejection(str(dead.id), PROBLEM)], NOW)
    outbox.settle([], [], NOW, dropped=[str(refused.id)])
    assert [outbox.tally(state).items for state in ("waiting", "confirmed", "dead")] == [0, 1, 1]
    assert str(refused.id).encode() not in raw(path)


@pytest.mark.parametrize("mode", ["WAL", "TRUNCATE"])
def test_of_whom_the_cache_never_had_nothing_is_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Nobody can tell such a store of an erasure: no `ref` that it knows is theirs."""
    monkeypatch.setattr(store_file, "journal_mode", lambda: mode)
    path = tmp_path / "store.db"
    store = Store(path)
    cache, outbox = Cache(store), Outbox(store)
    cache.apply(page([put("bob", 1, "rb")]), None, NOW, full=True)
    dead, confirmed = (item(key="ada", content={"said": CANARY * 50}) for _ in range(2))
    for each in (dead, confirmed):
        outbox.put(each, NOW)
    outbox.settle([str(confirmed.id)], [Rejection(str(dead.id), PROBLEM)], NOW)
    cache.apply(page([gone("ra", 7)]), None, NOW, full=False)
    assert outbox.prune(NOW + timedelta(days=29)) == 0
    assert [outbox.tally(state).items for state in ("confirmed", "dead")] == [0, 1]
    assert outbox.prune(NOW + timedelta(days=31)) == 1
    assert CANARY.encode() not in raw(path)
