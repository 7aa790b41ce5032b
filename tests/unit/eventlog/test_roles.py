"""With what each role of the database is reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from personakit.config import SettingInvalid, Settings, load_settings
from personakit.eventlog.roles import READER, WRITER, acting_as, logins, logins_in

URL = "postgresql://clerk@localhost/personakit"


def test_one_login_is_all_of_them() -> None:
    found = logins(URL)
    assert found.owner == URL
    assert [conninfo_to_dict(each)["options"] for each in found[1:]] == [
        f"-c role={WRITER}",
        f"-c role={READER}",
    ]
    assert {conninfo_to_dict(each)["user"] for each in found} == {"clerk"}


def test_each_may_have_its_own() -> None:
    settings = Settings(
        data_dir=Path("data"),
        database_url=URL,
        database_owner_url="postgresql://keeper@localhost/personakit",
        database_reader_url="postgresql://looker@localhost/personakit",
    )
    found = logins_in(settings, URL)
    assert [conninfo_to_dict(each)["user"] for each in found] == ["keeper", "clerk", "looker"]


def test_what_an_operator_asks_of_connections_stays() -> None:
    found = conninfo_to_dict(acting_as(READER, f"{URL}?options=-c%20lock_timeout%3D1s&sslmode=require"))
    assert found["options"] == f"-c lock_timeout=1s -c role={READER}"
    assert found["sslmode"] == "require"


@pytest.mark.parametrize("name", ["PERSONAKIT_DATABASE_OWNER_URL", "PERSONAKIT_DATABASE_READER_URL"])
def test_another_login_of_no_database_is_refused(name: str) -> None:
    environ = {"PERSONAKIT_DATA_DIR": "data", name: URL}
    with pytest.raises(SettingInvalid, match="Set PERSONAKIT_DATABASE_URL too"):
        load_settings(environ)
    assert load_settings({**environ, "PERSONAKIT_DATABASE_URL": URL}).database_url == URL


def test_another_login_has_the_form_of_the_first() -> None:
    environ = {"PERSONAKIT_DATA_DIR": "data", "PERSONAKIT_DATABASE_URL": URL}
    with pytest.raises(SettingInvalid, match="PERSONAKIT_DATABASE_READER_URL must begin with"):
        load_settings({**environ, "PERSONAKIT_DATABASE_READER_URL": "mysql://x"})
