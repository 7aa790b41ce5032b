"""What an evaluation found, as a few lines and a table."""

from __future__ import annotations

import sys

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from personakit.agents.evaluation import LeftOut
from personakit.domain.off_policy import Estimate, Estimates


class Evaluated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The version or file that was evaluated, by how many votes, and what can be said of it; or, in
    `refused`, why nothing can."""

    mapper: str
    version: int | None
    file: str | None
    author_version: str
    votes: int
    left_out: LeftOut
    estimates: Estimates | None = None
    refused: str | None = None


def show(evaluated: Evaluated) -> None:
    """Prints it to stdout, but for a refusal."""
    console = Console(file=sys.stdout, highlight=False)
    for line in _head(evaluated):
        console.print(Text(line), soft_wrap=True)
    if evaluated.estimates is not None:
        console.print(_table(evaluated.estimates))
        console.print(Text(_foot(evaluated.estimates)), soft_wrap=True)


def _head(evaluated: Evaluated) -> list[str]:
    what = f"{evaluated.file or f'version {evaluated.version}'} ({evaluated.author_version})"
    left = msgspec.to_builtins(evaluated.left_out)
    reasons = {
        "changed": "facts that cannot be brought back",
        "beyond": "a rule that could not have stood there",
        "empty": "no suggestion there",
        "unreadable": "a persona that cannot be read",
    }
    return [
        f"{evaluated.mapper}, {what}: {evaluated.votes} votes on explored answers",
        *(f"{left[name]} votes left out: {why}" for name, why in reasons.items() if left[name]),
    ]


def _table(estimates: Estimates) -> Table:
    table = Table("", box=None, pad_edge=False)
    for name in ("mean vote", "from", "to"):
        table.add_column(name, justify="right")
    for name, found, form in (
        ("as shown", estimates.shown, ".3f"),
        ("IPS", estimates.ips, ".3f"),
        ("SNIPS", estimates.snips, ".3f"),
        ("doubly robust", estimates.doubly_robust, ".3f"),
        ("gain", estimates.gain, "+.3f"),
    ):
        table.add_row(name, *_cells(found, form))
    return table


def _cells(found: Estimate, form: str) -> list[str]:
    return [format(each, form) for each in (found.value, found.low, found.high)]


def _foot(estimates: Estimates) -> str:
    return (
        f"{estimates.rows} votes of {estimates.answers} answers, {estimates.randomised} left to chance; "
        f"{estimates.matched} are on what this version does, and count as much as {estimates.effective:.1f} "
        f"answers of equal weight. The mean weight is {estimates.mean_weight:.2f}."
    )
