"""Parameters of a suggestion: a literal, or a value taken from a trait or the context when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from personakit_sdk.rules.conditions import read_source
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.paths import MISSING
from personakit_sdk.rules.plain import is_object, ordered
from personakit_sdk.rules.reading import Reading, Slots
from personakit_sdk.rules.template import text_of
from personakit_sdk.rules.transforms import TRANSFORMS

Parameter = Callable[[Reading], Any]
"""Gives the value, or MISSING where there is none and no default."""


def is_taken(value: Any) -> bool:
    """Whether a parameter takes its value from somewhere, rather than being a literal."""
    return is_object(value) and bool({"from_trait", "from_context"} & value.keys())


def read_parameter(node: Node) -> Any:
    """A literal as it is, or `{from_trait | from_context, default, transform}`."""
    if not is_taken(node.value):
        return node.constant()
    parameter: dict[str, Any] = dict(read_source(node, ("default", "transform")))
    if "default" in node.value:
        parameter["default"] = node.child("default", node.value["default"]).constant()
    if "transform" in node.value:
        parameter["transform"] = node.child("transform", node.value["transform"]).choice(
            "the transform", TRANSFORMS
        )
        _check_default(node, parameter)
    return parameter


def check_text(node: Node, parameter: Any) -> None:
    """Notes a fault where a text uses a literal or default that cannot stand in one."""
    value = parameter.get("default", MISSING) if is_taken(parameter) else parameter
    if value is not MISSING and text_of(value) is None:
        node.fault("a text uses it, so it must be a text, a number, true, false or a list of these")


def compile_parameter(parameter: Any, slots: Slots) -> Parameter:
    """The parameter in normal form, ready to be read. Null counts as no value."""
    if not is_taken(parameter):
        literal = ordered(parameter)
        return lambda _reading: literal
    slot = _slot(parameter, slots)
    transform = TRANSFORMS.get(parameter.get("transform", ""), ordered)
    default = ordered(parameter.get("default", MISSING))
    fallback = default if default is MISSING else transform(default)

    def value(reading: Reading) -> Any:
        seen = reading.values[slot]
        made = None if seen is MISSING else transform(seen)
        return fallback if made is None else made

    return value


def _slot(parameter: dict[str, Any], slots: Slots) -> int:
    if "from_trait" in parameter:
        return slots.trait(parameter["from_trait"])
    return slots.field(parameter["from_context"])


def _check_default(node: Node, parameter: dict[str, Any]) -> None:
    """A default is transformed like a value, so it must be one that the transform takes."""
    transform = TRANSFORMS.get(parameter["transform"])
    default = parameter.get("default")
    if transform is not None and default is not None and transform(default) is None:
        node.fault(f"the transform {parameter['transform']!r} cannot be applied to the default {default!r}")
