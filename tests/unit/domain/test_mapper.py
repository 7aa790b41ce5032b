"""A mapper's life, by its events: given what happened, when a command comes, then this or no event."""

from __future__ import annotations

from decimal import Decimal
from functools import partial, reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.events import MapperPublished, MapperWithdrawn, RuleWeightChanged
from personakit.domain.mapper import (
    MapperEvent,
    MapperState,
    MapperUnknown,
    NotInUse,
    RuleUnknown,
    change_weight,
    evolve,
    publish,
    publish_shipped,
    require_known,
    restore,
    withdraw,
)
from personakit.domain.publishing import PreconditionFailed, Provenance, VersionWentDown
from personakit.domain.rule_weight import changed_by, set_to
from personakit_sdk.errors import DocumentInvalid, InvalidInput
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.plan import Plan

ADA = Provenance("key: ada", "because")


def plan(version: str = "1.0.0", weight: float = 1.0, **sections: Any) -> Plan:
    def rule(id_: str, weight: float) -> dict[str, Any]:
        suggestion = {"type": "t", "title": id_, "description": "D"}
        check = {"trait_check": {"path": "a", "operator": "exists"}}
        return {
            "id": id_,
            "conditions": check,
            "actions": [{"generate_suggestion": suggestion}],
            "weight": weight,
        }

    metadata = {"id": "m", "version": version, "description": "D"}
    return compile_mapper({"metadata": metadata, "rules": [rule("a", weight), rule("b", 1.0)], **sections})


def after(*events: MapperEvent) -> MapperState:
    return reduce(evolve, events, MapperState())


def published(made: Plan, status: Any = "active", origin: str = "key: ada") -> MapperPublished:
    return MapperPublished(
        mapper_id="m", document=made.document, hash=made.hash, status=status, origin=origin
    )


WITHDRAWN = MapperWithdrawn(mapper_id="m", origin="key: ada")
ONE, TWO, THREE = plan("1.0.0"), plan("1.1.0", 2.0), plan("1.2.0", 3.0)


def test_what_is_published_says_who_and_why_and_keeps_its_text() -> None:
    event = publish(MapperState(), ONE, "active", ADA, source="# text")
    assert event is not None
    assert (event.origin, event.reason, event.source, event.restores) == (
        "key: ada",
        "because",
        "# text",
        None,
    )


@pytest.mark.parametrize(
    ("before", "made", "status", "version"),
    [
        ([published(ONE)], ONE, "active", None),
        ([published(ONE)], ONE, "draft", None),
        ([published(ONE, "draft")], ONE, "draft", None),
        ([published(ONE, "draft")], ONE, "active", 2),
        ([published(ONE), published(TWO, "draft")], TWO, "draft", None),
        ([published(ONE), published(TWO, "draft")], TWO, "active", 3),
        ([published(ONE), published(TWO, "draft")], ONE, "active", None),
        ([published(ONE), WITHDRAWN], ONE, "active", 3),
        ([published(ONE), WITHDRAWN], ONE, "draft", 3),
    ],
)
def test_unchanged_content_makes_no_version(
    before: list[MapperEvent], made: Plan, status: Any, version: int | None
) -> None:
    event = publish(after(*before), made, status, ADA)
    assert (event is None) == (version is None)
    if event is not None:
        assert after(*before, event).version == version


def test_what_is_shown_is_the_active_version_or_a_draft_or_what_was_in_use() -> None:
    states = [
        after(published(ONE, "draft")),
        after(published(ONE, "draft"), published(TWO, "draft")),
        after(published(ONE), published(TWO, "draft")),
        after(published(ONE), published(TWO, "draft"), published(THREE)),
        after(published(ONE), published(TWO, "draft"), WITHDRAWN),
        after(published(ONE), WITHDRAWN, published(TWO, "draft")),
        after(published(ONE), WITHDRAWN, published(TWO)),
    ]
    assert [(each.shown.version, each.shown.status, each.shown.hash) for each in states] == [
        (1, "draft", ONE.hash),
        (2, "draft", TWO.hash),
        (1, "active", ONE.hash),
        (3, "active", THREE.hash),
        (3, "deprecated", ONE.hash),
        (2, "deprecated", ONE.hash),
        (3, "active", TWO.hash),
    ]


def test_the_authors_own_version_goes_down_by_restoring_only() -> None:
    state = after(published(ONE), published(TWO))
    with pytest.raises(VersionWentDown, match=r"1\.0\.0 is below 1\.1\.0"):
        publish(state, ONE, "active", ADA)
    event = restore(state, ONE, 1, ADA, source="# text")
    assert event is not None
    assert (event.restores, event.source, event.status) == (1, "# text", "active")
    rolled_back = evolve(state, event)
    assert rolled_back.shown.hash == ONE.hash
    assert restore(rolled_back, ONE, 1, ADA) is None
    assert publish(rolled_back, plan("1.0.1"), "active", ADA) is not None


def test_a_draft_follows_the_newest_version_and_all_else_what_is_shown() -> None:
    state = after(published(ONE), published(TWO, "draft"))
    assert publish(state, THREE, "draft", ADA, if_match={TWO.hash}) is not None
    assert publish(state, THREE, "active", ADA, if_match={ONE.hash, "other"}) is not None
    assert publish(state, THREE, "active", ADA, if_match={"*"}) is not None
    with pytest.raises(PreconditionFailed, match=TWO.hash):
        publish(state, THREE, "draft", ADA, if_match={ONE.hash})
    with pytest.raises(PreconditionFailed, match=r"Read it again"):
        publish(state, THREE, "active", ADA, if_match={TWO.hash})
    for command in (
        partial(change_weight, state, "a", lambda _: 4.0, ADA),
        partial(withdraw, state, "m", ADA),
        partial(restore, state, TWO, 2, ADA),
    ):
        assert command(if_match={ONE.hash}) is not None
        with pytest.raises(PreconditionFailed):
            command(if_match=frozenset())


def test_a_weight_is_changed_in_what_is_shown() -> None:
    state = after(published(ONE), published(TWO, "draft"))
    event = change_weight(state, "a", lambda before: before + 0.5, ADA)
    assert event == RuleWeightChanged(
        mapper_id="m",
        rule_id="a",
        weight=1.5,
        hash=plan("1.0.0", 1.5).hash,
        origin="key: ada",
        reason="because",
    )
    weighed = evolve(state, event)
    assert (weighed.version, weighed.shown.version, weighed.shown.status) == (3, 3, "active")
    assert compile_mapper(weighed.shown.document).hash == weighed.shown.hash == weighed.hash
    assert change_weight(weighed, "a", lambda _: 1.5, ADA) is None


def test_a_draft_stays_a_draft_when_it_is_weighed() -> None:
    state = after(published(ONE, "draft"))
    event = change_weight(state, "b", lambda _: 0.0, ADA)
    assert event is not None
    assert evolve(state, event).shown.status == "draft"


def test_a_weight_that_cannot_be_changed_is_refused() -> None:
    with pytest.raises(RuleUnknown, match="no rule 'c'"):
        change_weight(after(published(ONE)), "c", lambda _: 1.5, ADA)
    with pytest.raises(NotInUse, match="withdrawn"):
        change_weight(after(published(ONE), WITHDRAWN), "a", lambda _: 1.5, ADA)
    with pytest.raises(MapperUnknown, match="'m'"):
        require_known(MapperState(), "m")


def test_a_weight_with_which_the_mappers_own_tests_fail_is_refused() -> None:
    given_ = {"traits": {"a": 1}}
    tested = plan(tests=[{"name": "order", "given": given_, "expect": {"rules": ["a", "b"]}}])
    state = after(published(tested))
    assert change_weight(state, "a", lambda _: 2.0, ADA) is not None
    with pytest.raises(DocumentInvalid, match="'order' fails"):
        change_weight(state, "a", lambda _: 0.5, ADA)


def test_a_mapper_is_withdrawn_once_and_comes_back_when_published() -> None:
    event = withdraw(after(published(ONE)), "m", ADA)
    assert event == MapperWithdrawn(mapper_id="m", origin="key: ada", reason="because")
    gone = after(published(ONE), event)
    assert withdraw(gone, "m", ADA) is None
    back = restore(gone, ONE, 1, ADA)
    assert back is not None
    assert evolve(gone, back).shown.status == "active"


def test_a_release_leaves_alone_what_a_tenant_made_their_own() -> None:
    shipped = published(ONE, origin="shipped")
    assert publish_shipped(TWO, MapperState()) is not None
    assert publish_shipped(TWO, after(shipped)) is not None
    weighed = RuleWeightChanged(mapper_id="m", rule_id="a", weight=2.0, hash="h", origin="key: ada")
    for own in (published(TWO), weighed, WITHDRAWN):
        assert publish_shipped(THREE, after(shipped, own)) is None


def test_a_thousand_thousandths_are_one() -> None:
    weight = 0.0
    for _ in range(1000):
        weight = changed_by(weight, 0.001)
    assert weight == 1.0


@pytest.mark.parametrize("change", [-1.1, 9.5, 1e300, float("-inf"), 1e-17, -1e-300])
def test_a_change_beyond_what_a_weight_may_be_is_refused(change: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        changed_by(1.0, change)
    assert refused.value.faults[0].pointer == "/change"


@pytest.mark.parametrize("weight", [-0.1, 10.1])
def test_a_weight_that_no_rule_may_have_is_refused(weight: float) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 10"):
        set_to(weight)


@given(st.lists(st.integers(-1000, 1000), max_size=30))
def test_changes_add_up_exactly_in_any_order(steps: list[int]) -> None:
    total = Decimal(5000) / 1000
    weight = 5.0
    for step in steps:
        total += Decimal(step) / 1000
        if not 0 <= total <= 10:
            return
        weight = changed_by(weight, step / 1000)
    assert Decimal(repr(weight)) == total
