"""A mapper's life: which upload makes a new version, and which is refused."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from personakit.domain.events import MapperPublished
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.rules.plan import Plan

Status = Literal["draft", "active"]
SHIPPED = "shipped"
_NUMBERS = re.compile(r"\d+")


class MapperState(msgspec.Struct, frozen=True):
    """What a mapper's stream says: the newest version's content, and the active one's hash."""

    version: int = 0
    hash: str = ""
    status: str = ""
    author_version: str = "0.0.0"
    active_hash: str = ""
    origin: str = ""


class VersionWentDown(PersonaKitError):
    """The author's own version number is below the one already published."""


class PreconditionFailed(PersonaKitError):
    """The mapper is not in the state that the caller last saw."""


def evolve(state: MapperState, event: MapperPublished) -> MapperState:
    """The state after one more version."""
    return MapperState(
        version=state.version + 1,
        hash=event.hash,
        status=event.status,
        author_version=event.document["metadata"]["version"],
        active_hash=event.hash if event.status == "active" else state.active_hash,
        origin=event.origin,
    )


def publish(
    state: MapperState, plan: Plan, status: Status, origin: str, if_match: str | None = None
) -> MapperPublished | None:
    """The event of a new version; None when the newest one is the same already.

    Raises PreconditionFailed when `if_match` is not the hash of the version shown now, and
    VersionWentDown when `metadata.version` is below the newest.
    """
    shown = state.active_hash or state.hash
    if if_match not in (None, "*", shown):
        raise PreconditionFailed(
            f"The mapper {plan.mapper_id!r} has changed since you read it: its ETag is now {shown!r}. "
            "Read it again, apply your change to that, and send it with the new If-Match."
        )
    if (plan.hash, status) == (state.hash, state.status):
        return None
    if _semver(plan.author_version) < _semver(state.author_version):
        raise VersionWentDown(
            f"metadata.version {plan.author_version} is below {state.author_version}, which is published "
            f"already; give the mapper {plan.mapper_id!r} a higher version."
        )
    return MapperPublished(
        mapper_id=plan.mapper_id, document=plan.document, hash=plan.hash, status=status, origin=origin
    )


def publish_shipped(plan: Plan, state: MapperState) -> MapperPublished | None:
    """The event that brings a shipped mapper up to date.

    None where the tenant has made it their own, or has this version or a newer one.
    """
    if state.version and state.origin != SHIPPED:
        return None
    if _semver(plan.author_version) < _semver(state.author_version):
        return None
    return publish(state, plan, "active", SHIPPED)


def _semver(version: str) -> tuple[int, ...]:
    """Major, minor, patch as numbers; pre-release and build are not ordered."""
    return tuple(int(number) for number in _NUMBERS.findall(version)[:3])
