"""The guide to the SDK runs, block after block."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.sync_service import FIRST_KEY, sync_service
from tests.unit.sdk.conftest import mapper, persona

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/how-to/use-the-sdk.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_the_guide_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = BLOCK.findall(GUIDE)
    assert len(blocks) == 4
    monkeypatch.chdir(tmp_path)
    with sync_service() as service:
        service.put("mapper", "wellbeing_companion", mapper("wellbeing_companion"))
        service.put("persona", "ada", persona())
        monkeypatch.setenv("PERSONAKIT_URL", service.url)
        monkeypatch.setenv("PERSONAKIT_API_KEY", FIRST_KEY)
        names: dict[str, object] = {}
        for block in blocks:
            exec(compile(block, "use-the-sdk.md", "exec"), names)
    told = capsys.readouterr().out
    assert "early sug_" in told
    assert "0 s old fresh" in told
    assert [item["kind"] for item in service.order] == ["observation", "feedback", "observation"]


def test_the_block_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = BLOCK.findall(README)
    monkeypatch.chdir(tmp_path)
    with sync_service() as service:
        service.put("mapper", "wellbeing_companion", mapper("wellbeing_companion"))
        service.put("persona", "ada", persona())
        told = block.replace("http://127.0.0.1:8042", service.url).replace("pk_…", FIRST_KEY)
        exec(compile(told, "README.md", "exec"), {})
    assert "title='early'" in capsys.readouterr().out
    assert len(service.order) == 1
