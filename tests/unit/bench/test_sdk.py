"""What the SDK is measured beside: as many bytes, in turn, the same suggestions, compiled before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from bench import fill
from bench.catalogue import KEYS
from bench.fifty_rules import MAPPER_ID, fifty_rules
from bench.history import history, people
from bench.on_device import Bare, bare_sqlite, import_seconds, in_turn, item_bytes, observe, offline_kit
from bench.sdk import MEASURES
from personakit.agents.tenant_rules import TenantRules, shipped_documents
from personakit_sdk import wire
from personakit_sdk.cache import Cache
from personakit_sdk.outbox import Outbox
from personakit_sdk.store import Store

NOW = datetime.now(UTC)
TRAITS = {
    "work.main_language": "Python",
    "work.commits": 120,
    "work.commit_hours": {"period": "morning", "peak": 9},
}


def pulled(path: Path) -> None:
    """A store with the mapper of fifty rules and one persona in its cache."""
    traits = {path: wire.SyncedTrait(value=value, source="computed") for path, value in TRAITS.items()}
    persona = wire.SyncedPersona(
        id="ada",
        people=["ada"],
        core=wire.SyncedCore(summary="", traits=traits, source="composed"),
        overlay={},
        is_stale=False,
        core_version=1,
        mindscape_versions={"ada": 1},
    )
    mapper = wire.SyncedMapper(id=MAPPER_ID, version=3, hash="fifty", document=fifty_rules())
    page = wire.SyncAnswer(
        epoch=uuid4(),
        intent="changes",
        items=[
            wire.SyncItem(kind="mapper", id=mapper.id, version=1, op="put", body=mapper),
            wire.SyncItem(kind="persona", id=persona.id, version=2, op="put", body=persona),
        ],
        next="cursor",
        has_more=False,
        up_to_date=True,
        as_of=NOW,
        position=2,
        valid_until=NOW + timedelta(days=1),
        digest=None,
        rule_language=1,
        time_zone_data="",
    )
    with closing(Store(path)) as store:
        Cache(store).apply(page, None, NOW, full=False)


def test_every_key_of_the_sdk_is_measured() -> None:
    assert set(MEASURES) == {key.name for key in KEYS if key.group == "sdk"}


def test_the_bare_table_gets_as_many_bytes_as_the_outbox_keeps(tmp_path: Path) -> None:
    observations = history(people(5), 8)
    with offline_kit(tmp_path / "store.db") as kit:
        for each in observations:
            observe(kit, each)
    with closing(Store(tmp_path / "store.db")) as store:
        kept = [len(each.data) for each in Outbox(store).batch((), 100, 1_000_000)]
    assert kept == [len(item_bytes(each)) for each in observations]


def test_every_bare_insert_is_a_transaction(tmp_path: Path) -> None:
    with bare_sqlite(tmp_path / "bare.db") as insert, closing(sqlite3.connect(tmp_path / "bare.db")) as other:
        for number in range(1, 4):
            insert(b"abc")
            assert other.execute("SELECT count(*), sum(length(item)) FROM items").fetchone() == (
                number,
                3 * number,
            )


def test_what_is_compared_takes_turns() -> None:
    taken: list[str] = []
    rates = in_turn((taken.append, ["a", "b"]), (taken.append, ["A", "B"]))
    assert taken == ["a", "A", "b", "B"]
    assert len(rates) == 2
    assert min(rates) > 0
    with pytest.raises(ValueError, match="shorter"):
        in_turn((taken.append, ["a"]), (taken.append, []))


def test_the_engine_alone_suggests_what_the_cache_does(tmp_path: Path) -> None:
    pulled(tmp_path / "store.db")
    bare = Bare(tmp_path / "store.db", MAPPER_ID, limit=5)
    with offline_kit(tmp_path / "store.db") as kit:
        made = kit.map_persona(MAPPER_ID, "ada", at=NOW).suggestions
    assert made
    assert bare.suggest("ada", NOW) == made


def test_an_import_is_of_what_was_compiled_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert import_seconds("import personakit_sdk.errors", tmp_path) > 0
    assert list(tmp_path.rglob("personakit_sdk/errors.*.pyc"))


def test_a_history_is_filled_with_updates_and_a_core_of_each_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "COHORT_PEOPLE", 2)
    filler = fill.Filler(SimpleNamespace(rules=TenantRules(shipped_documents())))
    assert [len(each.updates) for each in filler._derived.values()] == [2, 2]
    assert all(each.core.traits for each in filler._derived.values())
