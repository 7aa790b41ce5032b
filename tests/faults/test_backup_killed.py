"""kill -9 in the middle of a backup and of a restore: what is left says that it is not whole."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from personakit.agents.service import Service
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.access import create_tenant
from personakit.eventlog.backup.check import checked_keys, checked_log
from personakit.eventlog.backup.key_copies import prune
from personakit.eventlog.backup.manifest import BackupRefused
from personakit.eventlog.backup.restore import restore
from personakit.eventlog.backup.take import take_backup
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import ErasureJournal, ErasureJournalUnusable
from personakit.eventlog.recorder import LogRecorder, RestoreUnfinished, open_datastore
from tests.history import TENANT, observation, surrogate
from tests.postgres import MASTER_KEY, MASTER_KEY_TEXT, create_database, url_of
from tests.processes import Installation

LOCK = 4711
STALL = f"""
CREATE FUNCTION public.stall() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NEW; END $$;
CREATE TRIGGER stall BEFORE INSERT ON personakit.person_keys FOR EACH ROW EXECUTE FUNCTION public.stall()
"""
END_THOSE_WHO_WAIT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture(scope="module")
def written(postgres: EmbeddedPostgres) -> Iterator[Service]:
    service = Service(create_database(postgres), MASTER_KEY)
    create_tenant(service.recorder, TENANT, "Default")
    service.intake.record(TENANT, [observation("ada", hour) for hour in range(20)])
    yield service
    service.close()


def on(database: str, folder: Path) -> Installation:
    environ = {"PERSONAKIT_DATABASE_URL": url_of(database), "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT}
    return Installation(folder, **environ)


def until_it_waits(process: subprocess.Popen[bytes], database: str) -> None:
    """Returns when somebody in the database waits for a lock, as the process is about to."""
    query = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    deadline = time.monotonic() + 60
    with psycopg.connect(database, autocommit=True) as connection:
        while connection.execute(query).fetchone() == (0,):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_backup_that_is_killed_is_none(written: Service, tmp_path: Path) -> None:
    """Nor is the copy of its keys kept for long."""
    with psycopg.connect(written.logins.owner) as holder:  # one of the last that are copied
        holder.execute("LOCK TABLE personakit.api_keys IN ACCESS EXCLUSIVE MODE")
        process = on(written.logins.owner, tmp_path).begin(
            "backup", tmp_path / "log", "--keys", tmp_path / "keys"
        )
        until_it_waits(process, written.logins.owner)
        process.kill()
        process.wait()
    assert list((tmp_path / "log").iterdir()) != []
    with pytest.raises(BackupRefused, match="broken off"):
        checked_log(tmp_path / "log", [MASTER_KEY], lambda *_: None)
    now = datetime.now(UTC)
    with pytest.raises(BackupRefused, match="is not empty"):
        take_backup(written.logins.owner, MASTER_KEY, tmp_path / "log", tmp_path / "keys", now)
    assert len(prune(tmp_path / "keys", now + timedelta(days=30)).gone) == 1


def test_a_restore_that_is_killed_serves_nobody_and_begins_anew(
    written: Service, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    log, keys = tmp_path / "log", tmp_path / "keys"
    taken = take_backup(written.logins.owner, MASTER_KEY, log, keys, datetime.now(UTC))
    database = create_database(postgres)
    with closing(open_datastore(database, pool_size=1)) as datastore:
        LogRecorder(datastore).create_table()
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute(STALL)
        holder.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        for _ in range(2):
            command = ("restore", log, "--keys", keys, "--without-journal")
            process = on(database, tmp_path).begin(*command)
            until_it_waits(process, database)
            process.kill()
            process.wait()
            holder.execute(END_THOSE_WHO_WAIT)
            with pytest.raises(RestoreUnfinished, match=taken.backup):
                Service(database, MASTER_KEY)
            assert holder.execute("SELECT count(*) FROM personakit.events").fetchone() == (0,)
        holder.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    folders = (
        checked_log(log, [MASTER_KEY], lambda *_: None),
        checked_keys(keys, taken.backup, [MASTER_KEY], datetime.now(UTC), lambda *_: None),
    )
    restore(database, *folders, MASTER_KEY, [], revoke_keys=False)
    with closing(Service(database, MASTER_KEY)) as service:
        assert surrogate(service, "ada") == surrogate(written, "ada")
        assert service.reader.head() == written.reader.head()


def test_what_was_erased_is_erased_before_the_database_is_whole(
    written: Service, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    """Where the last step fails, nobody serves what the steps before have written."""
    written.intake.record(TENANT, [observation("gone")])
    log, keys = tmp_path / "log", tmp_path / "keys"
    taken = take_backup(written.logins.owner, MASTER_KEY, log, keys, datetime.now(UTC))
    journal = ErasureJournal(tmp_path / "journal")
    Eraser(written.recorder, written.keys, journal).erase(TENANT, "gone")
    database = create_database(postgres)
    folders = (
        checked_log(log, [MASTER_KEY], lambda *_: None),
        checked_keys(keys, taken.backup, [MASTER_KEY], datetime.now(UTC), lambda *_: None),
    )
    broken = tmp_path / "broken"
    broken.write_bytes((tmp_path / "journal").read_bytes() + b"{}\n")
    with pytest.raises(ErasureJournalUnusable):
        restore(database, *folders, MASTER_KEY, [ErasureJournal(broken)], revoke_keys=False)
    with pytest.raises(RestoreUnfinished):
        Service(database, MASTER_KEY)
    assert restore(database, *folders, MASTER_KEY, [journal], revoke_keys=False).erased == 1
    with closing(Service(database, MASTER_KEY)) as service:
        assert service.people.find(TENANT, "gone") is None
        assert service.people.find(TENANT, "ada") is not None
