"""Work in the background: a thread does a step, waits as long as the step says, and is always re-armed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final

from personakit_sdk import forking
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.notices import Notices, logger
from personakit_sdk.transport import NO_PROBLEM_TYPE, ServiceError

IDLE_SECONDS: Final = 5.0
"""How often it is looked without being woken: another process may have left something, and died."""
LONGEST: Final = 86_400.0
"""Seconds of one wait at most: a thread cannot be made to wait for any time."""
FIRST_CEILING: Final = 1.0
HIGHEST_CEILING: Final = 300.0


class Worker:
    """Runs `step`, which says after how many seconds it is to run again (None: when it is woken, or after
    `idle` seconds). What it raises is told, and it runs again. With `last`, it does a last step when it is
    stopped, and `ended` is called at the very end. A forked child has a thread of its own."""

    def __init__(
        self,
        name: str,
        step: Callable[[], float | None],
        notices: Notices,
        *,
        idle: float = IDLE_SECONDS,
        last: bool = False,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._last, self._ended = last, ended
        self._name, self._step, self._notices, self._idle = name, step, notices, idle
        self._woken = threading.Event()
        self._stopping = False
        self._failures = 0
        self._thread = self._new_thread()
        forking.watch(self)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    def start(self) -> None:
        """Begins; to be called once."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def stop(self) -> None:
        """Ends it after the step under way."""
        self._stopping = True
        self._woken.set()

    def join(self, seconds: float) -> None:
        """Returns when it has ended, or after so many seconds: a request that hangs holds nobody up."""
        if self._thread is not threading.current_thread():
            self._thread.join(max(0.0, seconds))

    def before_fork(self) -> None:
        """Goes on: what it uses comes to rest by itself."""

    def after_fork_in_parent(self) -> None:
        """Goes on."""

    def after_fork_in_child(self) -> None:
        """Threads do not come along, so the child begins one."""
        self._woken = threading.Event()
        running = self._thread.ident is not None and not self._stopping
        self._thread = self._new_thread()
        if running:
            self._thread.start()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            wait = self._once()
            if not self._stopping:
                self._woken.wait(min(self._idle if wait is None else wait, self._idle, LONGEST))
        if self._last:
            self._once()
        self._ended()

    def _once(self) -> float | None:
        try:
            wait = self._step()
        except PersonaKitError as error:
            if not self._stopping:
                self._notices.give("failed", str(error), logged=_discreet(error))
            return self._backed_off(getattr(error, "retry_after", 0.0))
        except Exception:  # noqa: BLE001 - unforeseen, so told in full; to end here would end all deliveries
            logger.exception("The thread %s failed, and tries again", self._name)
            return self._backed_off(0.0)
        self._failures = 0
        return wait

    def _backed_off(self, asked: float) -> float:
        ceiling = min(HIGHEST_CEILING, FIRST_CEILING * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return asked or random.random() * ceiling  # noqa: S311 - no secret


def _discreet(error: PersonaKitError) -> str | None:
    """What the log says of it, where the service said it."""
    if isinstance(error, ServiceError) and error.type != NO_PROBLEM_TYPE:
        return f"The service answered {error.status}: {error.type}"
    return None
