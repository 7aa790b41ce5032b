"""A mapper's life: draft, active, deprecated; which command makes a new version, and which is refused.

Every event is the version of its own number. What is shown of a mapper is its active version; of one that
was only ever a draft, that draft; of a withdrawn one, what was in use last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import msgspec

from personakit.domain.adjusted import Adjusted, adjusted_by
from personakit.domain.events import (
    MapperPublished,
    MapperWithdrawn,
    RuleWeightChanged,
    RuleWeightsAdjusted,
)
from personakit.domain.mapper_document import accept
from personakit.domain.publishing import SHIPPED, Provenance, require_match, require_no_less, semver
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.rules.plan import Plan

Status = Literal["draft", "active"]
ShownStatus = Literal["", "draft", "active", "deprecated"]
MapperEvent = MapperPublished | RuleWeightChanged | RuleWeightsAdjusted | MapperWithdrawn


class Shown(msgspec.Struct, frozen=True):
    """The version that is shown, with its document; before the first one there is none, as version 0."""

    version: int = 0
    status: ShownStatus = ""
    hash: str = ""
    document: Mapping[str, Any] = {}


class MapperState(msgspec.Struct, frozen=True):
    """What a mapper's stream says: its version; of the newest one that was not just learned (`newest`) what
    the next document is held against; what is shown; and what was learned of the rules, by their ids, which
    stays whatever is published."""

    version: int = 0
    newest: int = 0
    status: ShownStatus = ""
    hash: str = ""
    origin: str = ""
    author_version: str = "0.0.0"
    shown: Shown = Shown()
    adjusted: Adjusted = Adjusted()


class MapperUnknown(PersonaKitError):
    """There is no such mapper."""


class RuleUnknown(PersonaKitError):
    """The mapper has no such rule."""


class NotInUse(PersonaKitError):
    """The mapper was withdrawn, so there is nothing in it to change."""


def evolve(state: MapperState, event: MapperEvent) -> MapperState:
    """The state after one more version."""
    version = state.version + 1
    match event:
        case MapperPublished(document=document, hash=hash_, status=status):
            shown = Shown(version, status, hash_, document)
            replaces = status == "active" or state.shown.status in ("", "draft")
            return _newest(state, status, shown, event.origin, shown if replaces else state.shown)
        case RuleWeightChanged(rule_id=rule_id, weight=weight, hash=hash_):
            document = with_weight(state.shown.document, rule_id, weight)
            shown = Shown(version, state.shown.status, hash_, document)
            return _newest(state, shown.status, shown, event.origin, shown)
        case RuleWeightsAdjusted():
            shown = msgspec.structs.replace(state.shown, version=version)
            return msgspec.structs.replace(state, version=version, shown=shown, adjusted=adjusted_by(event))
        case MapperWithdrawn():
            shown = Shown(version, "deprecated", state.shown.hash, state.shown.document)
            return _newest(state, "deprecated", shown, event.origin, shown)


def _newest(before: MapperState, status: ShownStatus, made: Shown, origin: str, shown: Shown) -> MapperState:
    return MapperState(
        version=made.version,
        newest=made.version,
        status=status,
        hash=made.hash,
        origin=origin,
        author_version=made.document["metadata"]["version"],
        shown=shown,
        adjusted=before.adjusted,
    )


def require_known(state: MapperState, mapper_id: str) -> None:
    """Raises MapperUnknown for a mapper that never had a version."""
    if not state.version:
        raise MapperUnknown(f"There is no mapper {mapper_id!r}; POST /mappers makes one.")


def publish(
    state: MapperState,
    plan: Plan,
    status: Status,
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
    source: str | None = None,
) -> MapperPublished | None:
    """The event of a new version; None when it is in use already, or, for a draft, when the newest version
    has this content already.

    `if_match` are the hashes that the caller saw: a draft follows the newest version, all else what is shown.
    Raises PreconditionFailed, and VersionWentDown when `metadata.version` is below the newest.
    """
    require_match(
        state.hash if status == "draft" else state.shown.hash, if_match, f"mapper {plan.mapper_id!r}"
    )
    if _is_there(state, plan.hash, status):
        return None
    require_no_less(plan.author_version, state.author_version, f"mapper {plan.mapper_id!r}")
    return _published(plan, status, by, source)


def _is_there(state: MapperState, hash_: str, status: Status) -> bool:
    if status == "draft":
        return hash_ == state.hash and state.status != "deprecated"
    return hash_ == state.shown.hash and state.shown.status == "active"


def _published(
    plan: Plan, status: Status, by: Provenance, source: str | None, restores: int | None = None
) -> MapperPublished:
    return MapperPublished(
        mapper_id=plan.mapper_id,
        document=plan.document,
        hash=plan.hash,
        status=status,
        origin=by.origin,
        reason=by.reason,
        source=source,
        restores=restores,
    )


def restore(
    state: MapperState,
    plan: Plan,
    version: int,
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
    source: str | None = None,
) -> MapperPublished | None:
    """The event that publishes the document of an earlier `version` anew; None when it is in use already.
    The author's own version may go down by this. Raises PreconditionFailed."""
    require_match(state.shown.hash, if_match, f"mapper {plan.mapper_id!r}")
    if _is_there(state, plan.hash, "active"):
        return None
    return _published(plan, "active", by, source, version)


def change_weight(
    state: MapperState,
    rule_id: str,
    weigh: Callable[[float], float],
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
) -> RuleWeightChanged | None:
    """The event that gives a rule of what is shown the weight that `weigh` makes of its present one; None
    where that is the same.

    Raises RuleUnknown, NotInUse for a withdrawn mapper, PreconditionFailed, what `weigh` raises, and
    DocumentInvalid where the mapper's own tests fail with the new weight.
    """
    mapper_id = state.shown.document["metadata"]["id"]
    if state.shown.status == "deprecated":
        raise NotInUse(
            f"The mapper {mapper_id!r} was withdrawn; publish a version of it before you change a weight."
        )
    require_match(state.shown.hash, if_match, f"mapper {mapper_id!r}")
    before = _weight_of(state.shown.document, rule_id)
    weight = weigh(before)
    if weight == before:
        return None
    plan = accept(with_weight(state.shown.document, rule_id, weight))
    return RuleWeightChanged(
        mapper_id=mapper_id,
        rule_id=rule_id,
        weight=weight,
        hash=plan.hash,
        origin=by.origin,
        reason=by.reason,
    )


def _weight_of(document: Mapping[str, Any], rule_id: str) -> float:
    for rule in document["rules"]:
        if rule["id"] == rule_id:
            return float(rule["weight"])
    raise RuleUnknown(
        f"The mapper {document['metadata']['id']!r} has no rule {rule_id!r} in the version that is shown."
    )


def with_weight(document: Mapping[str, Any], rule_id: str, weight: float) -> dict[str, Any]:
    """The document, with another weight of one rule."""
    rules = [{**rule, "weight": weight} if rule["id"] == rule_id else rule for rule in document["rules"]]
    return {**document, "rules": rules}


def withdraw(
    state: MapperState, mapper_id: str, by: Provenance, *, if_match: Collection[str] | None = None
) -> MapperWithdrawn | None:
    """The event that takes a mapper out of use; None where it is already. Raises PreconditionFailed."""
    require_match(state.shown.hash, if_match, f"mapper {mapper_id!r}")
    if state.shown.status == "deprecated":
        return None
    return MapperWithdrawn(mapper_id=mapper_id, origin=by.origin, reason=by.reason)


def publish_shipped(plan: Plan, state: MapperState, source: str | None = None) -> MapperPublished | None:
    """The event that brings a shipped mapper up to date; None where the tenant has made it their own, or has
    this version or a newer one."""
    if state.version and state.origin != SHIPPED:
        return None
    if semver(plan.author_version) < semver(state.author_version):
        return None
    return publish(state, plan, "active", Provenance(SHIPPED, "It comes with the release."), source=source)
