"""A mapper as YAML is the author's own text, and always the very document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.domain.mapper import with_weight
from personakit.domain.mapper_source import COMMENTS_LOST, weighed, written_out
from personakit.shipped import mappers_dir
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.yaml import load_yaml
from tests.unit.rules.mapper_cases import mapper, rule

TEXT = """\
# Written by hand; keep this line.
metadata: {id: tea, version: 1.0.0, description: "Tea: when"}   # the head
rules:
  - id: green     # grün
    weight: 1.0   # was 2 once
    conditions: {trait_check: {path: a, operator: exists}}
    actions: [{generate_suggestion: {type: t, title: T, description: D}}]
  # the other one has no weight yet
  - conditions: {trait_check: {path: b, operator: exists}}
    id: "black"
    actions:
      - generate_suggestion: {type: t, title: T, description: D}
  - {id: flow, conditions: {trait_check: {path: c, operator: exists}},
     actions: [{generate_suggestion: {type: t, title: T, description: D}}]}
"""


def test_what_is_too_large_to_be_read_as_yaml_is_written_as_json() -> None:
    plan = compile_mapper(mapper(*[rule(f"r{number}") for number in range(1_000)]))
    text = written_out(plan.document, plan.hash)
    assert json.loads(text) == plan.document


def document_of(text: str, **weights: float) -> tuple[dict[str, Any], str]:
    """The document of a text with other weights, and its hash."""
    document = compile_mapper(load_yaml(text)).document
    for rule_id, weight in weights.items():
        document = with_weight(document, rule_id, weight)
    return document, compile_mapper(document).hash


def test_a_changed_weight_stands_at_its_place_and_nothing_else_moves() -> None:
    document, hash_ = document_of(TEXT, green=1.5)
    assert weighed(document, hash_, TEXT) == TEXT.replace("weight: 1.0 ", "weight: 1.5 ")


def test_a_weight_that_was_not_written_is_put_before_the_first_key() -> None:
    document, hash_ = document_of(TEXT, black=0.25, flow=1e-05)
    text = weighed(document, hash_, TEXT)
    assert "  - weight: 0.25\n    conditions: {trait_check: {path: b" in text
    assert "  - {weight: 1e-05, id: flow, " in text
    assert "# the other one has no weight yet" in text
    assert compile_mapper(load_yaml(text)).hash == hash_


def test_lines_may_end_as_on_other_systems() -> None:
    text = TEXT.replace("\n", "\r\n")
    document, hash_ = document_of(text, green=3.0, black=2.0)
    written = weighed(document, hash_, text)
    assert compile_mapper(load_yaml(written)).hash == hash_
    assert written.count("\n") == written.count("\r\n") == text.count("\n") + 1


def test_a_weight_that_others_refer_to_costs_the_comments_and_is_said() -> None:
    text = TEXT.replace("weight: 1.0 ", "weight: &w 1.0 ").replace("{id: flow,", "{id: flow, weight: *w,")
    document, hash_ = document_of(text, green=1.5)
    written = weighed(document, hash_, text)
    assert written.startswith(COMMENTS_LOST)
    assert compile_mapper(load_yaml(written)).hash == hash_


def test_a_document_that_was_json_is_written_out_in_the_order_of_the_language() -> None:
    document, hash_ = document_of(TEXT)
    lines = written_out(dict(sorted(document.items())), hash_).splitlines()
    assert [line.partition(":")[0] for line in lines if line[:1].isalpha()][:2] == [
        "metadata",
        "required_traits",
    ]
    assert lines[1:3] == ["  id: tea", "  version: 1.0.0"]


@pytest.mark.parametrize("path", sorted(mappers_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_mapper_can_be_weighed_anew(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    rules = compile_mapper(load_yaml(text)).document["rules"]
    document, hash_ = document_of(text, **{rule["id"]: index / 8 for index, rule in enumerate(rules)})
    written = weighed(document, hash_, text)
    assert compile_mapper(load_yaml(written)).hash == hash_
    assert not written.startswith(COMMENTS_LOST)
    assert [line for line in text.splitlines() if "#" in line] == [
        line for line in written.splitlines() if "#" in line
    ]


AWKWARD = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(
    [
        "yes",
        "no",
        "null",
        "~",
        "1.0",
        "0o7",
        "0x1f",
        ".inf",
        "1e3",
        "2026-03-02",
        "<<",
        "=",
        "- a",
        "a: b",
        "#",
        "\x85",
        "\u2028",
        "\ufeff",
        " a ",
        "a\n",
        "%a",
        "`",
        "&a",
        "*a",
        "!a",
    ]
)


@settings(deadline=None)
@given(
    st.dictionaries(
        AWKWARD,
        AWKWARD
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.none()
        | st.booleans(),
        max_size=4,
    )
)
def test_whatever_a_document_holds_is_read_back_as_it_is(free: dict[str, Any]) -> None:
    document = compile_mapper(load_yaml(TEXT)).document
    document["metadata"]["free"] = free
    plan = compile_mapper(document)
    assert compile_mapper(load_yaml(written_out(plan.document, plan.hash))).hash == plan.hash
