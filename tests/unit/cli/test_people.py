"""Listing people, and writing what is held about one of them into a file."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import personakit
from tests.unit.sdk.test_transport import service as answering

WHOLE = b'{"personId":"ann","events":[{"position":1,"content":{}}]}'
SINCE = "2026-01-05T10:00:00+00:00"


def run(url: str, *arguments: str) -> Result:
    environ = {"PERSONAKIT_URL": url, "PERSONAKIT_API_KEY": "pk_test"}
    result = CliRunner().invoke(personakit, arguments, env=environ, prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_people_are_listed_page_after_page(service) -> None:
    first = {"items": [{"id": "ann", "registeredAt": SINCE}], "next": "ann"}
    service.answers["/people?after=&limit=500"] = (200, first)
    service.answers["/people?after=ann&limit=500"] = (
        200,
        {"items": [{"id": "bob", "registeredAt": SINCE}], "next": None},
    )
    assert run(service.url, "people", "list").output.splitlines() == [
        "2026-01-05 10:00  ann",
        "2026-01-05 10:00  bob",
    ]
    lines = run(service.url, "people", "list", "--json").output.splitlines()
    assert [msgspec.json.decode(line)["id"] for line in lines] == ["ann", "bob"]


def exported(sent: bytes, announced: int, output: Path | None) -> Result:
    """A command that is sent so many bytes of those that were announced."""

    def respond(handler, _: int) -> None:
        assert handler.path == "/people/ann/export"
        handler.send_response(200)
        handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        handler.wfile.write(sent)

    with answering(respond) as (url, _):
        return run(url, "people", "export", "ann", *(("--output", str(output)) if output else ()))


def test_an_export_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "ann.json"
    file.write_text("older", encoding="ascii")
    file.chmod(0o644)
    assert exported(WHOLE, len(WHOLE), file).exit_code == 0
    assert file.read_bytes() == WHOLE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_is_printed_where_no_file_is_named() -> None:
    assert exported(WHOLE, len(WHOLE), None).stdout_bytes == WHOLE


@pytest.mark.parametrize(
    ("sent", "announced"),
    [(WHOLE[:20], len(WHOLE)), (WHOLE[:20], 20), (WHOLE[:-2], len(WHOLE) - 2), (b"", 0)],
    ids=["broken off", "ended too soon", "ended after an event", "empty"],
)
def test_what_breaks_off_leaves_no_file_and_an_older_one_as_it_was(
    tmp_path: Path, sent: bytes, announced: int
) -> None:
    file = tmp_path / "ann.json"
    file.write_text("older", encoding="ascii")
    done = exported(sent, announced, file)
    assert done.exit_code == 3
    assert "broke off" in done.stderr
    assert file.read_text(encoding="ascii") == "older"
    assert list(tmp_path.iterdir()) == [file]


def test_whom_the_service_does_not_know_leaves_no_file(service, tmp_path: Path) -> None:
    problem = {"type": "x", "title": "No", "status": 404, "detail": "Nothing is known of 'ann'."}
    service.answers["/people/ann/export"] = (404, problem)
    done = run(service.url, "people", "export", "ann", "--output", str(tmp_path / "ann.json"))
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "Nothing is known" in done.stderr


def test_a_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    done = exported(WHOLE, len(WHOLE), tmp_path / "nowhere" / "ann.json")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def erased(file: Path, meanwhile: Callable[[], object]) -> tuple[list[str], Result]:
    """What the service was asked, and how a command ended that erases somebody."""
    asked: list[str] = []
    said = {
        "id": str(UUID(int=1)),
        "personId": "ann",
        "erasedAt": SINCE,
        "position": 7,
        "epoch": str(UUID(int=2)),
        "personas": [],
        "publicKey": "p",
        "signature": "s",
    }

    def respond(handler, _: int) -> None:
        asked.append(f"{handler.command} {handler.path}")
        meanwhile()
        content = msgspec.json.encode(said)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    with answering(respond) as (url, _):
        environ = {"PERSONAKIT_URL": url, "PERSONAKIT_API_KEY": "pk_test"}
        arguments = ["people", "erase", "ann", "--yes", "--receipt", str(file)]
        return asked, CliRunner().invoke(personakit, arguments, env=environ, prog_name="personakit")


def test_nobody_is_erased_whose_receipt_cannot_be_kept(tmp_path: Path) -> None:
    asked, result = erased(tmp_path / "nowhere" / "receipt.json", lambda: None)
    assert "cannot be written" in result.output
    assert asked == []


def test_a_receipt_that_is_lost_on_the_disk_is_told(tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    asked, result = erased(file, file.mkdir)
    assert asked == ["DELETE /people/ann"]
    assert result.exit_code != 0
    assert "ann was erased at" in result.stdout
    assert "signed s" in result.stdout
