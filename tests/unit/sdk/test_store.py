"""The store file: what is acknowledged is in it, and a file that cannot be used is never lost."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit_sdk import schema
from personakit_sdk.errors import (
    InvalidInput,
    ItemTooLarge,
    OutboxFull,
    StoreBusy,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreKeyWrong,
    StoreTooNew,
)
from personakit_sdk.item_ids import uuid7
from personakit_sdk.outbox import ITEM_BYTES, Outbox
from personakit_sdk.sealing import Sealed
from personakit_sdk.store import Store
from personakit_sdk.store_file import journal_mode
from tests.unit.sdk.conftest import NOW, hasten, item


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 50, 7), "WAL"),
        ((3, 50, 6), "TRUNCATE"),
        ((3, 49, 9), "TRUNCATE"),
        ((3, 45, 9), "TRUNCATE"),
        ((3, 44, 6), "WAL"),
        ((3, 44, 5), "TRUNCATE"),
        ((3, 40, 1), "TRUNCATE"),
    ],
)
def test_wal_is_used_only_where_its_reset_is_safe(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


def test_a_store_is_durable_and_for_its_owner_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    with store.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == (journal_mode().lower(),)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_what_raises_in_a_block_is_undone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")

    def fail() -> None:
        with store.writing() as connection:
            store.write_note(connection, "a", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.reading() as connection:
        assert store.note(connection, "a") is None


def test_an_older_file_is_brought_to_the_new_tables_with_its_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    kept = item()
    Outbox(Store(path)).put(kept, NOW)
    newer = (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "INSERT INTO later VALUES (7)"))
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    upgraded = Store(path)
    with upgraded.reading() as connection:
        assert connection.execute("SELECT x FROM later").fetchone() == (7,)
    assert [each.id for each in Outbox(upgraded).batch([], 10, 10_000)] == [str(kept.id)]
    monkeypatch.undo()
    with pytest.raises(StoreTooNew, match="version 3"):
        Store(path)
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    assert Outbox(Store(path)).tally().items == 1


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    Store(path).close()
    with monkeypatch.context() as changed:
        changed.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "NONSENSE")))
        with pytest.raises(StoreError, match="NONSENSE"):
            Store(path)
    with Store(path).reading() as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'later'").fetchone() is None


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreForeign):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["garbage", "cut", "page"])
def test_a_corrupt_file_is_set_aside_and_a_new_one_is_begun(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.db"
    outbox = Outbox(Store(path))
    for n in range(40):
        outbox.put(item(n=n, text="x" * 2000), NOW)
    content = path.read_bytes()
    damaged = {
        "garbage": b"\xff" * len(content),
        "cut": content[: len(content) // 2],
        "page": content[:8192] + b"\x55" * 40_000 + content[48_192:],
    }[damage]
    path.write_bytes(damaged)
    told: list[Path] = []
    store = Store(path, on_set_aside=told.append)
    assert told == store.set_aside
    (aside,) = told
    assert aside.read_bytes() == damaged
    assert Outbox(store).put(item(), NOW)
    assert Outbox(store).tally().items == 1


def test_damage_that_shows_while_a_store_is_used_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    told: list[Path] = []
    store = Store(path, on_set_aside=told.append)
    outbox = Outbox(store)
    outbox.put(item(), NOW)
    path.write_bytes(b"\xff" * path.stat().st_size)
    outbox.put(item(), NOW)
    assert len(told) == 1
    assert outbox.tally().items == 1


def test_a_process_that_has_a_file_open_which_another_set_aside_takes_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    mine = Outbox(Store(path))
    mine.put(item(), NOW)
    path.rename(tmp_path / "aside")
    other = Outbox(Store(path))
    mine.put(item(), NOW)
    assert other.tally().items == 1


def test_a_store_that_others_keep_locked_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db", busy_seconds=0.05)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="nothing was taken"):
        Outbox(store).put(item(), NOW)
    other.execute("ROLLBACK")
    other.close()
    Outbox(store).put(item(), NOW)


def test_a_full_disk_refuses_and_what_is_there_can_still_leave(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    outbox = Outbox(store)
    kept = outbox.put(item(), NOW)
    with store.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFull):
        outbox.put(item(text="x" * 100_000), NOW)
    outbox.settle([str(kept)], [], NOW)
    assert outbox.tally().items == 0


def test_an_item_above_256_kib_is_refused_at_the_call(tmp_path: Path) -> None:
    outbox = Outbox(Store(tmp_path / "store.db"))
    with pytest.raises(ItemTooLarge, match="262,144"):
        outbox.put(item(text="x" * ITEM_BYTES), NOW)
    outbox.put(item(text="x" * (ITEM_BYTES - 300)), NOW)
    assert outbox.tally().items == 1


def test_a_full_outbox_refuses_feedback_and_drops_the_oldest_observations_where_that_is_wanted(
    tmp_path: Path,
) -> None:
    lost: list[int] = []
    outbox = Outbox(Store(tmp_path / "a.db"), max_items=3, when_full="drop_oldest", on_lost=lost.append)
    sent = [item(kind="feedback"), item(), item()]
    for each in sent:
        outbox.put(each, NOW)
    with pytest.raises(OutboxFull):
        outbox.put(item(kind="feedback"), NOW)
    late = item()
    outbox.put(late, NOW)
    assert [each.id for each in outbox.batch([], 10, 10_000)] == [
        str(each.id) for each in (sent[0], sent[2], late)
    ]
    assert (lost, outbox.lost()) == ([1], 1)


def test_a_full_outbox_refuses_observations_unless_told_otherwise(tmp_path: Path) -> None:
    outbox = Outbox(Store(tmp_path / "a.db"), max_items=10, max_bytes=1000)
    outbox.put(item(text="x" * 700), NOW)
    with pytest.raises(OutboxFull):
        outbox.put(item(text="x" * 300), NOW)
    assert (outbox.tally().items, outbox.lost()) == (1, 0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=30), st.integers(1, 6))
def test_room_is_made_by_as_few_of_the_oldest_as_it_takes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[bool, int]], most: int
) -> None:
    store = hasten(Store(tmp_path_factory.mktemp("s") / "a.db"))
    outbox = Outbox(store, max_items=most, max_bytes=1500, when_full="drop_oldest")
    model: list[tuple[str, int]] = []
    lost = 0
    for feedback, size in sizes:
        put = item(kind="feedback" if feedback else "observation", text="x" * size)
        try:
            outbox.put(put, NOW)
        except OutboxFull:
            continue
        taken = outbox.batch([], 500, 10**9)
        model.append((str(put.id), len(taken[-1].data)))
        left = [each.id for each in taken]
        gone = [id_ for id_, _ in model if id_ not in left]
        lost += len(gone)
        model = [each for each in model if each[0] in left]
        assert [id_ for id_, _ in model] == left
    assert len(model) <= most
    assert sum(size for _, size in model) == outbox.tally().bytes <= 1500
    assert outbox.lost() == lost


def test_bodies_are_sealed_with_the_callers_key_and_open_with_no_other(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Outbox(Store(path, sealer=Sealed(b"k" * 32))).put(item(text="a secret of ada"), NOW)
    assert b"secret" not in path.read_bytes()
    (found,) = Outbox(Store(path, sealer=Sealed(b"k" * 32))).batch([], 1, 1)
    assert b"a secret of ada" in found.data
    with pytest.raises(StoreKeyWrong):
        Store(path, sealer=Sealed(b"l" * 32))
    with pytest.raises(StoreError, match="encrypted"):
        Store(path)
    with pytest.raises(InvalidInput, match="32"):
        Sealed(b"short")


def test_a_plain_store_is_not_opened_with_a_key(tmp_path: Path) -> None:
    Store(tmp_path / "store.db").close()
    with pytest.raises(StoreError, match="not encrypted"):
        Store(tmp_path / "store.db", sealer=Sealed(b"k" * 32))


def test_eight_threads_put_into_one_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    outbox = Outbox(store)
    threads = [
        threading.Thread(target=lambda name=name: [outbox.put(item(name, n=n), NOW) for n in range(25)])
        for name in "abcdefgh"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.tally().items == 200
    assert len({each.id for each in outbox.batch([], 500, 10**9)}) == 200


@given(st.integers(0, 2**48 - 1))
def test_an_id_says_when_it_was_made(milliseconds: int) -> None:
    made = uuid7(milliseconds)
    assert (made.version, made.variant, made.int >> 80) == (7, "specified in RFC 4122", milliseconds)
    assert uuid7(milliseconds) != made


FORKING = """
import os, sys, threading, time
from pathlib import Path
from personakit_sdk.outbox import Outbox
from personakit_sdk.store import Store
from tests.unit.sdk.conftest import NOW, hasten, item
store = Store(Path(sys.argv[1])); outbox = Outbox(store)
done = threading.Event()
def busy():
    while not done.is_set():
        outbox.put(item("parent"), NOW)
thread = threading.Thread(target=busy); thread.start()
children = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        for n in range(10):
            outbox.put(item("child", n=n), NOW)
        os._exit(0)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
done.set(); thread.join()
outbox.put(item("after"), NOW)
waiting = outbox.tally().items
with store.reading() as connection:
    print(codes, connection.execute("SELECT count(*) FROM items WHERE key = 'child'").fetchone(),
          connection.execute("PRAGMA integrity_check").fetchone(),
          waiting == connection.execute("SELECT count(*) FROM items").fetchone()[0])
"""


def test_children_of_a_fork_write_beside_their_parent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path / "store.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    assert done.stdout.strip() == "[0, 0, 0, 0, 0, 0] (60,) ('ok',) True"
