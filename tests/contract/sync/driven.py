"""The SDK under test: a process that takes one command a line and answers each with one line, both JSON."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

SECONDS: Final = 60.0
"""How long a command may take."""


class Gone(Exception):
    """The process has ended, or does not speak the protocol."""


class Refused(Exception):
    """The SDK did not do what it was asked, and named a reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Driven:
    """The process, begun with `command` when it is first asked, and anew after `end`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """What the SDK answers. Raises Refused or Gone."""
        process = self._process or self._start()
        try:
            print(json.dumps({"do": do, **values}), file=process.stdin, flush=True)
            line = self._lines.get(timeout=SECONDS)
        except OSError:
            line = ""
        except queue.Empty:
            self.kill()
            raise Gone(f"no answer to {do} within {SECONDS:.0f} seconds") from None
        return _read(do, line)

    def kill(self) -> None:
        """Ends it at once, as a loss of power would."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Kills it and waits until it is gone."""
        if self._process is None:
            return
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what could not be written is lost, as it should
                    pipe.close()
        self._process = None

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._process, self._lines = process, queue.Queue()
        threading.Thread(target=_pass_on, args=(process, self._lines), daemon=True).start()
        return process


def _pass_on(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    with suppress(ValueError):  # closed meanwhile
        for line in process.stdout or ():
            lines.put(line)
    lines.put("")


def _read(do: str, line: str) -> dict[str, Any]:
    if not line:
        raise Gone(f"the SDK's process ended at {do}")
    try:
        said = json.loads(line)
        if "error" in said:
            raise Refused(said["error"]["kind"], said["error"].get("detail", ""))
        return dict(said["ok"])
    except (ValueError, LookupError, TypeError) as error:
        raise Gone(f"the answer to {do} is no answer ({error!r}): {line.strip()[:200]}") from error
