"""Targets: files that a restore reads, which were somewhere else meanwhile."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from personakit.eventlog.backup.check import BackupLocked, checked_keys, checked_log
from personakit.eventlog.backup.manifest import FILE, BackupRefused
from personakit.eventlog.erasure_journal import Erasure, ErasureJournal, ErasureJournalUnusable
from personakit.eventlog.wrapping import MasterKey
from personakit_sdk.storable import unstorable
from tests.fuzz.bodies import raw
from tests.fuzz.hostile import encoded, spoilt
from tests.fuzz.target import target

NOW: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
MASTER_KEY: Final = bytes(32)
ERASURE: Final[dict[str, Any]] = {
    "id": str(UUID(int=1)),
    "erasedAt": "2026-03-02T09:00:00Z",
    "tenant": "default",
    "surrogates": [str(UUID(int=2)), str(UUID(int=3))],
    "tombstone": "0f" * 32,
}
PART: Final = {
    "table": "events",
    "columns": ["tenant"],
    "file": "events.copy.gz",
    "rows": 1,
    "bytes": 30,
    "sha256": "0f" * 32,
}
MANIFEST: Final[dict[str, Any]] = {
    "format": 1,
    "kind": "keys",
    "backup": "b",
    "takenAt": "2026-03-01T09:00:00Z",
    "expiresAt": "2026-03-31T09:00:00Z",
    "release": "0.1.0",
    "logFormat": 1,
    "epoch": str(UUID(int=4)),
    "position": 7,
    "masterCheck": MasterKey(MASTER_KEY).word.hex(),
    "parts": [PART],
    "signature": "0f" * 32,
}


@target(st.lists(encoded(spoilt(ERASURE)) | raw, max_size=4).map(b"\n".join), ErasureJournalUnusable)
def a_journal_of_erasures(data: bytes) -> None:
    """A journal: what is taken of it can be carried out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "erasures.jsonl"
        path.write_bytes(data + b"\n")
        for erasure in ErasureJournal(path).read():
            if isinstance(erasure, Erasure):
                assert erasure.erased_at.tzinfo is not None
                assert len(bytes.fromhex(erasure.tombstone)) == 32
            assert erasure.surrogates
            assert unstorable(erasure.tenant) == []


@target(
    encoded(st.one_of(spoilt(MANIFEST), spoilt(MANIFEST | {"kind": "log"}), st.just(MANIFEST))) | raw,
    BackupRefused,
    BackupLocked,
)
def a_manifest(data: bytes) -> None:
    """A manifest: of none that was not signed here anything is restored."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(data)
        for check in (_log, _keys):
            try:
                check(Path(folder))
            except (BackupRefused, BackupLocked):
                continue
            raise AssertionError("It was taken, and nobody here signed it.")


def _log(folder: Path) -> None:
    checked_log(folder, [MASTER_KEY], lambda *_: None)


def _keys(folder: Path) -> None:
    checked_keys(folder, "b", [MASTER_KEY], NOW, lambda *_: None)
