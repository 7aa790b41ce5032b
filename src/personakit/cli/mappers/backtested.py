"""What a backtest found, as a table and examples."""

from __future__ import annotations

import sys
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from personakit.agents.backtest import Backtest, Example, RuleChange

EXAMPLES_SHOWN: Final = 10
_HOW: Final = {"gained": "green", "lost": "red", "moved": "yellow"}


class Compared(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version of a mapper, the file that it was compared with, and what would have changed."""

    mapper: str
    version: int
    file: str
    author_version: str
    found: Backtest


def show(compared: Compared) -> None:
    """Prints it to stdout."""
    console = Console(file=sys.stdout, highlight=False)
    found = compared.found
    for line in _head(compared):
        console.print(Text(line), soft_wrap=True)
    changed = [rule for rule in found.rules if rule.gained or rule.lost or rule.moved]
    if not changed:
        console.print("Every suggestion would have been the same.")
        return
    console.print(_table(changed))
    console.print(Text(f"{len(found.rules) - len(changed)} other rules suggested the same."))
    for example in found.examples[:EXAMPLES_SHOWN]:
        console.print(_example(example), soft_wrap=True)
    if len(found.examples) > EXAMPLES_SHOWN:
        console.print(Text(f"… {len(found.examples) - EXAMPLES_SHOWN} more examples with --json"))


def _head(compared: Compared) -> list[str]:
    found = compared.found
    first, last = found.instants[0], found.instants[-1]
    when = f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M %Z}"
    made = f"{found.mappings} mappings, {found.differing} would have differed"
    lines = [
        f"{compared.mapper}, version {compared.version}, and {compared.file} ({compared.author_version})",
        f"{found.personas} personas at {len(found.instants)} instants {when}: {made}",
    ]
    if found.withheld:
        lines.append(
            f"{found.withheld} mappings were withheld with at least one version, for want of consent"
        )
    if found.unreadable:
        lines.append(f"{found.unreadable} personas were left out: their events cannot be read")
    return lines


def _table(rules: list[RuleChange]) -> Table:
    table = Table("rule", box=None)
    for name in ("before", "after", "gained", "lost", "moved"):
        table.add_column(name, justify="right")
    for rule in rules:
        counts = (rule.before, rule.after, rule.gained, rule.lost, rule.moved)
        table.add_row(Text(rule.rule_id), *(str(count) for count in counts))
    return table


def _example(example: Example) -> Text:
    ranks = {
        "gained": f"now {example.after}., was not there",
        "lost": f"was {example.before}., not there now",
        "moved": f"was {example.before}., now {example.after}.",
    }
    text = Text(f"{example.kind:<6}", style=_HOW[example.kind])
    told = f" {example.rule_id}: {example.persona_id} at {example.at.isoformat()}: {ranks[example.kind]}"
    return text.append(told, style="default")
