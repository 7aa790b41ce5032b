"""`personakit backup` and `restore` as commands: their answers, refusals and exit codes."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.agents.service import Service
from personakit.cli.main import personakit
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.backup.key_copies import name_of
from personakit.eventlog.backup.take import take_backup
from personakit.eventlog.erasure_journal import Erasure, ErasureJournal, MadeAgain
from personakit.projections import builds
from tests.history import TENANT, observation
from tests.postgres import MASTER_KEY, MASTER_KEY_TEXT, create_database, url_of


class Place(NamedTuple):
    """A folder with a backup and its keys, an empty database, and what a command there is told."""

    folder: Path
    database: str
    environ: dict[str, str]

    def run(self, *arguments: str | Path, **environ: str) -> Result:
        told = self.environ | environ
        return CliRunner(env=told).invoke(personakit, [str(each) for each in arguments])

    def refused(self, code: int, *arguments: str | Path, **environ: str) -> str:
        """The one sentence that a command ends with, having said nothing else."""
        done = self.run(*arguments, **environ)
        assert (done.exit_code, done.stdout) == (code, ""), done.output
        said = [line for line in done.stderr.splitlines() if line.startswith("personakit:")]
        assert len(said) == 1
        return said[0]


@pytest.fixture(scope="module")
def written(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    journal = tmp_path_factory.mktemp("journal") / "erasures.jsonl"
    service = Service(create_database(postgres), MASTER_KEY, erasure_journal=journal)
    create_tenant(service.recorder, TENANT, "Default")
    create_key(service.recorder, TENANT, "one")
    service.intake.record(TENANT, [observation(person) for person in ("ada", "eve")])
    yield service
    service.close()


@pytest.fixture
def place(written: Service, postgres: EmbeddedPostgres, tmp_path: Path) -> Place:
    take_backup(written.logins.owner, MASTER_KEY, tmp_path / "log", tmp_path / "keys", datetime.now(UTC))
    database = create_database(postgres)
    environ = {
        "PERSONAKIT_DATA_DIR": str(tmp_path / "data"),
        "PERSONAKIT_DATABASE_URL": url_of(database),
        "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT,
    }
    return Place(tmp_path, database, environ)


def restoring(place: Place, *more: str | Path) -> list[str | Path]:
    return ["restore", place.folder / "log", "--keys", place.folder / "keys", *more]


def test_a_backup_is_taken_and_told(written: Service, place: Place) -> None:
    there = {"PERSONAKIT_DATABASE_URL": url_of(written.logins.owner)}
    keys = place.folder / "keys"
    done = place.run("backup", place.folder / "another", "--keys", keys, "--json", **there)
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert told["pruned"] == []
    assert told["backup"] == msgspec.json.decode((place.folder / "another/manifest.json").read_bytes())
    assert (keys / told["backup"]["backup"] / "manifest.json").exists()
    done = place.run("backup", place.folder / "third", "--keys", keys, **there)
    assert done.stdout.startswith(f"Backup {datetime.now(UTC):%Y}")
    assert f"up to position {written.reader.head():,}" in done.stdout


def test_copies_of_keys_go_with_the_next_backup_or_alone(place: Place) -> None:
    keys = place.folder / "keys"
    old = f"{datetime.now(UTC) - timedelta(days=31):%Y%m%dT%H%M%SZ}-0123abcd"
    (keys / old).mkdir()
    assert old in place.run("backup", "--prune", "--keys", keys).stdout
    assert not (keys / old).exists()
    assert "30 days old" in place.run("backup", "--prune", "--keys", keys).stdout
    assert msgspec.json.decode(place.run("backup", "--prune", "--keys", keys, "--json").stdout) == {
        "backup": None,
        "pruned": [],
    }


def test_a_copy_of_keys_that_cannot_be_deleted_keeps_nothing_from_being_done(
    place: Place, written: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is said in the end."""
    keys = place.folder / "keys"
    days = [datetime.now(UTC) - timedelta(days=each) for each in (33, 32, 31)]
    stuck, *others = (name_of(day, "0123abcd") for day in days)
    for name in (stuck, *others):
        (keys / name).mkdir()
    remove = shutil.rmtree

    def stick(folder: Path) -> None:
        if folder.name == stuck:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        remove(folder)

    monkeypatch.setattr(shutil, "rmtree", stick)
    there = {"PERSONAKIT_DATABASE_URL": url_of(written.logins.owner)}
    done = place.run("backup", place.folder / "new", "--keys", keys, "--json", **there)
    assert (done.exit_code, msgspec.json.decode(done.stdout)["pruned"]) == (1, others)
    assert stuck in done.stderr
    assert (place.folder / "new/manifest.json").exists()
    assert str(keys / stuck) in place.refused(1, "backup", "--prune", "--keys", keys)


def test_a_backup_that_cannot_be_taken_is_one_sentence(place: Place, written: Service) -> None:
    keys = ("--keys", place.folder / "keys")
    there = {"PERSONAKIT_DATABASE_URL": url_of(written.logins.owner)}
    assert "Name the folder" in place.refused(2, "backup", *keys)
    assert "Name the folder" in place.refused(2, "backup", place.folder / "new", "--prune", *keys)
    assert "no log" in place.refused(1, "backup", place.folder / "new", *keys)
    assert "not empty" in place.refused(1, "backup", place.folder / "log", *keys, **there)
    assert "in each other" in place.refused(2, "backup", place.folder / "keys" / "x", *keys, **there)
    nowhere = {"PERSONAKIT_DATABASE_URL": "", "PERSONAKIT_MASTER_KEY": ""}
    assert "has no database" in place.refused(1, "backup", place.folder / "new", *keys, **nowhere)
    wrong = there | {"PERSONAKIT_MASTER_KEY": "A" * 43 + "="}
    assert "does not open this database" in place.refused(2, "backup", place.folder / "new", *keys, **wrong)
    assert not (place.folder / "new").exists()


def test_a_restore_that_cannot_be_is_one_sentence_and_touches_nothing(place: Place) -> None:
    log, unsaid = place.folder / "log", "--without-journal"
    wrong = {"PERSONAKIT_MASTER_KEY": "A" * 43 + "="}
    assert "--without-keys" in place.refused(2, "restore", log, unsaid)
    assert "--without-keys" in place.refused(2, *restoring(place, "--without-keys", unsaid))
    assert "--journal" in place.refused(2, *restoring(place))
    assert "is no backup" in place.refused(1, "restore", place.folder / "none", "--without-keys", unsaid)
    assert "of people's keys" in place.refused(
        1, "restore", *(place.folder / "keys").iterdir(), "--without-keys", unsaid
    )
    assert "--old-master-key-file" in place.refused(2, *restoring(place, unsaid), **wrong)
    assert "--old-master-key-file" in place.refused(2, *restoring(place, unsaid), PERSONAKIT_MASTER_KEY="")
    journal = place.folder / "journal"
    journal.write_text("nonsense\n")
    assert "Line 1" in place.refused(2, *restoring(place, "--journal", journal))
    path = log / "events.copy.gz"
    path.write_bytes(path.read_bytes()[:-1])
    assert "is damaged" in place.refused(1, *restoring(place, unsaid))
    with closing(builds.open_pool(place.database, 1)) as pool, pool.connection() as connection:
        found = connection.execute("SELECT to_regnamespace('personakit') AS made").fetchone()
    assert found == {"made": None}


def test_a_restore_makes_the_read_models_and_says_what_it_did(place: Place, written: Service) -> None:
    done = place.run(*restoring(place, "--without-journal", "--json"))
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert (told["position"], told["people"], told["erased"], told["openKeys"]) == (
        written.reader.head(),
        2,
        0,
        1,
    )
    with closing(builds.open_pool(place.database, 1)) as pool:
        states = builds.states(pool, [each.definition for each in written.projections.values()])
    assert {state.name for state in states if state.state == "active"} == set(written.projections)
    assert {state.lag_events for state in states} == {0}
    assert "empty database only" in place.refused(1, *restoring(place, "--without-journal"))


def test_the_journals_are_read_before_and_kept_for_the_next_restore(place: Place, written: Service) -> None:
    """The service's own, where none is named; what another one says is written into it."""
    assert written.eraser.erase(TENANT, "eve") is not None
    written.people.make_again(TENANT, "eve")
    there, own = place.folder / "there.jsonl", place.folder / "own.jsonl"
    lines = [msgspec.json.encode(each) for each in written_journal(written).read()]
    there.write_bytes(b"".join(line + b"\n" for line in lines))
    named = {"PERSONAKIT_ERASURE_JOURNAL": str(own)}
    done = place.run(*restoring(place, "--journal", there, "--revoke-keys"), **named)
    assert done.exit_code == 0, done.output
    assert "1 people; 1 erased" in done.stdout
    assert "API keys" not in done.stdout
    assert [type(line) for line in ErasureJournal(own).read()] == [Erasure, MadeAgain]
    assert list(ErasureJournal(own).read()) == list(written_journal(written).read())


def written_journal(service: Service) -> ErasureJournal:
    journal = service.eraser._journal
    assert journal is not None
    return journal


def test_a_backup_is_checked_without_any_database(place: Place) -> None:
    nowhere = {"PERSONAKIT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = place.run(*restoring(place, "--check"), **nowhere)
    assert (done.exit_code, done.stdout.count("whole")) == (0, 2), done.output
    told = msgspec.json.decode(place.run("restore", place.folder / "log", "--check", "--json").stdout)
    assert told["keys"] is None
    assert told["log"]["kind"] == "log"
