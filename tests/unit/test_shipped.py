"""The shipped folders are found in a checkout and in a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from personakit.shipped import computed_traits_dir, mappers_dir, projections_dir

CHECKOUT = Path(__file__).resolve().parents[2]
SHOW = (
    "from personakit import shipped\n"
    "for folder in shipped.projections_dir, shipped.mappers_dir, shipped.computed_traits_dir: print(folder())"
)


def test_a_checkout_reads_its_own_folders() -> None:
    found = projections_dir(), mappers_dir(), computed_traits_dir()
    assert found == tuple(
        CHECKOUT / name for name in ("projections", "rules/mappers", "rules/computed_traits")
    )


def test_a_wheel_carries_the_folders_and_finds_them(tmp_path: Path) -> None:
    # given the wheel, unpacked where no checkout is
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    # when it is asked for its folders
    answer = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    # then they are inside, and hold what the checkout's hold
    inside = tmp_path / "site" / "personakit" / "_shipped"
    names = ["projections", "rules/mappers", "rules/computed_traits"]
    assert answer.stdout.splitlines() == [str(inside / name) for name in names]
    for name in names:
        assert files(inside / name) == files(CHECKOUT / name) != {}


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
