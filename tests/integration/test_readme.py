"""What the README tells a newcomer to type works, and its tables say what is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from tests.postgres import data_dir
from tests.processes import git, installation

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/how-to/look-after-read-models.md").read_text(encoding="utf-8")


def commands(text: str) -> list[list[str]]:
    """The `personakit` lines of a page's code blocks, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("personakit ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_commands_of_readme_and_guide_work_in_their_order(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for day in range(1, 8):
        (tmp_path / "a.py").write_text(f"{day}\n" * day)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "-m", "x", when=f"2026-03-0{day}T21:15:00+01:00")
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    up, *rest = commands(README) + commands(GUIDE)
    assert up == ["up"]
    assert len(rest) >= 5
    with data_dir() as folder, installation(folder) as installed:
        installed.start()
        for arguments in rest:
            told = ["ada@example.org" if a.startswith("$(git log") else a for a in arguments]
            named = [str(p) for a in told for p in (sorted(tmp_path.glob(a)) if "*" in a else [a])]
            done = installed.run(*named, cwd=tmp_path)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
            assert done.stdout.strip(), arguments


def test_the_make_targets_that_the_readme_names_are_there() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"`?make (\w+)`?", README))
    assert {"run", "test", "check"} <= named
    assert named <= set(re.findall(r"make (\w+)", listed))


def test_the_files_that_the_readme_names_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    folders = re.findall(r"^\| `([a-z_/.]+)`", README, re.MULTILINE)
    assert links
    assert folders
    assert [path for path in (*links, *folders) if not (ROOT / path).exists()] == []
