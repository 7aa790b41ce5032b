"""Feedback on suggestions moves how far the traits that they rest on are believed, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from personakit.agents.mindscapes import read_mindscape
from personakit.agents.service import Service
from personakit.domain.computed_traits import is_computed
from personakit.domain.events import TraitTrustAdjusted
from personakit.domain.mapper import withdraw
from personakit.domain.publishing import Provenance
from personakit.eventlog.stored import StreamId
from personakit.projections.rebuild import rebuild
from personakit.projections.verify import verify
from tests.history import TENANT, observation, surrogate
from tests.integration.conftest import Client, follow
from tests.mapper_documents import suggest
from tests.voting import Vote, publish_mapper, vote

TODAY = datetime.now(UTC).date()
PATH = "work.commit_size"
MAPPED = {
    "rules": [suggest("liked", type_="welcome"), suggest("disliked", type_="task")],
    "trait_mappings": {"task": [PATH, "never.there"]},
}


def seen(service: Service, person: str) -> None:
    """Somebody whose commits some traits are derived of."""
    service.intake.record(TENANT, [observation(person, hour) for hour in range(12)])
    follow(service)
    for bucket in range(16):
        service.mindscaper.derive_due(bucket)
    follow(service)


def adjust(service: Service, mapper_id: str, today: date = TODAY) -> int:
    follow(service)
    made = service.adjuster.adjust(TENANT, mapper_id, today)
    follow(service)
    return made


def adjusted(service: Service, person: str) -> list[TraitTrustAdjusted]:
    stream = StreamId(TENANT, "mindscape", surrogate(service, person))
    return [event for _, event in service.streams.events(stream) if isinstance(event, TraitTrustAdjusted)]


def trust(service: Service, person: str) -> dict[str, float]:
    state = read_mindscape(service.reader, TENANT, surrogate(service, person)).state
    return {path: trait.trust for path, trait in state.visible_traits().items() if trait.trust != 1}


def paths(service: Service, person: str) -> set[str]:
    state = read_mindscape(service.reader, TENANT, surrogate(service, person)).state
    return {path for path, trait in state.visible_traits().items() if is_computed(trait)}


def turned_down(person: str, times: int = 8) -> list[Vote]:
    return [Vote(person, "disliked", helpful=False) for _ in range(times)]


def test_the_confidence_of_the_mapped_traits_falls_step_by_step_and_no_value_changes(quiet: Service) -> None:
    seen(quiet, "ada")
    assert PATH in paths(quiet, "ada")
    before = read_mindscape(quiet.reader, TENANT, surrogate(quiet, "ada")).state.visible_traits()
    publish_mapper(quiet, "doubting", **MAPPED)
    vote(quiet, "doubting", turned_down("ada"))
    adjust(quiet, "doubting")
    assert trust(quiet, "ada") == {PATH: 0.9}
    after = read_mindscape(quiet.reader, TENANT, surrogate(quiet, "ada")).state.visible_traits()
    assert {path: trait.value for path, trait in after.items()} == {
        path: trait.value for path, trait in before.items()
    }
    # a day has one step, whatever comes; the next day has another without any vote
    adjust(quiet, "doubting")
    vote(quiet, "doubting", turned_down("ada", 3))
    adjust(quiet, "doubting")
    assert trust(quiet, "ada") == {PATH: 0.9}
    adjust(quiet, "doubting", TODAY + timedelta(days=1))
    assert trust(quiet, "ada") == {PATH: 0.81}
    # and what is derived later goes on under it
    quiet.intake.record(TENANT, [observation("ada", 40)])
    follow(quiet)
    for bucket in range(16):
        quiet.mindscaper.derive_due(bucket)
    follow(quiet)
    assert trust(quiet, "ada") == {PATH: 0.81}


def test_who_says_little_or_is_somebody_else_is_not_touched(quiet: Service) -> None:
    seen(quiet, "bo")
    seen(quiet, "cy")
    publish_mapper(quiet, "sparing", **MAPPED)
    vote(quiet, "sparing", [*turned_down("bo"), *turned_down("cy", 3)])
    adjust(quiet, "sparing")
    assert (trust(quiet, "bo"), trust(quiet, "cy")) == ({PATH: 0.9}, {})
    assert adjust(quiet, "sparing") == 0
    assert len(adjusted(quiet, "bo")) == 1


def test_votes_on_several_mappers_count_together(quiet: Service) -> None:
    seen(quiet, "dee")
    for id_ in ("half", "other_half"):
        publish_mapper(quiet, id_, **MAPPED)
        vote(quiet, id_, turned_down("dee", 3))
    adjust(quiet, "half")
    assert trust(quiet, "dee") == {PATH: 0.9}


def test_where_nothing_rests_on_a_trait_any_more_it_is_believed_as_before(quiet: Service) -> None:
    seen(quiet, "eve")
    publish_mapper(quiet, "remapped", **MAPPED)
    vote(quiet, "remapped", turned_down("eve"))
    adjust(quiet, "remapped")
    publish_mapper(quiet, "remapped", "2.0.0", rules=MAPPED["rules"])
    adjust(quiet, "remapped", TODAY + timedelta(days=1))
    assert trust(quiet, "eve") == {PATH: 0.99}
    adjust(quiet, "remapped", TODAY + timedelta(days=2))
    assert trust(quiet, "eve") == {}


def test_what_a_day_did_not_allow_comes_on_the_next_even_if_the_first_step_had_come_to_rest(
    quiet: Service,
) -> None:
    seen(quiet, "hal")
    publish_mapper(quiet, "rested", **MAPPED)
    vote(quiet, "rested", [Vote("hal", "disliked", number < 2, ago=0) for number in range(6)])
    adjust(quiet, "rested")
    assert [(event.trust, event.settled) for event in adjusted(quiet, "hal")] == [({PATH: 0.9}, True)]
    vote(quiet, "rested", turned_down("hal", 20))
    adjust(quiet, "rested")
    assert len(adjusted(quiet, "hal")) == 1
    adjust(quiet, "rested", TODAY + timedelta(days=1))
    assert trust(quiet, "hal") == {PATH: 0.81}


def test_what_only_a_withdrawn_mapper_doubted_is_believed_as_before(quiet: Service) -> None:
    seen(quiet, "gus")
    publish_mapper(quiet, "withdrawn", **MAPPED)
    vote(quiet, "withdrawn", turned_down("gus"))
    adjust(quiet, "withdrawn")
    assert trust(quiet, "gus") == {PATH: 0.9}
    quiet.mappers.change(TENANT, "withdrawn", lambda state: withdraw(state, "withdrawn", Provenance("test")))
    adjust(quiet, "withdrawn", TODAY + timedelta(days=1))
    adjust(quiet, "withdrawn", TODAY + timedelta(days=2))
    assert trust(quiet, "gus") == {}


@pytest.mark.parametrize("publishing", ["propose", "off"])
def test_a_mapper_that_does_not_learn_teaches_nothing_of_traits_either(
    quiet: Service, publishing: str
) -> None:
    seen(quiet, publishing)
    settings = {"publishing": publishing}
    publish_mapper(quiet, f"silent_{publishing}", **MAPPED, feedback_settings=settings)
    vote(quiet, f"silent_{publishing}", turned_down(publishing))
    adjust(quiet, f"silent_{publishing}")
    assert trust(quiet, publishing) == ({} if publishing == "off" else {PATH: 0.9})


@pytest.mark.parametrize("name", ["mindscapes", "personas", "changes", "votes"])
def test_what_is_read_is_what_a_replay_makes(quiet: Service, name: str) -> None:
    follow(quiet)
    assert verify(quiet.pool, quiet.projections[name], quiet.keys).clean
    rebuild(quiet.pool, quiet.projections[name], quiet.keys)
    assert verify(quiet.pool, quiet.projections[name], quiet.keys).clean


def test_a_reader_sees_what_feedback_made_of_a_trait_and_why(client: Client, service: Service) -> None:
    commits = [observation("flo", hour) for hour in range(12)]
    body = [
        {"id": str(o.id), "personId": "flo", "type": o.type, "content": o.content,
         "occurredAt": o.occurred_at.isoformat()}
        for o in commits
    ]  # fmt: skip
    position = client.post("/observations/batch", json=body).json()["results"][-1]["position"]
    before = read_trait(client, position)
    publish_mapper(service, "shown", **MAPPED)
    vote(service, "shown", turned_down("flo"))
    position = service.reader.head()
    client.get("/mindscapes/flo", headers={"PersonaKit-Min-Position": str(position)})
    service.adjuster.adjust(TENANT, "shown", TODAY)
    after = read_trait(client, service.reader.head())
    assert (after["trust"], after["value"]) == (0.9, before["value"])
    assert after["confidence"] == pytest.approx(0.9 * before["confidence"], abs=0.001)
    evidence = client.get(f"/mindscapes/flo/traits/{PATH}/evidence").json()
    newest = evidence["history"][0]
    assert (newest["agent"], evidence["trait"]["trust"]) == ("adjuster", 0.9)
    assert newest["reason"].startswith(f"Feedback on what rests on traits: {PATH} is believed 0.9 times")
    synced = client.get("/sync").json()["items"]
    (flo,) = (item["body"] for item in synced if item["id"] == "flo")
    assert {path for path, fact in flo["core"]["traits"].items() if fact.get("trust", 1) != 1} <= {PATH}
    then = client.get("/mindscapes/flo", params={"asOf": str(position)}).json()["traits"][PATH]
    assert then["trust"] == 1


def trusts(persona: dict[str, Any]) -> dict[str, float]:
    shown = {**persona["core"]["traits"], **persona["overlay"]}
    return {path: trait.get("trust", 1) for path, trait in shown.items()}


def read_trait(client: Client, position: int) -> dict[str, Any]:
    headers = {"PersonaKit-Min-Position": str(position)}
    trait: dict[str, Any] = client.get("/mindscapes/flo", headers=headers).json()["traits"][PATH]
    return trait
