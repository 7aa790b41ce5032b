"""The folders of a backup: manifests are read as written and prove it, and copies of keys go in time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.eventlog.backup.key_copies import BROKEN_OFF_AFTER, KEPT, name_of, prune
from personakit.eventlog.backup.manifest import (
    FILE,
    BackupRefused,
    Manifest,
    Part,
    opens,
    read_manifest,
    require_genuine,
    signed,
    write_manifest,
)
from personakit.eventlog.wrapping import MasterKey

MASTER = bytes(range(32))
OTHER = bytes(range(1, 33))
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
PARTS = st.builds(
    Part,
    table=NAMES,
    columns=st.lists(st.text(max_size=20), max_size=5),
    file=NAMES.map(lambda name: f"{name}.copy.gz"),
    rows=st.integers(0, 2**62),
    bytes=st.integers(0, 2**62),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
MANIFESTS = st.builds(
    Manifest,
    format=st.just(1),
    kind=st.sampled_from(["log", "keys"]),
    backup=st.text(max_size=40),
    taken_at=INSTANTS,
    expires_at=st.none() | INSTANTS,
    release=st.text(max_size=10),
    log_format=st.integers(0, 9),
    epoch=st.uuids(),
    position=st.integers(0, 2**62),
    master_check=st.just(MasterKey(MASTER).word.hex()),
    parts=st.lists(PARTS, max_size=4),
)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@given(MANIFESTS)
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    whole = signed(manifest, MASTER)
    with folder() as path:
        write_manifest(path, whole)
        found = read_manifest(path, manifest.kind)
        assert [each.name for each in path.iterdir()] == [FILE]
        assert (path / FILE).stat().st_mode & 0o777 == 0o600
    assert found == whole
    require_genuine(found, path, MASTER)
    assert opens(found, MASTER)
    assert not opens(found, OTHER)
    assert not opens(msgspec.structs.replace(found, master_check="é" * 64), MASTER)
    with pytest.raises(BackupRefused, match="was changed"):
        require_genuine(msgspec.structs.replace(found, signature="é" * 64), path, MASTER)


@given(MANIFESTS, MANIFESTS, st.sampled_from(Manifest.__struct_fields__))
def test_whatever_is_changed_in_a_manifest_is_seen(one: Manifest, other: Manifest, field: str) -> None:
    """The hashes of the parts stand in it, so that this holds of every byte of a backup."""
    whole = signed(one, MASTER)
    changed = msgspec.structs.replace(whole, **{field: getattr(other, field)})
    if changed == whole:
        require_genuine(changed, Path(), MASTER)
        return
    with pytest.raises(BackupRefused, match="was changed"):
        require_genuine(changed, Path(), MASTER)
    with pytest.raises(BackupRefused, match="was changed"):
        require_genuine(whole, Path(), OTHER)


def manifest(**changed: Any) -> bytes:
    said: dict[str, Any] = {
        "format": 1,
        "kind": "log",
        "backup": "b",
        "takenAt": "2026-03-02T09:00:00Z",
        "expiresAt": None,
        "release": "0",
        "logFormat": 2,
        "epoch": "51623486-7168-4845-b236-2f22dba59431",
        "position": 1,
        "masterCheck": "",
        "parts": [],
    }
    return msgspec.json.encode(said | changed)


PART = {"table": "events", "columns": [], "rows": 0, "bytes": 0, "sha256": ""}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not a whole backup: it has no manifest.json"),
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (manifest()[:-20], "is damaged"),
        (manifest(more=1), "is damaged"),
        (manifest(format=2), "format 2"),
        (manifest(kind="keys"), "is a backup of people's keys, not of a log"),
        (manifest(parts=[PART | {"file": "../events.copy.gz"}]), "is damaged"),
        (manifest(parts=[PART | {"file": "/etc/passwd"}]), "is damaged"),
    ],
)
def test_a_folder_that_is_no_backup_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(BackupRefused, match=said) as refused:
        read_manifest(tmp_path, "log")
    assert str(tmp_path) in str(refused.value)


def test_a_folder_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="is no backup"):
        read_manifest(tmp_path / "none", "log")


AGES = st.integers(0, 60 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@given(st.lists(st.tuples(AGES, st.booleans()), max_size=6, unique_by=lambda each: each[0]))
def test_copies_of_keys_go_after_30_days_and_what_was_broken_off_after_one(
    copies: list[tuple[timedelta, bool]],
) -> None:
    with folder() as keys:
        stay, go = set(), set()
        for age, whole in copies:
            name = name_of(NOW - age, "0123abcd")
            (keys / name).mkdir()
            (keys / name / "person_keys.copy.gz").touch()
            if whole:
                (keys / name / FILE).touch()
            (go if age >= (KEPT if whole else BROKEN_OFF_AFTER) else stay).add(name)
        assert set(prune(keys, NOW).gone) == go
        assert {path.name for path in keys.iterdir()} == stay
        assert prune(keys, NOW) == ([], [])


@pytest.mark.parametrize(
    "name", ["photos", "20250101T000000Z", "20259999T000000Z-0123abcd", "x-20250101T000000Z-0123abcd"]
)
def test_what_is_no_copy_of_keys_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "kept").touch()
    (tmp_path / "20250101T000000Z-0123abcd").touch()  # a file
    assert prune(tmp_path, NOW) == ([], [])
    assert (tmp_path / name / "kept").exists()
