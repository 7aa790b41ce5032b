"""Rules, actions and templates as documents: read, checked and brought into the normal form."""

from __future__ import annotations

import re
from typing import Any, Final

from personakit_sdk.rules.conditions import read_rule_conditions
from personakit_sdk.rules.node import Node, did_you_mean, take, take_list, take_object
from personakit_sdk.rules.parameters import check_text, read_parameter
from personakit_sdk.rules.plain import is_object
from personakit_sdk.rules.template import NAME, parse_template

PRIORITIES: Final = ("high", "medium", "low")
ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}")
LARGEST_WEIGHT: Final = 10.0

_RULE: Final = ("id", "description", "enabled", "priority", "conditions", "actions", "weight")
_TEXTS: Final = ("title", "description", "priority", "metadata")
_SUGGESTION: Final = ("type", "template", *_TEXTS, "parameters")
_LARGEST_PRIORITY: Final = 1_000_000

Templates = dict[str, dict[str, Any]]


def read_id(node: Node) -> str:
    """An id that fits into an address and a suggestion id."""
    text = node.text()
    if text and not ID.fullmatch(text):
        node.fault(
            f"the id {text[:64]!r} must be 1 to 128 of A-Z a-z 0-9 . _ : @ - and begin with a letter, "
            "a digit or _"
        )
    return text


def read_template(node: Node) -> dict[str, Any]:
    """A template under its name."""
    return _read_texts(node.fields(_TEXTS, ("title", "description")))


def read_rule(node: Node, templates: Templates) -> dict[str, Any]:
    """A rule; its defaults are written out."""
    fields = node.fields(_RULE, ("id", "conditions", "actions"))
    return {
        "id": take(fields, "id", read_id, ""),
        "description": take(fields, "description", read_prose, ""),
        "enabled": take(fields, "enabled", Node.flag, True),
        "priority": take(fields, "priority", _read_rank, 0),
        "conditions": take(fields, "conditions", read_rule_conditions, {"all": []}),
        "actions": take_list(fields, "actions", lambda each: _read_actions(each, templates)),
        "weight": take(fields, "weight", lambda each: each.number(0, LARGEST_WEIGHT), 1.0),
    }


def read_prose(node: Node) -> str:
    """A text for people, which may be longer than a constant and may be empty."""
    return "" if node.value == "" else node.text(node.limits.template_bytes)


def read_free(node: Node) -> dict[str, Any]:
    """An object whose keys are the author's own."""
    return {key: value.value for key, value in node.entries().items()}


def _read_actions(node: Node, templates: Templates) -> list[dict[str, Any]]:
    return [_read_action(action, templates) for action in node.items(at_least=1)]


def _read_rank(node: Node) -> int:
    return node.whole(-_LARGEST_PRIORITY, _LARGEST_PRIORITY)


def _read_action(node: Node, templates: Templates) -> dict[str, Any]:
    """`{generate_suggestion: {…}}`; a `type` beside it may only say the same."""
    fields = node.fields(("type", "generate_suggestion"), ("generate_suggestion",))
    if "type" in fields:
        fields["type"].choice("the action", ("generate_suggestion",))
    if "generate_suggestion" not in fields:
        return {}
    return {"generate_suggestion": _read_suggestion(fields["generate_suggestion"], templates)}


def _read_suggestion(node: Node, templates: Templates) -> dict[str, Any]:
    fields = node.fields(_SUGGESTION, ("type",))
    named = take_object(fields, "parameters", Node.entries)
    suggestion: dict[str, Any] = {"type": take(fields, "type", lambda each: each.text(128), "")}
    if "template" in fields:
        suggestion["template"] = _read_template_name(fields, templates)
        texts = templates.get(suggestion["template"], {})
    else:
        texts = _read_inline_texts(node, fields)
        suggestion.update(texts)
    suggestion["parameters"] = {name: _read_named(name, value) for name, value in named.items()}
    _check_names(node, texts, named, suggestion["parameters"])
    return suggestion


def _read_template_name(fields: dict[str, Node], templates: Templates) -> str:
    for key in _TEXTS:
        if key in fields:
            fields[key].fault("it comes from the template; give a `template` or the texts themselves")
    return fields["template"].choice("the template", templates)


def _read_inline_texts(node: Node, fields: dict[str, Node]) -> dict[str, Any]:
    if is_object(node.value) and ("title" not in fields or "description" not in fields):
        node.fault("it needs a `template`, or a `title` and a `description`")
    return _read_texts(fields)


def _read_texts(fields: dict[str, Node]) -> dict[str, Any]:
    """Title and description with the priority and metadata of what is made from them."""
    return {
        "title": take(fields, "title", _read_text, ""),
        "description": take(fields, "description", _read_text, ""),
        "priority": take(fields, "priority", lambda each: each.choice("the priority", PRIORITIES), "medium"),
        "metadata": take_object(fields, "metadata", read_free),
    }


def _read_text(node: Node) -> str:
    text = node.text(node.limits.template_bytes)
    try:
        parse_template(text)
    except ValueError as error:
        node.fault(str(error))
    return text


def _read_named(name: str, node: Node) -> Any:
    if not NAME.fullmatch(name):
        node.fault(f"the name {name[:64]!r} must be a letter or _ and up to 63 more letters, digits and _")
    return read_parameter(node)


def _check_names(
    node: Node, texts: dict[str, Any], nodes: dict[str, Node], parameters: dict[str, Any]
) -> None:
    """Every name in the texts must be a parameter that can stand in a text."""
    for name in sorted(names_in(texts)):
        if name in parameters:
            check_text(nodes[name], parameters[name])
        else:
            close = did_you_mean(name, parameters)
            node.fault(f"its text uses {{{name}}}, which is not among its parameters{close}")


def names_in(texts: dict[str, Any]) -> set[str]:
    """The names that title and description put in; none where a text could not be parsed."""
    try:
        parsed = [parse_template(texts[key]) for key in ("title", "description") if key in texts]
    except ValueError:
        return set()
    return {name for template in parsed for name in template.names}
