"""Mappers in files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from personakit.cli.documents.files import read_as
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.plan import Plan

WHAT: Final = "mapper"


def compiled(path: Path) -> Plan:
    """The mapper at `path`, ready to run. Raises FileInvalid, with a line for each fault."""
    return read_as(path, WHAT, compile_mapper)
