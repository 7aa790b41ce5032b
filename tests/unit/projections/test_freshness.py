"""The cache of hot reads never gives an answer older than the position that it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.projections.freshness import Freshness
from personakit.projections.moved import Moved

DEFINITIONS = {"d1": "mindscapes", "d2": "personas"}
EVERYWHERE = {"mindscapes": 10, "personas": 10}


def fresh(most_bytes: int = 1000) -> Freshness:
    freshness = Freshness(DEFINITIONS, most_bytes)
    freshness.believe()
    return freshness


def moved(through: int, *marks: str, definitions: tuple[str, ...] = ("d1", "d2")) -> Moved:
    return Moved(list(definitions), through, list(marks))


def test_what_was_read_is_found_at_the_position_heard_last() -> None:
    freshness = fresh()
    freshness.put("key", "value", EVERYWHERE, {"ada"}, 1)
    assert freshness.get("key") == ("value", 10)
    freshness.hear(moved(15, "bob"))
    assert freshness.get("key") == ("value", 15)


def test_the_position_is_that_of_the_projection_that_lags() -> None:
    freshness = fresh()
    freshness.put("key", "value", EVERYWHERE, {"ada"}, 1)
    freshness.hear(moved(15, "bob", definitions=("d1",)))
    assert freshness.get("key") == ("value", 10)


def test_what_may_have_changed_is_not_served() -> None:
    freshness = fresh()
    freshness.put("key", "value", EVERYWHERE, {"ada", "bob"}, 1)
    freshness.hear(moved(11, "bob"))
    assert freshness.get("key") is None
    assert freshness.size == 0


def test_what_was_read_before_something_heard_since_is_not_kept() -> None:
    freshness = fresh()
    freshness.hear(moved(11, "ada"))
    freshness.put("key", "old", EVERYWHERE, {"ada"}, 1)
    assert freshness.get("key") is None
    freshness.put("key", "new", {"mindscapes": 11, "personas": 11}, {"ada"}, 1)
    assert freshness.get("key") == ("new", 11)


def test_everything_may_have_changed() -> None:
    freshness = fresh()
    freshness.put("key", "value", EVERYWHERE, {"ada"}, 1)
    freshness.hear(Moved(["d1"], 12, None))
    assert freshness.get("key") is None
    freshness.put("key", "old", EVERYWHERE, {"ada"}, 1)
    assert freshness.get("key") is None


def test_what_was_read_of_a_build_that_was_replaced_is_not_kept() -> None:
    """Read at the very position of the switch, nothing else having happened: the new build may differ."""
    freshness = fresh()
    freshness.hear(Moved(["d1"], 10, None))
    freshness.put("key", "of the old build", EVERYWHERE, {"ada"}, 1)
    assert freshness.get("key") is None


def test_another_releases_definitions_change_nothing_here() -> None:
    freshness = fresh()
    freshness.put("key", "value", EVERYWHERE, {"ada"}, 1)
    freshness.hear(moved(11, "ada", definitions=("of another release",)))
    assert freshness.get("key") == ("value", 10)


def test_nothing_is_believed_without_a_sign_of_life() -> None:
    freshness = Freshness(DEFINITIONS)
    freshness.put("key", "value", EVERYWHERE, {"ada"}, 1)
    assert freshness.get("key") is None
    freshness.believe()
    assert freshness.get("key") == ("value", 10)
    freshness.doubt({"mindscapes": 12})
    freshness.believe()
    assert freshness.get("key") is None
    freshness.put("key", "missed", EVERYWHERE, {"ada"}, 1)
    assert freshness.get("key") is None


def test_the_least_recently_used_goes_when_the_bytes_are_used_up() -> None:
    freshness = fresh(most_bytes=100)
    for name in ("a", "b"):
        freshness.put(name, name, EVERYWHERE, {name}, 40)
    assert freshness.get("a") is not None
    freshness.put("c", "c", EVERYWHERE, {"c"}, 40)
    assert freshness.get("b") is None
    assert freshness.get("a") is not None
    assert freshness.size == 80
    freshness.put("too large", "", EVERYWHERE, {"d"}, 101)
    assert freshness.size == 80


class Step(NamedTuple):
    """A follower's step: it moved these projections to `through`, and touched these people."""

    definitions: tuple[str, ...]
    through: int
    marks: tuple[str, ...]


class World:
    """Steps that are committed in one order, heard later in the same order, and read at any time between."""

    def __init__(self, made: list[tuple[tuple[str, ...], int, list[str]]]) -> None:
        self.freshness = fresh()
        self.committed: list[Step] = []
        self.heard = 0
        self.positions = {"mindscapes": 0, "personas": 0}
        self.in_hand: list[tuple[str, dict[str, int]]] = []
        self.upcoming = list(laid_out(made))

    def commit(self) -> None:
        if self.upcoming:
            step = self.upcoming.pop(0)
            self.committed.append(step)
            self.positions |= {DEFINITIONS[each]: step.through for each in step.definitions}

    def hear(self) -> None:
        if self.heard < len(self.committed):
            step = self.committed[self.heard]
            self.freshness.hear(Moved(list(step.definitions), step.through, list(step.marks)))
            self.heard += 1

    def read(self) -> None:
        self.in_hand.append(("abc"[len(self.in_hand) % 3], dict(self.positions)))

    def put(self) -> None:
        if self.in_hand:
            name, read_at = self.in_hand.pop(0)
            self.freshness.put(name, read_at, read_at, {name}, 1)

    def lose(self) -> None:
        """The connection is lost and made again."""
        self.freshness.doubt(self.positions)
        self.heard = len(self.committed)
        self.freshness.believe()

    def get(self) -> None:
        for name in "abc":
            found = self.freshness.get(name)
            if found is not None:
                assert not self.missed(name, found.value, found.position)

    def missed(self, name: str, read_at: dict[str, int], position: int) -> list[Step]:
        """The steps up to `position` that touched `name` after it was read."""
        return [
            step
            for step in self.committed
            if name in step.marks
            and step.through <= position
            and any(read_at[DEFINITIONS[each]] < step.through for each in step.definitions)
        ]


def laid_out(made: list[tuple[tuple[str, ...], int, list[str]]]) -> Iterator[Step]:
    """Steps whose positions rise in each projection."""
    at = {"mindscapes": 0, "personas": 0}
    for definitions, by, marks in made:
        through = max(at[DEFINITIONS[each]] for each in definitions) + by
        at |= {DEFINITIONS[each]: through for each in definitions}
        yield Step(definitions, through, tuple(marks))


STEPS = st.lists(
    st.tuples(
        st.sampled_from([("d1",), ("d2",), ("d1", "d2")]),
        st.integers(1, 3),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
    ),
    min_size=5,
    max_size=15,
)
ACTIONS = st.lists(
    st.sampled_from(["commit", "commit", "hear", "hear", "read", "put", "get", "lose"]),
    min_size=20,
    max_size=50,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, ACTIONS)
def test_no_entry_is_older_than_it_says(
    made: list[tuple[tuple[str, ...], int, list[str]]], actions: list[str]
) -> None:
    world = World(made)
    for action in actions:
        getattr(world, action)()
