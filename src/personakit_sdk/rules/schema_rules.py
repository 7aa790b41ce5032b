"""Rules, templates and tests in the JSON Schema of the mapper document, and what they are made of."""

from __future__ import annotations

from typing import Any, Final

from personakit_sdk.rules.inline_case import SUGGESTION_KEYS
from personakit_sdk.rules.limits import Limits
from personakit_sdk.rules.rule import ID, LARGEST_WEIGHT, PRIORITIES
from personakit_sdk.rules.template import NAME
from personakit_sdk.rules.transforms import TRANSFORMS

Schema = dict[str, Any]

_FREE: Final[Schema] = {"type": "object"}


def closed(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """An object that may bear these keys only."""
    closed: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return closed | ({"required": list(required)} if required else {})


def _ref(name: str, description: str) -> Schema:
    return {"$ref": f"#/$defs/{name}", "description": description}


def constant(limits: Limits) -> Schema:
    """Any JSON; texts and lists are bounded."""
    return {
        "description": "Any JSON value.",
        "maxLength": limits.text_bytes,
        "maxItems": limits.list_items,
        "items": {"$ref": "#/$defs/constant"},
        "additionalProperties": {"$ref": "#/$defs/constant"},
    }


def text(limits: Limits) -> Schema:
    """A brace is doubled, or stands around a name."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.template_bytes,
        "pattern": rf"^([^{{}}]|\{{\{{|\}}\}}|\{{{NAME.pattern}\}})*$",
        "description": "A text with {name} for a parameter; {{ and }} are braces.",
    }


def whole(pattern: str) -> str:
    return f"^({pattern})$"


ID_SCHEMA: Final[Schema] = {"type": "string", "pattern": whole(ID.pattern)}
_SOURCES: Final[Schema] = {
    "from_trait": _ref("path", "Take the value of this trait."),
    "from_context": _ref("path", "Take the value of this field of the context."),
}
_ONE_SOURCE: Final = [{"required": [name]} for name in _SOURCES]
PARAMETER: Final[Schema] = {
    "title": "Parameter",
    "description": "A literal, or a value that is taken from the facts when the suggestion is made.",
    "if": {"type": "object", "anyOf": _ONE_SOURCE},
    "then": {
        **closed(
            _SOURCES
            | {
                "default": _ref(
                    "constant", "Stands in where there is no value; without it the suggestion drops."
                ),
                "transform": {
                    "enum": list(TRANSFORMS),
                    "description": "How the value is changed before it is put into a text.",
                },
            }
        ),
        "oneOf": _ONE_SOURCE,
    },
    "else": {"$ref": "#/$defs/constant"},
}
_TEXTS: Final[Schema] = {
    "title": _ref("text", "One line; {name} puts a parameter in."),
    "description": _ref("text", "What to do and why; {name} puts a parameter in."),
    "priority": {
        "enum": list(PRIORITIES),
        "default": "medium",
        "description": "Decides between suggestions of equal score.",
    },
    "metadata": _FREE | {"description": "Anything of your own; it comes with the suggestion."},
}
TEMPLATE: Final[Schema] = closed(_TEXTS, required=("title", "description")) | {"title": "Template"}
_SUGGESTION: Final[Schema] = {
    "title": "Suggestion",
    "description": "What is proposed: a template, or a title and a description of its own.",
    **closed(
        {
            "type": {
                "type": "string",
                "minLength": 1,
                "maxLength": 128,
                "description": "What kind of suggestion it is, as task_recommendation.",
            },
            "template": {"type": "string", "description": "The name of one of the templates."},
            **_TEXTS,
            "parameters": {
                "type": "object",
                "propertyNames": {"pattern": whole(NAME.pattern)},
                "additionalProperties": _ref("parameter", "A literal, or {from_trait: …}."),
                "description": "Values by name, for the texts and for whoever gets the suggestion.",
            },
        },
        required=("type",),
    ),
    "oneOf": [
        {"required": ["template"], "properties": dict.fromkeys(_TEXTS, False)},
        {"required": ["title", "description"], "properties": {"template": False}},
    ],
}
RULE: Final[Schema] = {
    "title": "Rule",
    **closed(
        {
            "id": ID_SCHEMA | {"description": "Unique in the mapper; feedback and weights go by it."},
            "description": {"type": "string", "description": "What the rule is for."},
            "enabled": {"type": "boolean", "default": True, "description": "false: it never fires."},
            "priority": {
                "type": "integer",
                "minimum": -1_000_000,
                "maximum": 1_000_000,
                "default": 0,
                "description": "Higher comes first, before any score.",
            },
            "conditions": _ref("condition", "When the rule fires."),
            "actions": {
                "type": "array",
                "minItems": 1,
                "description": "What it proposes then.",
                "items": closed(
                    {"type": {"const": "generate_suggestion"}, "generate_suggestion": _SUGGESTION},
                    required=("generate_suggestion",),
                ),
            },
            "weight": {
                "type": "number",
                "minimum": 0,
                "maximum": LARGEST_WEIGHT,
                "default": 1.0,
                "description": "How much it counts; 0 is never. What was learned multiplies it.",
            },
        },
        required=("id", "conditions", "actions"),
    ),
}
PATHS: Final[Schema] = {"type": "array", "items": {"$ref": "#/$defs/path"}}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
TEST: Final[Schema] = {
    "title": "Test",
    **closed(
        {
            "name": {"type": "string", "minLength": 1, "description": "What it shows, as a sentence."},
            "given": {
                "description": "The facts; what is left out is not there.",
                **closed(
                    {
                        "traits": _FREE | {"description": "Values by the path of their trait; all certain."},
                        "context": _FREE | {"description": "What the caller knows of the moment."},
                        "at": _INSTANT | {"description": "The instant, with an offset."},
                        "timezone": {"type": "string", "description": "Where the person is: Europe/Berlin."},
                        "learned": {
                            "type": "object",
                            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1000},
                            "description": "What feedback has made of the weights: a factor by rule.",
                        },
                    }
                ),
            },
            "expect": {
                "description": "What is to come of it.",
                **closed(
                    {
                        "rules": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Exactly the rules that fire, in their order.",
                        },
                        "suggestions": {
                            "type": "array",
                            "items": closed(dict.fromkeys(SUGGESTION_KEYS, True)),
                            "description": "All suggestions in their order; only the keys given count.",
                        },
                    },
                    required=("rules",),
                ),
            },
        },
        required=("name", "expect"),
    ),
}
