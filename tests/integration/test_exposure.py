"""Where others reach it, a service does not listen unless that is wanted and somebody has a key."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from personakit.cli.listening import is_remote, refuse_exposure_without_keys, refuse_unasked_exposure
from personakit.config import SettingInvalid, load_settings
from personakit.domain.grant import Grant
from personakit.eventlog.access import any_key_opens, grant_key, revoke_key, rotate_key
from personakit.eventlog.recorder import LogRecorder
from tests.postgres import MASTER_KEY_TEXT, url_of
from tests.processes import COMMAND, free_port

REMOTE = ("0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "example.org")
LOCAL = ("127.0.0.1", "127.0.0.2", "::1", "localhost")


def run(command: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, command, *options],
        env={"PERSONAKIT_PORT": str(free_port()), "PERSONAKIT_HOST": "0.0.0.0", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_others_reach_is_told_from_what_they_do_not() -> None:
    assert [is_remote(host) for host in REMOTE] == [True] * len(REMOTE)
    assert [is_remote(host) for host in LOCAL] == [False] * len(LOCAL)


@pytest.mark.parametrize("host", REMOTE)
def test_it_has_to_be_said_that_others_may_reach_it(host: str) -> None:
    with pytest.raises(SettingInvalid, match="--allow-remote"):
        refuse_unasked_exposure(load_settings({"PERSONAKIT_HOST": host}))
    refuse_unasked_exposure(load_settings({"PERSONAKIT_HOST": host, "PERSONAKIT_ALLOW_REMOTE": "1"}))


@pytest.mark.parametrize("command", ["up", "api"])
def test_a_command_that_is_not_told_so_ends_with_2_and_one_sentence(command: str, tmp_path: object) -> None:
    done = run(
        command,
        PERSONAKIT_DATA_DIR=str(tmp_path),
        PERSONAKIT_DATABASE_URL="postgresql://nobody.invalid/x",
        PERSONAKIT_REDIS_URL="redis://nobody.invalid",
    )
    assert done.returncode == 2, done.stderr
    assert "0.0.0.0 can be reached from other machines" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_api_without_any_key_does_not_listen_to_others(database: str) -> None:
    done = run(
        "api",
        "--allow-remote",
        PERSONAKIT_DATABASE_URL=url_of(database),
        PERSONAKIT_REDIS_URL="redis://127.0.0.1:1",
        PERSONAKIT_MASTER_KEY=MASTER_KEY_TEXT,
    )
    assert done.returncode == 2, done.stderr
    assert "there is no API key yet" in done.stderr


def test_only_a_key_that_opens_something_counts(recorder: LogRecorder) -> None:
    settings = load_settings({"PERSONAKIT_HOST": "::", "PERSONAKIT_ALLOW_REMOTE": "1"})
    now = datetime.now(UTC)
    assert not any_key_opens(recorder)
    grant_key(recorder, "default", "over", Grant(), now - timedelta(days=1))
    revoked = grant_key(recorder, "default", "revoked", Grant()).key.prefix
    revoke_key(recorder, "default", revoked)
    with pytest.raises(SettingInvalid, match="no API key yet"):
        refuse_exposure_without_keys(settings, recorder)
    refuse_exposure_without_keys(load_settings({}), recorder)

    key = grant_key(recorder, "default", "open", Grant())
    refuse_exposure_without_keys(settings, recorder)
    new = rotate_key(recorder, "default", key.key.prefix, timedelta(0), now)
    assert any_key_opens(recorder)
    revoke_key(recorder, "default", new.key.prefix)
    assert not any_key_opens(recorder)
