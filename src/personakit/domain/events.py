"""The events: what happened, in the past tense, never changed once written.

An event does not repeat its envelope: tenant, stream, version, the person's random surrogate, position
and recording time stand in its row of the log. The caller's id for a person lives outside the log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import msgspec

from personakit.domain.traits import Trait


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`schema` is the version of the event's shape; an older one is upcast when it is read."""

    schema: ClassVar[int] = 1


class PersonRegistered(Event, frozen=True, kw_only=True):
    """A person became known; from here on they have a persona of their own."""


class ObservationRecorded(Event, frozen=True, kw_only=True):
    """An application saw something. `digest` tells a repeated delivery from another body."""

    type: str
    content: dict[str, Any]
    occurred_at: datetime
    digest: str
    source: str | None = None
    metadata: dict[str, Any] | None = None


class FeedbackReceived(Event, frozen=True, kw_only=True):
    """A person, or an application for them, said what became of a suggestion of one rule."""

    mapper_id: str
    rule_id: str
    digest: str
    mapper_version: int | None = None
    rank: int | None = None
    suggested_at: datetime | None = None
    helpful: bool | None = None
    rating: int | None = None
    outcome: Literal["accepted", "dismissed", "ignored"] | None = None
    comment: str | None = None


class MindscapeUpdated(Event, frozen=True, kw_only=True):
    """A derivation changed traits: `traits` are set, `removed` are gone.

    `read_through` is the log position up to which the derivation has read this person's
    observations; `definition` fingerprints the rules it derived by. `material` names the slow traits
    (of low or medium volatility, before or after) that changed enough to make a cached core stale.
    """

    traits: dict[str, Trait]
    derivation: str
    definition: str
    read_through: int
    removed: tuple[str, ...] = ()
    material: tuple[str, ...] = ()
    agent: str = "mindscaper"


class DerivationCompleted(Event, frozen=True, kw_only=True):
    """A derivation read on and found nothing to change."""

    derivation: str
    definition: str
    read_through: int


class PersonaCoreGenerated(Event, frozen=True, kw_only=True):
    """A persona's core was made, from these versions of these people's mindscapes."""

    summary: str
    traits: dict[str, Trait]
    mindscape_versions: dict[str, int]
    source: Literal["composed", "model"] = "composed"
    agent: str = "regenerator"


class MapperPublished(Event, frozen=True, kw_only=True):
    """A document became a mapper's next version; `hash` is of its normal form, which `document` is.

    `source` is the text that was uploaded, where that was YAML. `restores` is the version whose document
    this is, where an earlier one was published anew. `origin` says who or what made this version, `reason`
    why, in their words.
    """

    schema = 2
    mapper_id: str
    document: dict[str, Any]
    hash: str
    status: Literal["draft", "active"]
    origin: str
    reason: str = ""
    source: str | None = None
    restores: int | None = None


class RuleWeightChanged(Event, frozen=True, kw_only=True):
    """The author's weight of one rule of the active version (of the newest draft where no version was ever
    active) became `weight`, which makes the next version; `hash` is of the whole document after it."""

    mapper_id: str
    rule_id: str
    weight: float
    hash: str
    origin: str
    reason: str = ""


class MapperWithdrawn(Event, frozen=True, kw_only=True):
    """A mapper was taken out of use, until a version of it is published again."""

    mapper_id: str
    origin: str
    reason: str = ""


AnyEvent = (
    PersonRegistered
    | ObservationRecorded
    | FeedbackReceived
    | MindscapeUpdated
    | DerivationCompleted
    | PersonaCoreGenerated
    | MapperPublished
    | RuleWeightChanged
    | MapperWithdrawn
)
EVENT_TYPES: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        PersonRegistered,
        ObservationRecorded,
        FeedbackReceived,
        MindscapeUpdated,
        DerivationCompleted,
        PersonaCoreGenerated,
        MapperPublished,
        RuleWeightChanged,
        MapperWithdrawn,
    )
}


def _without_reasons(content: dict[str, Any]) -> dict[str, Any]:
    """Nobody was asked for a reason, and no text was kept."""
    return {**content, "reason": "", "source": None, "restores": None}


UPCASTS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "MapperPublished.1": _without_reasons,
}
"""By topic (`Name.version`): what makes the content of an older shape that of the next version."""
