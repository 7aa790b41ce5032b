"""The lock file installs what `pyproject.toml` asks for, and names no place to fetch it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> list[str]:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    return [*wanted, *PROJECT["dependency-groups"]["dev"]]


def test_every_pin_of_the_project_stands_in_the_lock() -> None:
    locked = set(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", LOCK, re.MULTILINE))
    for pin in pins():
        name, version = re.sub(r"\[.*\]", "", pin).split("==")
        assert (name.lower().replace("_", "-").replace(".", "-"), version) in {
            (locked_name.replace(".", "-"), locked_version) for locked_name, locked_version in locked
        }


def test_every_package_is_hashed_and_none_names_an_address() -> None:
    packages = re.split(r"\n(?=[a-z])", LOCK.strip())
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in LOCK
