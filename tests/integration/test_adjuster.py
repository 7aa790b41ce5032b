"""The Configuration Adjuster: votes move multipliers, whatever the order, not too far, and once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from personakit.agents.adjuster import Adjuster
from personakit.agents.mappers import mapper_stream
from personakit.agents.service import Service
from personakit.agents.votes import read_votes
from personakit.domain.adjusted import Own, evolve_own
from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.domain.learning import Evidence
from personakit.domain.mapper import MapperEvent, MapperState
from personakit.domain.oversight import freeze, thaw
from personakit.domain.publishing import Provenance
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from personakit.projections.follow import Followers
from personakit.projections.rebuild import rebuild
from personakit.projections.verify import verify
from tests.history import TENANT, surrogate
from tests.integration.conftest import follow
from tests.mapper_documents import suggest
from tests.voting import (
    Vote,
    adjustments_of,
    learned,
    publish_mapper,
    state_of,
    vote,
    votes_of_all,
)

PEOPLE = ["ada", "bo", "cy"]
OTHERS = ["dan", "eli", "fin", "gil"]
NOON = datetime.now(UTC).replace(hour=12, minute=0)
TODAY = datetime.now(UTC).date()
ORDERS = 200


def adjust(service: Service, mapper_id: str, today: date = TODAY) -> int:
    follow(service)
    made = service.adjuster.adjust(TENANT, mapper_id, today)
    follow(service)
    return made


def multipliers(service: Service, mapper_id: str) -> dict[str, float]:
    return state_of(service, mapper_id).adjusted.learned.multipliers


def own(service: Service, person: str, mapper_id: str) -> Own:
    stream = StreamId(TENANT, "persona", surrogate(service, person))
    return service.streams.load(stream, Loaded(Own(mapper_id), 0), evolve_own).state


def change(service: Service, mapper_id: str, decide: Callable[[MapperState], MapperEvent | None]) -> None:
    assert service.mappers.change(TENANT, mapper_id, decide).position is not None


def split() -> list[Vote]:
    """Everybody likes one rule and not the other."""
    return [*votes_of_all(PEOPLE, "liked", helpful=True), *votes_of_all(PEOPLE, "disliked", helpful=False)]


def test_what_is_liked_weighs_more_and_what_is_not_less_by_a_step(quiet: Service) -> None:
    publish_mapper(quiet, "stepped")
    vote(quiet, "stepped", split())
    adjust(quiet, "stepped")
    assert multipliers(quiet, "stepped") == {"liked": 1.1, "disliked": 0.9}
    (event,) = adjustments_of(quiet, mapper_stream(TENANT, "stepped"))
    assert (event.cause, event.origin) == ("learned", "adjuster")
    assert event.reason == "disliked 1 -> 0.9, liked 1 -> 1.1"
    assert {rule: each.personas for rule, each in event.evidence.items()} == {"liked": 3, "disliked": 3}


def test_a_second_pass_over_the_same_votes_changes_nothing(quiet: Service) -> None:
    publish_mapper(quiet, "twice")
    vote(quiet, "twice", split())
    assert adjust(quiet, "twice") > 0
    before = state_of(quiet, "twice")
    assert adjust(quiet, "twice") == 0
    assert state_of(quiet, "twice") == before


def test_a_day_has_one_step_and_the_next_has_another(quiet: Service) -> None:
    publish_mapper(quiet, "daily")
    vote(quiet, "daily", split())
    adjust(quiet, "daily")
    vote(quiet, "daily", split())
    adjust(quiet, "daily")
    assert multipliers(quiet, "daily")["disliked"] == 0.9
    assert not state_of(quiet, "daily").adjusted.settled
    adjust(quiet, "daily", TODAY + timedelta(days=1))
    assert multipliers(quiet, "daily")["disliked"] == pytest.approx(0.81, abs=0.0002)


def test_the_authors_weights_and_the_hash_stay(quiet: Service) -> None:
    publish_mapper(quiet, "kept")
    before = state_of(quiet, "kept")
    vote(quiet, "kept", split())
    adjust(quiet, "kept")
    after = state_of(quiet, "kept")
    assert after.shown.document == before.shown.document
    assert (after.hash, after.shown.hash, after.origin) == (before.hash, before.shown.hash, before.origin)
    assert after.version == before.version + 1


def test_a_new_document_keeps_what_was_learned_by_the_ids_of_the_rules(quiet: Service) -> None:
    publish_mapper(quiet, "republished")
    vote(quiet, "republished", split())
    adjust(quiet, "republished")
    publish_mapper(quiet, "republished", "1.1.0", rules=[suggest("disliked", 3.0), suggest("new")])
    follow(quiet)
    assert multipliers(quiet, "republished") == {"liked": 1.1, "disliked": 0.9}
    with quiet.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mappers.by_id", tenant=TENANT, mapper_id="republished")
    assert row is not None
    assert row["learned"] == {"liked": 1.1, "disliked": 0.9}


def test_votes_on_a_rule_that_is_gone_are_counted_and_move_nothing(quiet: Service) -> None:
    publish_mapper(quiet, "gone", rules=[suggest("liked")])
    vote(quiet, "gone", split())
    adjust(quiet, "gone")
    assert "disliked" not in multipliers(quiet, "gone")
    with quiet.reader.snapshot_of_all() as snapshot:
        votes = read_votes(snapshot, TENANT, "gone", 7, TODAY)
    assert votes.by_persona[surrogate(quiet, "ada")].keys() == {"liked", "disliked"}


def test_a_flood_from_one_persona_moves_only_their_own(quiet: Service) -> None:
    publish_mapper(quiet, "flooded")
    vote(quiet, "flooded", votes_of_all(["ada"], "disliked", helpful=False, each=500))
    adjust(quiet, "flooded")
    assert multipliers(quiet, "flooded") == {}
    assert own(quiet, "ada", "flooded").adjusted.learned.multipliers == {"disliked": 0.9}
    assert own(quiet, "bo", "flooded").adjusted.learned.multipliers == {}


@pytest.mark.parametrize("day", [0, 1])
def test_a_flood_beside_others_votes_moves_no_further_than_a_step(quiet: Service, day: int) -> None:
    publish_mapper(quiet, f"drowned{day}")
    vote(quiet, f"drowned{day}", votes_of_all(PEOPLE, "disliked", helpful=False))
    vote(quiet, f"drowned{day}", votes_of_all(["mallory"], "disliked", helpful=False, each=1000))
    vote(quiet, f"drowned{day}", votes_of_all(PEOPLE, "liked", helpful=True))
    for number in range(3):
        adjust(quiet, f"drowned{day}", TODAY + timedelta(days=day))
        vote(
            quiet, f"drowned{day}", votes_of_all(["mallory"], "disliked", helpful=False, each=1 + 99 * number)
        )
    assert multipliers(quiet, f"drowned{day}")["disliked"] == 0.9


def test_two_hundred_orders_of_the_same_votes_teach_the_same_to_the_bit(quiet: Service) -> None:
    chance = random.Random(7)
    votes = [
        Vote(f"voter{chance.randrange(8)}", rule, chance.random() < likes, chance.randrange(1, 60))
        for rule, likes in (("liked", 0.9), ("disliked", 0.2), ("liked", 0.7), ("disliked", 0.4))
        for _ in range(20)
    ]
    # Of other people in each order, or trust would be reckoned by what they said in all of them.
    followers = Followers(quiet.pool, quiet.projections.values(), quiet.keys)
    for order in range(ORDERS):
        publish_mapper(quiet, f"order{order}")
        chance.shuffle(votes)
        theirs = [each._replace(person=f"{each.person}-{order}") for each in votes]
        vote(quiet, f"order{order}", theirs, NOON)
    while followers.step(chance.randrange(1, 3000)).moved:
        pass
    found = set()
    for order in range(ORDERS):
        quiet.adjuster.adjust(TENANT, f"order{order}", TODAY)
        with quiet.reader.snapshot_of_all() as snapshot:
            tallies = read_votes(snapshot, TENANT, f"order{order}", 7, TODAY)
        found.add(
            (
                learned(quiet, f"order{order}"),
                tuple(sorted(_told(each) for each in tallies.by_persona.values())),
            )
        )
    assert len(found) == 1
    follow(quiet)
    stepped = multipliers(quiet, "order0")
    assert stepped["liked"] > 1 > stepped["disliked"]


def test_a_rebuild_gives_bit_equal_multipliers(quiet: Service) -> None:
    publish_mapper(quiet, "rebuilt")
    vote(quiet, "rebuilt", split())
    adjust(quiet, "rebuilt")
    before = learned(quiet, "rebuilt")
    for name in ("votes", "mappers", "mapper_versions", "personas", "changes"):
        assert verify(quiet.pool, quiet.projections[name], quiet.keys).clean
        rebuild(quiet.pool, quiet.projections[name], quiet.keys)
        assert verify(quiet.pool, quiet.projections[name], quiet.keys).clean
    assert learned(quiet, "rebuilt") == before


def test_who_is_erased_takes_their_own_along_and_what_is_published_stands(
    quiet: Service, database: str
) -> None:
    """In the mapper's stream is nothing of theirs; a rebuild gives the same multipliers to the bit."""
    publish_mapper(quiet, "outlived")
    vote(quiet, "outlived", [*split(), *votes_of_all(["vanishing"], "disliked", helpful=False, each=40)])
    adjust(quiet, "outlived")
    gone = surrogate(quiet, "vanishing")
    assert own(quiet, "vanishing", "outlived").adjusted.learned.multipliers.keys() == {"disliked"}
    before = learned(quiet, "outlived")
    states = [e.state for e in quiet.recorder.select_events(str(mapper_stream(TENANT, "outlived")))]
    assert b"disliked" in states[-1]
    for name in (b"vanishing", str(gone).encode(), gone.hex.encode()):
        assert not any(name in state for state in states)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM personakit.person_keys WHERE person = %s", [gone])
    quiet.keys._known.pop(gone, None)
    for projection in ("votes", "mappers", "mapper_versions", "personas"):
        rebuild(quiet.pool, quiet.projections[projection], quiet.keys)
    assert learned(quiet, "outlived") == before
    with quiet.reader.snapshot_of_all() as snapshot:
        assert gone not in read_votes(snapshot, TENANT, "outlived", 7, TODAY).by_persona
        assert gone not in {
            row["persona"] for row in snapshot.rows("personas.weights", tenant=TENANT, mapper_id="outlived")
        }
    assert adjust(quiet, "outlived") == 0
    assert learned(quiet, "outlived") == before


@pytest.mark.parametrize(("publishing", "shared", "personal"), [("propose", {}, True), ("off", {}, False)])
def test_a_document_says_whether_learning_is_published(
    quiet: Service, publishing: str, shared: dict[str, float], personal: bool
) -> None:
    publish_mapper(quiet, publishing, feedback_settings={"publishing": publishing})
    vote(quiet, publishing, [*split(), *votes_of_all(["ada"], "liked", helpful=False, each=40)])
    adjust(quiet, publishing)
    assert multipliers(quiet, publishing) == shared
    assert bool(own(quiet, "ada", publishing).adjusted.learned.multipliers) == personal


def test_personas_learn_over_what_all_have_of_a_rule(quiet: Service) -> None:
    """One likes what nobody else does."""
    publish_mapper(quiet, "alone")
    vote(quiet, "alone", [*split(), *votes_of_all(["dee"], "disliked", helpful=True, each=40)])
    for day in range(3):
        adjust(quiet, "alone", TODAY + timedelta(days=day))
    weights = own(quiet, "dee", "alone").adjusted.learned.multipliers
    assert weights["disliked"] > 1.2
    assert multipliers(quiet, "alone")["disliked"] < 1


def test_what_a_day_did_not_allow_comes_on_the_next_even_if_the_first_step_had_come_to_rest(
    quiet: Service,
) -> None:
    def ada(good: int, bad: int) -> list[Vote]:
        return [Vote("ada", "disliked", number < good, ago=0) for number in range(good + bad)]

    publish_mapper(quiet, "rested")
    vote(quiet, "rested", [Vote(person, "disliked", n % 2 == 0, 0) for person in OTHERS for n in range(10)])
    vote(quiet, "rested", ada(2, 4))
    assert adjust(quiet, "rested") == 1
    rested = own(quiet, "ada", "rested").adjusted
    assert (rested.learned.multipliers, rested.settled) == ({"disliked": 0.9}, True)
    vote(quiet, "rested", ada(0, 20))
    assert adjust(quiet, "rested") == 0
    assert adjust(quiet, "rested", TODAY + timedelta(days=1)) == 1
    assert own(quiet, "ada", "rested").adjusted.learned.multipliers["disliked"] <= 0.8101


def test_what_is_thawed_teaches_single_personas_what_was_said_meanwhile(quiet: Service) -> None:
    publish_mapper(quiet, "thawed")
    change(quiet, "thawed", lambda state: freeze(state, TODAY, Provenance("test")))
    vote(quiet, "thawed", votes_of_all(["ada"], "disliked", helpful=False, each=20))
    assert adjust(quiet, "thawed") == 0
    change(quiet, "thawed", lambda state: thaw(state, TODAY, Provenance("test")))
    assert adjust(quiet, "thawed") == 1
    assert own(quiet, "ada", "thawed").adjusted.learned.multipliers == {"disliked": 0.9}
    assert adjust(quiet, "thawed") == 0


def test_other_settings_teach_those_again_who_have_said_all(quiet: Service) -> None:
    patient = {"negative_threshold": 50}
    publish_mapper(quiet, "patient", feedback_settings=patient)
    vote(quiet, "patient", votes_of_all(["ada"], "disliked", helpful=False, each=20))
    assert adjust(quiet, "patient") == 0
    publish_mapper(quiet, "patient", "1.1.0")
    assert adjust(quiet, "patient") == 1
    assert own(quiet, "ada", "patient").adjusted.learned.multipliers == {"disliked": 0.9}


def test_nothing_is_learned_for_a_persona_that_is_retired(quiet: Service) -> None:
    publish_mapper(quiet, "retired")
    quiet.people.register(TENANT, ["ada"])
    follow(quiet)
    pair = quiet.personas.create(TENANT, PersonaDefined(people=(surrogate(quiet, "ada"),))).persona
    follow(quiet)
    vote(quiet, "retired", votes_of_all([f"~{pair}"], "disliked", helpful=False, each=40))
    quiet.personas.retire(TENANT, pair, PersonaRetired(origin="test"))
    assert adjust(quiet, "retired") == 0


def test_what_is_due_is_looked_at_once_and_again_on_the_next_day(quiet: Service) -> None:
    publish_mapper(quiet, "due")
    vote(quiet, "due", split())
    follow(quiet)
    clock = Clock()
    adjuster = Adjuster(quiet.reader, quiet.streams, quiet.mappers, clock)
    passes: list[str] = []

    def passed(tenant: str, mapper_id: str, today: date) -> int:
        passes.append(mapper_id)
        return 0

    adjuster.adjust = passed  # type: ignore[method-assign]
    assert adjuster.adjust_due(TODAY) is None
    assert "due" in passes
    passes.clear()
    adjuster.adjust_due(TODAY)
    assert passes == []
    vote(quiet, "due", split())
    follow(quiet)
    assert adjuster.adjust_due(TODAY) == pytest.approx(3.0)  # it was read a moment ago
    assert passes == []
    clock.now += 3.0
    assert adjuster.adjust_due(TODAY) is None
    assert passes == ["due"]
    passes.clear()
    clock.now += 3.0
    adjuster.adjust_due(TODAY + timedelta(days=1))
    assert "due" in passes


def test_what_somebody_changed_is_due_and_what_it_published_itself_is_not(quiet: Service) -> None:
    publish_mapper(quiet, "changed")
    vote(quiet, "changed", split())
    follow(quiet)
    clock = Clock()
    adjuster = Adjuster(quiet.reader, quiet.streams, quiet.mappers, clock)
    adjuster.adjust_due(TODAY)
    assert multipliers(quiet, "changed") == {"liked": 1.1, "disliked": 0.9}
    follow(quiet)
    passes: list[str] = []

    def passed(tenant: str, mapper_id: str, today: date) -> int:
        passes.append(mapper_id)
        return 0

    adjuster.adjust = passed  # type: ignore[method-assign]
    clock.now += 100
    adjuster.adjust_due(TODAY)
    assert passes == []
    change(quiet, "changed", lambda state: freeze(state, TODAY, Provenance("test")))
    follow(quiet)
    clock.now += 100
    for _ in range(2):
        adjuster.adjust_due(TODAY)
    assert passes == ["changed"]


def test_a_mapper_that_takes_long_to_read_is_read_for_a_twentieth_of_the_time(quiet: Service) -> None:
    publish_mapper(quiet, "large")
    vote(quiet, "large", split())
    follow(quiet)
    clock = Clock()
    adjuster = Adjuster(quiet.reader, quiet.streams, quiet.mappers, clock)

    def slow(tenant: str, mapper_id: str, today: date) -> int:
        clock.now += 2.0 if mapper_id == "large" else 0.0
        return 0

    adjuster.adjust = slow  # type: ignore[method-assign]
    adjuster.adjust_due(TODAY)
    vote(quiet, "large", split())
    follow(quiet)
    waits = adjuster.adjust_due(TODAY)
    assert waits is not None
    assert 30 < waits <= 38


def test_a_pass_that_fails_is_made_again_after_those_of_others(quiet: Service) -> None:
    for mapper_id in ("failing", "well"):
        publish_mapper(quiet, mapper_id)
        vote(quiet, mapper_id, split())
    follow(quiet)
    clock = Clock()
    adjuster = Adjuster(quiet.reader, quiet.streams, quiet.mappers, clock)
    passes: list[str] = []

    def failing(tenant: str, mapper_id: str, today: date) -> int:
        if mapper_id == "failing":
            raise OSError(mapper_id)
        passes.append(mapper_id)
        return 0

    adjuster.adjust = failing  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(OSError, match="failing"):
            adjuster.adjust_due(TODAY)
    assert "well" in passes


def _told(said: Mapping[str, Evidence]) -> str:
    return repr(sorted(said.items()))


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
