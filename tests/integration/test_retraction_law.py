"""The law of retraction: whatever came and was taken back, in whichever order and whoever derived meanwhile,
the traits end as those of what remains, to the byte; and the past is what was live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from personakit.agents import mindscaper as module
from personakit.agents.mindscaper import Mindscaper
from personakit.agents.mindscapes import mindscape_of
from personakit.agents.service import Service
from personakit.agents.tenant_rules import TenantRules
from personakit.domain.aggregates import AGGREGATES
from personakit.domain.computed_traits import Observed
from personakit.domain.mindscape import Mindscape
from personakit_sdk import wire
from tests.history import TENANT, surrogate
from tests.integration.conftest import follow
from tests.unit.domain.observing import document

START = datetime(2026, 3, 2, tzinfo=UTC)
ENDS = datetime(2999, 1, 1, tzinfo=UTC)
OPTIONS: dict[str, dict[str, Any]] = {"quantiles": {"quantiles": [0.5]}, "ewma": {"half_life_days": 3}}
RULES = TenantRules(
    [
        document(
            *(
                {"path": f"{kind}.{name}", "aggregate": name, "from": "v", "options": OPTIONS.get(name, {})}
                for name in AGGREGATES
            ),
            observes=kind,
        )
        for kind in ("walk", "meal")
    ]
)
"""Every aggregate, over two types; a third type is nobody's."""

values = st.one_of(st.integers(-9, 9), st.floats(-1e3, 1e3), st.text("ab", max_size=1), st.none())
observe = st.tuples(
    st.just("observe"),
    st.lists(st.tuples(st.sampled_from(["walk", "meal", "note"]), values), min_size=1, max_size=5),
)
expiring = st.tuples(st.just("expiring"), st.integers(1, 9))
late = st.tuples(st.just("late"), st.integers(1, 9))
sweep = st.tuples(st.just("sweep"), st.integers(0, 9))
retract = st.tuples(st.just("retract"), st.integers(0, 50))
supersede = st.tuples(st.just("supersede"), st.integers(0, 50))
follows = st.tuples(
    st.just("follow"), st.sampled_from([("observations",), ("derivation_due",), ("mindscapes",), ()])
)
plain = st.one_of(
    observe, retract, supersede, expiring, late, sweep, follows, st.tuples(st.just("derive"), st.just(()))
)
slow = st.tuples(st.just("derive"), st.lists(plain, max_size=5))
"""A pass during which something else happens, between what it reads and what it appends."""
steps = st.lists(st.one_of(plain, plain, slow), max_size=25)

OVERTAKEN = [
    ("observe", [("walk", 1)]),
    ("follow", ()),
    ("derive", [("retract", 0), ("follow", ()), ("derive", ()), ("follow", ())]),
]
"""The retraction is read by a quick pass while a slow one is about to fold in what was retracted."""


class Slow(Mindscaper):
    """Lets others go first, once, between reading and appending."""

    others: Any = None

    def _read_on(self, tenant: str, person: UUID, mindscape: Mindscape) -> Any:
        read = super()._read_on(tenant, person, mindscape)
        others, self.others = self.others, None
        if others is not None:
            others()
        return read


class Life:
    """One person's, and what of it counts."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.name = f"life-{uuid4()}"
        self.mindscaper = Slow(service.reader, service.streams, RULES)
        self.sent: list[wire.Observation] = []
        self.counting: dict[UUID, wire.Observation] = {}

    def take(self, what: Sequence[Any]) -> None:
        match what:
            case ("observe", seen):
                self.record([self.observation(kind, value) for kind, value in seen])
            case ("expiring" | "late" as which, day):  # what is late counts at no time
                at = (ENDS if which == "expiring" else START) + timedelta(days=day)
                self.record([msgspec.structs.replace(self.observation("walk", day), expires_at=at)])
            case ("sweep", day):
                self.sweep(ENDS + timedelta(days=day))
            case ("retract", index) if self.sent:
                id_ = self.chosen(index)
                self.service.retractions.retract(TENANT, id_)
                self.counting.pop(id_, None)
            case ("supersede", index) if self.sent:
                id_ = self.chosen(index)
                self.record([msgspec.structs.replace(self.observation("meal", index), supersedes=id_)])
                self.counting.pop(id_, None)
            case ("follow", names):
                follow(self.service, *names)
            case ("derive", during) if self.sent:
                self.mindscaper.others = lambda: [self.take(each) for each in during]
                self.mindscaper.derive(TENANT, surrogate(self.service, self.name))
                self.mindscaper.others = None

    def observation(self, kind: str, value: Any) -> wire.Observation:
        n = len(self.sent)
        at = START + timedelta(hours=37 * n % 400)
        return wire.Observation(
            id=uuid4(), person_id=self.name, type=kind, content={"v": value}, occurred_at=at
        )

    def chosen(self, index: int) -> UUID:
        id_ = self.sent[index % len(self.sent)].id
        assert id_ is not None
        return id_

    def record(self, observations: Sequence[wire.Observation]) -> None:
        self.service.intake.record(TENANT, observations)
        self.sent += observations
        self.counting |= {
            each.id: each
            for each in observations
            if each.id is not None and (each.expires_at is None or each.expires_at > ENDS)
        }

    def sweep(self, now: datetime) -> None:
        """Of what the read model has followed: so it is let follow first, to know what the sweep finds."""
        follow(self.service, "observations")
        self.service.expiry.sweep(now)
        self.counting = {
            id_: each
            for id_, each in self.counting.items()
            if each.expires_at is None or each.expires_at > now
        }

    def settled(self) -> Mindscape:
        """The mindscape when all is followed and derived."""
        for _ in range(len(self.sent) + 1):  # a pass that changes nothing leaves the rest to another one
            follow(self.service)
            self.mindscaper.derive(TENANT, surrogate(self.service, self.name))
        follow(self.service)
        person = surrogate(self.service, self.name)
        with self.service.reader.snapshot_of_all() as snapshot:
            return mindscape_of(snapshot.row("mindscapes.by_person", tenant=TENANT, person=person))


def as_stored(value: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(value)), order="deterministic")


@settings(max_examples=40, deadline=None)
@example(steps=OVERTAKEN, random=Random(0))
@given(steps=steps, random=st.randoms(use_true_random=False))
def test_the_traits_are_those_of_what_remains(
    quiet: Service, steps: Sequence[Sequence[Any]], random: Random
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "BATCH", 3)
        life = Life(quiet)
        for each in steps:
            life.take(each)
        if not life.sent:
            return
        found = life.settled()
    remaining = [
        Observed(id_, each.type, each.content, each.occurred_at) for id_, each in life.counting.items()
    ]
    random.shuffle(remaining)
    assert as_stored(found.traits) == as_stored(RULES.shipped.fold({}, remaining))
    past = quiet.past.mindscape(TENANT, surrogate(quiet, life.name), quiet.reader.head())
    assert as_stored(past.mindscape.traits) == as_stored(found.traits)
    assert past.mindscape.version == found.version
