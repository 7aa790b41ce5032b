"""The cases of the rule language as mapper documents with a test of their own, for whoever runs documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.unit.rules.mapper_cases import listed, load, mapper, rule, small_mapper, spoilt

AT = "2026-03-02T09:00:00Z"


class Said(NamedTuple):
    """A case as a document, and what is to be said of it: it is taken, or refused at a place with words."""

    name: str
    document: dict[str, Any]
    at: str | None = None
    says: str = ""


class Evidence(NamedTuple):
    """A case that rests on the evidence of traits, which the test of a document cannot give."""

    name: str
    condition: dict[str, Any]
    traits: dict[str, Any]
    at: str
    holds: bool


def said() -> list[Said]:
    """Every case that a document can say."""
    return [*_conditions(), *_operators(), *_outcomes(), *_templates(), *_forms(), *_refusals()]


def evidence() -> list[Evidence]:
    """The cases that it cannot."""
    return [
        Evidence(name, case["condition"], case["traits"], case.get("at", AT), case["holds"])
        for name, case in listed("conditions", "cases")
        if _rests_on_evidence(case)
    ]


def _rests_on_evidence(case: dict[str, Any]) -> bool:
    traits = case.get("traits", {}).values()
    return any(isinstance(value, dict) and value.keys() == {"fact"} for value in traits)


def _test(given: dict[str, Any], fires: list[str], **expect: Any) -> list[dict[str, Any]]:
    return [{"name": "as it says", "given": {"at": AT, **given}, "expect": {"rules": fires, **expect}}]


def _given(case: dict[str, Any]) -> dict[str, Any]:
    return {key: case[key] for key in ("traits", "context", "at") if key in case}


def _conditions() -> Iterator[Said]:
    for file in ("conditions", "time"):
        for name, case in listed(file, "cases"):
            if not _rests_on_evidence(case):
                fires = ["only"] if case["holds"] else []
                tests = _test(_given(case), fires)
                yield Said(name, mapper(rule(conditions=case["condition"]), tests=tests))


def _operators() -> Iterator[Said]:
    for name, case in listed("operators", "comparisons"):
        comparison = {key: case[key] for key in ("operator", "value") if key in case}
        there = {"x": case["seen"]} if "seen" in case else {}
        rules = [
            rule("trait", conditions={"trait_check": {"path": "x", **comparison}}),
            rule("context", conditions={"context_check": {"field": "x", **comparison}}),
        ]
        fires = ["trait", "context"] if case["holds"] else []
        yield Said(name, mapper(*rules, tests=_test({"traits": there, "context": there}, fires)))


def _outcomes() -> Iterator[Said]:
    for case in load("outcome"):
        rules = []
        for fields in case["rules"]:
            own = {key: value for key, value in fields.items() if key not in ("id", "says")}
            says = {
                "type": "note",
                "title": "t",
                "description": "d",
                "priority": fields.get("says", "medium"),
            }
            rules.append(rule(fields["id"], **own, actions=[{"generate_suggestion": says}]))
        given = {"traits": {"go": 1}, "learned": case.get("learned", {})}
        made = [{"rule_id": rule_id} for rule_id in case["expect"]]
        yield Said(case["sentence"], mapper(*rules, tests=_test(given, case["expect"], suggestions=made)))


def _templates() -> Iterator[Said]:
    for name, case in listed("templates", "cases"):
        says = {
            "type": "note",
            "title": "t",
            "description": case["template"],
            "parameters": case["parameters"],
        }
        given = {"traits": {"go": 1, **case.get("traits", {})}, "context": case.get("context", {})}
        made = [] if case["text"] is None else [{"description": case["text"]}]
        tests = _test(given, ["only"], suggestions=made)
        yield Said(name, mapper(rule(actions=[{"generate_suggestion": says}]), tests=tests))


def _forms() -> Iterator[Said]:
    named = {"named": {"time_check": {"period": "night"}}}
    for case in load("forms"):
        for form in ("sent", "normal"):
            yield Said(f"{case['sentence']} ({form})", mapper(rule(conditions=case[form]), conditions=named))


def _refusals() -> Iterator[Said]:
    for case in load("refusals"):
        document = spoilt(small_mapper(), case.get("set", {}), case.get("remove"))
        yield Said(case["sentence"], document, case["at"], case["says"])


def spoiled(case: Said) -> Said:
    """The case with the opposite expected of it: whoever runs it has to say that it fails."""
    [test] = case.document["tests"]
    rules = [each["id"] for each in case.document["rules"]] if not test["expect"]["rules"] else []
    wrong = test | {"expect": {"rules": rules}}
    return Said(case.name, case.document | {"tests": [wrong]}, "/tests/0", "as it says")
