"""What votes make of a mapper's multipliers, and what people make of them, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain import oversight
from personakit.domain.adjusted import Own, evolve_own
from personakit.domain.adjustment import Beliefs, Votes, believed, learn, learn_for, proposal, proposed
from personakit.domain.events import MapperWithdrawn, PersonaRetired, RuleWeightsAdjusted
from personakit.domain.learning import VOTE, Evidence, Tally
from personakit.domain.mapper import MapperState, RuleUnknown, evolve, publish, publish_shipped
from personakit.domain.oversight import NotActive, ProposalChanged
from personakit.domain.publishing import PreconditionFailed, Provenance
from personakit_sdk.rules import compile_mapper
from tests.mapper_documents import mapper

TODAY = date(2026, 3, 2)
BY = Provenance("key: me", "because")
UNIT = VOTE << 20
RULES = ("a", "b")


def state(publishing: str | None = None, status: Any = "active") -> MapperState:
    """Of a mapper with the rules a and b."""
    settings = {} if publishing is None else {"feedback_settings": {"publishing": publishing}}
    event = publish(MapperState(), compile_mapper(mapper("m", a=1.0, b=1.0) | settings), status, BY)
    assert event is not None
    return evolve(MapperState(), event)


def votes(*, people: int = 3, **good: float) -> Votes:
    """Of so many people, each with four votes on each rule, of which such a part is good."""
    of_each = {rule: _evidence(round(4 * part), 4 - round(4 * part)) for rule, part in good.items()}
    everybody = [UUID(int=number) for number in range(people)]
    return Votes(dict.fromkeys(everybody, of_each), {person: 7 + person.int for person in everybody})


def _evidence(good: int, bad: int) -> Evidence:
    tally = Tally(good * UNIT, bad * UNIT)
    return Evidence(tally, tally)


def by(mine: MapperState, said: Votes) -> Beliefs:
    """What votes make believe of its rules."""
    return believed(mine.shown.document, said)


def after(before: MapperState, event: RuleWeightsAdjusted | None) -> MapperState:
    assert event is not None
    return evolve(before, event)


SPLIT = votes(a=1, b=0)


def test_what_is_learned_says_what_it_rests_on() -> None:
    event = learn(state(), by(state(), SPLIT), TODAY)
    assert event is not None
    assert (event.learned, event.morning, event.day) == ({"a": 1.1, "b": 0.9}, {}, TODAY)
    assert (event.cause, event.origin, event.reason) == ("learned", "adjuster", "a 1 -> 1.1, b 1 -> 0.9")
    assert (event.read_through, event.settled) == (9, False)
    assert {rule: each.personas for rule, each in event.evidence.items()} == {"a": 3, "b": 3}


def test_a_version_that_was_learned_is_the_next_and_changes_nothing_that_a_document_is_held_against() -> None:
    before = state()
    learned = after(before, learn(before, by(before, SPLIT), TODAY))
    assert (learned.version, learned.shown.version, learned.newest) == (2, 2, 1)
    assert learned.shown.document == before.shown.document
    for name in ("status", "hash", "origin", "author_version"):
        assert getattr(learned, name) == getattr(before, name)


def test_a_shipped_mapper_that_learned_still_comes_with_the_release() -> None:
    old, new = (compile_mapper(mapper("m", version, a=1.0, b=1.0)) for version in ("1.0.0", "1.1.0"))
    event = publish_shipped(old, MapperState())
    assert event is not None
    shipped = evolve(MapperState(), event)
    shipped = after(shipped, learn(shipped, by(shipped, SPLIT), TODAY))
    update = publish_shipped(new, shipped)
    assert update is not None
    assert evolve(shipped, update).adjusted == shipped.adjusted


def test_nothing_is_learned_without_votes_and_twice_from_the_same() -> None:
    assert learn(state(), by(state(), Votes()), TODAY) is None
    learned = after(state(), learn(state(), by(state(), SPLIT), TODAY))
    assert learn(learned, by(learned, SPLIT), TODAY) is None


@pytest.mark.parametrize(("publishing", "proposes"), [("propose", True), ("off", False)])
def test_what_is_not_published_by_itself_is_proposed_or_not(publishing: str, proposes: bool) -> None:
    mine = state(publishing)
    assert learn(mine, by(mine, SPLIT), TODAY) is None
    moved = proposal(mine, by(mine, SPLIT), TODAY)
    assert bool(proposed(mine, moved)) == proposes
    assert (oversight.approve(mine, by(mine, SPLIT), TODAY, BY) is not None) == proposes


def test_a_withdrawn_mapper_and_a_draft_learn_nothing() -> None:
    withdrawn = evolve(state(), MapperWithdrawn(mapper_id="m", origin="o"))
    for idle in (withdrawn, state(status="draft")):
        assert learn(idle, by(idle, SPLIT), TODAY) is None
        with pytest.raises(NotActive):
            oversight.freeze(idle, TODAY, BY)


def test_rules_that_are_gone_count_nothing_in_the_mean() -> None:
    document = state().shown.document
    with_gone = believed(document, votes(a=1, b=0, gone=0))
    assert with_gone.mean == believed(document, SPLIT).mean
    assert with_gone.evidence().keys() == {"a", "b", "gone"}


def test_an_approval_is_refused_where_other_is_proposed() -> None:
    with pytest.raises(ProposalChanged, match=r"it is now: a 1.1, b 0.9"):
        oversight.approve(state(), by(state(), SPLIT), TODAY, BY, seen={"a": 1.1})
    approved = oversight.approve(state(), by(state(), SPLIT), TODAY, BY, rules=["a"], seen={"a": 1.1})
    assert approved is not None
    assert (approved.learned, approved.settled) == ({"a": 1.1}, False)
    again = after(state(), approved)
    assert oversight.approve(again, by(again, SPLIT), TODAY, BY, rules=["a"], seen={"a": 1.1}) is None


def test_what_a_caller_did_not_see_is_not_touched() -> None:
    mine = state()
    for refused in (
        lambda: oversight.freeze(mine, TODAY, BY, if_match=["other"]),
        lambda: oversight.approve(mine, by(mine, SPLIT), TODAY, BY, if_match=["other"]),
        lambda: oversight.roll_back(mine, 1, {}, TODAY, BY, if_match=["other"]),
    ):
        with pytest.raises(PreconditionFailed):
            refused()
    with pytest.raises(RuleUnknown):
        oversight.freeze(mine, TODAY, BY, rules=["c"])


def test_a_persona_learns_over_what_all_have_unless_it_is_retired_or_the_rule_frozen() -> None:
    """One likes what nobody else does."""
    odd = UUID(int=99)
    said = Votes({**SPLIT.by_persona, odd: {"b": _evidence(40, 0)}}, {**SPLIT.voters, odd: 70})
    mine = state()
    beliefs = by(mine, said)
    event = learn_for(odd, Own("m"), state=mine, votes=said, beliefs=beliefs, today=TODAY)
    assert event is not None
    assert (event.learned, event.read_through) == ({"b": 1.1}, 70)
    assert event.evidence["b"].rate > beliefs.by_rule["b"].rate
    own = evolve_own(Own("m"), event)
    assert learn_for(odd, own, state=mine, votes=said, beliefs=beliefs, today=TODAY) is None
    assert evolve_own(Own("other"), event) == Own("other")
    frozen = after(mine, oversight.freeze(mine, TODAY, BY, rules=["b"]))
    retired = evolve_own(Own("m"), PersonaRetired(origin="o"))
    for who, where in ((Own("m"), frozen), (retired, mine), (Own("m"), state("off"))):
        of_it = by(where, said)
        assert learn_for(odd, who, state=where, votes=said, beliefs=of_it, today=TODAY) is None


parts = st.floats(0, 1)
actions = st.lists(
    st.tuples(
        st.sampled_from(["learn", "approve", "freeze", "thaw", "roll_back"]), parts, parts, st.integers(0, 3)
    ),
    max_size=12,
)


@given(actions)
def test_whatever_is_done_documents_stay_frozen_rules_stay_and_no_day_has_more_than_a_step(
    done: Sequence[tuple[str, float, float, int]],
) -> None:
    first = mine = state()
    history: list[dict[str, float]] = [{}]
    today = TODAY
    for action, a, b, number in done:
        today += timedelta(days=number // 3)
        before = mine.adjusted
        event = _do(mine, action, votes(a=a, b=b), history, number, today)
        if event is None:
            continue
        assert event.mapper_id == "m"
        mine = evolve(mine, event)
        history.append(mine.adjusted.learned.multipliers)
        _hold(action, before.learned.multipliers, before.frozen, event, history)
    assert msgspec.structs.replace(mine.shown, version=1) == first.shown
    assert mine.version == len(history)


def _do(
    mine: MapperState, action: str, said: Votes, history: Sequence[dict[str, float]], number: int, today: date
) -> RuleWeightsAdjusted | None:
    rules = [RULES[number % 2]]
    match action:
        case "learn":
            return learn(mine, by(mine, said), today)
        case "approve":
            return oversight.approve(mine, by(mine, said), today, BY, rules=rules)
        case "freeze":
            return oversight.freeze(mine, today, BY, rules=rules)
        case "thaw":
            return oversight.thaw(mine, today, BY, rules=rules)
        case _:
            version = number % len(history) + 1
            return oversight.roll_back(mine, version, history[version - 1], today, BY)


def _hold(
    action: str,
    before: dict[str, float],
    frozen: Sequence[str],
    event: RuleWeightsAdjusted,
    history: Sequence[dict[str, float]],
) -> None:
    changed = {rule for rule in RULES if event.learned.get(rule, 1.0) != before.get(rule, 1.0)}
    if action in ("learn", "approve"):
        assert changed
        assert changed.isdisjoint(frozen)
        for rule in RULES:
            began = event.morning.get(rule, 1.0)
            assert 0.9 * began - 1e-9 <= event.learned.get(rule, 1.0) <= 1.1 * began + 1e-9
    elif action == "roll_back":
        assert changed
        assert changed <= set(event.frozen)
        assert event.restores is not None
        then = history[event.restores - 1]
        assert all(event.learned.get(rule, 1.0) == then.get(rule, 1.0) for rule in RULES)
    else:
        assert not changed
        assert event.learned == before
