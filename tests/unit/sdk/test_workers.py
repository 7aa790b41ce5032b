"""A thread in the background is re-armed, whatever its step asks for."""

from __future__ import annotations

import threading

from personakit_sdk.notices import Notices
from personakit_sdk.transport import ServiceError
from personakit_sdk.workers import Worker


def test_a_wait_without_end_still_ends_when_it_is_woken() -> None:
    ran = threading.Semaphore(0)

    def step() -> float:
        ran.release()
        return float("inf")

    worker = Worker("test", step, Notices(), idle=float("inf"))
    worker.start()
    for _ in range(3):
        assert ran.acquire(timeout=60)
        worker.wake()
    worker.stop()
    worker.join(60)


def test_a_step_that_fails_and_asks_for_centuries_is_tried_again_when_woken() -> None:
    ran = threading.Semaphore(0)

    def step() -> float:
        ran.release()
        raise ServiceError(503, "about:blank", "no", retry_after=1e12)

    worker = Worker("test", step, Notices(), idle=float("inf"))
    worker.start()
    for _ in range(3):
        assert ran.acquire(timeout=60)
        worker.wake()
    worker.stop()
    worker.join(60)
