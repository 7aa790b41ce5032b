"""Conditions in the JSON Schema of the mapper document: every accepted form of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from personakit_sdk.rules.clock import PERIODS, WEEKDAYS, zone_names
from personakit_sdk.rules.limits import DEFAULT_LIMITS
from personakit_sdk.rules.operators import OPERATORS

Schema = dict[str, Any]

PATH: Final[Schema] = {
    "type": "string",
    "maxLength": DEFAULT_LIMITS.text_bytes,
    "pattern": rf"^(\\\.|[^.])+(\.(\\\.|[^.])+){{0,{DEFAULT_LIMITS.path_segments - 1}}}$",
    "description": r"Segments between dots; \. is a dot inside one, a number an index into a list.",
}
ZONE: Final = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}$"
"""Any name that may be a zone: the list that is completed from has the canonical names only."""
_SOURCE: Final[Schema] = {
    "type": "object",
    "properties": {"from_trait": {"$ref": "#/$defs/path"}, "from_context": {"$ref": "#/$defs/path"}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "title": "A value from elsewhere",
}
_INSTANT: Final = "[0-9]:[0-9].*([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_CONSTANT: Final[Schema] = {"$ref": "#/$defs/constant"}
_NO_SOURCE: Final[Schema] = {
    "not": {"type": "object", "anyOf": [{"required": ["from_trait"]}, {"required": ["from_context"]}]}
}
_ITEM: Final[Schema] = {"allOf": [_CONSTANT, _NO_SOURCE]}
_OPERANDS: Final[dict[str, Schema]] = {
    "none": {"type": "boolean", "description": "false turns exists into not_exists, and the other way."},
    "any": _ITEM,
    "pair": {"type": "array", "items": _ITEM, "minItems": 2, "maxItems": 2, "description": "[low, high]."},
    "list": {"type": "array", "items": _ITEM, "maxItems": DEFAULT_LIMITS.list_items},
    "text": {"type": "string", "maxLength": DEFAULT_LIMITS.text_bytes},
    "instant": {
        "description": "now, or an instant with an offset.",
        "anyOf": [{"const": "now"}, {"type": "string", "format": "date-time", "pattern": _INSTANT}],
    },
    "minutes": {"type": "number", "minimum": 0, "maximum": 1e9, "description": "How far ahead, in minutes."},
}
"""By kind of operand, what a constant `value` must be."""
_OPERATOR: Final[Schema] = {
    "enum": list(OPERATORS),
    "description": "How to compare. A path that is missing makes all false but not_exists.",
}
_VALUE: Final[Schema] = {"description": "What to compare with: a constant, or {from_trait: path}."}


def comparison_schemas() -> Schema:
    """The definitions of trait_check, context_check and what both have in common."""
    path = {"$ref": "#/$defs/path"}
    of_traits = {
        "path": path | {"description": "The trait, or a way into its value."},
        "trait": path | {"description": "Another word for path."},
        "min_confidence": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "False where the trait is believed less than this.",
        },
    }
    of_context = {"field": path | {"description": "A field of the context."}}
    return {
        "comparison": {
            "required": ["operator"],
            "allOf": [_operand(kind) for kind in _OPERANDS],
        },
        "trait_check": _check("A check on a trait", of_traits)
        | {"oneOf": [{"required": ["path"]}, {"required": ["trait"]}]},
        "context_check": _check("A check on the context", of_context) | {"required": ["field"]},
    }


def _operand(kind: str) -> Schema:
    """What operators of one kind ask of their value."""
    names = [name for name, each in OPERATORS.items() if each.operand == kind]
    given: Schema = {"properties": {"value": _value(kind)}}
    return {
        "if": {"properties": {"operator": {"enum": names}}, "required": ["operator"]},
        "then": given if kind == "none" else given | {"required": ["value"]},
    }


def _value(kind: str) -> Schema:
    if kind == "none":
        return _OPERANDS[kind]
    return {"anyOf": [_OPERANDS[kind], _SOURCE]}


def _check(title: str, own: Schema) -> Schema:
    return {
        "title": title,
        "type": "object",
        "properties": own | {"operator": _OPERATOR, "value": _VALUE},
        "additionalProperties": False,
        "allOf": [{"$ref": "#/$defs/comparison"}],
    }


def time_check_schema() -> Schema:
    """The definition of time_check."""
    parts = ("period", "hour_range", "day_of_week")
    periods = ", ".join(f"{name} {start} to {end}" for name, (start, end) in PERIODS.items())
    return {
        "title": "A check on the time",
        "description": "All parts that are given must hold.",
        "type": "object",
        "properties": {
            "period": {
                "enum": list(PERIODS),
                "description": f"By the hour, the end not included: {periods}.",
            },
            "hour_range": {
                "type": "array",
                "prefixItems": [_hour(23), _hour(24)],
                "minItems": 2,
                "maxItems": 2,
                "description": "[start, end], the end not included; may cross midnight.",
            },
            "day_of_week": {
                "type": "array",
                "items": {"anyOf": [{"enum": [*WEEKDAYS]}, {"type": "string", "pattern": _days()}]},
                "minItems": 1,
                "maxItems": 7,
                "description": "Full or three-letter names, in any case.",
            },
            "timezone": {
                "anyOf": [{"enum": ["user_local", *zone_names()]}, {"type": "string", "pattern": ZONE}],
                "description": "Instead of where the person is; user_local is where they are.",
            },
        },
        "additionalProperties": False,
        "anyOf": [{"required": [part]} for part in parts],
    }


def _hour(highest: int) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": highest}


def _days() -> str:
    """The names of days in any case: JSON Schema's patterns have no flag for that."""
    names = (f"{_any_case(day[:3])}({_any_case(day[3:])})?" for day in WEEKDAYS)
    return f"^({'|'.join(names)})$"


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in word)


def condition_schema(kinds: Iterable[str], checks: Iterable[str]) -> Schema:
    """A condition in any accepted form: one key, or with a `type`."""
    inner: Schema = {"$ref": "#/$defs/condition"}
    group: Schema = {"type": "array", "items": inner, "minItems": 1}
    name: Schema = {"type": "string", "minLength": 1}
    contents: dict[str, Schema] = {
        "all": group | {"description": "Every one must hold."},
        "any": group | {"description": "At least one must hold."},
        "not": inner | {"description": "It must not hold."},
        "condition": name | {"description": "The name of one of the conditions of the mapper."},
        "trait_check": {"$ref": "#/$defs/trait_check"},
        "context_check": {"$ref": "#/$defs/context_check"},
        "time_check": {"$ref": "#/$defs/time_check"},
    }
    return {
        "title": "Condition",
        "type": "object",
        "if": {"required": ["type"]},
        "then": {
            "anyOf": [
                *(_closed({"type": {"enum": [kind, "single"]}, kind: contents[kind]}) for kind in kinds),
                *(_closed({"type": {"const": kind}, "conditions": group}) for kind in ("all", "any")),
                _closed({"type": {"const": "not"}, "condition": inner}),
                *(_flat(check) for check in checks),
            ]
        },
        "else": {
            "properties": {kind: contents[kind] for kind in kinds},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    }


def _closed(properties: Schema) -> Schema:
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _flat(check: str) -> Schema:
    """The check's own keys, beside its type."""
    definition = time_check_schema() if check == "time_check" else comparison_schemas()[check]
    return {
        **definition,
        "title": f"{definition['title']}, in the flat form",
        "properties": {"type": {"const": check}} | definition["properties"],
        "required": ["type", *definition.get("required", ())],
    }
