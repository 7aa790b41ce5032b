"""Mapper documents: accepted forms, the normal form, and every refusal at its place."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import compile_condition, compile_mapper
from personakit_sdk.rules.document import RULE_LANGUAGE, language_of
from personakit_sdk.rules.limits import Limits
from personakit_sdk.rules.yaml import load_json, load_yaml
from tests.unit.rules.mapper_cases import SHIPPED, decide, facts, load, mapper, rule, small_mapper, spoilt


@pytest.mark.parametrize("case", [pytest.param(case, id=case["sentence"]) for case in load("forms")])
def test_a_form_of_conditions_is_normalised(case: dict[str, Any]) -> None:
    document = mapper(
        rule(conditions=case["sent"]), conditions={"named": {"time_check": {"period": "night"}}}
    )
    assert compile_mapper(document).document["rules"][0]["conditions"] == case["normal"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["sentence"]) for case in load("refusals")])
def test_a_document_is_refused_at_the_place_of_its_fault(case: dict[str, Any]) -> None:
    document = spoilt(small_mapper(), case.get("set", {}), case.get("remove"))
    with pytest.raises(DocumentInvalid) as refused:
        compile_mapper(document)
    places = [(fault.pointer, fault.message) for fault in refused.value.faults]
    assert any(where == case["at"] and case["says"] in says for where, says in places), places


def test_all_faults_of_a_document_are_found_at_once() -> None:
    document = spoilt(
        small_mapper(),
        {"/rules/0/weight": 11, "/rules/1/enabled": 1, "/templates/plain/title": "{", "/surplus": 1},
        remove="/metadata/version",
    )
    with pytest.raises(DocumentInvalid) as refused:
        compile_mapper(document)
    assert {fault.pointer for fault in refused.value.faults} == {
        "/rules/0/weight",
        "/rules/1/enabled",
        "/templates/plain/title",
        "/surplus",
        "/metadata",
    }
    assert str(refused.value).startswith("The mapper is not valid at ")


def test_an_action_may_bear_its_type_beside_it() -> None:
    sent = small_mapper()
    typed = spoilt(sent, {"/rules/0/actions/0/type": "generate_suggestion"}, None)
    assert compile_mapper(typed).document == compile_mapper(sent).document


def test_the_normal_form_writes_every_default_out() -> None:
    normal = compile_mapper(mapper(rule("a"))).document
    assert normal == {
        "metadata": {"id": "small", "version": "1.0.0", "description": "for a test"},
        "required_traits": [],
        "trait_mappings": {},
        "conditions": {},
        "rules": [
            {
                "id": "a",
                "description": "",
                "enabled": True,
                "priority": 0,
                "conditions": {"all": [{"trait_check": {"path": "go", "operator": "exists"}}]},
                "actions": [
                    {
                        "generate_suggestion": {
                            "type": "note",
                            "title": "a",
                            "description": "do it",
                            "priority": "medium",
                            "metadata": {},
                            "parameters": {},
                        }
                    }
                ],
                "weight": 1.0,
            }
        ],
        "templates": {},
        "feedback_settings": {
            "negative_threshold": 5,
            "negative_window_days": 7,
            "positive_adjustment": 0.1,
            "negative_adjustment": -0.2,
            "min_weight": 0.5,
            "max_weight": 2.0,
        },
        "tests": [],
    }


@pytest.mark.parametrize("publishing", ["auto", "propose", "off"])
def test_how_learning_is_published_stands_in_the_normal_form_where_it_was_said(publishing: str) -> None:
    """And nowhere else: it came later than documents that have a hash already."""
    silent = compile_mapper(mapper(rule("a")))
    said = compile_mapper(mapper(rule("a"), feedback_settings={"publishing": publishing}))
    assert said.document["feedback_settings"]["publishing"] == publishing
    assert "publishing" not in silent.document["feedback_settings"]
    assert said.hash != silent.hash
    assert compile_mapper(said.document).document == said.document


@pytest.mark.parametrize("width", [0.001, 0.3, 1])
def test_an_exploration_stands_in_the_normal_form_where_it_was_said(width: float) -> None:
    said = compile_mapper(mapper(rule("a"), feedback_settings={"exploration": width}))
    assert said.document["feedback_settings"]["exploration"] == width
    assert "exploration" not in compile_mapper(mapper(rule("a"))).document["feedback_settings"]
    assert compile_mapper(said.document).hash == said.hash


def test_purposes_stand_in_the_normal_form_sorted_where_they_were_said() -> None:
    silent, said = compile_mapper(small_mapper()), compile_mapper(small_mapper() | {"purposes": ["b", "a"]})
    assert "purposes" not in silent.document
    assert said.document["purposes"] == ["a", "b"]
    assert compile_mapper(said.document).hash == said.hash
    assert compile_mapper(small_mapper() | {"purposes": ["a", "b", "a"]}).hash == said.hash
    assert (language_of(silent.document), language_of(said.document)) == (1, RULE_LANGUAGE)


def test_metadata_keeps_the_authors_other_keys_and_a_date_its_text() -> None:
    text = "{id: m, version: 1.0.0, description: d, author: Ada, created: 2026-03-02, tags: [a, 1]}"
    document = small_mapper() | {"metadata": load_yaml(text)}
    assert compile_mapper(document).document["metadata"] == {
        "id": "m",
        "version": "1.0.0",
        "description": "d",
        "author": "Ada",
        "created": "2026-03-02",
        "tags": ["a", 1],
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_yaml_and_json_give_the_same_mapper(path: Any) -> None:
    from_yaml = load_yaml(path.read_bytes())
    from_json = load_json(json.dumps(from_yaml))
    assert compile_mapper(from_yaml).hash == compile_mapper(from_json).hash


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_normal_form_of_a_mapper_is_its_own_normal_form(path: Any) -> None:
    plan = compile_mapper(load_yaml(path.read_bytes()))
    stored = msgspec.json.decode(msgspec.json.encode(plan.document, order="sorted"))
    again = compile_mapper(stored)
    assert (again.document, again.hash) == (plan.document, plan.hash)


def test_a_number_that_a_database_writes_out_in_digits_keeps_the_hash() -> None:
    suggestion = {"type": "n", "title": "t", "description": "d", "parameters": {"a": 1e20, "b": -0.0}}
    plan = compile_mapper(mapper(rule(actions=[{"generate_suggestion": suggestion}])))
    suggestion["parameters"] = {"a": 10**20, "b": 0.0}
    assert compile_mapper(mapper(rule(actions=[{"generate_suggestion": suggestion}]))).hash == plan.hash


@pytest.mark.parametrize("number", [1e16, -1e16, 123456789012345680.0, -(2.0**63), 2.0**63])
def test_a_large_number_is_the_same_with_an_exponent_and_in_digits(number: float) -> None:
    """A database writes 1e16 out in digits: no decimal point says any more that it was a double."""
    check = {"path": "a", "operator": "equals"}
    hashes = {
        compile_mapper(mapper(rule(conditions={"trait_check": {**check, "value": value}}))).hash
        for value in (number, int(number))
    }
    assert len(hashes) == 1


def test_a_plan_names_every_trait_that_it_may_read() -> None:
    suggestion = {"type": "n", "title": "t", "description": "d", "parameters": {"a": {"from_trait": "c"}}}
    checks = [
        {"trait_check": {"path": "a", "operator": "equals", "value": {"from_trait": "b.x"}}},
        {"time_check": {"period": "night"}},
    ]
    plan = compile_mapper(
        mapper(
            rule(conditions={"all": checks}, actions=[{"generate_suggestion": suggestion}]),
            required_traits=["d"],
        )
    )
    assert plan.trait_paths == ("a", "b.x", "c", "d", "profile.timezone")
    assert plan.required_traits == ("d",)


def test_a_condition_alone_is_refused_at_its_place_in_the_document() -> None:
    with pytest.raises(DocumentInvalid) as refused:
        compile_condition({"all": [{"condition": "morning"}, {"trait_check": 1}]}, "/traits/2/when")
    assert [(fault.pointer, fault.message) for fault in refused.value.faults] == [
        ("/traits/2/when/all/1/trait_check", "it must be an object, not a number"),
        ("/traits/2/when", "the condition 'morning' is not known; there are no named conditions here"),
    ]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (mapper(*[rule(str(n)) for n in range(4)]), "at most 3"),
        (mapper(rule(conditions={"all": [{"condition": "c"}] * 5})), "at most 4"),
        (mapper(rule(description="x" * 9000)), "larger than"),
        (mapper(rule(conditions={"trait_check": {"path": "x" * 70, "operator": "exists"}})), "64 bytes"),
        (
            mapper(
                rule(conditions={"trait_check": {"path": "x", "operator": "in", "value": list(range(9))}})
            ),
            "at most 8",
        ),
    ],
)
def test_limits_are_settings(document: dict[str, Any], says: str) -> None:
    limits = Limits(document_bytes=2000, rules=3, conditions=4, text_bytes=64, list_items=8)
    with pytest.raises(DocumentInvalid) as refused:
        compile_mapper(document, limits)
    assert any(says in fault.message for fault in refused.value.faults), refused.value.faults


def test_conditions_that_share_conditions_are_decided_once_each() -> None:
    """One by one, they would be 216,000 decisions, and the explanation as long."""
    wide = {f"c{level}": {"all": [{"condition": f"c{level + 1}"}] * 60} for level in range(3)} | {
        "c3": {"time_check": {"period": "morning"}}
    }
    plan = compile_mapper(mapper(rule(conditions={"condition": "c0"}), conditions=wide))
    decision = decide(plan, facts(), explain=True)
    assert decision.fired == ["only"]
    assert len(decision.suggestions[0].because) == 1
