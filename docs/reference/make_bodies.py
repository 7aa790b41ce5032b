"""Writes `bodies.md` from the Structs in `personakit_sdk/wire.py`; a test holds the two together.

Run it after a change: `.venv/bin/python docs/reference/make_bodies.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from personakit_sdk import wire

PAGE = Path(__file__).with_name("bodies.md")
HEAD = """# Bodies of the API

Every body that is sent or answered, field by field. Made from `src/personakit_sdk/wire.py`; do not edit.
Times are RFC 3339 with an offset. In what is sent, a field that is not listed is an error; in answers,
fields may be added, so ignore those you do not know. The routes are at `/docs` of a running service.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(_section, _structs())])


def _structs() -> list[type[msgspec.Struct]]:
    """Those of the module, then those of the rule engine that they have parts of."""
    found = [
        value
        for value in vars(wire).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    structs = [struct for struct in found if struct not in (wire.Request, wire.Answer, wire.TraitFact)]
    return sorted(structs, key=lambda struct: struct.__module__ != wire.__name__)


def _section(struct: type[msgspec.Struct]) -> str:
    _, components = msgspec.json.schema_components([struct])
    schema = components[struct.__name__]
    required = set(schema.get("required", []))
    rows = [
        f"| `{name}` | {_type(field)} | {_yes(name in required)} | {field.get('description', '')} |"
        for name, field in schema["properties"].items()
    ]
    side = _side(struct)
    need = "required" if side == "sent" else "always there"
    table = [f"| field | type | {need} | |", "|---|---|---|---|"]
    text = (struct.__doc__ or "").replace("\n    ", "\n")
    return "\n".join([f"## {struct.__name__} ({side})", "", text, "", *table, *rows, ""])


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    match schema:
        case {"$ref": ref}:
            return _link(ref.rpartition("/")[2])
        case {"anyOf": options}:
            return " or ".join(_type(option) for option in options)
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in sorted(values))
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": dict() as values} if values:
            return f"object of {_type(values)}"
    return str(schema.get("format") or schema.get("type") or "any")


def _yes(said: bool) -> str:
    return "yes" if said else "no"


def _link(name: str) -> str:
    struct = getattr(wire, name, None)
    return f"[{name}](#{name.lower()}-{_side(struct)})" if struct in _structs() else f"`{name}`"


def _side(struct: type[msgspec.Struct]) -> str:
    return "sent" if issubclass(struct, wire.Request) else "answered"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
