"""A nonce is given once: a second one under the same key would lay bare what both seal."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from personakit.eventlog.nonces import BYTES, nonce


def test_nonces_are_never_given_twice_by_any_thread() -> None:
    with ThreadPoolExecutor(4) as threads:
        given = [
            each for many in threads.map(lambda _: [nonce() for _ in range(500)], range(8)) for each in many
        ]
    assert {len(each) for each in given} == {BYTES}
    assert len(set(given)) == 4000


def test_a_child_has_nonces_of_its_own() -> None:
    nonce()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(nonce() for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100 * BYTES)
    ours = {nonce() for _ in range(100)}
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 100 * BYTES
    assert ours.isdisjoint(theirs[at : at + BYTES] for at in range(0, len(theirs), BYTES))
