"""What is looked at from beside: whether health is answered and how soon, whether a write is, and what memory
processes take."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from math import ceil
from pathlib import Path

from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport

PATHS = ("/health/live", "/health/ready")
PROBE_SECONDS = 0.1
PATIENCE = 10.0
SAMPLE_SECONDS = 0.25
NORMAL_SECONDS = 0.5
"""An answer in so long is a normal one."""
_STATUS_PLACE = slice(9, 12)
_OBSERVATION = {"personId": "p0", "type": "note", "content": {}, "occurredAt": "2026-03-02T09:00:00Z"}


class Health:
    """Asks PATHS over connections of their own, whether the probes before were answered or not: a second in
    which nothing is answered is as many slow probes as fall into it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seconds: dict[str, list[float]] = {path: [] for path in PATHS}
        self.failures: list[str] = []

    def watch(self, ending: threading.Event) -> None:
        """Asks until then, and waits for the last answers."""
        asyncio.run(self._watch(ending))

    def share(self, part: float, path: str | None = None) -> float:
        """Within so many seconds came that part of the answers, of one path or of all."""
        ordered = sorted(chain(*self.seconds.values()) if path is None else self.seconds[path])
        return ordered[ceil(part * len(ordered)) - 1] if ordered else float("inf")

    async def _watch(self, ending: threading.Event) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as asking:
            while not ending.is_set():
                for path in PATHS:
                    asking.create_task(self._ask(path, due))
                due += PROBE_SECONDS
                await asyncio.sleep(due - time.monotonic())

    async def _ask(self, path: str, due: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status = await self._status(path)
        except OSError as error:  # TimeoutError is one
            self.failures.append(f"{path}: {type(error).__name__} {error}")
        else:
            if status != b"200":
                self.failures.append(f"{path}: {status.decode(errors='replace') or 'no answer'}")
        self.seconds[path].append(time.monotonic() - due)

    async def _status(self, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return (await reader.read())[_STATUS_PLACE]
        finally:
            writer.transport.abort()


class Writes:
    """Writes over and over, and notes which were answered as they are when nothing else is asked."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._normal: list[tuple[float, float]] = []

    def write(self) -> None:
        """One more. It is not waited for longer than is normal."""
        asked = time.monotonic()
        with suppress(PersonaKitError, OSError):
            self._transport.request("POST", "/observations", body=_OBSERVATION)
            if (answered := time.monotonic()) - asked < NORMAL_SECONDS:
                self._normal.append((asked, answered))

    def normal_after(self, instant: float, patience: float) -> float:
        """Seconds from then to the first normal answer to what was asked then or later; infinite where it is
        not there after `patience` from now."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for asked, answered in list(self._normal):
                if asked >= instant:
                    return answered - instant
            time.sleep(PROBE_SECONDS)
        return float("inf")


class Memory:
    """The resident memory of a process and its children, in MiB, over time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.samples: list[float] = []

    def look(self) -> None:
        """One sample."""
        self.samples.append(sum(map(_resident, family(self._pid))))


@contextmanager
def watched(health: Health, writes: Writes, memory: Memory) -> Iterator[None]:
    """All are at it for as long as the block lasts."""
    ending = threading.Event()

    def each(seconds: float, look: Callable[[], None]) -> None:
        while not ending.wait(seconds):
            look()

    threads = [
        threading.Thread(target=health.watch, args=(ending,)),
        threading.Thread(target=each, args=(PROBE_SECONDS, writes.write)),
        threading.Thread(target=each, args=(SAMPLE_SECONDS, memory.look)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def _resident(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0
