"""The lock file installs what `pyproject.toml` asks for, and names no place to fetch it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
BENCH_LOCK = (ROOT / "requirements-bench.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> list[str]:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    return [*wanted, *PROJECT["dependency-groups"]["dev"]]


def locked(lock: str) -> dict[str, str]:
    """Each package's version."""
    found = re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", lock, re.MULTILINE)
    return {name.replace(".", "-"): version for name, version in found}


def pinned(pins: list[str]) -> dict[str, str]:
    """The same, of pins as `pyproject.toml` writes them."""
    pairs = [re.sub(r"\[.*\]", "", pin).split("==") for pin in pins]
    return {name.lower().replace("_", "-").replace(".", "-"): version for name, version in pairs}


def test_every_pin_of_the_project_stands_in_the_lock() -> None:
    assert pinned(pins()).items() <= locked(LOCK).items()


def test_every_pin_of_the_bench_stands_in_its_lock() -> None:
    assert pinned(PROJECT["dependency-groups"]["bench"]).items() <= locked(BENCH_LOCK).items()


def test_the_bench_changes_no_version_of_what_it_measures() -> None:
    service, bench = locked(LOCK), locked(BENCH_LOCK)
    assert {name: bench[name] for name in service.keys() & bench.keys()} == {
        name: service[name] for name in service.keys() & bench.keys()
    }


@pytest.mark.parametrize("lock", [LOCK, BENCH_LOCK], ids=["requirements", "requirements-bench"])
def test_every_package_is_hashed_and_none_names_an_address(lock: str) -> None:
    packages = re.split(r"\n(?=[a-z])", lock.strip())
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in lock
