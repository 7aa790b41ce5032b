"""Backups of a database that is written to, and what a restored one is."""

from __future__ import annotations

import gzip
import hashlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.events import PersonaDefined
from personakit.domain.grant import Grant, granted
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.access import create_key, grant_key, key_of, revoke_key
from personakit.eventlog.backup.check import BackupLocked, checked_keys, checked_log
from personakit.eventlog.backup.manifest import FILE, BackupRefused, Manifest
from personakit.eventlog.backup.parts import read_part, write_part
from personakit.eventlog.backup.restore import Restored, restore
from personakit.eventlog.backup.tables import KEYS, LEFT_OUT, Table, copy_statement, tables
from personakit.eventlog.backup.take import take_backup
from personakit.eventlog.codec import SealBroken, open_state
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.intake import IdOfErased, OfErased, Receipt
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.people import People, persona_id
from personakit.eventlog.person_keys import MasterKeyWrong, PersonKeys
from personakit.eventlog.recorder import (
    LogFormatUnknown,
    LogRecorder,
    RestoreUnfinished,
    notification_of,
    open_datastore,
)
from personakit.projections import builds
from personakit.projections.verify import verify
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import suggestion_id
from tests.history import TENANT, a_little_of_everything, follow, observation, surrogate
from tests.integration.test_erasure import ADA, CANARY, answers, has
from tests.postgres import MASTER_KEY, create_database

OTHER_MASTER_KEY = bytes(range(1, 33))
EVENTS = "SELECT e::text AS row FROM personakit.events AS e WHERE position <= %s ORDER BY position"
PEOPLE = "SELECT k::text AS row FROM personakit.person_keys AS k ORDER BY person"


class Taken(NamedTuple):
    """A backup, and where it is."""

    folder: Path
    keys: Path
    manifest: Manifest


def take(database: str, where: Path, master_key: bytes = MASTER_KEY, now: datetime | None = None) -> Taken:
    folder, keys = where / "log", where / "keys"
    taken = take_backup(database, master_key, folder, keys, now or datetime.now(UTC))
    return Taken(folder, keys, taken)


def bring(
    taken: Taken,
    database: str,
    *,
    journals: Sequence[Path] = (),
    with_keys: bool = True,
    revoke_keys: bool = False,
    master_key: bytes = MASTER_KEY,
    old: bytes = MASTER_KEY,
) -> Restored:
    log = checked_log(taken.folder, [master_key, old], lambda *_: None)
    keys = (
        checked_keys(taken.keys, log.manifest.backup, [master_key, old], datetime.now(UTC), lambda *_: None)
        if with_keys
        else None
    )
    erased = [ErasureJournal(path) for path in journals]
    return restore(database, log, keys, master_key, erased, revoke_keys=revoke_keys)


def rows(database: str, query: Any, *values: object) -> list[Any]:
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute(query, values).fetchall()]


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> str:
    """A database that nothing was ever done with."""
    return create_database(postgres)


@pytest.fixture(scope="module")
def busy(quiet: Service) -> Service:
    """A service with a little of everything, at rest."""
    a_little_of_everything(quiet, "ada")
    with quiet.recorder.datastore.get_connection() as connection:
        connection.execute(SQL["count_conflicts"], {"tenants": [TENANT], "works": ["computed"], "times": [3]})
    assert quiet.leases.take(TENANT, "infer", uuid4(), 60) is not None
    return quiet


@pytest.fixture(scope="module")
def at_rest(busy: Service, database: str, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    assert busy.logins.owner == database
    return take(database, tmp_path_factory.mktemp("at-rest"))


@pytest.fixture(scope="module")
def restored(at_rest: Taken, postgres: EmbeddedPostgres, busy: Service) -> Iterator[tuple[Service, Restored]]:
    copy = create_database(postgres)
    done = bring(at_rest, copy)
    service = Service(copy, MASTER_KEY)
    assert service.reader.head() == busy.reader.head()
    yield service, done
    service.close()


def test_the_log_and_the_people_come_back_byte_for_byte(
    busy: Service, restored: tuple[Service, Restored], at_rest: Taken
) -> None:
    service, done = restored
    position = busy.reader.head()
    assert (done.position, done.people) == (position, len(rows(busy.logins.owner, PEOPLE)))
    assert rows(service.logins.owner, EVENTS, position) == rows(busy.logins.owner, EVENTS, position)
    assert rows(service.logins.owner, PEOPLE) == rows(busy.logins.owner, PEOPLE)
    events = next(part for part in at_rest.manifest.parts if part.table == "events")
    assert events.rows == len(rows(busy.logins.owner, EVENTS, position))


def test_every_read_model_is_made_of_it_as_it_was(busy: Service, restored: tuple[Service, Restored]) -> None:
    service, _ = restored
    for name, projection in busy.projections.items():
        assert everything_in(service, name) == everything_in(busy, name)
        assert everything_in(service, name)
        assert verify(service.pool, projection, service.keys).clean


def everything_in(service: Service, name: str) -> dict[str, list[str]]:
    """The rows of each table of a projection's build that is read, as text."""
    with service.pool.connection() as connection:
        schema = builds.active(connection, service.projections[name])
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        found = {}
        for row in names.fetchall():
            table = sql.Identifier(str(schema), row["tablename"])
            query = sql.SQL("SELECT t::text AS text FROM {} AS t ORDER BY 1").format(table)
            found[row["tablename"]] = [each["text"] for each in connection.execute(query).fetchall()]
    return found


def test_it_is_another_log_that_signs_as_the_one_before_did(
    busy: Service, restored: tuple[Service, Restored]
) -> None:
    """So a cursor of before is told to begin again, and feedback on older suggestions is believed."""
    service, done = restored
    assert done.epoch == service.epoch != busy.epoch
    assert service.secret == busy.secret


def test_operational_tables_come_back_but_for_leases_and_the_state_of_read_models(
    busy: Service, restored: tuple[Service, Restored]
) -> None:
    service, _ = restored
    for table in ("tenants", "api_keys", "conflicts"):
        query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier("personakit", table))
        assert rows(service.logins.owner, query) == rows(busy.logins.owner, query) or table == "api_keys"
    assert rows(service.logins.owner, "SELECT met FROM personakit.conflicts") == [3]
    assert rows(service.logins.owner, "SELECT kind FROM personakit.leases") == []
    assert rows(busy.logins.owner, "SELECT kind FROM personakit.leases") == ["infer"]


def test_every_table_is_in_the_backup_or_said_to_be_left_out(busy: Service, at_rest: Taken) -> None:
    with psycopg.connect(busy.logins.owner, row_factory=dict_row) as connection:
        there = {table.name for table in tables(connection)}
    assert there >= LEFT_OUT
    assert {part.table for part in at_rest.manifest.parts} == there - LEFT_OUT - {KEYS}
    of_keys = checked_keys(
        at_rest.keys, at_rest.manifest.backup, [MASTER_KEY], datetime.now(UTC), lambda *_: None
    )
    assert [part.table for part in of_keys.manifest.parts] == [KEYS]


def test_a_stranger_can_check_and_read_it(busy: Service, at_rest: Taken) -> None:
    """With sha256sum and zcat; nobody's words are in it, and no caller's id."""
    said = msgspec.json.decode((at_rest.folder / FILE).read_bytes())
    for part in said["parts"]:
        content = (at_rest.folder / part["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == part["sha256"]
        lines = gzip.decompress(content).decode().splitlines()
        assert len(lines) == part["rows"]
        assert {len(line.split("\t")) for line in lines} <= {len(part["columns"])}
        assert not any("four words and more" in line for line in lines)
        assert part["table"] == "api_keys" or not any("\tada\t" in line for line in lines)
    modes = {path.stat().st_mode & 0o777 for path in at_rest.folder.parent.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert busy.keys is not None


def test_a_backup_under_writes_is_of_one_moment(busy: Service, tmp_path: Path, empty: str) -> None:
    """The log up to the position that it says, whole, and the key of everybody whom it is about."""
    ended = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not ended.is_set():
            busy.intake.record(TENANT, [observation(f"writer-{written}", n) for n in range(5)])
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while written < 3:
            pass
        taken = take(busy.logins.owner, tmp_path)
        at_the_end = written
    finally:
        ended.set()
        writer.join()
    assert at_the_end > 3
    done = bring(taken, empty)
    position = taken.manifest.position
    assert 0 < position < busy.reader.head()
    assert done.position == position
    assert rows(empty, EVENTS, 2**62) == rows(busy.logins.owner, EVENTS, position)
    keyless = """SELECT position FROM personakit.events AS e WHERE person IS NOT NULL AND position <= %s
                 AND NOT EXISTS (SELECT FROM personakit.person_keys AS k WHERE k.person = e.person)"""
    assert rows(empty, keyless, position) == rows(busy.logins.owner, keyless, position)  # of somebody erased
    service = Service(empty, MASTER_KEY)
    try:
        assert all(verify(service.pool, each, service.keys).clean for each in service.projections.values())
        assert not any(state.quarantined for state in service.reader.states())
    finally:
        service.close()


def test_keys_that_were_revoked_stay_so_and_all_can_be(
    busy: Service, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    recorder = busy.recorder
    before, after = (grant_key(recorder, TENANT, name, Grant()) for name in ("before", "after"))
    revoke_key(recorder, TENANT, before.key.prefix)
    taken = take(busy.logins.owner, tmp_path)
    revoke_key(recorder, TENANT, after.key.prefix)
    for revoke_keys, opens in ((False, True), (True, False)):
        copy = create_database(postgres)
        done = bring(taken, copy, revoke_keys=revoke_keys)
        with closing(open_datastore(copy, pool_size=1)) as datastore:
            there = LogRecorder(datastore)
            assert key_of(there, before.secret) is None
            assert (key_of(there, after.secret) is not None) is opens
        assert (done.open_keys > 0) is opens


# --- people who were erased, and people without keys


def erase(service: Service, person_id: str, journal: Path) -> None:
    done = Eraser(service.recorder, service.keys, ErasureJournal(journal)).erase(TENANT, person_id)
    assert done is not None
    service.people.forget(None)


def unsealed(service: Service) -> str:
    """All of the log that any key of the database opens, whatever is said of it."""
    values = {"after": 0, "stop": None, "topics": None, "limit": 100_000}
    with service.recorder.datastore.get_connection() as connection:
        stored = [notification_of(row) for row in connection.execute(SQL["notifications"], values)]
    keys = service.keys.of_all({each.person for each in stored if each.person is not None})
    found = []
    for each in stored:
        with suppress(SealBroken, KeyError):
            found.append(open_state(each, None if each.person is None else keys[each.person]))
    return b"\n".join(found).decode()


class Asked(NamedTuple):
    """A service that is asked, and what it is asked about besides people."""

    http: TestClient[Litestar]
    made: dict[str, str]


def told(service: Service, pair: UUID) -> list[str]:
    """Which questions are answered with the canary."""
    suggestion = suggestion_id.encode(ADA, "focus", 1, "always", 1, datetime.now(UTC))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(service.recorder, TENANT, 'asks')}"
        found = answers(Asked(client, {"pair": persona_id(pair), "suggestion": suggestion}))  # type: ignore[arg-type]
    assert sum(each.startswith("200") for each in found.values()) > 10
    return [asked for asked, answer in found.items() if has(answer)]


def dump(database: str) -> str:
    """Every row of every table of the database, as text."""
    found = []
    with psycopg.connect(database) as connection:
        query = """SELECT schemaname, tablename FROM pg_tables
                   WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
        for schema, table in connection.execute(query).fetchall():
            every = sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(schema, table))
            found += [row[0] for row in connection.execute(every).fetchall()]
    return "\n".join(found)


def test_who_was_erased_after_the_backup_is_nowhere_in_what_is_restored(
    busy: Service, tmp_path: Path, empty: str
) -> None:
    """Nor do they come back, but for the ids that were made again on purpose; whoever shared a persona with
    them is left in it, and everybody else is untouched."""
    busy.intake.record(TENANT, [observation("again"), observation("twice")])
    person, friend = ADA, "bob"
    busy.intake.record(TENANT, [observation(person, text=f"{CANARY} said so much"), observation(friend)])
    grant_key(busy.recorder, TENANT, "limited", granted(["read"], [person, friend], []))
    people = [surrogate(busy, each) for each in (person, friend)]
    pair = busy.personas.create(TENANT, PersonaDefined(people=tuple(people), name=f"{CANARY} and friend"))
    follow(busy)
    taken = take(busy.logins.owner, tmp_path)
    assert has(dump(busy.logins.owner))
    assert has(unsealed(busy))
    assert told(busy, pair.persona)
    of_friend = "SELECT k::text FROM personakit.person_keys AS k WHERE person = %s"
    untouched = rows(busy.logins.owner, of_friend, people[1])
    journal = tmp_path / "erasures.jsonl"
    making = People(busy.recorder, busy.appender, busy.keys, ErasureJournal(journal))
    for each in (person, "again", "twice"):
        erase(busy, each, journal)
    for each in ("again", "twice"):
        making.make_again(TENANT, each)
    erase(busy, "twice", journal)
    first = next(ErasureJournal(journal).read())
    # It failed after it was written, and was asked anew.
    ErasureJournal(journal).append(msgspec.structs.replace(first, id=uuid4()))
    done = bring(taken, empty, journals=[journal, journal])
    of_busy = rows(busy.logins.owner, PEOPLE)
    assert (done.erased, done.people) == (4, len(of_busy) - 1)  # nothing was said of "again" yet
    service = Service(empty, MASTER_KEY)
    try:
        assert not has(dump(empty))
        assert not has(unsealed(service))
        assert told(service, pair.persona) == []
        assert str(pair.persona) in dump(empty)
        assert rows(empty, of_friend, people[1]) == untouched
        assert rows(empty, "SELECT people FROM personakit.api_keys WHERE name = 'limited'") == [[friend]]
        for projection in service.projections.values():
            assert verify(service.pool, projection, service.keys).clean
        sent = [observation(each) for each in (person, "twice", "again", friend)]
        fates = service.intake.record(TENANT, sent)
        assert [type(fate) for fate in fates] == [OfErased, OfErased, Receipt, Receipt]
    finally:
        service.close()


def test_without_its_key_who_was_erased_does_not_come_back_either(
    busy: Service, tmp_path: Path, empty: str
) -> None:
    """Nor does an API key of the backup name them, or the persona that was theirs alone."""
    busy.intake.record(TENANT, [observation("gone")])
    alone = busy.personas.create(TENANT, PersonaDefined(people=(surrogate(busy, "gone"),)))
    named = granted(["read"], ["gone", "left"], ["gone", persona_id(alone.persona)])
    grant_key(busy.recorder, TENANT, "of the gone", named)
    taken = take(busy.logins.owner, tmp_path)
    erase(busy, "gone", tmp_path / "journal")
    assert bring(taken, empty, journals=[tmp_path / "journal"], with_keys=False).erased == 1
    limits = "SELECT people || personas FROM personakit.api_keys WHERE name = 'of the gone'"
    assert rows(empty, limits) == [["left"]]
    service = Service(empty, MASTER_KEY)
    try:
        assert [type(each) for each in service.intake.record(TENANT, [observation("gone")])] == [OfErased]
    finally:
        service.close()


def test_an_erasure_that_the_backup_knows_of_is_not_done_again(
    busy: Service, tmp_path: Path, empty: str
) -> None:
    """Who was made again since stays, and a created persona keeps the key that it was given."""
    busy.intake.record(TENANT, [observation("left"), observation("stays")])
    people = tuple(surrogate(busy, each) for each in ("left", "stays"))
    busy.personas.create(TENANT, PersonaDefined(people=people))
    erase(busy, "left", tmp_path / "journal")
    busy.people.make_again(TENANT, "left")
    taken = take(busy.logins.owner, tmp_path)
    assert bring(taken, empty, journals=[tmp_path / "journal"]).erased == 0
    assert rows(empty, PEOPLE) == rows(busy.logins.owner, PEOPLE)
    assert rows(empty, EVENTS, 2**62) == rows(busy.logins.owner, EVENTS, 2**62)


def test_without_keys_the_log_is_there_and_nobody_can_be_read(
    busy: Service, at_rest: Taken, empty: str
) -> None:
    done = bring(at_rest, empty, with_keys=False)
    assert done.people == 0
    position = at_rest.manifest.position
    assert rows(empty, EVENTS, 2**62) == rows(busy.logins.owner, EVENTS, position)
    service = Service(empty, MASTER_KEY)
    try:
        assert everything_in(service, "observations") == {"observations": []}
        assert any(everything_in(service, "mappers").values())
        (before,) = rows(empty, "SELECT stream FROM personakit.events WHERE kind = 'observation' LIMIT 1")
        again = msgspec.structs.replace(observation("ada"), id=before)
        fates = service.intake.record(TENANT, [observation("ada"), again])
        assert [type(each) for each in fates] == [Receipt, IdOfErased]  # of somebody new, of nobody
    finally:
        service.close()


def test_keys_beyond_their_time_and_those_of_another_backup_are_refused(
    busy: Service, at_rest: Taken, tmp_path: Path
) -> None:
    old = take(busy.logins.owner, tmp_path, now=datetime.now(UTC) - timedelta(days=30))
    look = [old.manifest.backup, [MASTER_KEY], datetime.now(UTC), lambda *_: None]
    with pytest.raises(BackupRefused, match="had to be gone"):
        checked_keys(old.keys, *look)  # type: ignore[arg-type]
    with pytest.raises(BackupRefused, match="has the keys of the backup"):
        checked_keys(at_rest.keys / at_rest.manifest.backup, *look)  # type: ignore[arg-type]
    with pytest.raises(BackupRefused, match="is no backup"):
        checked_keys(at_rest.keys, *look)  # type: ignore[arg-type]


# --- another master key


def test_a_backup_is_opened_by_the_master_key_that_it_was_taken_with(at_rest: Taken) -> None:
    with pytest.raises(BackupLocked, match="--old-master-key-file"):
        checked_log(at_rest.folder, [OTHER_MASTER_KEY], lambda *_: None)


def test_a_backup_is_not_taken_with_a_wrong_master_key(busy: Service, tmp_path: Path) -> None:
    with pytest.raises(MasterKeyWrong):
        take(busy.logins.owner, tmp_path, OTHER_MASTER_KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_before_a_rotation_is_restored_under_the_new_master_key(
    busy: Service, at_rest: Taken, empty: str
) -> None:
    bring(at_rest, empty, master_key=OTHER_MASTER_KEY)
    with closing(open_datastore(empty, pool_size=2)) as datastore:
        with pytest.raises(MasterKeyWrong):
            PersonKeys(datastore.get_connection, MASTER_KEY)
        keys = PersonKeys(datastore.get_connection, OTHER_MASTER_KEY)
        ada = surrogate(busy, "ada")
        sent = observation("ada")
        assert keys.of(ada).digest(sent) == busy.keys.of(ada).digest(sent)
        assert keys.tombstone(TENANT, "ada") == busy.keys.tombstone(TENANT, "ada")


# --- what is damaged, and where something is already


def test_one_changed_byte_is_refused_before_anything_is_touched(at_rest: Taken, tmp_path: Path) -> None:
    whole = tmp_path / "backup"
    shutil.copytree(at_rest.folder, whole)
    for path in sorted(whole.glob("*.gz")):
        content = path.read_bytes()
        spoiled = bytearray(content)
        spoiled[secrets.randbelow(len(spoiled))] ^= 1 << secrets.randbelow(8)
        for damaged in (bytes(spoiled), content[:-1], content + b"\n", None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(BackupRefused, match=path.name):
                checked_log(whole, [MASTER_KEY], lambda *_: None)
            path.write_bytes(content)
    assert checked_log(whole, [MASTER_KEY], lambda *_: None).manifest == at_rest.manifest


def test_a_part_that_changes_after_it_was_checked_leaves_a_database_that_says_so(
    at_rest: Taken, tmp_path: Path, empty: str
) -> None:
    """And it can be restored into again. The same number of rows is not enough."""
    whole = tmp_path / "backup"
    shutil.copytree(at_rest.folder, whole)
    log = checked_log(whole, [MASTER_KEY], lambda *_: None)
    events, tenants = whole / "events.copy.gz", whole / "tenants.copy.gz"
    for path, changed in (
        (events, events.read_bytes()[:-9]),
        (events, events.read_bytes() + bytes(9)),
        (tenants, gzip.compress(gzip.decompress(tenants.read_bytes()).replace(b"Default", b"Another"))),
        (tenants, gzip.compress(b"no row\n")),
    ):
        content = path.read_bytes()
        path.write_bytes(changed)
        with pytest.raises(BackupRefused, match=path.name):
            restore(empty, log, None, MASTER_KEY, [], revoke_keys=False)
        assert rows(empty, "SELECT tenant FROM personakit.tenants") == []
        path.write_bytes(content)
    with pytest.raises(RestoreUnfinished, match="did not end"):
        Service(empty, MASTER_KEY)
    with pytest.raises(BackupRefused, match="was begun and not ended"):
        take(empty, tmp_path / "of-half")
    bring(at_rest, empty)
    Service(empty, MASTER_KEY).close()


def test_a_database_with_something_in_it_is_left_as_it_is(at_rest: Taken, busy: Service, empty: str) -> None:
    for there in (busy.logins.owner, empty):
        if there == empty:
            Service(empty, MASTER_KEY).close()  # nothing but read models of an empty log
        before = rows(there, "SELECT i::text FROM personakit.log_identity AS i")
        with pytest.raises(BackupRefused, match="empty database only"):
            bring(at_rest, there)
        assert rows(there, "SELECT i::text FROM personakit.log_identity AS i") == before


def test_folders_that_a_backup_cannot_go_to_are_refused(busy: Service, tmp_path: Path, empty: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    now = datetime.now(UTC)
    with pytest.raises(BackupRefused, match="is not empty"):
        take_backup(busy.logins.owner, MASTER_KEY, tmp_path / "full", tmp_path / "keys", now)
    with pytest.raises(BackupRefused, match="cannot be made"):
        take_backup(busy.logins.owner, MASTER_KEY, tmp_path / "full" / "file", tmp_path / "keys", now)
    for folder, keys in (("a", "a"), ("a", "a/keys"), ("keys/a", "keys")):
        with pytest.raises(InvalidInput, match="must not lie in each other"):
            take_backup(busy.logins.owner, MASTER_KEY, tmp_path / folder, tmp_path / keys, now)
    with pytest.raises(BackupRefused, match="no log"):
        take(empty, tmp_path)


def test_a_login_that_does_not_see_all_takes_no_backup(
    busy: Service, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    """Rows that are hidden from it, too, are not left out in silence."""
    other = make_conninfo(busy.logins.owner, user="half_blind")
    with psycopg.connect(busy.logins.owner, autocommit=True) as owner:
        owner.execute("CREATE ROLE half_blind LOGIN")
        try:
            with pytest.raises(BackupRefused, match="may not see all"):
                take(other, tmp_path / "no rights")
            owner.execute("CREATE TABLE personakit.hidden (id bigint)")
            owner.execute("ALTER TABLE personakit.hidden ENABLE ROW LEVEL SECURITY")
            owner.execute("GRANT USAGE ON SCHEMA personakit TO half_blind")
            owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA personakit TO half_blind")
            with pytest.raises(BackupRefused, match="row-level security"):
                take(other, tmp_path / "no rows")
        finally:
            owner.execute("DROP TABLE IF EXISTS personakit.hidden")
            owner.execute("DROP OWNED BY half_blind")
            owner.execute("DROP ROLE half_blind")


def test_a_backup_of_another_release_is_refused_where_it_cannot_be_read(at_rest: Taken, empty: str) -> None:
    log = checked_log(at_rest.folder, [MASTER_KEY], lambda *_: None)
    newer = msgspec.structs.replace(log.manifest, log_format=99)
    with pytest.raises(LogFormatUnknown, match="format 99"):
        restore(empty, log._replace(manifest=newer), None, MASTER_KEY, [], revoke_keys=False)
    first, *rest = log.manifest.parts
    unknown = msgspec.structs.replace(first, columns=[*first.columns, "moods"])
    newer = msgspec.structs.replace(log.manifest, parts=[unknown, *rest])
    with pytest.raises(BackupRefused, match=f"{first.table}.moods"):
        restore(empty, log._replace(manifest=newer), None, MASTER_KEY, [], revoke_keys=False)
    Service(empty, MASTER_KEY).close()  # it says nothing of a restore, for none was begun


def test_a_table_that_numbers_its_rows_goes_on_after_the_highest(
    busy: Service, tmp_path: Path, empty: str
) -> None:
    made = "CREATE TABLE personakit.numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text)"
    with closing(open_datastore(empty, pool_size=1)) as datastore:
        LogRecorder(datastore).create_table()
    for there in (busy.logins.owner, empty):
        with psycopg.connect(there) as connection:
            connection.execute(made)
    with psycopg.connect(busy.logins.owner, autocommit=True) as connection:
        connection.execute("INSERT INTO personakit.numbered (said) VALUES ('a'), ('b'), ('c')")
        taken = take(busy.logins.owner, tmp_path)
        connection.execute("DROP TABLE personakit.numbered")
    bring(taken, empty)
    with psycopg.connect(empty) as connection:
        connection.execute("INSERT INTO personakit.numbered (said) VALUES ('d')")
    assert rows(empty, "SELECT id FROM personakit.numbered ORDER BY id") == [1, 2, 3, 4]


def test_two_restores_into_one_database_do_not_mix(at_rest: Taken, empty: str) -> None:
    log = checked_log(at_rest.folder, [MASTER_KEY], lambda *_: None)

    def another() -> None:
        with pytest.raises(BackupRefused, match="Another process"):
            restore(empty, log, None, MASTER_KEY, [], revoke_keys=False)

    restore(empty, log, None, MASTER_KEY, [], revoke_keys=False, begun=another)


# --- the form of a part


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
ROWS = st.lists(st.tuples(TEXT, st.none() | st.binary(max_size=40), st.none() | st.lists(TEXT, max_size=3)))


@pytest.fixture(scope="module")
def scratch(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS personakit")
        connection.execute("CREATE TABLE personakit.there (a text, b bytea, c text[])")
        connection.execute("CREATE TEMPORARY TABLE back (LIKE personakit.there)")
        yield connection
        connection.execute("DROP TABLE personakit.there")


@settings(max_examples=40)
@given(ROWS)
def test_whatever_stands_in_a_table_comes_back_from_its_part(
    scratch: psycopg.Connection[Any], written: list[tuple[str, bytes | None, list[str] | None]]
) -> None:
    scratch.execute("TRUNCATE personakit.there, back")
    with scratch.cursor() as cursor:
        cursor.executemany("INSERT INTO personakit.there VALUES (%s, %s, %s)", written)
    table = Table("there", ["a", "b", "c"])
    with tempfile.TemporaryDirectory() as folder:
        part = write_part(scratch, table, Path(folder), lambda *_: None)
        assert part.rows == len(written)
        into = copy_statement(("back",), part.columns, "FROM STDIN")
        read_part(scratch, into, Path(folder), part, lambda *_: None)
    same = """SELECT (SELECT array_agg(r::text ORDER BY r::text) FROM personakit.there AS r)
              IS NOT DISTINCT FROM (SELECT array_agg(r::text ORDER BY r::text) FROM back AS r) AS same"""
    assert scratch.execute(same).fetchone() == {"same": True}
