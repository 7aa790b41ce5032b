"""20,000 commits are no problem: imported through a real service, twice."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from personakit_sdk.wire import Mindscape
from tests.postgres import data_dir
from tests.processes import git, installation

COMMITS = 20_000
START = datetime(2018, 1, 1, 8, tzinfo=UTC)


def write_history(folder: Path) -> None:
    """A commit every two hours and a bit, five to a session, over five years."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    stream = bytearray()
    for n in range(COMMITS):
        seconds = int((START + timedelta(hours=11 * (n // 5), minutes=20 * (n % 5))).timestamp())
        who = f"Ada <ada@example.org> {seconds} +0100"
        parent = f"from :{n}\n" if n else ""
        stream += (
            f"commit refs/heads/main\nmark :{n + 1}\nauthor {who}\ncommitter {who}\ndata 2\nc\n{parent}"
            f"M 100644 inline f{n % 9}.py\ndata {len(str(n)) + 1}\n{n}\n\n"
        ).encode()
    subprocess.run(["git", "-C", str(folder), "fast-import", "--quiet"], input=bytes(stream), check=True)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_history_of_20_000_commits_is_imported_once_however_often(tmp_path: Path) -> None:
    write_history(tmp_path)
    command = ["--json", "import", "git", str(tmp_path), "--author", "ada@example.org", "--person", "ada"]
    with data_dir() as folder, installation(folder) as installed:
        transport = installed.start()
        first = msgspec.json.decode(installed.run(*command).stdout)
        again = msgspec.json.decode(installed.run(*command).stdout)
        position = {"PersonaKit-Min-Position": str(again["position"])}
        mindscape = transport.request("GET", "/mindscapes/ada", headers=position).decode(Mindscape)
    assert first["stored"] == again["duplicates"] >= COMMITS
    assert again["stored"] == 0
    assert mindscape.traits["work.commits"].value == COMMITS
