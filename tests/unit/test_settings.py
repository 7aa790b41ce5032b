"""Settings that name a file name the same one wherever the process comes to stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from personakit.config import load_settings


def test_the_journal_of_erasures_is_where_the_process_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = load_settings({"PERSONAKIT_ERASURE_JOURNAL": "kept/erasures.jsonl"}).journal
    assert journal == tmp_path / "kept" / "erasures.jsonl"
