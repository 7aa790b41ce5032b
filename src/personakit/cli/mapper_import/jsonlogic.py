"""JsonLogic: logic over facts, for whether it is truthy. What computes a value is refused.

`==` is JavaScript's loose equality: 5 == "5", and a constant is compared with all that equals it there. A
fact that is missing is null. An empty list is not truthy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from personakit.cli.mapper_import import javascript as js
from personakit.cli.mapper_import.facts import Fact, FactNames, check_segments
from personakit.cli.mapper_import.imported import PLACEHOLDER, Imported, conditions_of, rule
from personakit.cli.mapper_import.notes import LETTERS, Notes
from personakit.cli.mapper_import.truth import Truth, all_of, any_of, negation
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.plain import is_list, is_object

_ORDERS: Final = {"<": "less", "<=": "less_or_equal", ">": "greater", ">=": "greater_or_equal"}
_COMPUTING: Final = (
    *("map", "filter", "reduce", "all", "none", "some", "merge", "cat", "substr"),
    *("+", "-", "*", "/", "%", "max", "min", "log", "method"),
)
_FALSY: Final[list[Any]] = [None, False, 0, "", []]


class _Variable(NamedTuple):
    """A fact, and what stands for it where it is missing."""

    fact: Fact
    default: Any


def read(root: Node, names: FactNames, notes: Notes) -> Imported:
    """One logic, or a list of them; each becomes a rule."""
    reader = _Reader(names, notes)
    logics = root.items(at_least=1) if is_list(root.value) else [root]
    return Imported([reader.rule(node, number) for number, node in enumerate(logics, 1)], {})


class _Reader:
    def __init__(self, names: FactNames, notes: Notes) -> None:
        self._names = names
        self._notes = notes
        self._truths: dict[str, Callable[[list[Node], Node], Truth]] = {
            "and": lambda given, _: all_of(map(self.truthy, given)) if given else False,
            "or": lambda given, _: any_of(map(self.truthy, given)),
            "!": lambda given, node: negation(self._one(given, node)),
            "!!": self._one,
            "if": self._if,
            "?:": self._if,
            "==": lambda given, node: self._equal(given, node, self._loosely),
            "!=": lambda given, node: negation(self._equal(given, node, self._loosely)),
            "===": lambda given, node: self._equal(given, node, self._strictly),
            "!==": lambda given, node: negation(self._equal(given, node, self._strictly)),
            "in": self._in,
            "missing": lambda given, _: any_of([self._is_missing(each) for each in _listed(given)]),
            "missing_some": self._missing_some,
            **dict.fromkeys(_ORDERS, self._ordered),
        }

    def rule(self, node: Node, number: int) -> dict[str, Any]:
        said = "Imported from JsonLogic; say here what is suggested."
        conditions = conditions_of(node, self.truthy(node))
        return rule(f"rule_{number}", conditions, kind="imported", title=f"Rule {number}", description=said)

    def truthy(self, node: Node) -> Truth:
        """Whether what the logic gives is truthy."""
        operation = _operation(node)
        if operation is None:
            return is_object(node.value) or bool(node.value)
        name, given = operation
        if name == "var":
            return self._truthy_variable(given[0] if given else node, node)
        if name in self._truths:
            return self._truths[name](given, node)
        self._refuse(name, node)
        return PLACEHOLDER

    def _refuse(self, name: str, node: Node) -> None:
        if name in _COMPUTING:
            node.fault(f"{name!r} computes a value; only what is true or false of facts can be imported")
        else:
            node.unknown(name, "the operation", (*self._truths, "var"))

    def _one(self, given: list[Node], _: Node) -> Truth:
        return self.truthy(given[0]) if given else False

    def _if(self, given: list[Node], _: Node) -> Truth:
        """Condition and result in turn, then what else."""
        branches: list[Truth] = []
        before: list[Truth] = []
        for condition, result in zip(given[0::2], given[1::2], strict=False):
            held = self.truthy(condition)
            branches.append(all_of([*before, held, self.truthy(result)]))
            before.append(negation(held))
        if len(given) % 2:
            branches.append(all_of([*before, self.truthy(given[-1])]))
        return any_of(branches)

    def _truthy_variable(self, _: Node, node: Node) -> Truth:
        variable = self._variable(node)
        return self._of(variable, lambda fact: fact.check("not_in", _FALSY), bool(variable.default))

    def _variable(self, node: Node) -> _Variable:
        """The fact of a `var`, which has a path and may have a default."""
        operation = _operation(node)
        given = operation[1] if operation else []
        path = given[0].value if given else None
        if not isinstance(path, str | int) or isinstance(path, bool) or path == "":
            node.fault("`var` needs the path of a fact here; all facts at once cannot be compared")
            return _Variable(self._names.dotted("refused"), None)
        segments = str(path).split(".")
        check_segments(given[0], segments)
        if any(segment.isdigit() for segment in segments[1:]):
            self._notes.add(LETTERS, given[0].pointer)
        default = given[1] if len(given) > 1 else None
        if default is not None and _operation(default) is not None:
            default.fault("a default that is computed cannot be imported")
        return _Variable(self._names.dotted(str(path)), default.value if default is not None else None)

    def _of(self, variable: _Variable, held: Callable[[Fact], Truth], missing: bool) -> Truth:
        """A condition on a fact, and what it comes to where the fact is missing."""
        fact = variable.fact
        if missing:
            return any_of([fact.check("not_exists"), held(fact)])
        return all_of([fact.check("exists"), held(fact)]) if variable.default is not None else held(fact)

    def _sides(self, given: list[Node], node: Node) -> tuple[Node, Node] | None:
        """The `var` and the constant that are compared."""
        if len(given) != 2:
            node.fault(f"it compares {len(given)} values; only two can be imported")
            return None
        kinds = [_kind(each) for each in given]
        if kinds == ["var", "constant"]:
            return given[0], given[1]
        if kinds == ["constant", "var"]:
            return given[1], given[0]
        node.fault("only a `var` and a constant can be compared: else JavaScript looks at both types")
        return None

    def _equal(self, given: list[Node], node: Node, compare: Callable[[Fact, Node], Truth]) -> Truth:
        sides = self._sides(given, node)
        if sides is None or not js.check_constant(sides[1]):
            return PLACEHOLDER
        variable = self._variable(sides[0])
        if variable.default is not None:
            sides[0].fault("a default beside == or === cannot be imported; compare without it")
        return compare(variable.fact, sides[1])

    def _loosely(self, fact: Fact, node: Node) -> Truth:
        return js.loosely_equal(fact, node, self._notes)

    def _strictly(self, fact: Fact, node: Node) -> Truth:
        return js.strictly_equal(fact, node.value)

    def _ordered(self, given: list[Node], node: Node) -> Truth:
        operation = _operation(node)
        name = operation[0] if operation else ""
        if len(given) == 3 and name in ("<", "<="):
            return all_of([self._pair(name, given[:2], node), self._pair(name, given[1:], node)])
        return self._pair(name, given, node)

    def _pair(self, name: str, given: list[Node], node: Node) -> Truth:
        sides = self._sides(given, node)
        if sides is None:
            return PLACEHOLDER
        variable = self._variable(sides[0])
        if variable.default is not None:
            sides[0].fault("a default beside an ordering cannot be imported; compare without it")
        ours = _ORDERS[name] if sides[0] is given[0] else js.MIRRORED[_ORDERS[name]]
        return js.ordered(variable.fact, ours, sides[1], self._notes)

    def _in(self, given: list[Node], node: Node) -> Truth:
        """A fact in a list of constants, or a constant in a fact that is a list or a text."""
        if len(given) == 2 and _kind(given[0]) == "var" and is_list(given[1].value):
            items = given[1].items()
            if any(_operation(item) is not None for item in items):
                given[1].fault("a list that is computed cannot be imported")
            sound = [js.check_constant(item) for item in items]
            if not all(sound):
                return PLACEHOLDER
            return js.one_of(self._fact(given[0]), [item.value for item in items])
        if len(given) == 2 and _kind(given[0]) == "constant" and _kind(given[1]) == "var":
            return self._contains(self._fact(given[1]), given[0])
        node.fault("`in` needs a `var` and a list of constants, or a constant and a `var`")
        return PLACEHOLDER

    def _fact(self, node: Node) -> Fact:
        variable = self._variable(node)
        if variable.default is not None:
            node.fault("a default beside `in` cannot be imported")
        return variable.fact

    def _contains(self, fact: Fact, node: Node) -> Truth:
        value = node.value
        if not js.check_constant(node):
            return PLACEHOLDER
        if value == "":
            return all_of([fact.check("contains", ""), fact.check("not_equals", "")])
        if isinstance(value, str):
            return fact.check("contains", value)
        text = _written(value)
        if text is None:
            node.fault("JavaScript writes this number with an exponent; write a text or a plain number")
            return PLACEHOLDER
        inside = all_of([js.is_text(fact), fact.check("contains", text)])
        return any_of([fact.check("contains_any", [value]), inside])

    def _is_missing(self, node: Node) -> Truth:
        """Null, missing or empty."""
        if not isinstance(node.value, str | int) or isinstance(node.value, bool) or node.value == "":
            node.fault("`missing` needs the paths of facts")
            return PLACEHOLDER
        check_segments(node, str(node.value).split("."))
        fact = self._names.dotted(str(node.value))
        return js.one_of(fact, [None, ""])

    def _missing_some(self, given: list[Node], node: Node) -> Truth:
        if len(given) != 2 or given[0].value != 1 or not is_list(given[1].value):
            node.fault("of `missing_some` only [1, [paths]] can be said here: none of the facts is there")
            return PLACEHOLDER
        return all_of([self._is_missing(each) for each in given[1].items(at_least=1)])


def _operation(node: Node) -> tuple[str, list[Node]] | None:
    """The operation of a logic and what it is given; None for a constant."""
    if not is_object(node.value) or len(node.value) != 1:
        return None
    [(name, given)] = node.entries().items()
    return name, given.items() if is_list(given.value) else [given]


def _kind(node: Node) -> str:
    operation = _operation(node)
    if operation is None:
        return "constant"
    return "var" if operation[0] == "var" else "operation"


def _listed(given: list[Node]) -> list[Node]:
    """`missing` takes its paths one by one, or as one list."""
    return given[0].items() if given and is_list(given[0].value) else given


def _written(value: Any) -> str | None:
    words = {None: "null", True: "true", False: "false"}
    return js.text_of(value) if js.is_real(value) else words[value]
