"""Whether a core is stale, from the events alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.events import MindscapeUpdated, PersonaCoreGenerated
from personakit.domain.staleness import UNMADE, CoreHistory, core_generated, mindscape_updated
from tests.unit.domain.observing import START

ADA, BOB = UUID(int=1), UUID(int=2)
PATHS = ("a", "b", "c")


def core(**versions: int) -> PersonaCoreGenerated:
    people = {"ada": ADA, "bob": BOB}
    return PersonaCoreGenerated(
        summary="", traits={}, mindscape_versions={str(people[name]): at for name, at in versions.items()}
    )


def update(*material: str) -> MindscapeUpdated:
    return MindscapeUpdated(
        traits={}, derivation="computed", definition="x", read_through=0, material=material
    )


def history(*events: PersonaCoreGenerated | MindscapeUpdated | tuple[UUID, MindscapeUpdated]) -> CoreHistory:
    """Folds events recorded an hour apart; an update is of Ada's mindscape unless it names the person."""
    folded, versions = UNMADE, {ADA: 0, BOB: 0}
    for hour, event in enumerate(events):
        at = START + timedelta(hours=hour)
        if isinstance(event, PersonaCoreGenerated):
            folded = core_generated(folded, event, at=at)
            continue
        person, updated = event if isinstance(event, tuple) else (ADA, event)
        versions[person] += 1
        folded = mindscape_updated(folded, updated, person=person, version=versions[person], at=at)
    return folded


def at(hour: int) -> object:
    return START + timedelta(hours=hour)


def test_without_a_core_nothing_is_stale() -> None:
    folded = history(update("a"), update("b"))
    assert (folded.made, folded.is_stale, folded.changed, folded.generated_at) == (0, False, (), None)


def test_a_core_is_stale_from_the_first_material_change_after_it() -> None:
    folded = history(update("a"), core(ada=1), update(), update("b"), update("a"))
    assert (folded.made, folded.generated_at) == (1, at(1))
    assert (folded.stale_since, folded.changed) == (at(3), ("a", "b"))


def test_a_new_core_ends_it() -> None:
    folded = history(update("a"), core(ada=1), update("b"), core(ada=2))
    assert (folded.made, folded.is_stale, folded.changed) == (2, False, ())


def test_a_core_that_raced_an_update_is_born_stale_since_that_update() -> None:
    folded = history(update("a"), update("b"), update("b", "c"), core(ada=1))
    assert (folded.stale_since, folded.changed) == (at(2), ("b", "c"))


def test_an_update_that_the_core_has_seen_already_does_not_make_it_stale() -> None:
    assert not history(update("a"), core(ada=2), update("b")).is_stale


def test_each_persons_versions_count_for_themselves() -> None:
    folded = history(update("a"), (BOB, update("b")), core(ada=1, bob=1), (BOB, update("c")))
    assert (folded.stale_since, folded.changed) == (at(3), ("c",))
    assert history((BOB, update("b")), core(ada=1)).changed == ("b",)


changes = st.lists(st.sampled_from(PATHS), unique=True, max_size=2).map(lambda paths: update(*paths))
steps = st.lists(st.one_of(changes, st.integers(0, 4)), max_size=25)


@given(steps)
def test_a_core_is_stale_exactly_when_a_later_version_has_a_material_change(
    drawn: Sequence[MindscapeUpdated | int],
) -> None:
    """A number is a core made from the mindscape of so many versions before the newest."""
    versions: list[MindscapeUpdated] = []
    events: list[PersonaCoreGenerated | MindscapeUpdated] = []
    made_from = None
    for step in drawn:
        if isinstance(step, int):
            made_from = max(0, len(versions) - step)
            events.append(core(ada=made_from))
        else:
            versions.append(step)
            events.append(step)
    folded = history(*events)
    later = [] if made_from is None else versions[made_from:]
    assert folded.changed == tuple(sorted({path for update in later for path in update.material}))
    assert folded.is_stale == bool(folded.changed)
