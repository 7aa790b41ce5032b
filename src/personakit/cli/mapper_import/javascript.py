"""How JavaScript compares a fact with a constant, said in conditions of this language.

Source: ECMA-262, IsLooselyEqual (7.2.13), IsStrictlyEqual (7.2.14), IsLessThan (7.2.12) and ToNumber (7.1.4).
A fact that is missing counts as null where a function does not say otherwise.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from personakit.cli.mapper_import.facts import Fact
from personakit.cli.mapper_import.notes import LISTS, SPELLINGS, Notes
from personakit.cli.mapper_import.truth import Truth, all_of, any_of, negation
from personakit_sdk.rules.node import Node

LARGEST_NUMBER: Final = 1.7976931348623157e308
_SAFE: Final = 2**53 - 1
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_OTHER_NUMBER = re.compile(r"[+-]?Infinity|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "less": operator.lt,
    "less_or_equal": operator.le,
    "greater": operator.gt,
    "greater_or_equal": operator.ge,
}
MIRRORED: Final = {
    "less": "greater",
    "less_or_equal": "greater_or_equal",
    "greater": "less",
    "greater_or_equal": "less_or_equal",
}
"""The operator with its sides changed."""


def is_scalar(value: Any) -> bool:
    """Whether JavaScript compares such a value by itself, and not by identity."""
    return not isinstance(value, dict | list)


def number_of(value: Any) -> float | None:
    """ToNumber of a constant; None for NaN, for what is beyond all numbers, and for texts that only
    JavaScript takes for a number."""
    match value:
        case None | False | "":
            return 0
        case True:
            return 1
        case str():
            number = float(value) if _DECIMAL.fullmatch(value) else math.nan
            return number if math.isfinite(number) else None
        case _:
            return float(value)


def plain_number(number: float) -> float:
    """The same number, whole where it is."""
    return int(number) if number == int(number) and abs(number) <= _SAFE else number


def text_of(number: float) -> str | None:
    """ToString of a number; None where it would write an exponent."""
    text = str(plain_number(number))
    return None if "e" in text or "E" in text else text


def check_constant(node: Node) -> bool:
    """Whether a constant can be compared with as JavaScript does; notes a fault where not."""
    value = node.value
    if not is_scalar(value):
        node.fault("JavaScript compares lists and objects by identity, so that this is never equal to a fact")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE:
        node.fault(f"JavaScript cannot tell {value} from its neighbours; give a number up to 2^53 - 1")
    else:
        return True
    return False


def is_nothing(fact: Fact) -> Truth:
    """It is null, or missing."""
    return any_of([fact.check("not_exists"), fact.check("equals", None)])


def is_text(fact: Fact) -> Truth:
    """It is a text."""
    return fact.check("starts_with", "")


def is_list(fact: Fact) -> Truth:
    """It is a list."""
    return fact.check("contains_all", [])


def is_number(fact: Fact) -> Truth:
    """It is a number, and no text that is one."""
    finite = fact.check("between", [-LARGEST_NUMBER, LARGEST_NUMBER])
    return all_of([finite, negation(is_text(fact))])


def strictly_equal(fact: Fact, constant: Any) -> Truth:
    """`===` with a scalar."""
    return is_nothing(fact) if constant is None else fact.check("equals", constant)


def one_of(fact: Fact, constants: list[Any]) -> Truth:
    """`===` with one of these scalars."""
    missing = [fact.check("not_exists")] if None in constants else []
    return any_of([fact.check("in", constants), *missing]) if constants else False


def loosely_equal(fact: Fact, node: Node, notes: Notes) -> Truth:
    """`==` with the constant of a node that `check_constant` took."""
    constant = node.value
    if constant is None:
        return is_nothing(fact)
    if isinstance(constant, str):
        return _equal_to_text(fact, constant, node, notes)
    notes.add(SPELLINGS, node.pointer)
    return _equal_to_number(fact, plain_number(number_of(constant) or 0), ["", False, []])


def _equal_to_text(fact: Fact, constant: str, node: Node, notes: Notes) -> Truth:
    number = number_of(constant)
    notes.add(LISTS, node.pointer)
    if constant != constant.strip() or _OTHER_NUMBER.fullmatch(constant):
        node.fault("JavaScript takes this text for a number; write the number")
    if number is None:
        return fact.check("equals", constant)
    # Of two texts the letters count: "5" is not "5.0".
    alike: list[Any] = [constant, plain_number(number)]
    if number in (0, 1):
        alike.append(number == 1)
    return fact.check("in", [*alike, []] if constant == "" else alike)


def as_number_equal(fact: Fact, node: Node, notes: Notes) -> Truth:
    """`fact * 1 === number`: what counts as 0 or 1 is equal to it, null and missing too."""
    notes.add(SPELLINGS, node.pointer)
    zero = [fact.check("not_exists")] if node.value == 0 else []
    return any_of([_equal_to_number(fact, node.value, ["", False, None, []]), *zero])


def _equal_to_number(fact: Fact, number: float, zeros: list[Any]) -> Truth:
    """A number, or a text that is one; or what counts as 0 or 1."""
    alike = zeros if number == 0 else [True] if number == 1 else []
    others = [fact.check("in", alike)] if alike else []
    return any_of([fact.check("between", [number, number]), *others])


def ordered(fact: Fact, name: str, node: Node, notes: Notes) -> Truth:
    """`<`, `<=`, `>` or `>=` with the constant of a node, the fact on the left."""
    constant = node.value
    if isinstance(constant, str):
        return _ordered_as_text(fact, name, node, notes)
    number = number_of(constant) if check_constant(node) else None
    if number is None:
        return False
    notes.add(SPELLINGS, node.pointer)
    holds = _COMPARE[name]
    zeros: list[Any] = [False, None, "", []] if holds(0, number) else []
    ones = [True] if holds(1, number) else []
    others = [fact.check("in", zeros + ones)] if zeros + ones else []
    missing = [fact.check("not_exists")] if zeros else []
    return any_of([fact.check(name, constant if is_real(constant) else number), *others, *missing])


def is_real(value: Any) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered_as_text(fact: Fact, name: str, node: Node, notes: Notes) -> Truth:
    text: str = node.value
    is_number = not text or _DECIMAL.fullmatch(text) or _OTHER_NUMBER.fullmatch(text.strip())
    if is_number or text != text.strip():
        node.fault(
            f"JavaScript orders {text!r} as text beside texts and as a number beside numbers, and here it is "
            "always a number; write the number itself"
        )
    elif not text.isascii():
        node.fault("JavaScript orders texts by UTF-16, and here code points count; give plain ASCII")
    notes.add(LISTS, node.pointer)
    return fact.check(name, text)
