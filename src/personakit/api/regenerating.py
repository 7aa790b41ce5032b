"""Making a persona's core anew as the API offers it: what it would cost, and waiting for it no longer than a
caller would."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from personakit.agents.service import Service
from personakit.api.present import PersonaState
from personakit_sdk import wire

FREE: Final = wire.Estimate(input_tokens=0, output_tokens=0, usd=0.0)
"""A composed core uses no model."""
WAIT_SECONDS: Final = 30.0


def offer(service: Service, state: PersonaState) -> wire.Regenerate:
    """Where to ask for a fresh core, and at what price."""
    return wire.Regenerate(href=f"/personas/{state.id}/regenerate", estimate=estimate(service, state))


def estimate(service: Service, state: PersonaState) -> wire.Estimate:
    """What a fresh core would cost; worked out once for each state of a persona."""
    if service.inference is None:
        return FREE
    known: wire.Estimate | None = state.__dict__.get("estimate")
    if known is None:
        found = service.inference.summariser.estimate(state.fresh_traits)
        known = wire.Estimate(
            input_tokens=found.input_tokens, output_tokens=found.output_tokens, usd=found.usd
        )
        state.__dict__["estimate"] = known
    return known


def regenerate(service: Service, tenant: str, persona: UUID) -> None:
    """Returns when a fresh core is shown. Raises what `Service.regenerate` raises."""
    made = service.regenerate(tenant, persona, WAIT_SECONDS)
    # Without one made now, another caller's may have been committed and not be shown yet.
    service.until_shown(made or service.reader.head(), WAIT_SECONDS)
