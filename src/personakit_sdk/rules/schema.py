"""The JSON Schema of the mapper document, built from the tables that the reader itself goes by.

What is valid always meets it; it refuses most of what is not, while it is written. What a schema cannot say
is left to validation: names that must exist, texts that need their parameters, how deep conditions go.
"""

from __future__ import annotations

from typing import Any, Final

from personakit_sdk.rules.conditions import CHECKS, KINDS
from personakit_sdk.rules.document import (
    _SECTIONS,  # pyright: ignore[reportPrivateUsage] - a table of the reader
    _SEMVER,  # pyright: ignore[reportPrivateUsage]
    _SETTINGS,  # pyright: ignore[reportPrivateUsage]
)
from personakit_sdk.rules.inline_case import SUGGESTION_KEYS
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.rule import ID, LARGEST_WEIGHT, PRIORITIES
from personakit_sdk.rules.schema_conditions import (
    PATH,
    comparison_schemas,
    condition_schema,
    time_check_schema,
)
from personakit_sdk.rules.template import NAME
from personakit_sdk.rules.transforms import TRANSFORMS

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
PATH_OF_SCHEMA: Final = "/schemas/mapper.json"
"""Where a service has it."""
_FREE: Final[Schema] = {"type": "object"}


def mapper_schema(limits: Limits = DEFAULT_LIMITS) -> Schema:
    """The schema, draft 2020-12, of a document in any accepted form."""
    sections = {name: _SECTION_SCHEMAS[name] for name in _SECTIONS}
    sections["rules"] = sections["rules"] | {"maxItems": limits.rules}
    return {
        "$schema": DIALECT,
        "$id": PATH_OF_SCHEMA,
        "title": "PersonaKit mapper",
        "description": "Rules turning what is known of a person, the time and the context into suggestions.",
        **_object(sections, required=("metadata", "rules")),
        "$defs": {
            "constant": _constant(limits),
            "parameter": _PARAMETER,
            "path": PATH,
            "template": _TEMPLATE,
            "text": _text(limits),
            **comparison_schemas(),
            "time_check": time_check_schema(),
            "condition": condition_schema(KINDS, CHECKS),
        },
    }


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """An object that may bear these keys only."""
    closed: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return closed | ({"required": list(required)} if required else {})


def _ref(name: str, description: str) -> Schema:
    return {"$ref": f"#/$defs/{name}", "description": description}


def _constant(limits: Limits) -> Schema:
    """Any JSON; texts and lists are bounded."""
    return {
        "description": "Any JSON value.",
        "maxLength": limits.text_bytes,
        "maxItems": limits.list_items,
        "items": {"$ref": "#/$defs/constant"},
        "additionalProperties": {"$ref": "#/$defs/constant"},
    }


def _text(limits: Limits) -> Schema:
    """A brace is doubled, or stands around a name."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.template_bytes,
        "pattern": rf"^([^{{}}]|\{{\{{|\}}\}}|\{{{NAME.pattern}\}})*$",
        "description": "A text with {name} for a parameter; {{ and }} are braces.",
    }


def _whole(pattern: str) -> str:
    return f"^({pattern})$"


_ID: Final[Schema] = {"type": "string", "pattern": _whole(ID.pattern)}
_SOURCES: Final[Schema] = {
    "from_trait": _ref("path", "Take the value of this trait."),
    "from_context": _ref("path", "Take the value of this field of the context."),
}
_ONE_SOURCE: Final = [{"required": [name]} for name in _SOURCES]
_PARAMETER: Final[Schema] = {
    "title": "Parameter",
    "description": "A literal, or a value that is taken from the facts when the suggestion is made.",
    "if": {"type": "object", "anyOf": _ONE_SOURCE},
    "then": {
        **_object(
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
_TEMPLATE: Final[Schema] = _object(_TEXTS, required=("title", "description")) | {"title": "Template"}
_SUGGESTION: Final[Schema] = {
    "title": "Suggestion",
    "description": "What is proposed: a template, or a title and a description of its own.",
    **_object(
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
                "propertyNames": {"pattern": _whole(NAME.pattern)},
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
_RULE: Final[Schema] = {
    "title": "Rule",
    **_object(
        {
            "id": _ID | {"description": "Unique in the mapper; feedback and weights go by it."},
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
                "items": _object(
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
_PATHS: Final[Schema] = {"type": "array", "items": {"$ref": "#/$defs/path"}}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
_TEST: Final[Schema] = {
    "title": "Test",
    **_object(
        {
            "name": {"type": "string", "minLength": 1, "description": "What it shows, as a sentence."},
            "given": {
                "description": "The facts; what is left out is not there.",
                **_object(
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
                **_object(
                    {
                        "rules": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Exactly the rules that fire, in their order.",
                        },
                        "suggestions": {
                            "type": "array",
                            "items": _object(dict.fromkeys(SUGGESTION_KEYS, True)),
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


def _setting(default: float, low: float, high: float) -> Schema:
    kind = "integer" if isinstance(default, int) else "number"
    return {"type": kind, "minimum": low, "maximum": high, "default": default}


_SECTION_SCHEMAS: Final[Schema] = {
    "metadata": {
        "type": "object",
        "description": "Which mapper this is. Keys of your own are kept.",
        "properties": {
            "id": _ID | {"description": "The mapper's id, in addresses too."},
            "version": {
                "type": "string",
                "pattern": _whole(_SEMVER.pattern),
                "description": "Yours, as 1.2.0; it must not go down.",
            },
            "name": {"type": "string", "minLength": 1, "description": "For people."},
            "description": {"type": "string", "description": "What the mapper is for."},
        },
        "required": ["id", "version", "description"],
    },
    "required_traits": _PATHS | {"description": "Traits whose absence answers tell; rules run without them."},
    "trait_mappings": {
        "type": "object",
        "additionalProperties": _PATHS,
        "description": "Which traits feedback on a type of suggestion is about.",
    },
    "conditions": {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/condition"},
        "description": "Conditions with names, for {condition: name}.",
    },
    "rules": {"type": "array", "minItems": 1, "items": _RULE, "description": "In the author's order."},
    "templates": {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/template"},
        "description": "Texts by name, for suggestions.",
    },
    "feedback_settings": {
        "description": "How feedback moves the weights.",
        **_object({name: _setting(*bounds) for name, bounds in _SETTINGS.items()}),
    },
    "tests": {"type": "array", "items": _TEST, "description": "Run at every upload, which fails with them."},
}
