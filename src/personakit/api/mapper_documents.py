"""Mapper documents as they come in: checked and compiled."""

from __future__ import annotations

from typing import Any, Final

from personakit.api.uploads import refuse_taken_id
from personakit.domain.mapper_document import accept
from personakit_sdk.rules.plan import Plan

MAPPER: Final = "mapper"


def accepted(document: dict[str, Any]) -> Plan:
    """The compiled document. Raises DocumentInvalid for one that would not run, whose own tests fail, or that
    could not be addressed."""
    plan = accept(document)
    require_address(plan)
    return plan


def require_address(plan: Plan) -> None:
    """Raises DocumentInvalid for a mapper that could not be read at its own address."""
    refuse_taken_id(plan.mapper_id, MAPPER, "/mappers")
