"""Ids for imported observations: the same fact gets the same id, however often and from wherever."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("6f1f8b1e-5d0e-5c8e-9a53-2f6b0c7f4e21")
"""Ours alone, and never to change: another namespace would double everything at the next import."""


def observation_id(kind: str, person: str, identity: str) -> UUID:
    """The id of `person`'s observation of a `kind` that `identity` tells from all others.

    Neither a kind nor a person's id can hold a line break, so no two triples give one text.
    """
    return uuid5(NAMESPACE, f"{kind}\n{person}\n{identity}")
