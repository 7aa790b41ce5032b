"""The pages on rules from elsewhere, mappers and the past, computed traits, and forgetting somebody: every
command is run and says so."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from personakit.cli.main import personakit
from tests.postgres import data_dir
from tests.processes import Installation, installation

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
IMPORT = PAGES / "bring-rules-from-elsewhere.md"
PAST = PAGES / "try-a-mapper-on-the-past.md"
TRAITS = PAGES / "define-computed-traits.md"
FORGET = PAGES / "forget-a-person.md"
EXPLORE = PAGES / "explore-and-evaluate.md"


class Step(NamedTuple):
    """A command with what stands in comments below it: its exit code where it is not 0, and what it says."""

    arguments: list[str]
    code: int
    said: list[str]


def files(page: Path) -> dict[str, str]:
    """The blocks that have the name of a file."""
    return dict(
        re.findall(r"^```(?:yaml|json|python) (\S+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    )


def steps(page: Path) -> list[Step]:
    return steps_of(page.read_text())


def steps_of(text: str) -> list[Step]:
    found: list[Step] = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("# exit "):
                found[-1] = found[-1]._replace(code=int(line.removeprefix("# exit ")))
            elif line.startswith("# "):
                found[-1].said.append(line.removeprefix("# "))
            else:
                command, *arguments = shlex.split(line)
                assert command == "personakit"
                found.append(Step(arguments, 0, []))
    return found


def follow(page: Path, installed: Installation, folder: Path) -> None:
    for name, text in files(page).items():
        (folder / name).write_text(text, encoding="utf-8")
    take(steps(page), installed, folder)


def take(all_steps: list[Step], installed: Installation, folder: Path, *, settles: bool = True) -> None:
    for step in all_steps:
        assert step.said, step
        done = in_process(installed, *step.arguments, cwd=folder)
        assert done.returncode == step.code, (step, done.stdout, done.stderr)
        for said in step.said:
            assert said in done.stdout + done.stderr, (step, done.stdout, done.stderr)
        if step.arguments[0] == "observe" and settles:
            settle(installed, done.stdout)


def in_process(installed: Installation, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command of a page, in this process: it need not import all of the service each time."""
    with chdir(cwd):
        done = CliRunner(env=installed.environ).invoke(personakit, arguments)
    return subprocess.CompletedProcess([], done.exit_code, done.stdout, done.stderr)


def settle(installed: Installation, told: str) -> None:
    """Waits until what was observed shows: a reader of the page is slower than a test."""
    found = re.search(r"position (\d+)", told)
    assert found is not None
    headers = {"PersonaKit-Min-Position": found[1]}
    installed.transport(patience=5.0).request("GET", "/personas/ada", headers=headers)


@pytest.fixture
def nothing_running() -> Iterator[Installation]:
    with data_dir() as folder:
        yield Installation(folder)


def test_rules_from_elsewhere_need_no_service(nothing_running: Installation, tmp_path: Path) -> None:
    assert len(steps(IMPORT)) >= 9
    follow(IMPORT, nothing_running, tmp_path)


def test_a_mapper_is_tried_on_the_past(tmp_path: Path) -> None:
    assert len(steps(PAST)) >= 12
    with data_dir() as folder, installation(folder) as installed:
        installed.start()
        follow(PAST, installed, tmp_path)


def test_computed_traits_are_checked_published_and_derived(tmp_path: Path) -> None:
    assert len(steps(TRAITS)) >= 9
    with data_dir() as folder, installation(folder) as installed:
        installed.start()
        follow(TRAITS, installed, tmp_path)


def test_a_person_is_forgotten(tmp_path: Path) -> None:
    assert len(steps(FORGET)) >= 7
    with data_dir() as folder, installation(folder) as installed:
        installed.start()
        take(steps(FORGET), installed, tmp_path, settles=False)
        receipt = (tmp_path / "receipt.json").read_text()
        (tmp_path / "altered.json").write_text(receipt.replace("{", '{"more": 1, ', 1))
        altered = Step(
            ["people", "check-receipt", "altered.json"], 1, ["not of this service, or was altered"]
        )
        take([altered], installed, tmp_path)


def test_a_mapper_explores_and_another_is_evaluated(tmp_path: Path) -> None:
    before, after = (steps_of(part) for part in EXPLORE.read_text().split("```python app.py"))
    assert (len(before), len(after)) == (4, 4)
    with data_dir() as folder, installation(folder) as installed:
        installed.start()
        for name, text in files(EXPLORE).items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        take(before, installed, tmp_path)
        settle(installed, run_program(tmp_path / "app.py", installed))
        take(after, installed, tmp_path)


def run_program(path: Path, installed: Installation) -> str:
    """What a program of a page prints; it is told where the service is."""
    key = (installed.data_dir / "api-key").read_text().strip()
    told = {"PERSONAKIT_URL": f"http://127.0.0.1:{installed.port}", "PERSONAKIT_API_KEY": key}
    done = subprocess.run(
        [sys.executable, path], env=installed.environ | told, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
