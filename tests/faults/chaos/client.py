"""One client of several API processes: each try goes to one of them by chance."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from personakit_sdk.transport import TRY_AGAIN, Reply, ServiceError, Transport, Unreachable
from tests.faults.chaos.ledger import Ledger


class Client:
    """Not answered, and 503, are to be expected; anything else that is no success is a finding."""

    def __init__(
        self, transports: Sequence[Transport], chance: Random, stopping: threading.Event, ledger: Ledger
    ) -> None:
        self._transports = transports
        self._chance = chance
        self.stopping = stopping
        self._ledger = ledger

    def once(
        self, method: str, path: str, *, expected: tuple[int, ...] = (), **given: Any
    ) -> Reply | ServiceError | None:
        """The answer, or one of the `expected` refusals; None where there is none, or none yet."""
        transport = self._chance.choice(self._transports)
        try:
            return transport.request(method, path, patience=0.0, **given)
        except Unreachable:
            self._ledger.count("not answered")
        except ServiceError as error:
            if error.status in expected:
                return error
            if error.status in TRY_AGAIN:
                self._ledger.count("answered 503")
            else:
                route = path.rpartition("/")[0] or path
                self._ledger.finding(f"{method} {route} was answered {error.status}: {error.detail}")
        return None

    def reply(self, method: str, path: str, **given: Any) -> Reply | None:
        """The successful answer to one try."""
        answer = self.once(method, path, **given)
        return answer if isinstance(answer, Reply) else None

    def until_answered(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **given: Any
    ) -> Reply | None:
        """Sends it again, to any process, until it is answered; None when it is to stop first."""
        while not self.stopping.is_set():
            answer = self.reply(method, path, headers=headers, **given)
            if answer is not None:
                return answer
            self._ledger.count("sent again")
            self.stopping.wait(self._chance.uniform(0.02, 0.2))
        return None
