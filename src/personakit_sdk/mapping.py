"""What mapping a persona means beside the rules: the service and the SDK share it, and answer alike.

Pure: persona, mapper, question and instants come in, an answer goes out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.clock import find_zone
from personakit_sdk.rules.document import purposes_of
from personakit_sdk.rules.facts import Volatility, confidence
from personakit_sdk.rules.plan import Plan
from personakit_sdk.rules.suggestion_id import SuggestionRef

LIMITS: Final[dict[wire.DetailLevel, int]] = {"instant": 3, "balanced": 5, "deep_dive": 20}
"""How many suggestions each level has, unless asked otherwise."""


class ShownTrait(Protocol):
    """A trait with all that a caller is shown of it, but for the confidence."""

    @property
    def value(self) -> Any: ...
    @property
    def volatility(self) -> Volatility: ...
    @property
    def samples(self) -> int: ...
    @property
    def last_observed_at(self) -> datetime | None: ...
    @property
    def source(self) -> str: ...
    @property
    def pinned(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def evidence_changed(self) -> bool: ...
    @property
    def trust(self) -> float: ...
    @property
    def evidence(self) -> Sequence[UUID]: ...


def shown_trait(trait: ShownTrait, believed: Any) -> wire.Trait:
    """The trait as a caller sees it, with the confidence `believed`."""
    return wire.Trait(
        value=trait.value,
        confidence=believed,
        volatility=trait.volatility,
        samples=trait.samples,
        last_observed_at=trait.last_observed_at,
        source=trait.source,
        pinned=trait.pinned,
        truncated=trait.truncated,
        evidence_changed=trait.evidence_changed,
        trust=trait.trust,
        evidence=list(trait.evidence),
    )


def shown_traits(traits: Mapping[str, wire.SyncedTrait], at: datetime) -> dict[str, wire.Trait]:
    """Synced traits as a caller sees them at an instant, by path."""
    return {path: shown_trait(traits[path], confidence(traits[path], at)) for path in sorted(traits)}


def shown_core(core: wire.SyncedCore, at: datetime) -> wire.Core:
    """A synced core as a caller sees it; one that is composed when it is asked for is made now."""
    return wire.Core(
        summary=core.summary,
        traits=shown_traits(core.traits, at),
        source=core.source,
        generated_at=core.generated_at or at,
        cost=core.cost,
    )


def instant_of(ask: wire.MapPersona, now: datetime) -> datetime:
    """The instant to decide for: `at`, else `context.current_time`, else now. Raises InvalidInput."""
    if ask.at is not None:
        return ask.at
    if "current_time" not in ask.context:
        return now
    try:
        return msgspec.convert(ask.context["current_time"], wire.Instant)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"context.current_time must be an instant with an offset, as in 2026-03-02T09:00:00Z: {error}.",
            (Fault("/context/current_time", str(error)),),
        ) from None


def context_of(ask: wire.MapPersona) -> dict[str, Any]:
    """The caller's context, with the zone asked for. Raises InvalidInput for a zone that is none."""
    if ask.timezone is None:
        return ask.context
    if find_zone(ask.timezone) is None:
        raise InvalidInput(
            f"{ask.timezone!r} is no IANA time zone, such as Europe/Berlin.", (Fault("/timezone", "no zone"),)
        )
    return {**ask.context, "timezone": ask.timezone}


def limit_of(ask: wire.MapPersona) -> int:
    """How many suggestions at most."""
    return ask.limit or LIMITS[ask.detail_level]


def shows_overlay(ask: wire.MapPersona) -> bool:
    """Whether the answer has the overlay."""
    return ask.detail_level != "instant"


def withheld_of(
    plan: Plan, policy: wire.ConsentPolicyName, consented_to: Collection[str]
) -> wire.Withheld | None:
    """Why a mapper is not asked about a persona whose people all have `consented_to` these purposes; None
    where it may be."""
    if policy == "off":
        return None
    purposes = purposes_of(plan.document)
    lacking = [purpose for purpose in purposes if purpose not in consented_to]
    if purposes and not lacking:
        return None
    if purposes:
        reason = f"Not all people of this persona have consented to: {', '.join(lacking)}."
    else:
        reason = f"The mapper {plan.mapper_id!r} does not say what it is for, so nobody can have consented."
    return wire.Withheld(purposes=lacking, reason=reason)


def without_traits(view: wire.PersonaView) -> wire.PersonaView:
    """The persona of an answer that is withheld: that it is there, and nothing of what is believed of it."""
    core = msgspec.structs.replace(view.core, summary="", traits={}, cost=None)
    return msgspec.structs.replace(view, core=core, overlay=None)


def suggestion_of(feedback: wire.Feedback, id_: str) -> SuggestionRef:
    """The suggestion with the id that feedback bears. Raises InvalidInput for an id that is none, and where
    the mapper, rule or persona beside it are of another one."""
    ref = suggestion_id.decode(id_)
    named = {
        "mapperId": (feedback.mapper_id, ref.mapper_id),
        "ruleId": (feedback.rule_id, ref.rule_id),
        "personaId": (feedback.persona_id, ref.persona_id),
    }
    faults = tuple(
        Fault(f"/{name}", f"the suggestion's is {its!r}")
        for name, (said, its) in named.items()
        if said not in (None, its)
    )
    if faults:
        raise InvalidInput(
            "`suggestionId` names another suggestion than the rest of the feedback; send it alone.", faults
        )
    return ref
