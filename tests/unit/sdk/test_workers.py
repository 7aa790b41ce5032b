"""A thread in the background is re-armed, whatever its step asks for."""

from __future__ import annotations

import threading

import pytest

from personakit_sdk.errors import PersonaKitError
from personakit_sdk.notices import Notice, Notices
from personakit_sdk.transport import ServiceError, Unreachable
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


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ServiceError(404, "urn:p:not-found", "ada is unknown"), "The service answered 404: urn:p:not-found"),
        (ServiceError(502, "about:blank", "is that PersonaKit?"), "is that PersonaKit?"),
        (Unreachable("http://x", "refused"), "No PersonaKit service answers at http://x (refused)."),
    ],
)
def test_a_failure_is_logged_without_what_the_service_says_of_somebody(
    error: PersonaKitError, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Notice] = []
    failed = threading.Event()

    def step() -> None:
        raise error

    def tell(notice: Notice) -> None:
        told.append(notice)
        failed.set()

    worker = Worker("test", step, Notices(tell), idle=float("inf"))
    worker.start()
    assert failed.wait(60)
    worker.stop()
    worker.join(60)
    assert told[0].detail == str(error)
    assert caplog.messages[0].startswith(f"failed: {line}")


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
