"""What feedback on suggestions says of the traits that they rest on: how far these are to be believed.

A mapper's `trait_mappings` say which traits a type of suggestion rests on. Where a person keeps turning such
suggestions down, the traits are believed less; where they are welcome, more; never is a value touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import msgspec

from personakit.domain.events import TraitTrustAdjusted
from personakit.domain.learning import Belief, Evidence, Learned, Settings, move, own_target
from personakit.domain.mindscape import Mindscape
from personakit.domain.traits import is_material

LOWEST: Final = 0.5
HIGHEST: Final = 1.25
"""Between what a confidence is multiplied: feedback may halve it, and raise it by a quarter."""
EVEN: Final = 0.5
"""The rate of good votes that says nothing of a trait: as many for as against."""
NOTHING_SAID: Final = Belief(EVEN, EVEN, EVEN, 0.0)


def paths_of_rules(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """By rule of a mapper's document in normal form, the traits that its suggestions rest on."""
    mappings = document["trait_mappings"]
    return {
        rule["id"]: frozenset(
            path
            for action in rule["actions"]
            for path in mappings.get(action["generate_suggestion"]["type"], ())
        )
        for rule in document["rules"]
    }


def adjust_trust(
    mindscape: Mindscape, votes: Mapping[str, Evidence], today: date, read_through: int, enough: int
) -> TraitTrustAdjusted | None:
    """What becomes of the trust in a person's traits by their `votes` on what rests on them, by path; None
    where that is nothing. It takes `enough` votes to move one. Pinned traits are certain, whatever is said of
    suggestions.
    """
    settings = Settings(evidence=enough, low=LOWEST, high=HIGHEST)
    traits = {path: trait for path, trait in mindscape.traits.items() if not mindscape.hidden(path)}
    targets = {
        path: own_target(votes[path], NOTHING_SAID, EVEN, settings)
        for path in sorted(votes.keys() & traits.keys())
    }
    moved = move(mindscape.trust, targets, today, settings)
    if moved.learned.multipliers == mindscape.trust.multipliers:
        return None
    becoming = _with_trust(mindscape, moved.learned)
    return TraitTrustAdjusted(
        trust=moved.learned.multipliers,
        day=today,
        morning=moved.learned.morning,
        settled=moved.settled,
        read_through=read_through,
        reason=f"Feedback on what rests on traits: {_told(mindscape, becoming, votes)}.",
        material=tuple(
            path
            for path in sorted(targets)
            if is_material(mindscape.trusted(path, traits[path]), becoming.trusted(path, traits[path]))
        ),
    )


def _with_trust(mindscape: Mindscape, trust: Learned) -> Mindscape:
    return msgspec.structs.replace(mindscape, trust=trust)


def _told(mindscape: Mindscape, becoming: Mindscape, votes: Mapping[str, Evidence]) -> str:
    """Which traits are believed more or less, by how many votes."""
    before, after = mindscape.trust.multipliers, becoming.trust.multipliers
    return "; ".join(
        f"{path} is believed {after[path]:g} times as far as its observations say, before "
        f"{before.get(path, 1.0):g} times ({votes[path].history.votes:.3g} votes)"
        for path in sorted(after)
        if after[path] != before.get(path, 1.0)
    )
