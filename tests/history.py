"""A history with a little of everything, for tests of what is made of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import msgspec

from personakit.agents.service import Service
from personakit.domain.events import DerivationCompleted, ModelUse, PersonaDefined, PersonaRetired
from personakit.domain.mapper import MapperEvent, MapperState, change_weight, restore, with_weight, withdraw
from personakit.domain.mindscape import Pin
from personakit.domain.publishing import Provenance
from personakit.domain.trait_tests import accept_traits
from personakit.eventlog.access import create_tenant
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.intake import About
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from personakit.projections.follow import Followers
from personakit_sdk import wire
from personakit_sdk.rules import compile_mapper

TENANT = "default"
MODEL_USE = ModelUse(
    model="claude-test",
    prompt="f" * 64,
    input_tokens=900,
    output_tokens=120,
    cache_read_tokens=800,
    cache_write_tokens=0,
    usd=0.00123,
)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def observation(person: str, hour: int = 0, **content: Any) -> wire.Observation:
    """A commit of so many lines as hours have passed."""
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type="code_commit",
        content={"lines_changed": hour, "languages": ["Python"], "merge": False, **content},
        occurred_at=START + timedelta(hours=hour),
    )


def follow(service: Service) -> None:
    """Lets every read model take what is in the log, or waits while a running follower does."""
    Followers(service.pool, service.projections.values(), service.keys).catch_up()
    service.reader.wait_for_projections(service.reader.head(), 10)


def surrogate(service: Service, person: str) -> UUID:
    """Who the log knows by this id."""
    found = service.people.find(TENANT, person)
    assert found is not None
    return found.surrogate


def let_a_model_read_one(service: Service, person: UUID) -> None:
    """As if a model had been asked about the oldest of somebody's texts, and paid."""
    with service.reader.snapshot_of_all() as snapshot:
        texts = snapshot.rows(
            "inference_due.unread", tenant=TENANT, person=person, after=0, through=2**62, limit=1
        )
    event = DerivationCompleted(
        derivation="anthropic",
        definition="claude-test:ff",
        read_through=texts[0]["position"],
        use=MODEL_USE,
        dropped={"pinned": 1},
    )
    stream = StreamId(TENANT, "derivation.anthropic", person)
    service.streams.update(stream, Loaded(None, 0), lambda _, each: each, lambda _: event, person=person)


def take_back(service: Service, person: str) -> None:
    """An observation that is retracted, one that is superseded, and one that expires."""
    mistaken, wrong, brief = (observation(person, hour) for hour in range(97, 100))
    assert mistaken.id is not None
    brief = msgspec.structs.replace(brief, expires_at=START)
    right = msgspec.structs.replace(observation(person, 98), supersedes=wrong.id)
    service.intake.record(TENANT, [mistaken, wrong, brief])
    service.intake.record(TENANT, [right])
    service.retractions.retract(TENANT, mistaken.id, "not mine")
    follow(service)
    service.expiry.sweep(START)


def change_mappers(service: Service) -> None:
    """One has another weight and is rolled back, and one is withdrawn."""
    by = Provenance("test", "to see")

    def weigh(state: MapperState) -> MapperEvent | None:
        rule_id = state.shown.document["rules"][0]["id"]
        return change_weight(state, rule_id, lambda before: before / 2, by)

    def roll_back(state: MapperState) -> MapperEvent | None:
        rule_id = state.shown.document["rules"][0]["id"]
        first = with_weight(state.shown.document, rule_id, 2 * state.shown.document["rules"][0]["weight"])
        return restore(state, compile_mapper(first), 1, by)

    service.mappers.change(TENANT, "work_rhythm", weigh)
    service.mappers.change(TENANT, "work_rhythm", roll_back)
    service.mappers.change(TENANT, "work_rhythm", weigh)
    service.mappers.change(TENANT, "learning_coach", lambda state: withdraw(state, "learning_coach", by))


def reading(version: str = "1.0.0") -> dict[str, Any]:
    """A document of computed traits that no release has."""
    return {
        "metadata": {"id": "reading", "version": version, "description": "What a person reads"},
        "observes": "reading_session",
        "traits": [{"path": "reading.sessions", "aggregate": "count", "volatility": "low"}],
    }


def change_computed_traits(service: Service) -> None:
    """One is published twice, and one is withdrawn again."""
    by = Provenance("test", "to see")
    for document in (reading(), reading("1.1.0"), hours()):
        service.trait_documents.publish(TENANT, accept_traits(document), by, known=False, source="# a text")
    service.trait_documents.withdraw(TENANT, "hours", by)


def hours() -> dict[str, Any]:
    """Another one."""
    trait = {"path": "reading.hours", "aggregate": "histogram_by_hour", "volatility": "low"}
    return reading() | {
        "metadata": {"id": "hours", "version": "1.0.0", "description": "When"},
        "traits": [trait],
    }


def let_feedback_teach(service: Service, *people: str) -> None:
    """Each dislikes one rule much, so that it weighs less for all, where they are several, and for each."""
    day = datetime.now(UTC) - timedelta(days=1)
    about = About(mapper_id="work_rhythm", rule_id="evening_builder")
    for person in people:
        found = service.people.find(TENANT, person)
        assert found is not None
        for _ in range(8):
            service.intake.receive(TENANT, wire.Feedback(helpful=False, occurred_at=day), about, found)
        liked = About(mapper_id="work_rhythm", rule_id="night_builder")
        for _ in range(8):
            service.intake.receive(TENANT, wire.Feedback(helpful=True, occurred_at=day), liked, found)
    follow(service)
    service.adjuster.adjust(TENANT, "work_rhythm", datetime.now(UTC).date())


def forget_somebody(service: Service, friend: str) -> None:
    """Somebody is erased, with whom a friend shared a persona; it goes on with the friend alone."""
    service.intake.record(TENANT, [observation("forgotten", hour) for hour in range(3)])
    both = (surrogate(service, "forgotten"), surrogate(service, friend))
    persona = service.personas.create(TENANT, PersonaDefined(people=both)).persona
    follow(service)
    service.regenerator.regenerate(TENANT, persona)
    with TemporaryDirectory() as folder:
        eraser = Eraser(service.recorder, service.keys, ErasureJournal(Path(folder, "erasures.jsonl")))
        assert eraser.erase(TENANT, "forgotten") is not None
    service.people.forget(None)
    follow(service)
    service.regenerator.regenerate(TENANT, persona)


def ask_for_consent(service: Service, *people: str) -> None:
    """Each consents to something, and to less again; and it is required, for a while."""
    by = Provenance("key: me", "asked")
    for person in people:
        service.consents.change(TENANT, person, ["learning", "wellbeing"], by)
        service.consents.change(TENANT, person, ["learning"], by)
    service.consents.set_policy(TENANT, "required", by)
    service.consents.set_policy(TENANT, "off", by)


def a_little_of_everything(service: Service, *people: str) -> None:
    """Mappers, observations, traits, cores (stale ones too) and feedback; every table has rows of it."""
    create_tenant(service.recorder, TENANT, "Default")
    service.mappers.publish_shipped(TENANT)
    change_mappers(service)
    change_computed_traits(service)
    for person in people:
        service.intake.record(TENANT, [observation(person, hour) for hour in range(10)])
        follow(service)
        service.mindscaper.derive(TENANT, surrogate(service, person))
        follow(service)
        service.regenerator.regenerate(TENANT, surrogate(service, person))
        take_back(service, person)
        service.intake.record(TENANT, [observation(person, hour) for hour in range(100, 140)])
        follow(service)
        service.mindscaper.derive(TENANT, surrogate(service, person))
        found = service.people.find(TENANT, person)
        assert found is not None
        service.curator.pin(
            TENANT, surrogate(service, person), "diet", Pin("vegan", "low", "told", "key: me")
        )
        service.curator.pin(TENANT, surrogate(service, person), "gone", Pin(1, "low", "told", "key: me"))
        service.curator.unpin(TENANT, surrogate(service, person), "gone", "wrong", "key: me")
        person_seen = surrogate(service, person)
        pair = service.personas.create(
            TENANT, PersonaDefined(people=(person_seen,), paths=("work.*",))
        ).persona
        follow(service)
        service.regenerator.regenerate(TENANT, pair)
        gone = service.personas.create(TENANT, PersonaDefined(people=(person_seen,))).persona
        follow(service)
        service.personas.retire(TENANT, gone, PersonaRetired(origin="key: me"))
        service.intake.record(TENANT, [observation(person, text="four words and more") for _ in range(3)])
        follow(service)
        let_a_model_read_one(service, person_seen)
        about = About(mapper_id="work_rhythm", rule_id="any")
        service.intake.receive(TENANT, wire.Feedback(helpful=True, comment=f"of {person}"), about, found)
    let_feedback_teach(service, *people)
    ask_for_consent(service, *people, "forgotten")
    forget_somebody(service, people[0])
    follow(service)
