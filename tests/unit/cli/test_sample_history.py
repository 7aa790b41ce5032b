"""The sample history that ships with PersonaKit."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

from personakit.cli.jsonl import read_lines
from personakit_sdk.wire import Observation

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "rules" / "samples" / "work_history.jsonl"


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    made = tmp_path / "made.jsonl"
    subprocess.run((sys.executable, ROOT / "bench" / "make_sample_history.py", made), check=True)
    assert made.read_bytes() == SAMPLE.read_bytes()


def test_the_sample_is_sixty_days_of_somebody_who_works_at_night() -> None:
    lines = list(read_lines(SAMPLE, None))
    assert all(isinstance(line, Observation) for line in lines)
    assert len({line.id for line in lines}) == len(lines)
    kinds = Counter(line.type for line in lines)
    assert set(kinds) == {"code_commit", "work_session", "check_in", "calendar_event"}
    assert 350 <= len(lines) <= 450
    assert timedelta(days=55) < lines[-1].occurred_at - lines[0].occurred_at < timedelta(days=61)
    sessions = [line for line in lines if line.type == "work_session"]
    late = [line for line in sessions if line.occurred_at.hour >= 20]
    assert len(late) > len(sessions) / 2
