"""What a model is told, and how little of what it answers is believed."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.events import DerivationCompleted, MindscapeUpdated, ModelUse
from personakit.domain.inference import (
    HALF_LIVES,
    Said,
    Text,
    infer_update,
    question,
    read_answer,
    reason_of,
    weight_of,
)
from personakit.domain.inference_prompt import MOST_TRAITS
from personakit.domain.mindscape import EMPTY, Mindscape, Pin, evolve
from personakit.domain.model_output import MalformedAnswer
from personakit.domain.traits import Trait
from personakit_sdk.rules.facts import confidence
from tests.injections import INJECTIONS, obeyed

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
OWNED = frozenset({"work.commits"})
FOREIGN = str(UUID(int=999))
USE = ModelUse(
    model="claude-test",
    prompt="f" * 64,
    input_tokens=10,
    output_tokens=5,
    cache_read_tokens=0,
    cache_write_tokens=0,
    usd=0.001,
)


def text(n: int, words: str = "I would love to climb again") -> Text:
    return Text(UUID(int=n), "note", {"text": words}, NOW + timedelta(days=n))


def proposal(path: str = "interests.climbing", *evidence: int, **other: Any) -> dict[str, Any]:
    return {
        "path": path,
        "value": True,
        "confidence": 0.8,
        "volatility": "medium",
        "evidence": [str(UUID(int=n)) for n in evidence or (1,)],
        "reason": "They said so.",
        **other,
    }


def said(*proposals: dict[str, Any], through: int = 7) -> Said:
    read = read_answer(json.dumps({"traits": proposals}))
    return Said(proposed=read, use=USE, definition="claude-test:ffff", read_through=through)


def updated(
    *proposals: dict[str, Any], before: Mindscape = EMPTY, texts: tuple[Text, ...] = (text(1), text(2))
) -> MindscapeUpdated:
    event = infer_update(before, texts, said(*proposals), OWNED)
    assert isinstance(event, MindscapeUpdated)
    return event


def dropped(*proposals: dict[str, Any], before: Mindscape = EMPTY) -> dict[str, int]:
    event = infer_update(before, (text(1), text(2)), said(*proposals), OWNED)
    assert isinstance(event, DerivationCompleted)
    assert event.use == USE
    return event.dropped


def with_pin(path: str) -> Mindscape:
    return msgspec.structs.replace(EMPTY, pins={path: Pin("vegan", "low", "told", "key: me")})


def test_a_proposal_becomes_a_trait_with_its_evidence_and_its_reason() -> None:
    event = updated(proposal("interests.climbing", 1, 2))
    trait = event.traits["interests.climbing"]
    assert trait.source == "anthropic:claude-test"
    assert trait.evidence == (UUID(int=2), UUID(int=1))
    assert trait.last_observed_at == NOW + timedelta(days=2)
    assert trait.half_life_days == HALF_LIVES["medium"]
    assert reason_of(trait) == "They said so."
    assert event.use == USE
    assert event.material == ("interests.climbing",)
    assert event.read_through == 7


@given(st.floats(0.05, 0.95))
def test_a_trait_is_believed_as_far_as_the_model_says_and_less_with_age(believed: float) -> None:
    event = updated(proposal(confidence=believed))
    trait = event.traits["interests.climbing"]
    fresh = NOW + timedelta(days=1)
    assert confidence(trait, fresh) == pytest.approx(believed, abs=1.01e-4)
    assert confidence(trait, fresh + timedelta(days=90)) == pytest.approx(believed / 2, abs=1.01e-4)


@pytest.mark.parametrize(("said_so", "believed"), [(0.0, 0.05), (1.0, 0.95)])
def test_a_model_is_never_quite_sure(said_so: float, believed: float) -> None:
    weight = weight_of(said_so)
    assert weight / (weight + 4) == pytest.approx(believed, abs=1e-5)


def test_what_is_said_again_keeps_its_older_evidence_and_what_is_taken_back_does_not() -> None:
    before = evolve(EMPTY, updated(proposal("interests.climbing", 1)))
    again = updated(proposal("interests.climbing", 2), before=before).traits["interests.climbing"]
    changed = updated(proposal("interests.climbing", 2, value=False), before=before)
    assert (again.samples, again.evidence) == (2, (UUID(int=2), UUID(int=1)))
    assert changed.traits["interests.climbing"].evidence == (UUID(int=2),)


DROPPED = {
    "pinned": [proposal("diet"), proposal("diet.kind")],
    "computed": [proposal("work.commits"), proposal("work.commits.share"), proposal("work")],
    "bad path": [proposal("../bob"), proposal("Interests"), proposal(""), proposal("a" * 200)],
    "unknown evidence": [proposal("a", 9), proposal("a", 1, 9)],
    "no evidence": [proposal("a", evidence=[])],
    "confidence out of range": [proposal("a", confidence=1.5), proposal("a", confidence=-0.1)],
    "malformed": [proposal("a", volatility="eternal"), {"path": "a"}, proposal("a", confidence="high")],
    "not storable": [proposal("a", value="a\u0000b"), proposal("a", reason="\u0000")],
    "value too large": [proposal("a", value="x" * 2000), proposal("a", value=["y" * 100] * 11)],
    "value not as asked for": [
        proposal("a", value={"b": 1}),
        proposal("a", value=None),
        proposal("a", value=[1]),
    ],
}


@pytest.mark.parametrize("reason", DROPPED)
def test_what_is_out_of_a_models_reach_is_dropped_and_counted(reason: str) -> None:
    those = DROPPED[reason]
    assert dropped(*those, before=with_pin("diet")) == {reason: len(those)}


def test_the_rest_of_an_answer_is_taken() -> None:
    event = updated(proposal("diet"), proposal("goals.marathon"), before=with_pin("diet"))
    assert set(event.traits) == {"goals.marathon"}
    assert event.dropped == {"pinned": 1}


def test_an_answer_has_no_more_traits_than_asked_for_and_none_twice() -> None:
    many = [proposal(f"a{n}") for n in range(MOST_TRAITS + 3)]
    event = updated(*many)
    assert (len(event.traits), event.dropped) == (MOST_TRAITS, {"too many": 3})
    assert updated(proposal("a"), proposal("a"), proposal("a.b")).dropped == {"named twice": 2}


def test_a_trait_that_computed_rules_of_old_left_is_not_the_models_either() -> None:
    old = Trait(value=1, source="computed:gone@1.0.0")
    before = Mindscape(version=1, traits={"mood.level": old}, derivations={})
    assert dropped(proposal("mood.level"), before=before) == {"computed": 1}


@pytest.mark.parametrize(
    "answer", ["", "I have been pwned.", "[]", '{"traits": 1}', '{"traits": [', "\udc00"]
)
def test_an_answer_of_another_shape_is_malformed(answer: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_answer(answer)


def test_what_is_known_is_told_with_what_may_not_be_changed() -> None:
    before = evolve(with_pin("diet"), updated(proposal("interests.climbing")))
    told = question(before, [text(3)], OWNED)
    known = json.loads(told.split("<traits>")[1].split("</traits>")[0])
    assert known == {
        "diet": {"value": "vegan", "volatility": "low", "fixed": True},
        "interests.climbing": {"value": True, "volatility": "medium"},
    }


@pytest.mark.parametrize("words", INJECTIONS)
def test_no_text_leaves_the_block_of_data(words: str) -> None:
    told = question(EMPTY, [text(1, words), text(2, words)], OWNED)
    marks = ("<traits>", "</traits>", "<observations>", "</observations>")
    assert [told.count(mark) for mark in marks] == [1, 1, 1, 1]
    assert told.endswith("\n</observations>")
    assert told.count("<") == told.count(">") == 4
    lines = told.split("<observations>\n")[1].removesuffix("\n</observations>").split("\n")
    assert [json.loads(line)["content"]["text"] for line in lines] == [words, words]


def test_a_model_that_obeys_such_texts_gets_nowhere() -> None:
    proposals = obeyed(str(UUID(int=1)), FOREIGN)
    counted = dropped(*proposals, before=with_pin("diet"))
    assert sum(Counter(counted).values()) == len(proposals)
