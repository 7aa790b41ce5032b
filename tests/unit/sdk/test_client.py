"""The client as an application uses it."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

import personakit_sdk
from personakit_sdk import (
    AsyncPersonaKit,
    ClientClosed,
    InvalidInput,
    ItemTooLarge,
    NotCached,
    Notice,
    OutboxFull,
    PersonaKit,
    ServiceError,
    StoreError,
    Unreachable,
)
from personakit_sdk.rules import compile_mapper, suggestion_id
from personakit_sdk.rules.document import RULE_LANGUAGE
from tests import mapper_documents as documents
from tests.mapper_documents import suggest
from tests.processes import free_port
from tests.sync_service import FIRST_KEY, SyncService, status, sync_service
from tests.unit.sdk.conftest import NOW, mapper, persona


@pytest.fixture
def kit(double: SyncService, tmp_path: Path) -> Iterator[PersonaKit]:
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "store.db", background=False) as kit:
        yield kit


def until(done: object, seconds: float = 60.0) -> None:
    """Waits for what happens in the background."""
    assert callable(done)
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_observation_is_sent_as_it_was_told(double: SyncService, kit: PersonaKit) -> None:
    told = kit.observe("ada", "check_in", {"mood": 4}, occurred_at=NOW, source="app", metadata={"v": 1})
    assert kit.status().outbox.waiting == 1
    assert kit.flush()
    assert double.order == [
        {
            "id": str(told),
            "kind": "observation",
            "key": "ada",
            "occurredAt": "2026-03-02T09:00:00Z",
            "schema": 1,
            "body": {"type": "check_in", "content": {"mood": 4}, "source": "app", "metadata": {"v": 1}},
        }
    ]
    assert kit.status().outbox.confirmed == 1


def test_feedback_goes_to_the_persona_that_its_suggestion_was_for(
    double: SyncService, kit: PersonaKit
) -> None:
    made = suggestion_id.encode("ada", "focus", 1, "early", 1, NOW)
    kit.feedback(made, helpful=True, comment="so true")
    kit.feedback(mapper_id="focus", rule_id="early", persona_id="bob", outcome="dismissed")
    assert kit.flush()
    assert [(each["kind"], each["key"]) for each in double.order] == [
        ("feedback", "ada"),
        ("feedback", "bob"),
    ]
    assert double.order[0]["body"] == {"suggestionId": made, "helpful": True, "comment": "so true"}
    assert double.order[1]["body"] == {"mapperId": "focus", "ruleId": "early", "outcome": "dismissed"}


def test_what_is_no_observation_or_feedback_is_refused_at_the_call(kit: PersonaKit) -> None:
    with pytest.raises(InvalidInput):
        kit.observe("not a person", "check_in", {})
    with pytest.raises(InvalidInput):
        kit.observe("ada", "Check In", {})
    with pytest.raises(InvalidInput):
        kit.observe("ada", "check_in", {}, occurred_at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(InvalidInput):
        kit.observe("ada", "check_in", {"what": object()})
    with pytest.raises(ItemTooLarge):
        kit.observe("ada", "check_in", {"text": "x" * 300_000})
    with pytest.raises(InvalidInput, match="says"):
        kit.feedback(mapper_id="m", rule_id="r", persona_id="p")
    with pytest.raises(InvalidInput, match="names"):
        kit.feedback(mapper_id="m", helpful=True)
    with pytest.raises(InvalidInput):
        kit.feedback("sug_nonsense", helpful=True)
    made = suggestion_id.encode("ada", "focus", 1, "early", 1, NOW)
    with pytest.raises(InvalidInput, match="another suggestion"):
        kit.feedback(made, mapper_id="focus", rule_id="late", helpful=True)
    with pytest.raises(InvalidInput, match="Feedback"):
        kit.feedback(
            mapper_id="m",
            rule_id="r",
            persona_id="p",
            helpful=True,
            occurred_at=datetime(2026, 1, 1),  # noqa: DTZ001
        )
    assert kit.status().outbox.waiting == 0


@pytest.mark.parametrize(
    "odd",
    [
        float("nan"),
        (float("inf"),),
        "\ud800",
        "a\x00b",
        2**63,
        {"\udfff": 1},
        json.loads("[" * 40 + "]" * 40),
    ],
)
def test_what_no_service_could_store_is_refused_at_the_call(kit: PersonaKit, odd: object) -> None:
    with pytest.raises(InvalidInput, match=r"/content/what.* cannot be kept"):
        kit.observe("ada", "check_in", {"what": odd})
    assert kit.status().outbox.waiting == 0


def test_a_context_is_what_the_service_would_read(double: SyncService, kit: PersonaKit) -> None:
    tagged = suggest("tagged", context_check={"field": "tags", "operator": "equals", "value": ["a", "b"]})
    later = suggest("later", context_check={"field": "due", "operator": "after", "value": "now"})
    plan = compile_mapper({**documents.mapper("focus"), "rules": [tagged, later]})
    double.put("mapper", "focus", mapper("focus", hash=plan.hash, document=plan.document))
    double.put("persona", "ada", persona())
    kit.sync()
    context = {"tags": ("a", "b"), "due": NOW + timedelta(hours=1)}
    answer = kit.map_persona("focus", "ada", at=NOW, context=context)
    assert [each.rule_id for each in answer.suggestions] == ["tagged", "later"]
    for odd in (float("nan"), object(), "\ud800"):
        with pytest.raises(InvalidInput):
            kit.map_persona("focus", "ada", context={"what": odd})


def test_an_observation_with_an_id_of_the_callers_is_taken_once(double: SyncService, kit: PersonaKit) -> None:
    own = uuid4()
    for _ in range(2):
        assert kit.observe("ada", "check_in", {"mood": 4}, id=own, occurred_at=NOW) == own
    assert kit.flush()
    assert len(double.order) == 1


def test_a_persona_is_mapped_while_the_service_is_away(double: SyncService, tmp_path: Path) -> None:
    double.put("mapper", "focus", mapper())
    double.put("persona", "ada", persona())
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "store.db", background=False) as kit:
        with pytest.raises(NotCached):
            kit.map_persona("focus", "ada")
        kit.sync()
    nowhere = f"http://127.0.0.1:{free_port()}"
    with PersonaKit(nowhere, FIRST_KEY, store=tmp_path / "store.db", background=False) as kit:
        answer = kit.map_persona("focus", "ada", at=NOW, detail_level="instant")
        assert [each.title for each in answer.suggestions] == ["early"]
        assert answer.persona.overlay is None
        assert (kit.personas.ids(), kit.mappers.ids()) == (["ada"], ["focus"])
        assert kit.personas.get("ada").core.summary == "ada works in the morning."
        assert kit.mappers.get("focus").version == 1
        with pytest.raises(InvalidInput):
            kit.map_persona("focus", "ada", timezone="Mars/Olympus")
        with pytest.raises(Unreachable):
            kit.sync()
        assert not kit.flush(timeout=0.1) or kit.status().outbox.waiting == 0


def test_in_the_background_what_is_observed_arrives_and_what_changed_is_pulled(
    double: SyncService, tmp_path: Path
) -> None:
    told: list[Notice] = []
    with PersonaKit(
        double.url, FIRST_KEY, store=tmp_path / "s.db", sync_every=0.05, on_event=told.append
    ) as kit:
        kit.observe("ada", "check_in", {"mood": 4})
        double.put("mapper", "focus", mapper())
        until(lambda: len(double.order) == 1 and kit.mappers.ids() == ["focus"])
    assert {"delivered", "synced"} <= {notice.kind for notice in told}


def test_what_goes_wrong_in_a_callback_is_logged_and_stops_nothing(
    double: SyncService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(notice: Notice) -> None:
        raise ZeroDivisionError(notice.kind)

    with (
        caplog.at_level(logging.ERROR, "personakit_sdk"),
        PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", background=False, on_event=fail) as kit,
    ):
        kit.observe("ada", "check_in", {})
        assert kit.flush()
    assert "on_event failed at a notice of kind 'delivered'" in caplog.text


def test_the_log_does_not_say_what_the_service_says_of_somebody(
    double: SyncService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Notice] = []
    double.reject = lambda _: "nothing is known of 'ada-lovelace'"
    with PersonaKit(
        double.url, FIRST_KEY, store=tmp_path / "s.db", background=False, on_event=told.append
    ) as kit:
        item = kit.observe("ada-lovelace", "check_in", {})
        assert kit.flush()
    (line,) = (record.getMessage() for record in caplog.records if "rejected" in record.getMessage())
    assert line.startswith(f"rejected: {item} was rejected: ")
    assert "ada-lovelace" not in caplog.text
    assert "ada-lovelace" in next(notice.detail for notice in told if notice.kind == "rejected")


def test_closing_sends_what_was_just_told(double: SyncService, tmp_path: Path) -> None:
    kit = PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db")
    for n in range(5):
        kit.observe("ada", "check_in", {"n": n})
    kit.close()
    kit.close()
    assert len(double.order) == 5
    with pytest.raises(ClientClosed):
        kit.observe("ada", "check_in", {})
    with pytest.raises(ClientClosed):
        kit.flush()


def test_closing_does_not_wait_for_a_service_that_hangs(double: SyncService, tmp_path: Path) -> None:
    asked, release = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        release.wait(60)

    double.before_answer = hang
    kit = PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db")
    kit.observe("ada", "check_in", {})
    assert asked.wait(60)
    closed = threading.Event()
    threading.Thread(target=lambda: (kit.close(), closed.set())).start()
    assert closed.wait(60)
    assert not release.is_set()
    release.set()


def test_what_comes_after_closing_is_kept_and_leaves_nothing_open(
    double: SyncService, tmp_path: Path
) -> None:
    arrived, release = threading.Event(), threading.Event()
    for n in range(3):
        double.put("persona", f"p{n}", persona(f"p{n}"))

    def hold() -> None:
        arrived.set()
        release.wait(60)

    double.before_answer = hold
    kit = PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", sync_every=3600)
    kit.observe("ada", "check_in", {})
    assert arrived.wait(60)
    kit.close()
    release.set()
    kit._pusher.join(60)
    kit._puller.join(60)
    assert kit._store._connection is None
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", background=False) as after:
        assert after.status().outbox.confirmed == 1


def test_a_client_says_what_it_cannot_begin_with(double: SyncService, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="key is missing"):
        PersonaKit(double.url, None, store=tmp_path / "s.db")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="folder is not there"):
        PersonaKit(double.url, FIRST_KEY, store=tmp_path / "none" / "s.db")
    with pytest.raises(StoreError, match="directory"):
        PersonaKit(double.url, FIRST_KEY, store=tmp_path)


@pytest.mark.parametrize("name", ["store.db", "my-own-[store].db"])
def test_the_status_names_what_was_set_aside(double: SyncService, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no database" * 1000)
    (tmp_path / f"{name}-journal").write_bytes(b"")
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / name, background=False) as kit:
        (aside,) = kit.status().store.set_aside
    assert Path(aside).read_bytes().startswith(b"no database")


def test_rejected_items_can_be_seen_retried_and_discarded(double: SyncService, kit: PersonaKit) -> None:
    double.reject = lambda each: "unknown type" if each["body"]["type"] == "odd" else None
    bad = kit.observe("ada", "odd", {})
    kit.observe("ada", "check_in", {})
    assert kit.flush()
    (letter,) = kit.dead_letters
    assert (letter.id, letter.problem.detail) == (bad, "unknown type")
    assert kit.status().outbox.dead_letters == 1
    double.reject = lambda _: None
    assert kit.dead_letters.retry([bad]) == 1
    assert kit.flush()
    assert str(bad) in double.stored


def test_a_wrong_key_keeps_everything_and_says_so(double: SyncService, tmp_path: Path) -> None:
    with PersonaKit(double.url, "pk_wrong", store=tmp_path / "s.db", background=False) as kit:
        kit.observe("ada", "check_in", {})
        assert not kit.flush(timeout=3600)  # says so at once
        assert "opens nothing" in kit.status().outbox.paused
        with pytest.raises(ServiceError, match="opens nothing"):
            kit.sync()
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", background=False) as kit:
        assert kit.flush()
        assert kit.status().outbox.paused == ""
    assert len(double.order) == 1


def test_a_new_client_tries_its_key_at_once(double: SyncService, tmp_path: Path) -> None:
    with PersonaKit(double.url, "pk_wrong", store=tmp_path / "s.db", background=False) as kit:
        kit.observe("ada", "check_in", {})
        assert not kit.flush()
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db"):
        until(lambda: len(double.order) == 1)


def test_losses_are_counted_and_told(double: SyncService, tmp_path: Path) -> None:
    told: list[Notice] = []
    options = {"max_items": 2, "when_full": "drop_oldest", "on_event": told.append, "background": False}
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", **options) as kit:  # type: ignore[arg-type]
        for n in range(5):
            kit.observe("ada", "check_in", {"n": n})
        assert kit.status().outbox.lost == 3
        assert [notice.count for notice in told if notice.kind == "lost"] == [1, 1, 1]
        kit.flush()
        assert [each["body"]["content"]["n"] for each in double.order] == [3, 4]
        for _ in range(2):
            kit.feedback(mapper_id="m", rule_id="r", persona_id="ada", helpful=True)
        with pytest.raises(OutboxFull):
            kit.feedback(mapper_id="m", rule_id="r", persona_id="ada", helpful=True)


def test_a_device_clock_that_is_a_year_off_dates_observations_right(
    double: SyncService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", background=False) as kit:
        monkeypatch.setattr(kit._clock, "_wall", lambda: datetime.now(UTC) - timedelta(days=365))
        kit.sync()
        kit.observe("ada", "check_in", {})
        assert kit.flush()
        assert 300 * 86400 < kit.status().clock_offset < 400 * 86400
    said = datetime.fromisoformat(double.order[0]["occurredAt"])
    assert abs(datetime.now(UTC) - said) < timedelta(seconds=60)


def test_the_async_client_does_the_same(double: SyncService, tmp_path: Path) -> None:
    async def use() -> None:
        async with await AsyncPersonaKit.open(
            double.url, FIRST_KEY, store=tmp_path / "s.db", background=False
        ) as kit:
            await asyncio.gather(*(kit.observe("ada", "check_in", {"n": n}) for n in range(20)))
            assert await kit.flush()
            double.put("mapper", "focus", mapper())
            double.put("persona", "ada", persona())
            assert (await kit.sync()).cache.personas == 1
            answer = await kit.map_persona("focus", "ada")
            await kit.feedback(answer.suggestions[0].id, helpful=True)
            assert (await kit.personas.get("ada")).id == "ada"
            assert await kit.mappers.ids() == ["focus"]
            assert await kit.dead_letters.list() == []
            assert (await kit.status()).outbox.waiting == 1
            assert await kit.flush()

    asyncio.run(use())
    assert len(double.order) == 21


def test_the_service_comes_back_and_what_was_queued_drains_without_a_call(tmp_path: Path) -> None:
    port = free_port()
    with PersonaKit(f"http://127.0.0.1:{port}", FIRST_KEY, store=tmp_path / "s.db") as kit:
        for n in range(20):
            kit.observe("ada", "check_in", {"n": n})
        until(lambda: kit.status().outbox.failures > 0)
        with sync_service(port) as service:
            until(lambda: len(service.order) == 20)
            until(lambda: kit.status().outbox.waiting == 0)


def test_a_503_holds_up_as_long_as_it_asks(double: SyncService, kit: PersonaKit) -> None:
    double.next_push(status(503, retry_after="3600"))
    kit.observe("ada", "check_in", {})
    assert not kit.flush(timeout=0.05)
    assert 3500 < kit.status().outbox.retry_in <= 3600


def test_a_mapper_that_needs_a_newer_sdk_is_told_of_once(double: SyncService, tmp_path: Path) -> None:
    told: list[Notice] = []
    double.put("mapper", "later", mapper("later", rule_language=RULE_LANGUAGE + 1))
    with PersonaKit(
        double.url, FIRST_KEY, store=tmp_path / "s.db", background=False, on_event=told.append
    ) as kit:
        for _ in range(2):
            assert kit.sync().cache.upgrade_required == ("later",)
    assert [notice.kind for notice in told].count("upgrade-required") == 1


def test_a_live_client_lets_the_service_hold_its_requests(double: SyncService, tmp_path: Path) -> None:
    with PersonaKit(double.url, FIRST_KEY, store=tmp_path / "s.db", live=True) as kit:
        until(lambda: len(double.pulls) > 2)
        double.put("mapper", "focus", mapper())
        until(lambda: kit.mappers.ids() == ["focus"])
    assert {query.get("wait") for query in double.pulls} == {None, "25"}


def test_importing_the_package_brings_none_of_its_parts() -> None:
    program = "import sys, personakit_sdk; print([n for n in sys.modules if n.startswith('personakit_sdk.')])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    assert sorted(personakit_sdk.__all__) == sorted(
        name for name in personakit_sdk.__all__ if getattr(personakit_sdk, name).__name__ == name
    )
    with pytest.raises(AttributeError, match="nothing"):
        _ = personakit_sdk.nothing
