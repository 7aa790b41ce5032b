"""The summary of a core is the same from the log and from the database."""

from __future__ import annotations

from personakit.domain.persona import summarise
from personakit.domain.traits import Trait


def test_neither_the_order_of_keys_nor_the_kind_of_a_whole_number_shows() -> None:
    from_log = {"work.hours": Trait(value={"share": 0.25, "peak": 21.0, "hours": [1, 2]})}
    from_database = {"work.hours": Trait(value={"peak": 21, "hours": [1, 2], "share": 0.25})}
    assert summarise(from_log) == summarise(from_database) == "Work hours: peak 21, share 0.25."
    assert summarise({"a": Trait(value=1e16)}) == summarise({"a": Trait(value=10**16)})
    assert summarise({"a": Trait(value=-0.0)}) == summarise({"a": Trait(value=0)}) == "A: 0."


def test_values_are_said_plainly() -> None:
    traits = {"a": Trait(value=1234.5678), "b": Trait(value=["x", 1]), "c": Trait(value=True)}
    assert summarise(traits) == "A: 1234.57. B: x, 1. C: True."
    assert summarise({}) == "Nothing is known yet."
