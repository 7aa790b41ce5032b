"""The operator's commands, as real processes on a real installation."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from personakit_sdk.transport import ServiceError, Transport
from personakit_sdk.wire import PersonExport
from tests.integration.test_mapper_guides import PAGES, steps, take
from tests.postgres import data_dir
from tests.processes import Installation, free_port, installation

ACCESS = PAGES / "answer-a-request-for-access.md"


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with data_dir() as folder, installation(folder) as made:
        made.start()
        yield made


def test_the_first_key_and_the_master_key_are_kept_where_only_their_owner_reads_them(
    installed: Installation,
) -> None:
    for name in ("api-key", "master-key"):
        assert stat.S_IMODE((installed.data_dir / name).stat().st_mode) == 0o600


def test_a_tenant_sees_the_shipped_mappers_and_nobody_elses_people(installed: Installation) -> None:
    installed.run("observe", "--person", "ada", "--type", "check_in", "mood=4")
    made = installed.run("tenants", "create", "acme")
    again = installed.run("tenants", "create", "acme")
    key = installed.run("keys", "create", "--tenant", "acme").stdout.strip()
    assert (made.returncode, again.returncode) == (0, 0), made.stderr
    assert "created" in made.stdout
    assert "exists already" in again.stdout

    acme = Transport(f"http://127.0.0.1:{installed.port}", key, patience=1.0)
    mappers = msgspec.json.decode(acme.request("GET", "/mappers").body)
    assert "work_rhythm" in [item["id"] for item in mappers["items"]]
    assert installed.transport().request("GET", "/personas/ada").status == 200
    with pytest.raises(ServiceError) as refused:
        acme.request("GET", "/personas/ada")
    assert refused.value.status == 404


def test_a_key_of_no_tenant_is_refused_with_what_to_do(installed: Installation) -> None:
    done = installed.run("keys", "create", "--tenant", "nobody")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "personakit tenants create nobody" in done.stderr


def test_projections_are_listed_with_their_lag(installed: Installation) -> None:
    shown = installed.run("projections", "list")
    states = msgspec.json.decode(installed.run("projections", "list", "--json").stdout)
    assert {"observations", "mindscapes", "personas"} <= {state["name"] for state in states}
    assert all(state["position"] <= state["head"] for state in states)
    assert "observations" in shown.stdout
    assert "lag" in shown.stdout


def test_a_taken_port_is_said_and_nothing_is_started(installed: Installation) -> None:
    with data_dir() as folder:
        other = Installation(folder, PERSONAKIT_PORT=str(installed.port))
        done = other.run("up")
        assert done.returncode == 2
        assert str(installed.port) in done.stderr
        assert "--port" in done.stderr
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PERSONAKIT_PORT", "eighty", "1 to 65535"),
        ("PERSONAKIT_DATABASE_URL", "mysql://x", "postgresql://"),
        ("PERSONAKIT_REDIS_URL", "x", "redis://"),
        ("PERSONAKIT_AUDIT_DAYS", "0", "from 1 to 36500"),
    ],
)
def test_a_bad_setting_is_one_sentence_and_exit_2(name: str, value: str, said: str) -> None:
    with data_dir() as folder:
        done = Installation(folder, **{name: value}).run("up")
    assert done.returncode == 2
    assert name in done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_a_service_the_commands_say_how_to_start_one() -> None:
    with data_dir() as folder:
        silent = Installation(folder, PERSONAKIT_API_KEY=f"pk_{'x' * 43}", PERSONAKIT_PORT=str(free_port()))
        done = silent.run("map", "work_rhythm", "ada")
    assert done.returncode == 3
    assert "personakit up" in done.stderr


def test_sigterm_ends_the_service_cleanly_and_the_next_start_finds_everything(
    installed: Installation,
) -> None:
    installed.run("observe", "--person", "kept", "--type", "check_in", "mood=5")
    assert installed.stop() == 0
    assert installed.start().request("GET", "/personas/kept").status == 200


def test_rules_that_were_tried_aside_are_published_and_derive_everybody_anew(
    installed: Installation, tmp_path: Path
) -> None:
    for mood in (2, 4):
        installed.run("observe", "--person", "tess", "--type", "check_in", f"mood={mood}")
    document = {
        "metadata": {"id": "moods", "version": "1.0.0", "description": "How high and how low"},
        "observes": "check_in",
        "traits": [{"path": "mood.best", "from": "mood", "aggregate": "max", "volatility": "low"}],
    }
    file = tmp_path / "moods.json"
    file.write_bytes(msgspec.json.encode(document))
    tried = installed.run("mindscapes", "rederive", "--with", str(file))
    assert "mood.best: comes for" in tried.stdout, tried.stderr
    assert "mood.best of tess: nothing -> 4" in tried.stdout
    looked = installed.run("audit", "--key", "cli", "--person", "tess")
    assert "tess  mindscapes rederive  1x  cli" in looked.stdout, looked.stderr
    done = installed.run("mindscapes", "rederive", "--with", str(file), "--apply", "--yes")
    assert "moods version 1 published" in done.stdout, done.stderr

    def best() -> object:
        shown = msgspec.json.decode(installed.transport().request("GET", "/mindscapes/tess").body)
        return shown["traits"].get("mood.best", {}).get("value")

    deadline = time.monotonic() + 20
    while best() != 4:
        assert time.monotonic() < deadline, "nobody was derived anew"
        time.sleep(0.05)
    again = installed.run("mindscapes", "rederive", "--with", str(file))
    assert "0 mindscapes would differ" in again.stdout


def test_a_request_for_access_is_answered_as_the_page_says(installed: Installation, tmp_path: Path) -> None:
    assert len(steps(ACCESS)) == 6
    take(steps(ACCESS), installed, tmp_path)
    (written,) = tmp_path.iterdir()
    exported = msgspec.json.decode(written.read_bytes(), type=PersonExport)
    assert (written.name, exported.person_id) == ("ada.json", "ada")
    assert {"PersonRegistered.1", "ObservationRecorded.2"} <= {each.topic for each in exported.events}
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
