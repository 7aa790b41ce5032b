"""Asking at the command line who read or changed whose data."""

from __future__ import annotations

from typing import Any

import msgspec
from click.testing import CliRunner

from personakit.cli.main import personakit
from personakit.config import load_settings


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "personId": "ann",
        "key": "pk_Zk3xA9q1",
        "keyName": "import\x1b[31m job",
        "operation": "push",
        "status": 200,
        "times": 3,
        "firstAt": "2026-01-05T10:00:00Z",
        "lastAt": "2026-01-05T10:20:30Z",
        "position": 41,
    } | changes


def run(url: str, *arguments: str) -> list[str]:
    environ = {"PERSONAKIT_URL": url, "PERSONAKIT_API_KEY": "pk_test"}
    result = CliRunner().invoke(personakit, ("audit", *arguments), env=environ, prog_name="personakit")
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_entries_are_told_a_line_each_page_after_page(service) -> None:
    of_command = entry(
        personId=None, key="cli", keyName=None, operation="rederive", status=None, position=None
    )
    service.answers["/audit?personId=ann&key=pk_Z&operation=push&limit=3"] = (
        200,
        {"items": [entry()], "next": "7"},
    )
    service.answers["/audit?personId=ann&key=pk_Z&operation=push&after=7&limit=2"] = (
        200,
        {"items": [of_command], "next": None},
    )
    asked = ("--person", "ann", "--key", "pk_Z", "--operation", "push", "--limit", "3")
    assert run(service.url, *asked) == [
        "2026-01-05 10:20:30  ann  push 200  3x, position 41  pk_Zk3xA9q1 (import[31m job)",
        "2026-01-05 10:20:30  (nobody any more)  rederive  3x  cli",
    ]
    lines = run(service.url, *asked, "--json")
    assert [msgspec.json.decode(line)["personId"] for line in lines] == ["ann", None]


def test_no_more_are_asked_for_than_are_wanted(service) -> None:
    service.answers["/audit?limit=1"] = (200, {"items": [entry()], "next": "7"})
    assert len(run(service.url, "--limit", "1")) == 1


def test_for_how_many_days_it_is_kept_can_be_set() -> None:
    assert load_settings({}).audit_days == 400
    assert load_settings({"PERSONAKIT_AUDIT_DAYS": "30"}).audit_days == 30
