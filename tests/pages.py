"""Pages whose commands are run against a service: each says below it with what status and answer it ends."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from litestar import Litestar
from litestar.testing import TestClient

HOW_TO = Path(__file__).parents[1] / "docs" / "how-to"
PK = (
    'pk() { curl -s -H "Authorization: Bearer $PERSONAKIT_API_KEY" '
    '-H "Content-Type: ${kind:-application/json}" "$@"; }'
)
"""What is run here as `pk`; a page has to tell its readers the same."""
_COMMAND = r"(?:again )?(?:kind=\S+ )?pk .*"
TIMES = 4
"""How often `again` does it."""


class Step(NamedTuple):
    """A command, and what the page says that it answers."""

    command: str
    status: int
    said: str


class Page:
    """A page of the how-to, with the files that stand in it."""

    def __init__(self, name: str) -> None:
        self._text = (HOW_TO / name).read_text(encoding="utf-8")
        assert f"\n{PK}\n" in self._text, f"{name} does not say what pk is"
        found = re.findall(r"^```yaml (\S+)\n(.*?)^```", self._text, re.MULTILINE | re.DOTALL)
        self._files: dict[str, str] = dict(found)

    def steps(self) -> list[Step]:
        """Its commands, in order. Each of them says what it answers."""
        found = re.findall(rf"^({_COMMAND})\n# (\d+) (.*)$", self._text, re.MULTILINE)
        assert len(found) == len(re.findall(rf"^{_COMMAND}$", self._text, re.MULTILINE))
        return [Step(command, int(status), said) for command, status, said in found]

    def run(self, client: TestClient[Litestar], command: str) -> Iterator[httpx.Response]:
        """What `curl` would send, as often as the command says."""
        words = shlex.split(command.replace("$PERSONAKIT_URL", ""))
        times = TIMES if words[0] == "again" else 1
        words = words[1:] if words[0] == "again" else words
        kind = words.pop(0).partition("=")[2] if words[0].startswith("kind=") else "application/json"
        method, headers, body, path = None, {"Content-Type": kind}, None, ""
        rest = iter(words[1:])
        for word in rest:
            match word:
                case "-X":
                    method = next(rest)
                case "-H":
                    name, _, value = next(rest).partition(": ")
                    headers[name] = value
                case "-d":
                    body = next(rest)
                case "--data-binary":
                    body = self._files[next(rest).removeprefix("@")]
                case _:
                    path = word
        for _ in range(times):
            yield client.request(method or ("POST" if body else "GET"), path, headers=headers, content=body)


def holds(said: Any, found: Any) -> bool:
    """Whether what is said is in what was found; lists are said whole, or from their beginning."""
    if isinstance(said, dict):
        return all(key in found and holds(value, found[key]) for key, value in said.items())
    if isinstance(said, list):
        return len(said) <= len(found) and all(map(holds, said, found)) and (bool(said) or not found)
    return bool(said == found)
