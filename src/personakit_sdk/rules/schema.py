"""The JSON Schema of the mapper document, built from the tables that the reader itself goes by.

What is valid always meets it; it refuses most of what is not, while it is written. What a schema cannot say
is left to validation: names that must exist, texts that need their parameters, how deep conditions go.
"""

from __future__ import annotations

from typing import Final

from personakit_sdk.rules.conditions import CHECKS, KINDS
from personakit_sdk.rules.document import (
    EXPLORATION,
    MOST_PURPOSES,
    PUBLISHING,
    PURPOSE,
    SECTIONS,
    SEMVER,
    SETTINGS,
)
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.schema_conditions import (
    PATH,
    comparison_schemas,
    condition_schema,
    time_check_schema,
)
from personakit_sdk.rules.schema_rules import (
    ID_SCHEMA,
    PARAMETER,
    PATHS,
    RULE,
    TEMPLATE,
    TEST,
    Schema,
    closed,
    constant,
    text,
    whole,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
PATH_OF_SCHEMA: Final = "/schemas/mapper.json"
"""Where a service has it."""


def mapper_schema(limits: Limits = DEFAULT_LIMITS) -> Schema:
    """The schema, draft 2020-12, of a document in any accepted form."""
    sections = {name: _SECTION_SCHEMAS[name] for name in SECTIONS}
    sections["rules"] = sections["rules"] | {"maxItems": limits.rules}
    return {
        "$schema": DIALECT,
        "$id": PATH_OF_SCHEMA,
        "title": "PersonaKit mapper",
        "description": "Rules turning what is known of a person, the time and the context into suggestions.",
        **closed(sections, required=("metadata", "rules")),
        "$defs": {
            "constant": constant(limits),
            "parameter": PARAMETER,
            "path": PATH,
            "template": TEMPLATE,
            "text": text(limits),
            **comparison_schemas(),
            "time_check": time_check_schema(),
            "condition": condition_schema(KINDS, CHECKS),
        },
    }


def _setting(default: float, low: float, high: float) -> Schema:
    kind = "integer" if isinstance(default, int) else "number"
    return {"type": kind, "minimum": low, "maximum": high, "default": default}


_BAND: Final[Schema] = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 1,
    "description": "Rules whose score is lower than the best one's by no more than this part change places "
    "by chance; without it, none.",
}
_SECTION_SCHEMAS: Final[Schema] = {
    "metadata": {
        "type": "object",
        "description": "Which mapper this is. Keys of your own are kept.",
        "properties": {
            "id": ID_SCHEMA | {"description": "The mapper's id, in addresses too."},
            "version": {
                "type": "string",
                "pattern": whole(SEMVER.pattern),
                "description": "Yours, as 1.2.0; it must not go down.",
            },
            "name": {"type": "string", "minLength": 1, "description": "For people."},
            "description": {"type": "string", "description": "What the mapper is for."},
        },
        "required": ["id", "version", "description"],
    },
    "purposes": {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_PURPOSES,
        "items": {"type": "string", "pattern": whole(PURPOSE.pattern)},
        "description": "What the suggestions are for, as wellbeing. Where consent is required, nobody is "
        "mapped who has not consented to all of it.",
    },
    "required_traits": PATHS | {"description": "Traits whose absence answers tell; rules run without them."},
    "trait_mappings": {
        "type": "object",
        "additionalProperties": PATHS,
        "description": "Which traits feedback on a type of suggestion is about.",
    },
    "conditions": {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/condition"},
        "description": "Conditions with names, for {condition: name}.",
    },
    "rules": {"type": "array", "minItems": 1, "items": RULE, "description": "In the author's order."},
    "templates": {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/template"},
        "description": "Texts by name, for suggestions.",
    },
    "feedback_settings": {
        "description": "How feedback moves the weights.",
        **closed(
            {name: _setting(*bounds) for name, bounds in SETTINGS.items()}
            | {
                "publishing": {
                    "enum": list(PUBLISHING),
                    "default": PUBLISHING[0],
                    "description": "Whether what is learned is published by itself, proposed only, or not "
                    "learned at all.",
                },
                EXPLORATION: _BAND,
            }
        ),
    },
    "tests": {"type": "array", "items": TEST, "description": "Run at every upload, which fails with them."},
}
