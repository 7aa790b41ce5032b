"""The made-up history, and the mapper of fifty rules that is tried on it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import islice, pairwise
from uuid import UUID

import msgspec

from bench.fifty_rules import fifty_rules
from bench.history import SHARES, TYPES, batches, history, people, uuid7s, with_ids
from personakit.agents.tenant_rules import TenantRules, shipped_documents
from personakit.domain.computed_traits import Observed
from personakit.domain.traits import Trait
from personakit.shipped import computed_traits_dir
from personakit_sdk.rules import Facts, compile_mapper, evaluate, lint
from personakit_sdk.rules.yaml import load_yaml
from personakit_sdk.wire import Observation

FRIDAY = datetime(2026, 3, 6, 9, tzinfo=UTC)


def mindscape(person: str) -> dict[str, Trait]:
    observations = msgspec.convert(with_ids(history([person], 100), 1), list[Observation])
    observed = [Observed(o.id or UUID(int=0), o.type, o.content, o.occurred_at) for o in observations]
    folded = TenantRules(shipped_documents()).shipped.fold({}, observed)
    return {path: trait for path, trait in folded.items() if trait.visible}


def test_a_history_is_the_same_for_the_same_seed_and_interleaved() -> None:
    made = history(people(20), 50)
    assert made == history(people(20), 50)
    assert made != history(people(20), 50, seed=2)
    assert Counter(o["personId"] for o in made) == dict.fromkeys(people(20), 50)
    assert len({o["personId"] for o in made[:20]}) > 5
    assert [o["occurredAt"] for o in made] == sorted(o["occurredAt"] for o in made)


def test_every_type_that_computed_traits_observe_is_in_it() -> None:
    observed = {load_yaml(path.read_bytes())["observes"] for path in computed_traits_dir().glob("*.yaml")}
    assert observed == set(TYPES)
    seen = Counter(o["type"] for o in history(people(100), 50))
    assert all(abs(seen[type_] / 50 - share) < 3 for type_, share in zip(TYPES, SHARES, strict=True))


def test_ids_are_of_version_7_rise_with_time_and_differ_between_seeds() -> None:
    ids = list(islice(uuid7s(3), 1000))
    assert all(id_.version == 7 and id_.variant == "specified in RFC 4122" for id_ in ids)
    assert all(before.int >> 80 <= after.int >> 80 for before, after in pairwise(ids))
    assert len({*ids, *islice(uuid7s(4), 1000)}) == 2000


def test_batches_hold_what_the_api_takes() -> None:
    observations = with_ids(history(people(10), 60), 1)
    bodies = list(batches(observations))
    sent = [msgspec.json.decode(body, type=list[Observation]) for body in bodies]
    assert [len(batch) for batch in sent] == [500, 100]
    assert max(map(len, bodies)) < 1024 * 1024


def test_the_mapper_of_fifty_rules_compiles_without_a_warning() -> None:
    plan = compile_mapper(fifty_rules())
    documents = [load_yaml(path.read_bytes()) for path in computed_traits_dir().glob("*.yaml")]
    assert len(fifty_rules()["rules"]) == 50
    assert lint(plan, {trait["path"] for document in documents for trait in document["traits"]}) == []


def test_a_handful_of_its_rules_fires_for_a_usual_person() -> None:
    plan = compile_mapper(fifty_rules())
    fired = []
    for person in people(10):
        facts = Facts(traits=mindscape(person), context={}, at=FRIDAY)
        fired.append(len(evaluate(plan, facts, persona_id=person, mapper_version=1, limit=50).suggestions))
    assert 5 <= sum(fired) / len(fired) <= 10
