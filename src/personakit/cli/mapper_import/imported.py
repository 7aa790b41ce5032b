"""What an import makes: rules and named conditions, put together to a mapper document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any, Final

import msgspec
from ruamel.yaml import YAML

from personakit.cli.mapper_import.truth import Truth, negation
from personakit_sdk.rules.conditions import Condition
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.rule import ID
from personakit_sdk.rules.template import NAME

FIRST_VERSION: Final = "1.0.0"
PLACEHOLDER: Final[Condition] = {"condition": "(refused)"}
"""Stands where a fault was found; such an import ends with its faults."""
_WIDTH: Final = 100


class Imported(msgspec.Struct, frozen=True):
    """Rules in their order, and the named conditions that they refer to."""

    rules: list[dict[str, Any]]
    conditions: dict[str, Condition]


def document(imported: Imported, mapper_id: str, description: str) -> dict[str, Any]:
    """The mapper document of an import."""
    metadata = {"id": mapper_id, "version": FIRST_VERSION, "description": description}
    named = {"conditions": imported.conditions} if imported.conditions else {}
    return {"metadata": metadata, **named, "rules": imported.rules}


def as_yaml(made: Mapping[str, Any], comments: list[str]) -> str:
    """The document as YAML, the comments before it."""
    writer = YAML()
    writer.width = _WIDTH
    # What stands twice is written twice: people change one and not the other, and aliases are counted.
    writer.representer.ignore_aliases = lambda *_: True
    writer.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    writer.dump(dict(made), text)
    return "".join(f"# {line}\n" for line in comments) + text.getvalue()


def conditions_of(node: Node, truth: Truth) -> Condition:
    """The conditions of a rule; notes a fault for what is always true, or never."""
    if isinstance(truth, bool):
        if node.faults:  # what was refused in it is not known, and it may come to something
            return PLACEHOLDER
        node.fault(f"it is {'always' if truth else 'never'} true, so that it is no condition")
        return PLACEHOLDER
    return truth


def rule(
    rule_id: str,
    conditions: Condition,
    *,
    kind: str,
    title: str,
    description: str,
    parameters: Mapping[str, Any] | None = None,
    priority: int = 0,
) -> dict[str, Any]:
    """A rule that proposes one thing. Braces in the texts are braces."""
    suggestion = {"type": kind, "title": _escaped(title), "description": _escaped(description)}
    given = {"parameters": dict(parameters)} if parameters else {}
    ranked = {"priority": priority} if priority else {}
    action = {"generate_suggestion": suggestion | given}
    return {"id": rule_id, **ranked, "conditions": conditions, "actions": [action]}


def parameters_of(node: Node) -> dict[str, Any]:
    """The values of an object whose keys can be names of parameters."""
    found: dict[str, Any] = {}
    for name, value in node.entries().items():
        if not NAME.fullmatch(name):
            value.fault(f"{name[:64]!r} cannot be the name of a parameter: letters, digits and _ only")
        found[name] = value.constant()
    return found


def unique_id(wanted: str, taken: set[str]) -> str:
    """An id made of a name that may be anything, which none of the others has yet."""
    base = re.sub(r"[^A-Za-z0-9._:@-]+", "_", wanted).strip("_.:@-")[:100] or "rule"
    base = base if ID.fullmatch(base) else f"rule_{base}"
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    taken.add(found)
    return found


def not_before(named: list[str], condition: Truth) -> list[Truth]:
    """A condition, and that none of those named before it holds: of several the first counts."""
    return [condition, *(negation({"condition": name}) for name in named)]


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
