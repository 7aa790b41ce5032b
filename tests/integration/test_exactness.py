"""Exactness: whatever happened, however it was followed, the live read models are what a replay makes.

Random histories (people, observations, repeats and retractions, traits, cores, feedback, mappers, events
that cannot be taken), followed in random steps by random groups of projections, rebuilt in between. Where
`CI` is set Hypothesis takes the same examples each time; elsewhere it prints what reproduces a failure.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql

from personakit.agents.consents import policy_stream
from personakit.agents.mappers import mapper_stream
from personakit.agents.own_traits import computed_traits_stream
from personakit.agents.service import Service
from personakit.domain.computed_trait_documents import read_document
from personakit.domain.events import (
    ComputedTraitsPublished,
    ComputedTraitsWithdrawn,
    ConsentChanged,
    ConsentPolicyChanged,
    DerivationCompleted,
    Event,
    FeedbackReceived,
    MapperPublished,
    MapperWithdrawn,
    MindscapeUpdated,
    PersonaCoreGenerated,
    PersonaDefined,
    PersonaRetired,
    PersonaWeightsAdjusted,
    RuleEvidence,
    RuleWeightChanged,
    RuleWeightsAdjusted,
    TraitPinned,
    TraitTrustAdjusted,
    TraitUnpinned,
)
from personakit.domain.mapper import MapperState, evolve
from personakit.domain.own_traits import OwnTraits
from personakit.domain.own_traits import evolve as evolve_traits
from personakit.domain.traits import Trait
from personakit.eventlog.access import create_tenant
from personakit.eventlog.appender import NewEvent
from personakit.eventlog.person_keys import Person
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from personakit.projections import builds
from personakit.projections.follow import Followers
from personakit.projections.rebuild import rebuild
from personakit.projections.sql import Projection, load_projections
from personakit.projections.verify import verify
from personakit.shipped import projections_dir
from personakit_sdk import wire
from tests.history import MODEL_USE
from tests.people import somebody
from tests.postgres import MASTER_KEY

TENANTS = ("default", "other")
START = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = sorted(load_projections(projections_dir()))
PATHS = ("a", "b", "c")
WORDS = {"text": "four words and more"}
EVIDENCE = {"a": RuleEvidence(rate=0.4375, votes=12.5, personas=3)}

names = st.sampled_from(NAMES)
groups = st.lists(names, min_size=1, unique=True)
tenants = st.sampled_from(TENANTS)
indexes = st.integers(0, 3)
mapper_ids = st.sampled_from("mn")
multipliers = st.dictionaries(st.sampled_from(["a", "r0", "gone"]), st.sampled_from([0.9, 1.0, 1.1]))
days = st.dates(START.date(), START.date() + timedelta(days=2))
skips = st.sampled_from([0] * 9 + [1])
"""How many versions an event leaves out: a document may not skip what it has not seen."""
traits = st.dictionaries(
    st.sampled_from(PATHS),
    st.builds(
        Trait,
        value=st.integers(0, 9) | st.text("äb\\\"'{},()", max_size=3),
        volatility=st.sampled_from(["low", "high"]),
        last_observed_at=st.just(START),
    ),
    max_size=2,
)


class Histories(RuleBasedStateMachine):
    """One history, over a database of its own."""

    conninfo: Iterator[str]

    @initialize()
    def begin(self) -> None:
        self.service = Service(next(self.conninfo), MASTER_KEY)
        for tenant in TENANTS:
            create_tenant(self.service.recorder, tenant, tenant)
        self.people: list[tuple[str, Person]] = []
        self.sent: list[tuple[str, wire.Observation]] = []

    @rule(tenant=tenants, index=indexes)
    def register(self, tenant: str, index: int) -> None:
        person = self.service.people.register(tenant, [f"p{index}"])[f"p{index}"]
        if (tenant, person) not in self.people:
            self.people.append((tenant, person))

    @rule(tenant=tenants)
    def meet_without_registering(self, tenant: str) -> None:
        """What is said about them cannot be taken by read models that know them only once registered."""
        self.people.append((tenant, somebody(self.service.recorder, self.service.keys, tenant)))

    @rule(
        tenant=tenants,
        whose=st.lists(indexes, min_size=1, max_size=6),
        repeats=st.integers(0, 3),
        kind=st.sampled_from(["code_commit", "note"]),
    )
    def observe(self, tenant: str, whose: Sequence[int], repeats: int, kind: str) -> None:
        new = [self._observation(f"p{index}", kind) for index in whose]
        again = [sent for by, sent in self.sent[-repeats:] if by == tenant] if repeats else []
        self.service.intake.record(tenant, [*new, *again, new[0]])
        self.sent += [(tenant, each) for each in new]
        for index in set(whose):
            self.register(tenant, index)

    def _observation(self, person: str, kind: str) -> wire.Observation:
        n = len(self.sent)
        return wire.Observation(
            id=uuid4(),
            person_id=person,
            type=kind,
            content={"lines_changed": n, "languages": ["Python"], "merge": False, **(WORDS if n % 2 else {})},
            occurred_at=START + timedelta(hours=n),
        )

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 20), again=st.booleans())
    def retract(self, which: int, again: bool) -> None:
        tenant, sent = self.sent[which % len(self.sent)]
        assert sent.id is not None
        for _ in range(1 + again):
            self.service.retractions.retract(tenant, sent.id, "a mistake")

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 20))
    def correct(self, which: int) -> None:
        tenant, sent = self.sent[which % len(self.sent)]
        new = msgspec.structs.replace(self._observation(sent.person_id, "note"), supersedes=sent.id)
        self.service.intake.record(tenant, [new])
        self.sent.append((tenant, new))

    @rule(tenant=tenants, index=indexes, day=st.integers(0, 3))
    def expire(self, tenant: str, index: int, day: int) -> None:
        """One is recorded that expires some day, and those that have by the second are retracted."""
        at = START + timedelta(days=day)
        new = msgspec.structs.replace(self._observation(f"p{index}", "code_commit"), expires_at=at)
        self.service.intake.record(tenant, [new])
        self.sent.append((tenant, new))
        self.register(tenant, index)
        self.service.expiry.sweep(START + timedelta(days=2))

    @precondition(lambda self: self.people)
    @rule(index=indexes)
    def derive(self, index: int) -> None:
        tenant, person = self._somebody(index)
        self.service.mindscaper.derive(tenant, person.surrogate)

    @precondition(lambda self: self.people)
    @rule(index=indexes)
    def regenerate(self, index: int) -> None:
        tenant, person = self._somebody(index)
        self.service.regenerator.regenerate(tenant, person.surrogate)

    @precondition(lambda self: self.people)
    @rule(
        index=indexes,
        found=traits,
        removed=st.sets(st.sampled_from(PATHS)),
        derivation=st.sampled_from(["computed", "other", "anthropic"]),
        definition=st.sampled_from("xy"),
        behind=st.integers(0, 5),
        skip=skips,
    )
    def update_mindscape(
        self,
        index: int,
        found: dict[str, Trait],
        removed: set[str],
        derivation: str,
        definition: str,
        behind: int,
        skip: int,
    ) -> None:
        slow = sorted(path for path, trait in found.items() if trait.volatility == "low")
        event = MindscapeUpdated(
            traits=found,
            removed=tuple(sorted(removed - found.keys())),
            material=tuple(slow),
            derivation=derivation,
            definition=definition,
            read_through=max(0, self.service.reader.head() - behind),
            use=None if derivation == "computed" else MODEL_USE,
        )
        self._append(index, "mindscape", event, skip)

    @precondition(lambda self: self.people)
    @rule(index=indexes, path=st.sampled_from(PATHS), value=st.integers(0, 9) | st.none(), skip=skips)
    def curate(self, index: int, path: str, value: int | None, skip: int) -> None:
        """Pins, or unpins what may not be pinned."""
        said = {"path": path, "reason": "why", "origin": "who", "material": (path,)}
        event = TraitUnpinned(**said) if value is None else TraitPinned(**said, value=value, volatility="low")
        self._append(index, "mindscape", event, skip)

    @precondition(lambda self: self.people)
    @rule(index=indexes, purposes=st.sets(st.sampled_from(PATHS)), skip=skips)
    def consent(self, index: int, purposes: set[str], skip: int) -> None:
        self._append(
            index, "person", ConsentChanged(purposes=tuple(sorted(purposes)), origin="o", reason="r"), skip
        )

    @rule(tenant=tenants, policy=st.sampled_from(["off", "required"]))
    def set_consent_policy(self, tenant: str, policy: Any) -> None:
        stream = policy_stream(tenant)
        event = ConsentPolicyChanged(policy=policy, origin="o")
        self._write(NewEvent(stream, self._next(stream), event))

    @precondition(lambda self: self.people)
    @rule(
        index=indexes,
        trust=st.dictionaries(st.sampled_from(PATHS), st.sampled_from([0.9, 1.1])),
        day=days,
        skip=skips,
    )
    def adjust_trust(self, index: int, trust: dict[str, float], day: date, skip: int) -> None:
        event = TraitTrustAdjusted(
            trust=trust,
            day=day,
            morning={},
            settled=day == START.date(),
            read_through=index,
            reason="why",
            material=tuple(sorted(trust)),
        )
        self._append(index, "mindscape", event, skip)

    @precondition(lambda self: self.people)
    @rule(
        index=indexes,
        definition=st.sampled_from("xy"),
        behind=st.integers(0, 5),
        derivation=st.sampled_from(["computed", "anthropic"]),
    )
    def complete_derivation(
        self, index: int, definition: str, behind: int, derivation: str = "computed"
    ) -> None:
        event = DerivationCompleted(
            derivation=derivation,
            definition=definition,
            read_through=max(0, self.service.reader.head() - behind),
            use=None if derivation == "computed" else MODEL_USE,
            dropped={} if derivation == "computed" else {"pinned": behind + 1},
        )
        self._append(index, f"derivation.{derivation}", event)

    @precondition(lambda self: self.people)
    @rule(index=indexes, found=traits, version=st.integers(0, 4), skip=skips)
    def make_core(self, index: int, found: dict[str, Trait], version: int, skip: int) -> None:
        """Of some version of the mindscape: cores race updates."""
        person = str(self._somebody(index)[1].surrogate)
        event = PersonaCoreGenerated(summary="S", traits=found, mindscape_versions={person: version})
        self._append(index, "persona", event, skip)

    @precondition(lambda self: self.people)
    @rule(
        number=st.integers(0, 2),
        viewed=st.lists(indexes, min_size=1, max_size=3, unique=True),
        paths=st.none() | st.lists(st.sampled_from((*PATHS, "a.*")), min_size=1, max_size=2, unique=True),
        skip=skips,
    )
    def define_persona(
        self, number: int, viewed: Sequence[int], paths: Sequence[str] | None, skip: int
    ) -> None:
        """Of people of any tenant's, who may not be there."""
        people = dict.fromkeys(self._somebody(index)[1].surrogate for index in viewed)
        event = PersonaDefined(people=tuple(people), name="n", paths=None if paths is None else tuple(paths))
        self._about_persona(number, event, skip)

    @rule(number=st.integers(0, 2), mapper=mapper_ids, learned=multipliers, day=days)
    def adjust_persona(self, number: int, mapper: str, learned: dict[str, float], day: date) -> None:
        event = PersonaWeightsAdjusted(
            mapper_id=mapper,
            learned=learned,
            day=day,
            morning={"a": 1.0},
            settled=day == START.date(),
            evidence=EVIDENCE,
            read_through=number,
        )
        self._about_persona(number, event)

    @rule(number=st.integers(0, 2))
    def retire_persona(self, number: int) -> None:
        self._about_persona(number, PersonaRetired(origin="who"))

    @precondition(lambda self: self.people)
    @rule(number=st.integers(0, 2), found=traits, index=indexes, version=st.integers(0, 4))
    def make_core_of_persona(self, number: int, found: dict[str, Trait], index: int, version: int) -> None:
        person = str(self._somebody(index)[1].surrogate)
        self._about_persona(
            number, PersonaCoreGenerated(summary="S", traits=found, mindscape_versions={person: version})
        )

    def _about_persona(self, number: int, event: Event, skip: int = 0) -> None:
        """To a created persona's stream, whether or not it is there."""
        persona = uuid5(UUID(int=1), f"persona {number}")
        person = self.service.people.give_key(TENANTS[0], persona)
        stream = StreamId(TENANTS[0], "persona", persona)
        self._write(NewEvent(stream, self._next(stream) + skip, event, person))

    @precondition(lambda self: self.people)
    @rule(
        burst=st.lists(
            st.tuples(indexes, st.sampled_from(["update", "complete", "core", "feedback"])),
            min_size=3,
            max_size=10,
        ),
        found=traits,
    )
    def happen(self, burst: Sequence[tuple[int, str]], found: dict[str, Trait]) -> None:
        """Much, about several people by turns."""
        for n, (index, what) in enumerate(burst):
            match what:
                case "update":
                    self.update_mindscape(index, found, set(), "computed", "xy"[n % 2], n % 3, 0)
                case "complete":
                    self.complete_derivation(index, "x", n % 3)
                case "core":
                    self.make_core(index, found, n, 0)
                case "feedback":
                    self.give_feedback(index, None, 3)

    @precondition(lambda self: self.people)
    @rule(
        index=indexes,
        rank=st.sampled_from([None, 1, 2, 2**40]),
        rating=st.integers(1, 5) | st.none(),
        ago=st.integers(0, 3) | st.none(),
    )
    def give_feedback(self, index: int, rank: int | None, rating: int | None, ago: int | None = None) -> None:
        """Rated, or else ignored."""
        event = FeedbackReceived(
            mapper_id="m",
            rule_id="r",
            digest="d",
            rank=rank,
            rating=rating,
            outcome="ignored",
            occurred_at=None if ago is None else datetime.now(UTC) - timedelta(days=ago),
            propensity=1 / 3 if rank else None,
            among=("q", "r") if rank else (),
        )
        tenant, person = self._somebody(index)
        self._write(NewEvent(StreamId(tenant, "feedback", uuid4()), 1, event, person))

    @rule(tenant=tenants, mapper=mapper_ids, status=st.sampled_from(["draft", "active"]), skip=skips)
    def publish(self, tenant: str, mapper: str, status: Any, skip: int) -> None:
        version = self._next(mapper_stream(tenant, mapper)) + skip
        document = {
            "metadata": {"id": mapper, "version": f"1.0.{version}"},
            "conditions": {"n": {"not": {"trait_check": {"path": "b.c", "operator": "exists"}}}},
            "rules": [
                {"id": id_, "weight": 1.0, "conditions": {"all": [{"condition": "n"}]}, "actions": []}
                for id_ in ("a", f"r{version % 2}")
            ],
        }
        event = MapperPublished(
            mapper_id=mapper,
            document=document,
            hash=f"{version:064}",
            status=status,
            origin="upload",
            source="# a text" if version % 2 else None,
            restores=None if version % 3 else 1,
        )
        self._change_mapper(tenant, mapper, event, skip)

    @rule(
        tenant=tenants,
        mapper=mapper_ids,
        rule_id=st.sampled_from(["a", "a", "a", "r0", "missing"]),
        weight=st.sampled_from([0.0, 1.0, 1.5, 1e-05]),
        skip=skips,
    )
    def change_weight(self, tenant: str, mapper: str, rule_id: str, weight: float, skip: int) -> None:
        """Of rules that may not be there, and of mappers that may be withdrawn: such streams stand still."""
        event = RuleWeightChanged(
            mapper_id=mapper, rule_id=rule_id, weight=weight, hash=f"{weight}", origin="o", reason="because"
        )
        self._change_mapper(tenant, mapper, event, skip)

    @rule(tenant=tenants, mapper=mapper_ids, learned=multipliers, day=days, skip=skips)
    def adjust_weights(
        self, tenant: str, mapper: str, learned: dict[str, float], day: date, skip: int
    ) -> None:
        """Of mappers that may not be in use: such streams stand still."""
        event = RuleWeightsAdjusted(
            mapper_id=mapper,
            learned=learned,
            frozen=tuple(sorted(learned)),
            day=day,
            morning={"a": 1.0},
            settled=bool(learned),
            evidence=EVIDENCE if learned else {},
            read_through=len(learned),
            cause="learned",
            origin="adjuster",
        )
        self._change_mapper(tenant, mapper, event, skip)

    @rule(tenant=tenants, mapper=mapper_ids, skip=skips)
    def withdraw(self, tenant: str, mapper: str, skip: int) -> None:
        self._change_mapper(tenant, mapper, MapperWithdrawn(mapper_id=mapper, origin="o"), skip)

    def _change_mapper(self, tenant: str, mapper: str, event: Event, skip: int) -> None:
        stream = mapper_stream(tenant, mapper)
        self._write(NewEvent(stream, self._next(stream) + skip, event))

    @rule(tenant=tenants, id_=mapper_ids, path=st.sampled_from(PATHS), withdraws=st.booleans(), skip=skips)
    def change_computed_traits(self, tenant: str, id_: str, path: str, withdraws: bool, skip: int) -> None:
        """What was never there is withdrawn too, and versions are left out: such streams stand still."""
        stream = computed_traits_stream(tenant)
        version = self._next(stream) + skip
        document = {
            "metadata": {"id": id_, "version": f"1.0.{version}", "description": "d"},
            "observes": "code_commit",
            "traits": [{"path": f"{id_}.{path}", "aggregate": "count", "volatility": "low"}],
        }
        event: Event = ComputedTraitsPublished(
            document_id=id_,
            document=document,
            hash=read_document(document).hash,
            origin="o",
            source="# a text" if version % 2 else None,
        )
        if withdraws:
            event = ComputedTraitsWithdrawn(document_id=id_, origin="o", reason="because")
        self._write(NewEvent(stream, version, event))

    @rule(group=groups, spans=st.lists(st.integers(1, 20), min_size=1, max_size=3))
    def follow(self, group: Sequence[str], spans: Sequence[int]) -> None:
        followers = Followers(self.service.pool, map(self._projection, group), self.service.keys)
        for span in spans:
            followers.step(span)

    @rule(name=names, span=st.integers(1, 20))
    def rebuild(self, name: str, span: int) -> None:
        rebuild(self.service.pool, self._projection(name), self.service.keys, span=span)

    @rule(name=names)
    def hold_against_a_replay(self, name: str) -> None:
        """At whatever position it stands."""
        found = verify(self.service.pool, self._projection(name), self.service.keys)
        assert found.clean, found

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        try:
            self._compare_all()
        finally:
            self.service.close()

    def _compare_all(self) -> None:
        """At the head, each against a replay in few large steps, and its rows and quarantine against those
        of a rebuild that takes one event after another."""
        Followers(self.service.pool, self.service.projections.values(), self.service.keys).catch_up()
        self._compare_mappers()
        self._compare_computed_traits()
        for name in NAMES:
            self.hold_against_a_replay(name)
            live = self._rows(name)
            self.rebuild(name, 1)
            assert self._rows(name) == live

    def _compare_mappers(self) -> None:
        """What a command would decide on, which begins at the read model, is what the whole stream says."""
        for tenant, mapper in itertools.product(TENANTS, "mn"):
            stream = mapper_stream(tenant, mapper)
            if stream.stream not in self._standing():
                folded = self.service.streams.load(stream, Loaded(MapperState(), 0), evolve)
                found = self.service.mappers.change(tenant, mapper, lambda _: None)
                assert (found.state, found.version) == (folded.state, folded.version)

    def _compare_computed_traits(self) -> None:
        """As with mappers."""
        for tenant in TENANTS:
            stream = computed_traits_stream(tenant)
            if stream.stream not in self._standing():
                folded = self.service.streams.load(stream, Loaded(OwnTraits(), 0), evolve_traits)
                found = self.service.trait_documents.change(tenant, lambda _: None)
                assert (found.state, found.version) == (folded.state, folded.version)

    def _standing(self) -> set[UUID]:
        with self.service.pool.connection() as connection:
            standing = connection.execute("SELECT stream FROM personakit.quarantine").fetchall()
        return {row["stream"] for row in standing}

    def _rows(self, name: str) -> dict[str, list[str]]:
        """All that is read of a projection, and which streams stand still in it."""
        with self.service.pool.connection() as connection:
            schema = builds.active(connection, self._projection(name))
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
            found = {
                row["tablename"]: sql.SQL("SELECT t::text AS text FROM {} AS t ORDER BY 1").format(
                    sql.Identifier(str(schema), row["tablename"])
                )
                for row in connection.execute(tables, [schema]).fetchall()
            }
            quarantine = "SELECT tenant || kind || stream || position AS text FROM personakit.quarantine"
            standing = connection.execute(f"{quarantine} WHERE schema = %s ORDER BY 1", [schema]).fetchall()
            rows = {table: connection.execute(query).fetchall() for table, query in found.items()}
        return {
            table: [row["text"] for row in those] for table, those in {**rows, "quarantine": standing}.items()
        }

    def _projection(self, name: str) -> Projection:
        return self.service.projections[name]

    def _somebody(self, index: int) -> tuple[str, Person]:
        return self.people[index % len(self.people)]

    def _append(self, index: int, kind: str, event: Event, skip: int = 0) -> None:
        tenant, person = self._somebody(index)
        stream = StreamId(tenant, kind, person.surrogate)
        self._write(NewEvent(stream, self._next(stream) + skip, event, person))

    def _next(self, stream: StreamId) -> int:
        newest = self.service.recorder.select_events(str(stream), desc=True, limit=1)
        return newest[0].originator_version + 1 if newest else 1

    def _write(self, new: NewEvent) -> None:
        self.service.appender.append([new]).result(10)


@pytest.mark.timeout(300)
def test_the_live_read_models_are_what_a_replay_makes(
    databases: Iterator[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Fresh(Histories):
        conninfo = databases

    with caplog.at_level(logging.CRITICAL):  # of each quarantine, of which there are many
        run_state_machine_as_test(  # type: ignore[no-untyped-call]  # the library's
            Fresh,
            settings=settings(
                max_examples=8,
                stateful_step_count=40,
                deadline=None,
                print_blob=True,
                # A failure is told as it was found: to shrink it would take minutes of databases.
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
