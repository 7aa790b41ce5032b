"""Percentiles, ratios, medians, and the two forms in which they are shown."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench import report
from bench.catalogue import KEYS, choose, groups, read_model_of
from bench.figures import Figure, percentile, ratio
from bench.report import results, table, write
from personakit.projections.sql import load_projections
from personakit.shipped import projections_dir


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 1, 50, 99, 99.5, 100)] == [1, 1, 50, 99, 100, 100]
    assert percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_ratios_are_taken_within_a_round_and_the_median_is_the_value() -> None:
    figure = ratio("post_vs_hello", [10, 30, 200], [100, 100, 1000], "so")
    assert figure.rounds == (0.1, 0.3, 0.2)
    assert figure.value == 0.2
    assert figure.note == "30 beside 100: so"
    with pytest.raises(ValueError, match="shorter"):
        ratio("post_vs_hello", [1, 2], [1], "")


@pytest.mark.parametrize(
    ("key", "value", "holds"),
    [
        ("post_vs_hello", 0.3, True),
        ("post_vs_hello", 0.29, False),
        ("growth_post", 1.25, True),
        ("growth_post", 1.26, False),
        ("freshness_p99_ms", 9e9, None),
    ],
)
def test_a_bound_holds_up_to_itself(key: str, value: float, *, holds: bool | None) -> None:
    assert Figure(key, (value,), "").holds is holds


def test_results_name_value_bound_unit_rounds_and_note(tmp_path: Path) -> None:
    figures = [Figure("growth_map", (1.0, 1.23456, 2.0), "why"), Figure("freshness_p99_ms", (80.0,), "so")]
    write(figures, tmp_path / "out" / "results.json")
    assert json.loads((tmp_path / "out" / "results.json").read_bytes()) == {
        "growth_map": {
            "value": 1.235,
            "at_most": 1.25,
            "unit": "ratio",
            "rounds": [1.0, 1.235, 2.0],
            "note": "why",
        },
        "freshness_p99_ms": {"value": 80.0, "unit": "ms", "rounds": [80.0], "note": "so"},
    }


def test_the_table_shows_each_key_beside_its_bound() -> None:
    console = Console(width=150, record=True, file=StringIO())
    console.print(table([Figure("post_vs_orm_peer", (5.0, 7.0, 7.5), "beside what")]))
    shown = console.export_text()
    assert all(part in shown for part in ("post_vs_orm_peer", "7", "≥ 6", "holds", "5 7 7.5", "beside what"))


def test_keys_are_chosen_by_name_and_measured_in_their_order() -> None:
    assert choose(None) == KEYS
    chosen = choose("growth_map, post_vs_hello")
    assert [key.name for key in chosen] == ["post_vs_hello", "growth_map"]
    assert list(groups(chosen)) == ["serving", "growth"]
    with pytest.raises(ValueError, match="no key 'post'"):
        choose("post")


def test_every_read_model_has_a_rebuild_key() -> None:
    rebuilt = [read_model_of(key.name) for key in KEYS if key.group == "rebuild"]
    assert sorted(rebuilt) == sorted(load_projections(projections_dir()))


def test_the_reference_has_every_key_with_its_bound() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/benchmarks.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    told = {name: row[2].strip() for row in rows for name in re.findall(r"`([^`]+)`", row[1])}
    others = {key.name for key in KEYS if key.group == "rebuild" and key.at_least is None}
    assert told.pop("rebuild_NAME_vs_copy") == ""
    assert told == {key.name: report.bound_of(key) for key in KEYS if key.name not in others}


def test_only_figures_that_were_measured_are_in_the_results() -> None:
    assert list(results([Figure("growth_map", (1.0,), "")])) == ["growth_map"]
