"""Consent as pure functions: what is said last stands, a repeat says nothing, and who is mapped follows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.consent import (
    NEVER_ASKED,
    NEVER_SET,
    Consent,
    change,
    change_policy,
    evolve,
    set_policy,
    to_all,
)
from personakit.domain.events import PersonRegistered
from personakit.domain.publishing import PreconditionFailed, Provenance
from personakit_sdk.mapping import withheld_of
from personakit_sdk.rules import compile_mapper
from personakit_sdk.wire import ConsentPolicyName
from tests.unit.rules.mapper_cases import small_mapper

PURPOSES = ("learning", "wellbeing", "work_planning")
purposes = st.sets(st.sampled_from(PURPOSES))
policies = st.sampled_from(["off", "required"])
BY = Provenance("key: app", "ticked")


@given(said=st.lists(purposes, max_size=6))
def test_what_was_said_last_stands_and_each_change_counts(said: Sequence[set[str]]) -> None:
    state, changes = NEVER_ASKED, 0
    for each in said:
        event = change(state, each, BY)
        differs = changes == 0 or state.purposes != each
        assert (event is not None) == differs
        state = evolve(state, event) if event else state
        changes += differs
        assert (state.purposes, state.version) == (each, changes)
        assert change(state, each, BY, if_match=["an older one"]) is None
        assert evolve(state, PersonRegistered()) == state


def test_another_reason_for_the_same_is_something_new() -> None:
    state = Consent(frozenset({"wellbeing"}), "ticked", 1)
    event = change(state, ["wellbeing"], Provenance("key: app", "signed"))
    assert event is not None
    assert (event.purposes, event.reason) == (("wellbeing",), "signed")


def test_who_saw_another_version_is_refused() -> None:
    state = Consent(frozenset({"wellbeing"}), "ticked", 2)
    for seen in (["1"], [], ["3"]):
        with pytest.raises(PreconditionFailed, match="consent of this person"):
            change(state, ["learning"], BY, if_match=seen)
    for seen in (["2"], ["1", "2"], ["*"]):
        assert change(state, ["learning"], BY, if_match=seen) is not None
    assert change(NEVER_ASKED, [], BY, if_match=["0"]) is not None


@given(said=st.lists(policies, max_size=5))
def test_the_policy_said_last_stands(said: Sequence[ConsentPolicyName]) -> None:
    state = NEVER_SET
    for each in said:
        event = change_policy(state, each, BY)
        assert (event is None) == (state.version > 0 and state.policy == each)
        state = set_policy(state, event) if event else state
        assert state.policy == each


@given(policy=policies, declared=purposes, consents=st.lists(purposes, max_size=3))
def test_a_persona_is_mapped_if_and_only_if_it_may_be(
    policy: ConsentPolicyName, declared: set[str], consents: Sequence[set[str]]
) -> None:
    plan = compile_mapper(small_mapper() | ({"purposes": sorted(declared)} if declared else {}))
    withheld = withheld_of(plan, policy, to_all(consents))
    lacking = {each for each in declared if not consents or not all(each in said for said in consents)}
    may_be = policy == "off" or (declared != set() and not lacking)
    assert (withheld is None) == may_be
    if withheld is not None:
        assert withheld.purposes == sorted(lacking)
        assert all(each in withheld.reason for each in lacking)
