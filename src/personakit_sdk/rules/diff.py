"""What differs between two mapper documents, rule by rule.

Both are normal forms, so that what means the same is no difference. A rule is known by its id: one that
only stands at another place is moved, not changed. Pointers of a rule's changes lead into that rule, all
others into the document.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from personakit_sdk.rules.operators import same
from personakit_sdk.rules.plain import is_list, is_object, pointer_to


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One value that differs, at an RFC 6901 JSON pointer; `before` is absent where it came, `after` where
    it went. Null is a value that is there."""

    pointer: str
    before: Any | msgspec.UnsetType = msgspec.UNSET
    after: Any | msgspec.UnsetType = msgspec.UNSET


class RuleChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in one rule; pointers lead into the rule, as in `/weight`."""

    id: str
    changes: list[Change]


class RulesDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that came and went, in the author's order; those that are another; and the fewest that have
    to be moved to come from one order of the author's to the other."""

    added: list[str]
    removed: list[str]
    changed: list[RuleChanges]
    moved: list[str]


class DocumentDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in the rules, and elsewhere in the document."""

    rules: RulesDiff
    elsewhere: list[Change]


def diff_documents(before: Mapping[str, Any], after: Mapping[str, Any]) -> DocumentDiff:
    """What makes `after` of `before`: two normal forms, or `{}` for no document at all."""
    old, new = _rules(before), _rules(after)
    kept = [id_ for id_ in new if id_ in old]
    changed = [
        RuleChanges(id=id_, changes=found) for id_ in kept if (found := list(_between(old[id_], new[id_])))
    ]
    rules = RulesDiff(
        added=[id_ for id_ in new if id_ not in old],
        removed=[id_ for id_ in old if id_ not in new],
        changed=changed,
        moved=_moved([id_ for id_ in old if id_ in new], kept),
    )
    return DocumentDiff(rules=rules, elsewhere=list(_between(_without_rules(before), _without_rules(after))))


def _rules(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rules by id, in the author's order."""
    return {rule["id"]: rule for rule in document.get("rules", ())}


def _without_rules(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: section for name, section in document.items() if name != "rules"}


def _moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The ids that do not belong to a longest run that both orders share, in the order of `after`."""
    place = {id_: index for index, id_ in enumerate(before)}
    staying = _longest_rising([place[id_] for id_ in after])
    return [id_ for id_ in after if place[id_] not in staying]


def _longest_rising(places: Sequence[int]) -> set[int]:
    """A longest rising subsequence of different numbers (patience sorting)."""
    tops: list[int] = []
    below: dict[int, int | None] = {}
    for place in places:
        pile = bisect_left(tops, place)
        below[place] = tops[pile - 1] if pile else None
        tops[pile : pile + 1] = [place]
    found: set[int] = set()
    last = tops[-1] if tops else None
    while last is not None:
        found.add(last)
        last = below[last]
    return found


def _between(before: Any, after: Any, pointer: str = "") -> Iterator[Change]:
    """The smallest values that differ. A list that was lengthened or cut at its end differs there; one of
    another length that differs elsewhere too differs as a whole, for its items have no names."""
    if is_object(before) and is_object(after):
        yield from _between_objects(before, after, pointer)
    elif is_list(before) and is_list(after) and _comparable(before, after):
        yield from _between_lists(before, after, pointer)
    elif not same(before, after):
        yield Change(pointer=pointer, before=before, after=after)


def _between_objects(before: dict[str, Any], after: dict[str, Any], pointer: str) -> Iterator[Change]:
    """By the names of the keys: neither side's order says anything."""
    for key in sorted(before.keys() | after.keys()):
        at = pointer_to(pointer, key)
        if key not in before:
            yield Change(pointer=at, after=after[key])
        elif key not in after:
            yield Change(pointer=at, before=before[key])
        else:
            yield from _between(before[key], after[key], at)


def _comparable(before: list[Any], after: list[Any]) -> bool:
    shorter = min(len(before), len(after))
    return len(before) == len(after) or same(before[:shorter], after[:shorter])


def _between_lists(before: list[Any], after: list[Any], pointer: str) -> Iterator[Change]:
    both = min(len(before), len(after))
    for index in range(both):
        yield from _between(before[index], after[index], pointer_to(pointer, index))
    for index in range(both, len(before)):
        yield Change(pointer=pointer_to(pointer, index), before=before[index])
    for index in range(both, len(after)):
        yield Change(pointer=pointer_to(pointer, index), after=after[index])
