"""Conditions that cannot hold together, whatever the facts are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from personakit_sdk.rules.conditions import Condition, needs_of
from personakit_sdk.rules.operators import OPERATORS
from personakit_sdk.rules.reading import USER_ZONE
from personakit_sdk.rules.requirement import ANY_INSTANT, Requirement, TimeRequirement

_LOOKED_AT: Final = 256
"""Members of one `all`, references followed; a document could make them very many."""


def contradiction(condition: Condition, named: Mapping[str, Condition]) -> str:
    """What the members of some `all` in the condition, references followed, ask in vain of one path or of
    the clock; "" where nothing is known to be asked in vain. Never a false alarm."""
    match condition:
        case {"all": members}:
            found = _contradiction(list(islice(_followed(condition, named, set()), _LOOKED_AT)))
            return found or next(filter(None, (contradiction(each, named) for each in members)), "")
        case {"any": members}:
            return next(filter(None, (contradiction(each, named) for each in members)), "")
        case _:
            return ""


def _followed(condition: Condition, named: Mapping[str, Condition], seen: set[str]) -> Iterator[Condition]:
    """What must hold, in the conditions that are referred to as well, each of them once."""
    for need in needs_of(condition):
        name = need.get("condition")
        if name is None:
            yield need
        elif name not in seen:
            seen.add(name)
            yield from _followed(named[name], named, seen)


def _contradiction(needs: Sequence[Condition]) -> str:
    of_paths: dict[str, list[Requirement]] = {}
    of_zones: dict[str, list[TimeRequirement]] = {}
    for need in needs:
        match need:
            case {"trait_check": asked}:
                of_paths.setdefault(f"the trait {asked['path']!r}", []).append(Requirement(0, asked))
            case {"context_check": asked}:
                place = f"the context field {asked['field']!r}"
                of_paths.setdefault(place, []).append(Requirement(0, asked))
            case {"time_check": asked}:
                of_zones.setdefault(asked.get("timezone", USER_ZONE), []).append(TimeRequirement(0, asked))
            case _:
                pass
    for place, requirements in of_paths.items():
        if not _some_value(requirements):
            return f"no value of {place} meets all that is asked of it"
    if not all(map(_some_hour, of_zones.values())):
        return "no hour of any day meets all that is asked of the clock"
    return ""


def _some_hour(asked: Sequence[TimeRequirement]) -> bool:
    hours = _common(each.hours for each in asked)
    return hours != 0 and _common(each.days for each in asked) != 0


def _some_value(asked: Sequence[Requirement]) -> bool:
    """Whether some value, or none at all, may meet all requirements."""
    absent = all(each.operator == "not_exists" for each in asked)
    single = any(all(each.of_single(value) for each in asked) for value in (True, False, None))
    other = all(each.of_lists() for each in asked) or all(each.of_others() for each in asked)
    return absent or single or other or _some_number(asked) or _some_text(asked)


def _some_number(asked: Sequence[Requirement]) -> bool:
    points = sorted({point for each in asked for point in each.numbers()})
    every = (1 << 2 * len(points) + 1) - 1
    return _common(each.of_numbers(points, every) for each in asked) != 0


def _some_text(asked: Sequence[Requirement]) -> bool:
    """Texts that a requirement names are tried; of the others, numbers are ordered as numbers are."""
    named = {text for each in asked for text in each.texts()}
    if any(all(_meets(each, text) for each in asked) for text in named):
        return True
    cells = dict.fromkeys(named, 2)
    word, digits, every = 1, 2, 7
    left = _common(each.of_texts(cells, every, digits) for each in asked)
    ordering = [each for each in asked if each.orders_numbers()]
    return bool(left & word) or (bool(left & digits) and (not ordering or _some_number(ordering)))


def _common(cells: Iterable[int]) -> int:
    """The cells that all of them have."""
    left = -1
    for each in cells:
        left &= each
    return left


def _meets(requirement: Requirement, text: str) -> bool:
    """Whether a text may meet a requirement."""
    if requirement.operator in ("exists", "not_exists"):
        return requirement.operator == "exists"
    if not requirement.constant or requirement.asks_clock():
        return True
    return OPERATORS[requirement.operator].holds(text, requirement.wanted, ANY_INSTANT)
