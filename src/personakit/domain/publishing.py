"""What publishing a document has to do with, of whichever kind it is: who and why, what the caller saw, and
the author's own version number."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import msgspec

from personakit_sdk.errors import PersonaKitError

SHIPPED: Final = "shipped"
"""The origin of what comes with the release."""
_NUMBERS: Final = re.compile(r"\d+")


class Provenance(msgspec.Struct, frozen=True):
    """Who or what makes a version, and why in their words."""

    origin: str
    reason: str = ""


class VersionWentDown(PersonaKitError):
    """The author's own version number is below the one already published."""


class PreconditionFailed(PersonaKitError):
    """The document is not in the state that the caller last saw."""


def require_match(hash_: str, if_match: Collection[str] | None, what: str) -> None:
    """Raises PreconditionFailed unless the caller saw what is there now; `*` sees all, None needs nothing."""
    if if_match is not None and not hash_:
        raise PreconditionFailed(f"There is no {what} yet, so that it cannot match.")
    if if_match is not None and not {"*", hash_} & set(if_match):
        raise PreconditionFailed(
            f"The {what} has changed since you read it: its ETag is now {hash_!r}. "
            "Read it again, apply your change to that, and send it with the new If-Match."
        )


def require_no_less(version: str, before: str, what: str) -> None:
    """Raises VersionWentDown for an author's version below the one before."""
    if semver(version) < semver(before):
        raise VersionWentDown(
            f"metadata.version {version} is below {before}, which is published already; give the {what} a "
            "higher version."
        )


def semver(version: str) -> tuple[int, ...]:
    """Major, minor, patch as numbers; pre-release and build are not ordered."""
    return tuple(int(number) for number in _NUMBERS.findall(version)[:3])
