"""What differs between two documents is said once, at its place, and by the names of the rules."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from personakit_sdk.rules import compile_mapper, diff_documents
from personakit_sdk.rules.diff import Change, RuleChanges
from personakit_sdk.rules.operators import same


def rule(id_: str, **others: Any) -> dict[str, Any]:
    suggestion = {"type": "t", "title": "T", "description": "D"}
    check = {"trait_check": {"path": "a", "operator": "exists"}}
    return {"id": id_, "conditions": check, "actions": [{"generate_suggestion": suggestion}], **others}


def normal(*rules: dict[str, Any], **sections: Any) -> dict[str, Any]:
    metadata = {"id": "m", "version": "1.0.0", "description": "D"}
    return compile_mapper({"metadata": metadata, "rules": list(rules), **sections}).document


def test_what_is_written_in_another_form_is_no_difference() -> None:
    typed = {"type": "all", "conditions": [{"type": "trait_check", "trait": "a", "operator": "exists"}]}
    found = diff_documents(normal(rule("a", weight=1)), normal(rule("a", conditions=typed)))
    assert found.elsewhere == []
    assert (found.rules.added, found.rules.removed, found.rules.changed, found.rules.moved) == ([],) * 4


def test_rules_come_go_and_change_by_their_ids() -> None:
    before = normal(rule("a"), rule("b"), rule("c"))
    after = normal(rule("c", weight=2.0), rule("d"), rule("a"))
    found = diff_documents(before, after).rules
    assert (found.added, found.removed) == (["d"], ["b"])
    assert found.changed == [RuleChanges(id="c", changes=[Change(pointer="/weight", before=1.0, after=2.0)])]
    assert found.moved in (["a"], ["c"])


def test_the_fewest_rules_are_said_to_have_moved() -> None:
    names = list("abcdef")
    after = [*names[1:], names[0]]
    found = diff_documents(normal(*map(rule, names)), normal(*map(rule, after)))
    assert found.rules.moved == ["a"]
    assert found.rules.changed == []


def test_elsewhere_is_said_at_its_place_and_null_is_a_value() -> None:
    before, after = normal(rule("a")), normal(rule("a"))
    before["metadata"] |= {"gone": 1, "list": [1, 2], "nested": {"a/b": True}}
    after["metadata"] |= {"came": None, "list": [1, 2, 3], "nested": {"a/b": 1}}
    assert diff_documents(before, after).elsewhere == [
        Change(pointer="/metadata/came", after=None),
        Change(pointer="/metadata/gone", before=1),
        Change(pointer="/metadata/list/2", after=3),
        Change(pointer="/metadata/nested/a~1b", before=True, after=1),
    ]


def test_a_list_whose_items_shifted_differs_as_a_whole() -> None:
    before, after = normal(rule("a")), normal(rule("a"))
    before["metadata"]["list"], after["metadata"]["list"] = [1, 2], [0, 1, 2]
    whole = Change(pointer="/metadata/list", before=[1, 2], after=[0, 1, 2])
    assert diff_documents(before, after).elsewhere == [whole]


def test_against_no_document_all_of_it_came() -> None:
    found = diff_documents({}, normal(rule("a"), rule("b")))
    assert found.rules.added == ["a", "b"]
    assert {change.pointer for change in found.elsewhere} >= {"/metadata", "/templates"}


ORDERS = st.permutations(list("abcdefg")).flatmap(lambda ids: st.integers(0, 7).map(lambda n: list(ids)[:n]))


@given(ORDERS, ORDERS)
def test_taking_the_moved_rules_out_leaves_both_orders_the_same(old: list[str], new: list[str]) -> None:
    rules = diff_documents({"rules": [{"id": i} for i in old]}, {"rules": [{"id": i} for i in new]}).rules
    staying = [[i for i in ids if i in old and i in new and i not in rules.moved] for ids in (old, new)]
    assert staying[0] == staying[1]
    assert set(rules.added) == set(new) - set(old)
    assert set(rules.removed) == set(old) - set(new)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)


def applied(document: Any, changes: list[Change]) -> Any:
    """The document with every change made, by JSON pointers."""
    made = copy.deepcopy({"": document})
    for change in changes:
        steps = ["", *change.pointer.split("/")[1:]]
        place: Any = made
        for step in steps[:-1]:
            place = place[int(step) if isinstance(place, list) else step]
        last: Any = int(steps[-1]) if isinstance(place, list) else steps[-1]
        if change.after is msgspec.UNSET:
            place[last] = ...
        elif isinstance(place, list) and last == len(place):
            place.append(change.after)
        else:
            place[last] = change.after
    return without_removed(made[""])


def without_removed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_removed(member) for key, member in value.items() if member is not ...}
    if isinstance(value, list):
        return [without_removed(item) for item in value if item is not ...]
    return value


@given(VALUES, VALUES)
def test_making_every_change_makes_the_other_document(old: Any, new: Any) -> None:
    found = diff_documents({"metadata": old}, {"metadata": new})
    made = applied({"metadata": old}, found.elsewhere)
    assert same(made, {"metadata": new})
    assert not diff_documents({"metadata": old}, {"metadata": old}).elsewhere
