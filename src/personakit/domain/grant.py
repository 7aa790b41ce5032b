"""What an API key opens: its scopes, and the people and personas that it is limited to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, get_args

import msgspec

from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.wire import KeyScope

SCOPES: Final[tuple[KeyScope, ...]] = get_args(KeyScope)
OF_ALL: Final[frozenset[KeyScope]] = frozenset({"mappers:write", "admin"})
"""What is done with these is done to a whole tenant, so that no limited key has them."""
MOST_NAMED: Final = 1000


class Limits(msgspec.Struct, frozen=True):
    """The ids that a limited key may see. People bring along each persona that views nobody else; a persona
    that is named may be seen whomever it views, and its people may not."""

    people: frozenset[str] = frozenset()
    personas: frozenset[str] = frozenset()

    def has_persona(self, persona_id: str, people: Iterable[str]) -> bool:
        """Whether a persona of these people may be seen."""
        viewed = frozenset(people)
        return persona_id in self.personas or (bool(viewed) and viewed <= self.people)


class Grant(msgspec.Struct, frozen=True):
    """What a key may do, and to whom; without `limits` to everybody of its tenant."""

    scopes: frozenset[KeyScope] = frozenset(SCOPES)
    limits: Limits | None = None

    @property
    def may_read(self) -> bool:
        """Whether it may be told what is known, beside what it changes."""
        return "read" in self.scopes

    def has_person(self, person_id: str) -> bool:
        """Whether it opens all of a person: observations, mindscape and own persona."""
        return self.limits is None or person_id in self.limits.people

    def has_persona(self, persona_id: str, people: Iterable[str]) -> bool:
        """Whether it opens a persona of these people."""
        return self.limits is None or self.limits.has_persona(persona_id, people)


def granted(
    scopes: Collection[str], people: Collection[str] | None, personas: Collection[str] | None
) -> Grant:
    """A grant that can be made. A key with either list is limited; None is no list. Raises InvalidInput."""
    known = [scope for scope in SCOPES if scope in scopes]
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not known:
        named = f"has no scope {unknown[0]!r}" if unknown else "needs a scope"
        raise InvalidInput(f"A key {named}; there are {', '.join(SCOPES)}.", (Fault("/scopes", "unknown"),))
    if people is None and personas is None:
        return Grant(frozenset(known))
    return Grant(frozenset(known), _limits(known, people or (), personas or ()))


def _limits(scopes: list[KeyScope], people: Collection[str], personas: Collection[str]) -> Limits:
    if whole := sorted(OF_ALL.intersection(scopes)):
        raise InvalidInput(
            f"A limited key cannot have the scope {whole[0]!r}, which acts on a whole tenant.",
            (Fault("/scopes", "not for a limited key"),),
        )
    if len(people) + len(personas) > MOST_NAMED:
        raise InvalidInput(
            f"A key is limited to at most {MOST_NAMED} people and personas; this names "
            f"{len(people) + len(personas)}.",
            (Fault("/people", "too many"),),
        )
    return Limits(frozenset(people), frozenset(personas))
