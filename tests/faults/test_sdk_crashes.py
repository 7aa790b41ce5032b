"""Applications of the SDK are killed, forked and starved; what they were told was taken arrives once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from personakit_sdk import PersonaKit
from tests.processes import free_port
from tests.sync_service import FIRST_KEY, Item, SyncService, sync_service
from tests.unit.sdk.conftest import hasten, mapper, persona

ROOT = Path(__file__).parents[2]


@pytest.fixture
def double() -> Iterator[SyncService]:
    with sync_service() as service:
        yield service


@contextmanager
def program(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """An application, killed at the end of the block if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.sdk_programs", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.close()
        process.stdin.close()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def until(done: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def drain(service: SyncService, store: Path) -> None:
    """A new client of the store sends what is left in it."""
    with PersonaKit(service.url, FIRST_KEY, store=store, background=False) as kit:
        assert kit.flush(60)
        assert kit.status().outbox.dead_letters == 0


def numbers(items: list[Item]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for each in items:
        found[each["key"]].append(each["body"]["content"]["n"])
    return dict(found)


@pytest.mark.parametrize("seed", range(3))
def test_kill_while_observing_loses_nothing_that_was_taken(
    double: SyncService, tmp_path: Path, seed: int
) -> None:
    store, taken = tmp_path / "store.db", []
    chance = random.Random(seed)
    for _ in range(2):
        with program("observe_for_ever", double.url, store) as process:
            taken += lines(process, chance.randint(1, 40))
            process.kill()
            assert process.stdout is not None
            taken += process.stdout.read().split()
    drain(double, store)
    assert set(taken) <= double.stored.keys()
    assert len(double.order) == len(double.stored)


def test_kill_after_send_and_before_confirm_stores_once(double: SyncService, tmp_path: Path) -> None:
    """Fault 5: the service has committed, and its answer finds nobody."""
    store = tmp_path / "store.db"
    sent = threading.Event()
    held = threading.Event()

    def hold() -> None:
        sent.set()
        held.wait(60)

    double.before_answer = hold
    with program("observe_for_ever", double.url, store) as process:
        taken = lines(process, 5)
        assert sent.wait(60)
        process.kill()
        process.wait()
    double.before_answer = lambda: None
    held.set()
    stored = len(double.order)
    assert stored > 0
    drain(double, store)
    assert set(taken) <= double.stored.keys()
    assert len(double.order) == len(double.stored)
    assert sum(map(len, double.pushes)) > len(double.order)  # some were sent twice


def test_kill_at_every_statement_of_a_pull_shows_the_old_or_the_new(
    double: SyncService, tmp_path: Path
) -> None:
    """Fault 6."""
    store = tmp_path / "store.db"
    double.put("mapper", "focus", mapper())
    for n in range(3):
        double.put("persona", f"p{n}", persona(f"p{n}"))
    with PersonaKit(double.url, FIRST_KEY, store=store, background=False) as kit:
        kit.sync()
    old = sorted((at, each[0]) for at, each in double.served.items())
    for n in range(1, 5):
        double.put("persona", f"p{n}", persona(f"p{n}", "night"))
    double.delete("persona", "p0")
    new = sorted((at, each[0]) for at, each in double.served.items())
    with program("die_at_every_statement", double.url, store, "pull") as process:
        out, _ = process.communicate(timeout=110)
        assert process.returncode == 0
    seen = [line.split(" ", 2) for line in out.splitlines()]
    assert len(seen) > 10
    assert {each[2] for each in seen} == {str(old), str(new)}
    assert [each[1] for each in seen] == ["True"] * (len(seen) - 1) + ["False"]
    for nth, _, _ in seen:
        copy = store.with_name(f"copy-{nth}.db")
        with PersonaKit(double.url, FIRST_KEY, store=copy, background=False) as kit:
            kit.sync()
            assert sorted(kit._cache.versions().items()) == new


def test_kill_at_every_statement_of_a_push_stores_once(double: SyncService, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with PersonaKit(double.url, FIRST_KEY, store=store, background=False) as kit:
        for n in range(4):
            kit.observe("ada", "check_in", {"n": n})
    with program("die_at_every_statement", double.url, store, "push") as process:
        out, _ = process.communicate(timeout=110)
        assert process.returncode == 0
    deaths = len(out.splitlines())
    assert deaths > 5
    for nth in range(1, deaths + 1):
        drain(double, store.with_name(f"copy-{nth}.db"))
    assert numbers(double.order) == {"ada": [0, 1, 2, 3]}


def test_ten_thousand_queued_while_the_service_is_down_arrive_once_and_in_order(tmp_path: Path) -> None:
    """Fault 10."""
    port = free_port()
    with PersonaKit(f"http://127.0.0.1:{port}", FIRST_KEY, store=tmp_path / "store.db") as kit:
        hasten(kit._store)
        for n in range(10_000):
            kit.observe(f"p{n % 20}", "check_in", {"n": n})
        assert kit.status().outbox.waiting == 10_000
        with sync_service(port) as service:
            until(lambda: kit.status().outbox.waiting == 0)
            assert numbers(service.order) == {f"p{n}": list(range(n, 10_000, 20)) for n in range(20)}
            assert len(service.stored) == 10_000


def test_a_child_that_was_forked_under_way_goes_on_when_its_parent_is_killed(
    double: SyncService, tmp_path: Path
) -> None:
    """Fault 11: the parent sends, and holds the lock and a connection, when it forks."""
    store = tmp_path / "store.db"
    sent, held = threading.Event(), threading.Event()

    def hold() -> None:
        sent.set()
        held.wait(60)

    double.before_answer = hold
    with program("fork_while_sending", double.url, store) as process:
        assert lines(process, 1) == ["observed"]
        assert sent.wait(60)
        assert process.stdin is not None
        process.stdin.write("fork\n")
        process.stdin.flush()
        told = dict(line.rsplit(" ", 1) for line in lines(process, 2))
        assert told.keys() == {"child", "parent again"}
        process.kill()
        process.wait()
        double.before_answer = lambda: None
        held.set()
        try:
            until(lambda: len(double.order) == 15)
        finally:
            os.kill(int(told["child"]), signal.SIGKILL)
    assert numbers(double.order) == {
        "parent": [0, 1, 2, 3, 4],
        "child": [0, 1, 2, 3, 4],
        "parent-again": [0, 1, 2, 3, 4],
    }


def test_two_processes_of_eight_threads_share_a_store(double: SyncService, tmp_path: Path) -> None:
    """Fault 12: with a third process that keeps the store locked for a while."""
    store = tmp_path / "store.db"
    PersonaKit(double.url, FIRST_KEY, store=store, background=False).close()
    with (
        program("read_locked", store) as locker,
        program("observe_with_threads", double.url, store, "a", "8", "10") as one,
        program("observe_with_threads", double.url, store, "b", "8", "10") as other,
    ):
        assert lines(locker, 1) == ["locked"]
        time.sleep(1.0)
        assert locker.stdin is not None
        locker.stdin.write("enough\n")
        locker.stdin.flush()
        assert [one.wait(110), other.wait(110)] == [0, 0]
    drain(double, store)
    assert numbers(double.order) == {f"{name}{n}": list(range(10)) for name in "ab" for n in range(8)}
    assert len(double.stored) == 160
