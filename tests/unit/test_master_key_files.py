"""The files of the master key: at every point of a rotation one of two holds the key of the database."""

from __future__ import annotations

import base64
import re
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from personakit.config import SettingInvalid, Settings
from personakit.master_key import (
    FILE,
    NEW_FILE,
    begin_rotation,
    end_rotation,
    master_key,
    pending_rotation,
    present_master_key,
    read_master_key,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def test_a_key_is_made_once_for_its_owner_only(settings: Settings) -> None:
    assert present_master_key(settings) is None
    made = master_key(settings)
    assert len(made) == 32
    assert master_key(settings) == present_master_key(settings) == made
    assert [path.name for path in settings.data_dir.iterdir()] == [FILE]
    assert (settings.data_dir / FILE).stat().st_mode & 0o777 == 0o600


def test_all_who_make_the_first_key_at_once_have_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = secrets.token_bytes

    def draw_slowly(size: int) -> bytes:
        time.sleep(0.02)
        return draw(size)

    monkeypatch.setattr(secrets, "token_bytes", draw_slowly)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: master_key(settings), range(8)))) == 1
    assert [path.name for path in settings.data_dir.iterdir()] == [FILE]


def test_wherever_it_is_killed_no_other_file_holds_the_key_in_use(settings: Settings) -> None:
    there: list[list[str]] = []

    def look(*_: object) -> Callable[..., Any]:
        there.append(sorted(path.name for path in settings.data_dir.iterdir()))
        return look

    tracing = sys.gettrace()
    sys.settrace(look)  # before each line that is run
    try:
        master_key(settings)
    finally:
        sys.settrace(tracing)
    assert [FILE] in there
    assert not [names for names in there if FILE in names and len(names) > 1]


def test_the_old_key_stays_in_its_place_until_the_rotation_ends(settings: Settings) -> None:
    old = master_key(settings)
    new = begin_rotation(settings.data_dir, None)
    assert new != old
    assert (master_key(settings), pending_rotation(settings.data_dir)) == (old, new)
    assert (settings.data_dir / NEW_FILE).stat().st_mode & 0o777 == 0o600
    end_rotation(settings.data_dir)
    assert (master_key(settings), pending_rotation(settings.data_dir)) == (new, None)
    end_rotation(settings.data_dir)  # by another process, too
    assert master_key(settings) == new


def test_half_a_key_that_a_kill_left_is_none_and_is_written_over(settings: Settings) -> None:
    master_key(settings)
    (settings.data_dir / NEW_FILE).write_text("AAAA")
    assert pending_rotation(settings.data_dir) is None
    named = bytes(range(32))
    assert begin_rotation(settings.data_dir, named) == named
    assert pending_rotation(settings.data_dir) == named


@pytest.mark.parametrize("content", [b"", b"AAAA", b"\xff\xfe", b"not base64!", base64.b64encode(bytes(31))])
def test_a_file_that_holds_no_key_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingInvalid, match=re.escape(str(tmp_path / "key"))):
        read_master_key(tmp_path / "key")
    with pytest.raises(SettingInvalid, match="cannot be read"):
        read_master_key(tmp_path / "none")
