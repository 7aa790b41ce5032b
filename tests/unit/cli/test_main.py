"""The command `personakit`: its options, its exit codes, and how fast it is to say what it can."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import COMMANDS, personakit
from personakit.cli.observe import pair
from personakit.cli.progress import SECONDS_BETWEEN_LINES, plain_lines, progress


def run(*arguments: str, **environ: str | None) -> Result:
    result = CliRunner().invoke(personakit, arguments, env=environ, prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "h.jsonl"
    said = {"personId": "ann", "type": "note", "occurredAt": "2026-01-05T10:00:00Z", "content": {"n": 1}}
    path.write_bytes(b"".join(msgspec.json.encode(said | {"content": {"n": n}}) + b"\n" for n in range(3)))
    return path


def test_every_command_in_the_table_is_where_the_table_says() -> None:
    context = click.Context(personakit)
    for name in personakit.list_commands(context):
        command = personakit.get_command(context, name)
        assert isinstance(command, click.Command)
        assert command.name == name


def test_help_lists_the_commands_without_importing_them() -> None:
    listing = (
        "import sys\nfrom personakit.cli.main import personakit\n"
        "personakit(['--help'], standalone_mode=False)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    told = subprocess.run((sys.executable, "-c", listing), capture_output=True, check=True, text=True).stdout
    help_text, _, modules = told.rpartition("[")
    assert all(f"  {name} " in help_text for name in COMMANDS)
    for heavy in (
        "rich",
        "litestar",
        "psycopg",
        "eventsourcing",
        "dramatiq",
        "icalendar",
        "granian",
        "ruamel",
    ):
        assert f"'{heavy}'" not in modules


def test_a_command_that_is_not_there_is_a_usage_error() -> None:
    assert run("fly").exit_code == 2


def test_no_service_is_exit_3_with_one_sentence(lines: Path) -> None:
    result = run("--port", "9", "import", "jsonl", str(lines), PERSONAKIT_API_KEY="pk_test")
    assert result.exit_code == 3
    assert result.stderr.startswith("personakit: No PersonaKit service answers at http://127.0.0.1:9 (")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["api", "worker"])
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "PERSONAKIT_DATABASE_URL and PERSONAKIT_REDIS_URL"),
        ({"PERSONAKIT_DATABASE_URL": "postgresql://h/d"}, "PERSONAKIT_REDIS_URL"),
        ({"PERSONAKIT_REDIS_URL": "redis://h"}, "PERSONAKIT_DATABASE_URL"),
    ],
)
def test_production_without_its_settings_is_exit_2_with_one_sentence(
    command: str, given: dict[str, str], missing: str
) -> None:
    nothing = dict.fromkeys(("PERSONAKIT_DATABASE_URL", "PERSONAKIT_REDIS_URL"))
    result = run(command, **{**nothing, **given})
    assert result.exit_code == 2
    assert result.stderr.startswith(f"personakit: Set {missing}: ")
    assert result.stderr.count("\n") == 1


def test_no_key_is_exit_2_and_says_where_one_would_be(tmp_path: Path) -> None:
    result = run("observe", "--data-dir", str(tmp_path), "--person", "ann", "--type", "note", "text=hi")
    assert result.exit_code == 2
    assert f"{tmp_path}/api-key does not exist" in result.stderr
    assert "personakit up" in result.stderr


def test_a_bad_setting_is_exit_2() -> None:
    result = run("--port", "many", "observe", "--person", "ann", "--type", "note")
    assert result.exit_code == 2
    assert "'many'" in result.stderr


def test_the_key_is_read_from_the_data_directory(service, lines: Path, tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("pk_test\n", encoding="ascii")
    port = service.url.rpartition(":")[2]
    for arguments in (
        ("--data-dir", str(tmp_path), "--port", port, "import", "jsonl", str(lines)),
        ("import", "jsonl", str(lines), "--data-dir", str(tmp_path), "--port", port),
    ):
        assert run(*arguments).exit_code == 0
    assert len(service.observations) == 3


def test_a_port_that_is_asked_for_wins_over_the_environments_address(service, lines: Path) -> None:
    port = service.url.rpartition(":")[2]
    environ = {"PERSONAKIT_API_KEY": "pk_test", "PERSONAKIT_URL": "http://127.0.0.1:9"}
    assert run("import", "jsonl", str(lines), "--port", port, **environ).exit_code == 0
    assert run("import", "jsonl", str(lines), **environ).exit_code == 3


def test_an_import_says_what_it_did(service, lines: Path) -> None:
    environ = {"PERSONAKIT_API_KEY": "pk_test", "PERSONAKIT_URL": service.url}
    result = run("import", "jsonl", str(lines), **environ)
    assert result.exit_code == 0
    assert result.stdout.startswith("sent 3 in ")
    assert "3 stored, 0 duplicates, 0 rejected" in result.stdout
    told = msgspec.json.decode(run("import", "jsonl", str(lines), "--json", **environ).stdout)
    assert (told["stored"], told["duplicates"]) == (0, 3)


def test_an_import_with_a_line_that_was_not_taken_is_exit_1(service, lines: Path) -> None:
    environ = {"PERSONAKIT_API_KEY": "pk_test", "PERSONAKIT_URL": service.url}
    lines.write_bytes(lines.read_bytes() + b"{}\n")
    result = run("import", "jsonl", str(lines), **environ)
    assert result.exit_code == 1
    assert "line 4: Object missing required field" in result.stdout
    assert len(service.observations) == 3


def test_a_whole_git_history_through_the_command_line(service, repository) -> None:
    repository.put("a.py", "1\n")
    repository.commit("2026-01-05T22:00:00+0100")
    environ = {"PERSONAKIT_API_KEY": "pk_test", "PERSONAKIT_URL": service.url}
    import_git = ("import", "git", str(repository.path), "--person", "ann", "--author")
    assert run(*import_git, "ann@example.org", **environ).exit_code == 0
    assert {item["type"] for item in service.observations.values()} == {"code_commit", "work_session"}
    unknown = run(*import_git, "bob@example.org", **environ)
    assert unknown.exit_code == 2
    assert unknown.stderr == (
        "personakit: There are no commits by bob@example.org; authors here: ann@example.org (1).\n"
    )


@pytest.mark.parametrize(("status", "code"), [(401, 2), (403, 2), (400, 1), (413, 1), (500, 3)])
def test_what_the_service_says_no_to_has_an_exit_code_by_its_kind(
    service, lines: Path, status: int, code: int
) -> None:
    service.script = [200, status]
    result = run("import", "jsonl", str(lines), PERSONAKIT_API_KEY="pk_test", PERSONAKIT_URL=service.url)
    assert result.exit_code == code
    assert f"personakit: It is a {status}." in result.stderr


@pytest.mark.parametrize("person", ["", "a b", "ann/../bob", "x" * 129])
def test_an_id_that_no_person_can_have_is_a_usage_error(lines: Path, person: str) -> None:
    result = run("import", "jsonl", str(lines), "--person", person)
    assert result.exit_code == 2
    assert "is no person's id" in result.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("minutes=50", ("minutes", 50)),
        ("ok=true", ("ok", True)),
        ("tags=[1,2]", ("tags", [1, 2])),
        ("text=two words", ("text", "two words")),
        ('code="50"', ("code", "50")),
        ("equation=a=b", ("equation", "a=b")),
        ("empty=", ("empty", "")),
    ],
)
def test_a_value_that_reads_as_json_is_taken_so(text: str, value: tuple[str, object]) -> None:
    assert pair(text) == value


def test_a_time_without_an_offset_is_a_usage_error() -> None:
    result = run("observe", "--person", "ann", "--type", "note", "--at", "2026-01-05T10:00:00")
    assert result.exit_code == 2
    assert "has no offset" in result.stderr


def test_plain_progress_is_a_line_every_few_seconds_and_none_for_quick_work() -> None:
    clock = [0.0]
    written: list[str] = []

    class Stream:
        write = written.append

        def flush(self) -> None:
            """Nothing is held back."""

    report = plain_lines(Stream(), lambda: clock[0])
    for done in range(1000, 9000, 1000):
        clock[0] += SECONDS_BETWEEN_LINES / 4
        report("sending", done, 20_000)
    assert written == [
        "sending: 4,000 of 20,000 (1,333/s, 12 s left)\n",
        "sending: 8,000 of 20,000 (1,333/s, 9 s left)\n",
    ]


def test_on_a_terminal_progress_is_a_bar_for_each_kind_of_work() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with progress(terminal) as report:
        report("reading", 10, 20)
        report("sending", 500, None)
        report("sending", 700, None)
        report("sending", 900, None)
    assert "reading" in terminal.getvalue()
    assert "10/20" in terminal.getvalue()
    assert "sending" in terminal.getvalue()
