"""Case data, small mappers and facts for the tests of the rule engine."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from personakit_sdk.rules import Decision, Facts, Plan, TraitFact, compile_mapper, evaluate
from personakit_sdk.rules.yaml import load_yaml

CHECKOUT = Path(__file__).resolve().parents[3]
CASES = CHECKOUT / "tests" / "rules" / "cases"
SHIPPED = sorted((CHECKOUT / "rules" / "mappers").glob("*.yaml"))
MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def load(name: str) -> Any:
    """The case data in one file."""
    return load_yaml((CASES / f"{name}.yaml").read_bytes())


def listed(name: str, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each case of a file with an id made of its sentence and number."""
    for group in load(name):
        for number, case in enumerate(group[key], start=1):
            yield f"{group['sentence']} #{number}", case


def shipped(path: Path) -> Plan:
    return compile_mapper(load_yaml(path.read_bytes()))


def facts(
    traits: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    at: datetime = MONDAY,
) -> Facts:
    """Facts in which a trait is a plain value, certain, or `{fact: {value, weight, …}}`."""
    return Facts(
        traits={path: _trait(value) for path, value in (traits or {}).items()}, context=context or {}, at=at
    )


def _trait(value: Any) -> TraitFact:
    if isinstance(value, dict) and value.keys() == {"fact"}:
        return msgspec.convert(value["fact"], TraitFact)
    return TraitFact(value=value)


def rule(rule_id: str = "only", **fields: Any) -> dict[str, Any]:
    """A rule that fires while the trait `go` is there, unless it says otherwise."""
    return {
        "id": rule_id,
        "conditions": {"trait_check": {"path": "go", "operator": "exists"}},
        "actions": [{"generate_suggestion": {"type": "note", "title": rule_id, "description": "do it"}}],
        **fields,
    }


def mapper(*rules: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A mapper document of these rules."""
    metadata = {"id": "small", "version": "1.0.0", "description": "for a test"}
    return {"metadata": metadata, "rules": list(rules), **sections}


def small_mapper() -> dict[str, Any]:
    """The valid document that the refusals spoil: two rules, a template, a named condition."""
    suggestion = {"type": "note", "template": "plain", "parameters": {"minutes": 5}}
    first = rule(
        "first",
        conditions={"all": [{"trait_check": {"path": "a", "operator": "equals", "value": 1}}]},
        actions=[{"generate_suggestion": suggestion}],
    )
    second = rule("second", conditions={"all": [{"condition": "morning"}]})
    return mapper(
        first,
        second,
        conditions={"morning": {"time_check": {"period": "morning"}}},
        templates={"plain": {"title": "For {minutes} minutes", "description": "Now."}},
    )


def spoilt(document: dict[str, Any], changes: Mapping[str, Any], remove: str | None) -> dict[str, Any]:
    """A copy with values set and one taken out, each at a JSON pointer."""
    changed = copy.deepcopy(document)
    for pointer, value in changes.items():
        parent, key = _parent(changed, pointer)
        parent[key] = value
    if remove is not None:
        parent, key = _parent(changed, remove)
        del parent[key]
    return changed


def _parent(document: Any, pointer: str) -> tuple[Any, Any]:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in way:
        document = document[int(part)] if isinstance(document, list) else document.setdefault(part, {})
    return document, int(last) if isinstance(document, list) else last


def decide(plan: Plan, given: Facts, **options: Any) -> Decision:
    """What a plan decides for the persona alice, at mapper version 3, uncut unless a limit is given."""
    return evaluate(plan, given, **{"persona_id": "alice", "mapper_version": 3, "limit": 100, **options})
