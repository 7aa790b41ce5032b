"""Small mapper documents for tests."""

from __future__ import annotations

from typing import Any


def mapper(id_: str = "tiny", version: str = "1.0.0", **weights: float) -> dict[str, Any]:
    """A mapper with a rule of each weight, by the rule's name; one rule `always` unless there are others.
    Each suggests to everyone."""
    return {
        "metadata": {"id": id_, "version": version, "description": "D"},
        "rules": [suggest(name, weight) for name, weight in (weights or {"always": 1.0}).items()],
    }


def suggest(name: str, weight: float = 1.0, type_: str = "t", **conditions: Any) -> dict[str, Any]:
    """A rule; without conditions, one that fires for everyone."""
    always = {"not": {"context_check": {"field": "never", "operator": "exists"}}}
    suggestion = {"type": type_, "title": name, "description": "D"}
    return {
        "id": name,
        "conditions": conditions or always,
        "actions": [{"generate_suggestion": suggestion}],
        "weight": weight,
    }


def check(path: str, operator: str = "exists", **value: Any) -> dict[str, Any]:
    """A condition on a trait."""
    return {"trait_check": {"path": path, "operator": operator, **value}}
