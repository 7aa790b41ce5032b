"""Applications of the SDK, each a process of its own: `python -m tests.faults.sdk_programs NAME …`."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from personakit_sdk import PersonaKit
from personakit_sdk.cache import Cache
from personakit_sdk.store import Store
from tests.sync_service import FIRST_KEY


def observe_for_ever(url: str, store: str) -> None:
    """Prints the id of each observation once it is taken."""
    kit = PersonaKit(url, FIRST_KEY, store=store)
    n = 0
    while True:
        print(kit.observe(f"p{n % 3}", "check_in", {"n": n}), flush=True)
        n += 1


def observe_with_threads(url: str, store: str, name: str, threads: str, each: str) -> None:
    """Observes from many threads at once, and closes."""
    with PersonaKit(url, FIRST_KEY, store=store) as kit:

        def work(person: str) -> None:
            for n in range(int(each)):
                kit.observe(person, "check_in", {"n": n})

        running = [threading.Thread(target=work, args=(f"{name}{n}",)) for n in range(int(threads))]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        kit.flush(60)


def fork_while_sending(url: str, store: str) -> None:
    """Observes, says so, and forks when told to by a line; child and parent then observe too, and stay."""
    kit = PersonaKit(url, FIRST_KEY, store=store)
    for n in range(5):
        kit.observe("parent", "check_in", {"n": n})
    print("observed", flush=True)
    sys.stdin.readline()
    child = os.fork()
    who = "child" if child == 0 else "parent again"
    for n in range(5):
        kit.observe(who.replace(" ", "-"), "check_in", {"n": n})
    print(who, os.getpid(), flush=True)
    signal.pause()


def die_at_every_statement(url: str, store: str, what: str) -> None:
    """Does `what` on one copy of a store after another, each time killed (SIGKILL) a statement later, until
    it gets through. Prints what the store served after each death."""
    original = Path(store)
    for nth in range(1, 1000):
        copy = original.with_name(f"copy-{nth}.db")
        shutil.copy(original, copy)
        child = os.fork()
        if child == 0:
            _act(url, copy, what, nth)
            os._exit(0)
        _, ended = os.waitpid(child, 0)
        print(nth, os.WIFSIGNALED(ended), sorted(Cache(Store(copy)).versions().items()), flush=True)
        if not os.WIFSIGNALED(ended):
            assert ended == 0
            return


def _act(url: str, store: Path, what: str, nth: int) -> None:
    kit = PersonaKit(url, FIRST_KEY, store=store, background=False)
    with kit._store.reading() as connection:
        connection.set_trace_callback(_killer(nth))
    if what == "pull":
        kit.sync()
    else:
        kit.flush(10)


def _killer(nth: int) -> Callable[[str], Any]:
    left = [nth]

    def count(_: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def read_locked(store: str) -> None:
    """Holds the store's write lock until a line comes."""
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    sys.stdin.readline()
    connection.execute("ROLLBACK")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
