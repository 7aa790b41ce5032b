"""What a key opens: which grants can be made, and whom a limited one may see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.grant import MOST_NAMED, OF_ALL, SCOPES, Grant, Limits, granted
from personakit_sdk.errors import InvalidInput

ids = st.frozensets(st.sampled_from("abcdef"))


@given(ids, ids, ids)
def test_a_persona_is_seen_by_its_name_or_by_all_of_its_people(
    people: frozenset[str], personas: frozenset[str], viewed: frozenset[str]
) -> None:
    limits = Limits(people, frozenset(f"~{each}" for each in personas))
    for persona in "abcdef":
        seen = persona in personas or bool(viewed and viewed <= people)
        assert limits.has_persona(f"~{persona}", viewed) == seen


@given(ids, ids, ids, ids)
def test_more_is_never_seen_by_naming_less(
    people: frozenset[str], more: frozenset[str], personas: frozenset[str], viewed: frozenset[str]
) -> None:
    narrow, wide = Limits(people, personas), Limits(people | more, personas)
    for persona in "abcdef":
        assert narrow.has_persona(persona, viewed) <= wide.has_persona(persona, viewed)


@given(st.sets(st.sampled_from(SCOPES), min_size=1))
def test_an_unlimited_grant_has_the_scopes_that_were_asked_for(scopes: set[str]) -> None:
    assert granted(scopes, None, None) == Grant(frozenset(scopes), None)  # type: ignore[arg-type]


@given(st.sets(st.sampled_from(SCOPES), min_size=1), ids)
def test_a_limited_grant_has_nothing_that_acts_on_a_whole_tenant(
    scopes: set[str], people: frozenset[str]
) -> None:
    if OF_ALL & scopes:
        with pytest.raises(InvalidInput, match="whole tenant"):
            granted(scopes, people, None)
    else:
        assert granted(scopes, people, None).limits == Limits(people)


def test_an_empty_list_is_a_limit_and_no_list_is_none() -> None:
    assert granted(["read"], [], None).limits == Limits()
    assert granted(["read"], None, None).limits is None
    assert not granted(["read"], [], None).has_person("ada")
    assert not granted(["read"], [], None).has_persona("ada", ["ada"])
    assert granted(["read"], None, None).has_persona("ada", ["ada"])


@pytest.mark.parametrize(("scopes", "said"), [([], "needs a scope"), (["write"], "'write'")])
def test_a_grant_of_nothing_or_of_what_there_is_not_is_refused(scopes: list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        granted(scopes, None, None)


def test_a_key_names_so_many_and_no_more() -> None:
    many = [str(number) for number in range(MOST_NAMED)]
    assert granted(["read"], many, []).limits == Limits(frozenset(many))
    with pytest.raises(InvalidInput, match="at most 1000"):
        granted(["read"], many, ["~x"])
