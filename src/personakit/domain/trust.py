"""What feedback on suggestions says of the traits that they rest on: how far these are to be believed.

A mapper's `trait_mappings` say which traits a type of suggestion rests on. Where a person keeps turning such
suggestions down, the traits are believed less; where they are welcome, more; never is a value touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from personakit.domain.events import TraitTrustAdjusted
from personakit.domain.learning import (
    SLOWER,
    Belief,
    Evidence,
    Settings,
    Tally,
    Target,
    day_weight,
    move,
    own_target,
)
from personakit.domain.mindscape import Mindscape
from personakit.domain.traits import is_material

LOWEST: Final = 0.5
HIGHEST: Final = 1.25
"""Between what a confidence is multiplied: feedback may halve it, and raise it by a quarter."""
EVEN: Final = 0.5
"""The rate of good votes that says nothing of a trait: as many for as against."""
ENOUGH: Final = 5
"""Votes that it takes to move the trust in a trait; what a mapper says of its rules is of these."""
SETTINGS: Final = Settings(evidence=ENOUGH, low=LOWEST, high=HIGHEST)
NOTHING_SAID: Final = Belief(EVEN, EVEN, EVEN, 0.0)
NOT_DOUBTED: Final = Target(1.0, 1.0, 1.0, enough=True)
NO_VOTES: Final = Evidence()


class DaysVotes(msgspec.Struct, frozen=True):
    """What a person voted on one rule on one day, in thousandths of a vote."""

    mapper_id: str
    rule_id: str
    day: date
    good: int
    bad: int


def votes_on_traits(
    votes: Iterable[DaysVotes], documents: Mapping[str, Mapping[str, Any]], today: date
) -> dict[str, Evidence]:
    """By path, what a person voted on suggestions that rest on the trait; `documents` are those of the active
    mappers by id, in normal form. Each weighs votes by its own half-life; one whose `publishing` is off
    teaches nothing."""
    settings = {mapper_id: Settings.of(document) for mapper_id, document in documents.items()}
    weighed = {
        mapper_id: (paths_of_rules(document), settings[mapper_id].half_life_days)
        for mapper_id, document in documents.items()
        if settings[mapper_id].publishing != "off"
    }
    found: dict[str, Evidence] = {}
    for each in votes:
        rules, half_life = weighed.get(each.mapper_id, ({}, 1))
        age = (today - each.day).days
        evidence = Evidence(_aged(each, age, half_life), _aged(each, age, SLOWER * half_life), 1)
        for path in rules.get(each.rule_id, ()):
            before = found.get(path, NO_VOTES)
            found[path] = Evidence(before.recent + evidence.recent, before.history + evidence.history, 1)
    return found


def _aged(votes: DaysVotes, age_days: int, half_life_days: int) -> Tally:
    weight = day_weight(age_days, half_life_days)
    return Tally(votes.good * weight, votes.bad * weight)


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
    mindscape: Mindscape, votes: Mapping[str, Evidence], today: date, read_through: int
) -> TraitTrustAdjusted | None:
    """What becomes of the trust in a person's traits by their `votes` on what rests on them, by path; None
    where that is nothing. Where nothing rests on a trait any more it is believed as before, step by step.
    Pinned traits are certain, whatever is said of suggestions."""
    traits = {path: trait for path, trait in mindscape.traits.items() if not mindscape.hidden(path)}
    before = mindscape.trust.multipliers
    targets = {path: _target(votes.get(path)) for path in sorted({*votes, *before} & traits.keys())}
    moved = move(mindscape.trust, targets, today, SETTINGS)
    if moved.learned.multipliers == before:
        return None
    becoming = msgspec.structs.replace(mindscape, trust=moved.learned)
    return TraitTrustAdjusted(
        trust=moved.learned.multipliers,
        day=moved.learned.day or today,
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


def _target(votes: Evidence | None) -> Target:
    return NOT_DOUBTED if votes is None else own_target(votes, NOTHING_SAID, EVEN, SETTINGS)


def _told(mindscape: Mindscape, becoming: Mindscape, votes: Mapping[str, Evidence]) -> str:
    """Which traits are believed more or less, by how many votes."""
    before, after = mindscape.trust.multipliers, becoming.trust.multipliers
    return "; ".join(
        f"{path} is believed {after[path]:g} times as far as its observations say, before "
        f"{before.get(path, 1.0):g} times ({votes.get(path, NO_VOTES).history.votes:.3g} votes)"
        for path in sorted(after)
        if after[path] != before.get(path, 1.0)
    )
