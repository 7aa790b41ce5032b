"""What is shown at the end: a table for people, `bench/out/results.json` for programs, the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.catalogue import BY_NAME, Key
from bench.figures import Figure

RESULTS: Final = Path(__file__).with_name("out") / "results.json"
NARROWEST: Final = 130
_VERDICTS: Final = {True: "[green]holds[/]", False: "[red]missed[/]", None: "reported"}


def results(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Each key's value, its bound if it has one, its unit, the value of every round, and a note."""
    return {figure.key: _result(figure, BY_NAME[figure.key]) for figure in figures}


def write(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Writes the results, in place of those of the run before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(results(figures)), indent=2)
    path.write_bytes(text + b"\n")


def table(figures: Sequence[Figure]) -> Table:
    """One row a key, the measured value and its limit in the note."""
    shown = Table("key", "value", "bound", "", "rounds", "what beside what", show_lines=True)
    for figure in figures:
        rounds = " ".join(_short(value) for value in figure.rounds)
        bound = bound_of(BY_NAME[figure.key])
        shown.add_row(
            figure.key, _short(figure.value), bound, _VERDICTS[figure.holds], rounds, escape(figure.note)
        )
    return shown


def show(figures: Sequence[Figure], machine: str) -> None:
    """Prints the table and the machine it was measured on."""
    console = Console()
    console.width = max(console.width, NARROWEST)
    console.print(table(figures))
    console.print(machine, highlight=False)


def machine(postgres_version: str) -> str:
    """What the figures depend on most."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores for everything, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, PostgreSQL {postgres_version} (fsync on), "
        f"load before {os.getloadavg()[0]:.1f}"
    )


def _result(figure: Figure, key: Key) -> dict[str, Any]:
    bounds = {"at_least": key.at_least, "at_most": key.at_most}
    return {
        "value": _rounded(figure.value),
        **{name: bound for name, bound in bounds.items() if bound is not None},
        "unit": key.unit,
        "rounds": [_rounded(value) for value in figure.rounds],
        "note": figure.note,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def bound_of(key: Key) -> str:
    """As the table and the reference have it."""
    if key.at_least is not None:
        return f"≥ {key.at_least:g}"
    return "" if key.at_most is None else f"≤ {key.at_most:g}"
