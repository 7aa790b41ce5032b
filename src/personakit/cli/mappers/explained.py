"""An explanation as a tree on the terminal."""

from __future__ import annotations

import sys
from typing import Any, Final

from msgspec import UNSET
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from personakit.cli.mappers.explaining import Explained
from personakit.cli.taught import taught
from personakit.cli.values import printable, shown
from personakit_sdk.rules.explain import Fate, RuleExplanation
from personakit_sdk.rules.outcome import Outcome

_WORDS: Final = {
    "equals": "=",
    "not_equals": "≠",
    "greater": ">",
    "greater_or_equal": "≥",
    "less": "<",
    "less_or_equal": "≤",
}
_FATES: Final = {"made": "green", "cut": "yellow", "dropped": "yellow"}


def show(explained: Explained) -> None:
    """Prints it to stdout: the rules that fired first, by rank, then the others in the author's order."""
    # A line that ends up in a file is not broken at the width of a terminal that is not there.
    width = None if sys.stdout.isatty() else 10_000
    console = Console(file=sys.stdout, highlight=False, width=width)
    console.print(Text(_head(explained), style="bold"))
    if explained.missing_traits:
        console.print(Text(f"Required and not known: {', '.join(explained.missing_traits)}"))
    for remark in explained.remarks:
        console.print(Text(remark))
    explanation = explained.explanation
    unopened = dict(explanation.conditions)
    for rule in sorted(explanation.rules, key=_standing):
        console.print(_rule(rule, unopened))
    fired = sum(rule.fired for rule in explanation.rules)
    console.print(Text(f"{fired} of {len(explanation.rules)} rules fired."))


def _head(explained: Explained) -> str:
    at = "now" if explained.at is None else explained.at.isoformat()
    return f"{explained.mapper} {explained.version} for {explained.about}, {at}"


def _standing(rule: RuleExplanation) -> tuple[bool, int]:
    return not rule.fired, min((fate.rank for fate in rule.suggestions), default=0)


def _rule(rule: RuleExplanation, unopened: dict[str, Outcome]) -> Tree:
    label = Text("fired  " if rule.fired else "silent ", style="bold green" if rule.fired else "dim")
    label.append(printable(rule.id), style="bold")
    label.append(f": {_why(rule)}", style="default")
    tree = Tree(label, guide_style="dim")
    outcome = rule.conditions
    # A rule's only condition stands in an `all` that its author never wrote.
    alone = outcome.kind == "all" and len(outcome.conditions) == 1
    _grow(tree, outcome.conditions[0] if alone else outcome, unopened)
    for line in taught(rule.learned_from):
        tree.add(Text(line))
    for fate in rule.suggestions:
        tree.add(_fate(fate))
    return tree


def _why(rule: RuleExplanation) -> str:
    score = f"score {rule.score:g} = weight {rule.weight:g} * learned {rule.learned:g}"
    return f"{score}, priority {rule.priority}" if rule.fired else rule.detail


def _fate(fate: Fate) -> Text:
    text = Text(f"{fate.fate:<7} ", style=_FATES[fate.fate])
    return text.append(f"{printable(fate.type)}: {fate.detail}", style="default")


def _grow(tree: Tree, outcome: Outcome, unopened: dict[str, Outcome]) -> None:
    """Adds an outcome and what is in it; a named condition is opened where it is first referred to."""
    branch = tree.add(_label(outcome))
    for inner in outcome.conditions:
        _grow(branch, inner, unopened)
    if outcome.name in unopened:
        _grow(branch, unopened.pop(outcome.name), unopened)


def _label(outcome: Outcome) -> Text:
    text = Text("✓ " if outcome.holds else "✗ ", style="green" if outcome.holds else "red")
    return text.append(_said(outcome), style="default")


def _said(outcome: Outcome) -> str:
    match outcome.kind:
        case "all" | "any" | "not":
            return outcome.kind
        case "condition":
            return f"condition {outcome.name}"
        case "time_check":
            return f"time {_members(outcome.wanted)}: it was {_clock(outcome.seen)}"
        case _:
            return _comparison(outcome)


def _comparison(outcome: Outcome) -> str:
    kind = "trait" if outcome.kind == "trait_check" else "context"
    operator = str(outcome.operator)
    asked = f"{kind} {outcome.path} {_WORDS.get(operator, operator)}"
    if outcome.wanted is not UNSET:
        asked += f" {shown(outcome.wanted)}"
    seen = "missing" if outcome.missing else f"saw {shown(outcome.seen)}"
    return f"{printable(asked)}: {printable(seen)}{_believed(outcome)}"


def _believed(outcome: Outcome) -> str:
    if outcome.min_confidence is UNSET or outcome.confidence is UNSET:
        return ""
    return f", confidence {outcome.confidence:g} of {outcome.min_confidence:g} needed"


def _members(value: Any) -> str:
    if not isinstance(value, dict):
        return shown(value)
    return ", ".join(f"{name.replace('_', ' ')} {_plain(member)}" for name, member in value.items())


def _clock(seen: Any) -> str:
    """What a clock showed: `monday 10:05, morning, in Europe/Berlin`."""
    return f"{seen['dayOfWeek']} {seen['time'][11:16]}, {seen['period']}, in {seen['timezone']}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
