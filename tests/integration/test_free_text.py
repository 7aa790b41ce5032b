"""Which observations hold free text: the rule of `projections/inference_due.sql`, held against a plain
one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personakit.agents.service import Service
from personakit_sdk import wire
from tests.history import TENANT, observation, surrogate
from tests.integration.conftest import follow

SCRIPTS = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]{8}")
FREE = (
    {"text": "I would love to"},
    {"deep": [{"er": [1, "four words in here"]}]},
    {"lines": "one\ntwo\tthree\r\nfour"},
    {"quotes": 'say "a" "b" and \\ "c"'},
    {"text": "从现在开始我想每天早上去爬山"},
    {"text": "ตั้งแต่วันนี้ฉันอยากปีนเขาทุกวัน"},
)
NOT_FREE: tuple[dict[str, Any], ...] = (
    {},
    {"text": "three words only"},
    {"four words in key": 1},
    {"list": [1, 2, 3, 4, 5, 6, 7, 8], "languages": ["a", "b", "c", "d"]},
    {"a": "one", "b": "two", "c": "three", "d": "four", "e": None, "f": True, "g": 1.5},
    {"text": "   one   two   "},
    {"text": "短い文"},
)
words = st.text(alphabet=st.sampled_from('ab"\\{}[],: \n\t登山'), max_size=24)
contents = st.recursive(
    words | st.integers(-9, 9) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def is_free(value: Any) -> bool:
    """The rule, plainly."""
    match value:
        case str():
            return len(re.findall(r"[^ \n\t\r\f]+", value)) >= 4 or bool(SCRIPTS.search(value))
        case list():
            return any(map(is_free, value))
        case dict():
            return any(map(is_free, value.values()))
        case _:
            return False


def waits(service: Service, person: str, *contents: dict[str, Any]) -> list[bool]:
    """Which of these contents wait for a model."""
    sent = [observation(person, n) for n in range(len(contents))]
    sent = [
        wire.Observation(
            id=each.id, person_id=person, type="note", content=content, occurred_at=each.occurred_at
        )
        for each, content in zip(sent, contents, strict=True)
    ]
    recorded = service.intake.record(TENANT, sent)
    follow(service, "inference_due", "observations")
    whose = {"tenant": TENANT, "person": surrogate(service, person), "after": 0, "through": 2**62}
    with service.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("inference_due.unread", **whose, limit=10_000)
        all_again = snapshot.rows("inference_due.texts", **whose, limit=10_000)
    assert all_again == rows, "what would be read again is not what is read"
    found = {row["position"] for row in rows}
    return [each.position in found for each in recorded]


@pytest.mark.parametrize("content", FREE)
def test_free_text_waits_wherever_it_stands(quiet: Service, content: dict[str, Any]) -> None:
    assert waits(quiet, "free", content) == [True]


@pytest.mark.parametrize("content", NOT_FREE)
def test_what_is_no_free_text_does_not_wait(quiet: Service, content: dict[str, Any]) -> None:
    assert waits(quiet, "terse", content) == [False]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(words, contents, max_size=3), min_size=1, max_size=40))
def test_the_rule_is_that_of_the_page(quiet: Service, some: list[dict[str, Any]]) -> None:
    assert waits(quiet, "any", *some) == [is_free(each) for each in some]
