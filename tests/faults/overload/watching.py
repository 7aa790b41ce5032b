"""What is looked at from beside: whether health is answered and how soon, and what memory processes take."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path

PROBE_SECONDS = 0.1
PATIENCE = 10.0
SAMPLE_SECONDS = 0.25
_STATUS_PLACE = slice(9, 12)


class Health:
    """Asks `/health/live` and `/health/ready` in turn, each over a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def ask(self, path: str) -> None:
        """One probe."""
        began = time.monotonic()
        try:
            status = self._status(path)
        except OSError as error:
            self.failures.append(f"{path}: {type(error).__name__} {error}")
            return
        if status != b"200":
            self.failures.append(f"{path}: {status.decode(errors='replace') or 'no answer'}")
        self.seconds.append(time.monotonic() - began)

    def share(self, part: float) -> float:
        """Within so many seconds came that part of the answers."""
        ordered = sorted(self.seconds)
        return ordered[ceil(part * len(ordered)) - 1] if ordered else float("inf")

    def _status(self, path: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            received = b""
            while part := connection.recv(65536):
                received += part
        return received[_STATUS_PLACE]


class Memory:
    """The resident memory of a process and its children, in MiB, over time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.samples: list[float] = []

    def look(self) -> None:
        """One sample."""
        self.samples.append(sum(map(_resident, family(self._pid))))


@contextmanager
def watched(health: Health, memory: Memory) -> Iterator[None]:
    """Both are at it for as long as the block lasts."""
    ending = threading.Event()

    def probe() -> None:
        while not ending.wait(PROBE_SECONDS):
            health.ask("/health/live")
            health.ask("/health/ready")

    def sample() -> None:
        while not ending.wait(SAMPLE_SECONDS):
            memory.look()

    threads = [threading.Thread(target=each) for each in (probe, sample)]
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
