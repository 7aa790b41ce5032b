"""What the SDK answers from its cache is what the service would answer, to the byte: mappers, personas,
questions and what was learned by chance. Each side has the very same state in its own way: the service from
rows of its read models, the SDK from the bytes of an answer of `/sync` that it pulled into its store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from personakit.api import map_persona, present
from personakit.api.hot_reads import HotMapper, HotPersona, Mapping, plan_of
from personakit.api.kept_decisions import KeptDecisions
from personakit.api.multipliers import weights_in
from personakit.api.sync.items import synced_mapper
from personakit.domain.mindscape import Mindscape
from personakit.domain.traits import Trait
from personakit_sdk import wire
from personakit_sdk.cache import Cache
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.mapping import context_of
from personakit_sdk.offline import Offline
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.clock import time_zone_data
from personakit_sdk.rules.document import RULE_LANGUAGE
from personakit_sdk.rules.transforms import TRANSFORMS
from personakit_sdk.store import Store
from tests.unit.rules import random_mappers
from tests.unit.rules.random_mappers import AT, PATHS, ZONES, random_mapper, value
from tests.unit.sdk.conftest import hasten

SEEDS = range(10)
SIZES = (1, 3, 8, 21, 70)
QUESTIONS = 100
"""10 seeds x 5 sizes of mappers x 100 questions, each about a persona of its own."""
PEOPLE = (UUID(int=1), UUID(int=2))
EPOCH = UUID(int=3)
MAPPER = "m"
PURPOSES = ("learning", "wellbeing", "work_planning")
Row = dict[str, Any]


class Question(NamedTuple):
    """What is asked at an instant of the caller's clock, about a persona of a row and of mindscapes, whose
    people all consent to some purposes."""

    ask: wire.MapPersona
    now: datetime
    row: Row
    mindscapes: dict[UUID, Mindscape]
    consented_to: frozenset[str]

    @property
    def state(self) -> present.PersonaState:
        """The persona as the service has it."""
        return present.persona_from(
            self.row, self.ask.persona_id, PEOPLE[0], self.mindscapes, self.consented_to
        )


def test_they_are_five_thousand() -> None:
    assert len(SEEDS) * len(SIZES) * QUESTIONS >= 5000


@pytest.mark.parametrize("seed", SEEDS)
def test_offline_equals_online(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_mappers, "ODD", [2**63 - 1, -(2**63), 1.7e308])  # no other may be stored
    chance = Random(f"offline equals online {seed}")
    store = hasten(Store(tmp_path / "store.db"))
    cache, shown = Cache(store), [AT]
    offline = Offline(cache, DeviceClock(store, wall=lambda: shown[0]))
    told = made = withheld = 0
    for position, size in enumerate(SIZES, start=1):
        mapper = mapper_row(chance, size, version=position)
        policy = policy_of(position)
        questions = [question(chance, f"p{number}", size) for number in range(QUESTIONS)]
        cache.apply(pulled(position, mapper, policy, questions), None, AT, full=True)
        for each in questions:
            shown[0] = each.now
            answer = offline.map_persona(each.ask)
            here = (answer.suggestions, answer.missing_traits, answer.withheld)
            assert msgspec.json.encode(here) == online(mapper, policy, each)
            assert (answer.withheld is None) == may_be_mapped(mapper, policy, each)
            told += 1
            made += len(answer.suggestions)
            withheld += answer.withheld is not None
    store.close()
    assert told == len(SIZES) * QUESTIONS
    assert made > told / 4  # nothing equals nothing, which shows little
    assert told / 10 < withheld < told / 2


def policy_of(position: int) -> wire.ConsentPolicyName:
    """That of the tenant when the mapper's version at a position is asked: by turns."""
    return "required" if position % 2 == 0 else "off"


def may_be_mapped(row: Row, policy: wire.ConsentPolicyName, asked: Question) -> bool:
    """The rule in its own words."""
    purposes = set(row["document"].get("purposes", []))
    return policy == "off" or (purposes != set() and purposes <= asked.consented_to)


def online(row: Row, policy: wire.ConsentPolicyName, asked: Question) -> bytes:
    """What the service would send of suggestions, of missing traits and of consent, by the path that its
    requests take: decided, and, where the question is of now, once more from what it kept."""
    persona = HotPersona(asked.state, {}, {}, KeptDecisions())
    mapper = HotMapper(row["version"], row["hash"], plan_of(row), weights_in(row), None, policy)
    read = Mapping(persona, mapper, 1)
    at = asked.now if asked.ask.at is None else asked.ask.at
    first, again = (
        map_persona._decided(read, asked.ask, context_of(asked.ask), at, asked.now) for _ in range(2)
    )
    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    return msgspec.json.encode((first.suggestions, first.missing_traits, first.withheld))


def pulled(
    position: int, row: Row, policy: wire.ConsentPolicyName, questions: list[Question]
) -> wire.SyncAnswer:
    """All of it as an answer of `/sync`, through the bytes that it has on its way."""
    bodies = [("mapper", MAPPER, synced_mapper(row, policy))]
    bodies += [("persona", each.ask.persona_id, present.synced_persona(each.state)) for each in questions]
    items = [
        wire.SyncItem(kind=kind, id=id_, version=position, op="put", body=body) for kind, id_, body in bodies
    ]
    answer = wire.SyncAnswer(
        epoch=EPOCH,
        intent="full",
        items=items,
        next="next",
        has_more=False,
        up_to_date=True,
        as_of=AT,
        position=position,
        valid_until=AT + timedelta(days=365),
        digest=wire.sync_digest((each.kind, each.id, each.version) for each in items),
        rule_language=RULE_LANGUAGE,
        time_zone_data=time_zone_data(),
    )
    return msgspec.json.decode(msgspec.json.encode(answer), type=wire.SyncAnswer)


def as_stored(document: Any) -> Any:
    """A document as a row of a read model has it."""
    return msgspec.json.decode(msgspec.json.encode(document))


def mapper_row(chance: Random, size: int, version: int) -> Row:
    """A mapper at its active version, with what was learned of some of its rules for all."""
    document = random_mapper(chance, size)
    document["metadata"]["id"] = MAPPER
    if version % 5:
        document["purposes"] = chance.sample(PURPOSES, chance.randint(1, 2))
    document["feedback_settings"] = {"min_weight": 0.5, "max_weight": chance.choice([1.5, 3.0])}
    for suggestion in _suggestions(document):
        if chance.random() < 0.7:
            suggestion |= {"title": "{x}", "description": "{{d}} {x}", "parameters": {"x": parameter(chance)}}
            suggestion.pop("template", None)
    plan = compile_mapper(document)
    return {
        "mapper_id": MAPPER,
        "version": version,
        "hash": plan.hash,
        "document": as_stored(plan.document),
        "learned": multipliers(chance, size),
        "evidence": {},
    }


def _suggestions(document: Row) -> Iterator[Row]:
    for rule in document["rules"]:
        for action in rule["actions"]:
            yield action["generate_suggestion"]


def parameter(chance: Random) -> Row:
    """A value that is read from a trait or the context, changed or with something in place of what is
    missing."""
    source = {chance.choice(["from_trait", "from_context"]): chance.choice(PATHS)}
    if chance.random() < 0.2:
        return source | {"transform": chance.choice(sorted(TRANSFORMS))}
    return source | {"default": chance.choice(["none", 1, 0.1])}


def multipliers(chance: Random, size: int) -> dict[str, float]:
    """What was learned of a third of the rules, and of one that the mapper has no more."""
    rules = [*(f"r{number}" for number in range(size)), "gone"]
    return {rule: chance.choice([0.01, 0.5, 0.9, 1.1, 1.9]) for rule in rules if chance.random() < 0.3}


def question(chance: Random, persona_id: str, size: int) -> Question:
    """Anything that may be asked, at an instant, of anybody."""
    now = AT + timedelta(hours=chance.randint(0, 170), microseconds=chance.choice([0, 1, 1_800_000_000]))
    zone = timezone(timedelta(minutes=chance.choice([0, 60, -210])))
    ask = wire.MapPersona(
        mapper_id=MAPPER,
        persona_id=persona_id,
        detail_level=chance.choice(["instant", "balanced", "deep_dive"]),
        at=None if chance.random() < 0.5 else now.astimezone(zone),
        timezone=chance.choice([None, None, *ZONES]),
        context=context(chance),
        limit=chance.choice([None, 1, 100]),
        explain=chance.random() < 0.1,
    )
    mindscapes = {person: mindscape(chance) for person in PEOPLE}
    consented_to = frozenset(purpose for purpose in PURPOSES if chance.random() < 0.6)
    return Question(ask, now, persona_row(chance, persona_id, size), mindscapes, consented_to)


def context(chance: Random) -> Row:
    """What a caller may send along."""
    seen = {path: value(chance) for path in [*PATHS, "timezone"] if chance.random() < 0.5}
    return seen | ({"timezone": chance.choice(ZONES)} if chance.random() < 0.5 else {})


def persona_row(chance: Random, persona_id: str, size: int) -> Row:
    """A persona of one or two people and some of their traits, with a core that was made before, or none, and
    with what was learned for it alone."""
    people = PEOPLE[: chance.randint(1, 2)]
    core = {"summary": "S", "traits": traits(chance), "source": "model"}
    return {
        "name": "N",
        "people": people,
        "people_ids": [persona_id, "other"][: len(people)],
        "paths": chance.choice([None, ["a", "a.*", "profile.timezone"]]),
        "core": None if chance.random() < 0.3 else as_stored(core),
        "core_version": 3,
        "generated_at": None,
        "weights": {MAPPER: {"learned": multipliers(chance, size), "evidence": {}}},
    }


def mindscape(chance: Random) -> Mindscape:
    """What is believed of somebody now, as it is read back."""
    found = Mindscape(version=7, traits=traits(chance), derivations={})
    return msgspec.json.decode(msgspec.json.encode(found), type=Mindscape)


def traits(chance: Random) -> dict[str, Trait]:
    """Traits slow and fast, certain and not, of which feedback taught something or nothing."""
    return {path: trait(chance) for path in PATHS if chance.random() < 0.5}


def trait(chance: Random) -> Trait:
    """One trait."""
    seen = random_mappers._seen(chance)
    volatility: Any = chance.choice(["low", "medium", "high"])
    if chance.random() < 0.3:
        return Trait(value=seen, volatility=volatility, pinned=True)
    return Trait(
        value=seen,
        volatility=volatility,
        weight=chance.choice([0.0, 1.0, 4.0, 100.0, 1 / 3]),
        spread=chance.choice([0.0, 0.5, 1.0]),
        last_observed_at=datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=chance.randint(-48, 200)),
        half_life_days=chance.choice([None, 3.0]),
        trust=chance.choice([0.5, 0.93, 1.0, 1.25]),
        samples=3,
    )
