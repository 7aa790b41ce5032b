"""The SDK against a real service: what it sends is there, and what it maps offline is the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from personakit_sdk import NotCached, PersonaKit, wire
from personakit_sdk.transport import Transport
from tests import mapper_documents as documents
from tests.postgres import data_dir
from tests.processes import Installation, installation

DAY = datetime(2026, 3, 2, 21, tzinfo=UTC)
LATER = DAY + timedelta(days=12)
RECENT = "work.recent_commit_size"


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with data_dir() as folder, installation(folder) as made:
        made.start()
        yield made


@pytest.fixture
def kit(installed: Installation, tmp_path: Path) -> Iterator[PersonaKit]:
    with open_kit(installed, tmp_path / "store.db") as kit:
        yield kit


def open_kit(installed: Installation, store: Path, **options: Any) -> PersonaKit:
    key = (installed.data_dir / "api-key").read_text().strip()
    url = f"http://127.0.0.1:{installed.port}"
    return PersonaKit(url, key, store=store, **{"background": False, **options})


def commit(kit: PersonaKit, person: str, day: int) -> None:
    content = {"lines_changed": 10 + day, "languages": ["Python"], "merge": False}
    kit.observe(person, "code_commit", content, occurred_at=DAY + timedelta(days=day))


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pulled_traits(kit: PersonaKit, person: str) -> dict[str, wire.Trait]:
    kit.sync()
    try:
        return kit.personas.get(person).core.traits
    except NotCached:
        return {}


@pytest.fixture(scope="module")
def ada(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A person of whom all is derived that will be."""
    with open_kit(installed, tmp_path_factory.mktemp("ada") / "store.db") as kit:
        for day in range(12):
            commit(kit, "ada", day)
        assert kit.flush()
    transport = installed.transport()
    until(lambda: recorded(transport, "ada") == 12)
    reply = transport.request("GET", "/observations", query={"personId": "ada"})
    newest = max(item.position for item in reply.decode(wire.ObservationList).items)
    until(lambda: settled(transport, "ada", newest))
    return "ada"


def settled(transport: Transport, person: str, position: int) -> bool:
    query = {"mapperId": "work_rhythm", "personaId": person}
    answer = transport.request("GET", "/map-persona", query=query).decode(wire.MapAnswer)
    read = answer.freshness.derived_through[person].get("computed", 0)
    return read >= position and answer.persona.core_version > 0


@pytest.mark.parametrize("detail_level", ["instant", "balanced", "deep_dive"])
@pytest.mark.parametrize("mapper_id", ["work_rhythm", "wellbeing_companion"])
def test_offline_equals_online(
    installed: Installation, kit: PersonaKit, ada: str, mapper_id: str, detail_level: wire.DetailLevel
) -> None:
    kit.sync()
    at = DAY + timedelta(days=12, minutes=17)
    asked = {"mapperId": mapper_id, "personaId": ada, "detailLevel": detail_level, "at": at.isoformat()}
    asked |= {"timezone": "Europe/Berlin", "context": {"energy": 3}, "explain": True}
    online = installed.transport().request("POST", "/map-persona", body=asked, idempotent=True)
    there = online.decode(wire.MapAnswer)
    here = kit.map_persona(
        mapper_id,
        ada,
        detail_level=detail_level,
        at=at,
        timezone="Europe/Berlin",
        context={"energy": 3},
        explain=True,
    )
    assert msgspec.json.encode(here.suggestions) == msgspec.json.encode(there.suggestions)
    assert msgspec.to_builtins(here.explanation) == there.explanation
    assert (here.mapper, here.missing_traits) == (there.mapper, there.missing_traits)
    assert here.mindscape_versions == there.freshness.mindscape_versions
    assert here.data.position <= there.freshness.position
    assert shape(here.persona) == shape(there.persona)


def shape(view: wire.PersonaView) -> Any:
    """The persona but for what depends on the instant that it is shown at."""
    shown = msgspec.to_builtins(view)
    for traits in (shown["core"]["traits"], shown.get("overlay") or {}):
        for trait in traits.values():
            trait["confidence"] = round(trait["confidence"], 2)
    return shown


def test_feedback_on_what_was_mapped_offline_finds_its_rule(installed: Installation, kit: PersonaKit) -> None:
    installed.transport().request("POST", "/mappers", body=documents.mapper("always_on"), idempotent=True)
    commit(kit, "bob", 1)
    assert kit.flush()
    until(lambda: kit.sync().cache.personas > 0 and "bob" in kit.personas.ids())
    answer = kit.map_persona("always_on", "bob")
    kit.feedback(answer.suggestions[0].id, helpful=True)
    kit.feedback("sug_" + answer.suggestions[0].id[4:], rating=5)
    assert kit.flush()
    assert len(kit.dead_letters) == 0
    assert kit.status().outbox.confirmed == 3


def test_what_feedback_teaches_reaches_an_offline_answer(installed: Installation, kit: PersonaKit) -> None:
    """What all taught of a mapper, what one persona taught of its own, and how far a trait is believed."""
    transport = installed.transport()
    people = ["ida", "joe", "kim"]
    for person in people:
        for day in range(12):
            commit(kit, person, day)
    assert kit.flush()
    believed = documents.suggest("believed") | {"conditions": documents.check(RECENT, min_confidence=0.1)}
    document = documents.mapper("taught") | {
        "rules": [documents.suggest("liked", type_="welcome"), documents.suggest("disliked"), believed],
        "trait_mappings": {"welcome": [RECENT]},
    }
    transport.request("POST", "/mappers", body=document, idempotent=True)
    until(lambda: all(is_derived(kit, person) for person in people))
    untaught = kit.map_persona("taught", "ida", at=LATER)
    assert {each.learned for each in untaught.suggestions} == {1.0}
    for person in people:
        vote(transport, person, "liked", 6, helpful=True)
        vote(transport, person, "disliked", 4, helpful=False)
    vote(transport, "ida", "disliked", 12, helpful=True)

    def taught() -> bool:
        mapper = transport.request("GET", "/mappers/taught").decode(wire.Mapper)
        ida = transport.request("GET", "/personas/ida").decode(wire.Persona)
        own = ida.learned.get("taught", {})
        return mapper.learned.keys() == {"liked", "disliked"} and bool(own) and ida.overlay[RECENT].trust > 1

    until(taught)
    until(lambda: kit.sync() and all(is_the_same(transport, kit, person) for person in people))
    answer = kit.map_persona("taught", "ida", at=LATER)
    assert answer.persona.overlay is not None
    assert answer.persona.overlay[RECENT].trust > 1
    multipliers = {each.rule_id: each.learned for each in answer.suggestions}
    assert multipliers["liked"] > 1
    assert multipliers["disliked"] != kit.mappers.get("taught").learned["disliked"]
    assert answer.mapper.version > untaught.mapper.version


def is_derived(kit: PersonaKit, person: str) -> bool:
    kit.sync()
    return person in kit.personas.ids() and RECENT in kit.personas.get(person).overlay


def vote(transport: Transport, person: str, rule: str, times: int, **said: bool) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    about = {"mapperId": "taught", "ruleId": rule, "personaId": person, "occurredAt": yesterday}
    for _ in range(times):
        transport.request("POST", "/feedback", body=about | said, idempotent=False)


def is_the_same(transport: Transport, kit: PersonaKit, person: str) -> bool:
    """Whether the cache answers as the service does, once it has what the service learned last."""
    asked = {"mapperId": "taught", "personaId": person, "at": LATER.isoformat(), "detailLevel": "deep_dive"}
    online = transport.request("GET", "/map-persona", query=asked).decode(wire.MapAnswer)
    here = kit.map_persona("taught", person, at=LATER, detail_level="deep_dive")
    return (
        msgspec.json.encode(here.suggestions) == msgspec.json.encode(online.suggestions)
        and here.mapper == online.mapper
        and shape(here.persona) == shape(online.persona)
    )


def test_what_the_service_refuses_is_a_dead_letter_with_its_problem(kit: PersonaKit) -> None:
    kit.feedback(mapper_id="no_such_mapper", rule_id="r", persona_id="eve", helpful=True)
    commit(kit, "eve", 1)
    assert kit.flush()
    (letter,) = kit.dead_letters
    assert letter.problem.status >= 400
    assert kit.status().outbox.confirmed == 1


def test_a_service_that_is_killed_under_way_has_all_of_it_in_the_end(
    installed: Installation, tmp_path: Path
) -> None:
    with open_kit(installed, tmp_path / "store.db", background=True) as kit:
        for day in range(40):
            commit(kit, "nils", day)
            if day == 20:
                installed.kill()
        installed.start()
        until(lambda: kit.status().outbox.waiting == 0, 100)
        assert kit.status().outbox.dead_letters == 0
    until(lambda: recorded(installed.transport(), "nils") == 40)


def recorded(transport: Transport, person: str) -> int:
    reply = transport.request("GET", "/observations", query={"personId": person, "limit": 500})
    items = reply.decode(wire.ObservationList).items
    assert len({item.id for item in items}) == len(items)
    return len(items)


def test_a_regenerated_core_is_in_the_cache(kit: PersonaKit) -> None:
    for day in range(5):
        commit(kit, "uma", day)
    assert kit.flush()
    until(lambda: "work.commits" in pulled_traits(kit, "uma"))
    made = kit.regenerate("uma")
    until(lambda: kit.sync().cache.personas > 0 and kit.personas.get("uma").core_version >= made.core_version)
    assert not kit.personas.get("uma").is_stale
