"""What the SDK shows is always one state that the service had, whatever happens while it is fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from personakit_sdk.cache import Pulled, Staging
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.errors import DataExpired, NotCached, SyncStuck, UpgradeRequired
from personakit_sdk.offline import Offline
from personakit_sdk.rules.document import RULE_LANGUAGE
from personakit_sdk.transport import ServiceError, Unreachable
from personakit_sdk.wire import MapPersona
from tests.sync_service import Fault, SyncService, cut, html, lost, status
from tests.unit.sdk.conftest import NOW, Puller, item, mapper, persona


def pulled_by(puller: Puller) -> Pulled:
    pulled = puller.pull.run()
    assert pulled is not None
    return pulled


def fill(service: SyncService, people: int = 8) -> None:
    service.put("mapper", "focus", mapper())
    for n in range(people):
        service.put("persona", f"p{n}", persona(f"p{n}"))


def test_a_first_pull_brings_all_of_it_in_pages(double: SyncService, puller: Puller) -> None:
    fill(double)
    pulled = pulled_by(puller)
    assert puller.held() == double.served
    assert (pulled.position, len(double.pulls)) == (double.position, 3)
    assert puller.kinds() == ["synced"]


def test_a_later_pull_brings_only_what_changed_and_what_was_deleted(
    double: SyncService, puller: Puller
) -> None:
    fill(double)
    puller.pull.run()
    double.put("persona", "p1", persona("p1", "evening"))
    double.delete("persona", "p2")
    before = len(double.pulls)
    puller.pull.run()
    assert puller.held() == double.served
    assert len(double.pulls) == before + 1


def test_what_did_not_change_is_not_sent_and_is_valid_for_longer(double: SyncService, puller: Puller) -> None:
    fill(double)
    first = pulled_by(puller)
    double.valid_for = timedelta(days=30)
    second = pulled_by(puller)
    assert second.valid_until > first.valid_until + timedelta(days=20)
    assert (second.version, puller.kinds()) == (first.version, ["synced"])


def test_what_changes_while_pages_are_fetched_is_in_the_end_there(
    double: SyncService, puller: Puller
) -> None:
    fill(double)
    rounds = iter(range(4))

    def change() -> None:
        if (n := next(rounds, None)) is not None:
            double.put("persona", f"p{n}", persona(f"p{n}", "night"))
            double.delete("persona", f"p{7 - n}")

    double.before_pull = change
    puller.pull.run()
    assert puller.held() == double.served


def test_deleted_and_made_again_is_there(double: SyncService, puller: Puller) -> None:
    fill(double, 2)
    puller.pull.run()
    double.delete("persona", "p1")
    puller.pull.run()
    assert ("persona", "p1") not in puller.held()
    double.put("persona", "p1", persona("p1", "night"))
    puller.pull.run()
    assert puller.held() == double.served


@pytest.mark.parametrize("fault", [lost(), cut(), html(), html(502), status(500), status(503), status(401)])
def test_a_pull_that_is_cut_off_shows_the_old_and_goes_on_where_it_was(
    double: SyncService, puller: Puller, fault: Fault
) -> None:
    fill(double, 2)
    puller.pull.run()
    old = puller.held()
    for n in range(8):
        double.put("persona", f"p{n}", persona(f"p{n}", "night"))
    seen = len(double.pulls)
    rounds = iter([None, None, fault])
    double.before_pull = lambda: double.next_pull(*filter(None, [next(rounds, None)]))
    with pytest.raises((ServiceError, Unreachable)):
        puller.pull.run()
    assert puller.held() == old
    puller.pull.run()
    assert puller.held() == double.served
    assert len(double.pulls) - seen == 4


@pytest.mark.parametrize("kind", ["cursor-expired", "epoch-changed", "scope-changed"])
def test_a_reset_builds_a_copy_aside_and_the_old_one_serves_meanwhile(
    double: SyncService, puller: Puller, kind: str
) -> None:
    fill(double)
    puller.pull.run()
    puller.outbox.put(item(), NOW)
    old = puller.held()
    double.delete("persona", "p3")
    double.next_pull(status(410, problem_type=kind))
    seen: list[bool] = []
    double.before_pull = lambda: seen.append(puller.held() == old)
    puller.pull.run()
    assert seen == [True] * 4
    assert puller.held() == double.served
    assert puller.outbox.tally().items == 1
    assert "reset" in puller.kinds()


def test_a_reset_in_the_middle_of_paging_begins_anew(double: SyncService, puller: Puller) -> None:
    fill(double)
    rounds = iter([None, status(410, problem_type="cursor-expired")])
    double.before_pull = lambda: double.next_pull(*filter(None, [next(rounds, None)]))
    puller.pull.run()
    assert puller.held() == double.served


def test_endless_resets_end_and_what_is_cached_serves_on(double: SyncService, puller: Puller) -> None:
    fill(double)
    puller.pull.run()
    old = puller.held()
    double.down = status(410, problem_type="epoch-changed")
    before = len(double.pulls)
    with pytest.raises(SyncStuck):
        puller.pull.run()
    assert len(double.pulls) - before == 4
    with pytest.raises(SyncStuck):
        puller.pull.run()
    assert len(double.pulls) - before == 5
    assert puller.held() == old
    assert puller.offline.persona("p1").id == "p1"
    double.down = None
    puller.seconds += 3601
    puller.pull.run()
    assert puller.held() == double.served


def test_a_304_without_a_cached_body_is_not_believed(double: SyncService, puller: Puller) -> None:
    fill(double)
    double.next_pull(status(304))
    with pytest.raises(ServiceError, match="no condition"):
        puller.pull.run()
    puller.pull.run()
    assert puller.held() == double.served


def test_a_digest_that_differs_makes_the_pull_begin_anew(double: SyncService, puller: Puller) -> None:
    fill(double)
    double.digest_is_wrong = 2
    puller.pull.run()
    assert puller.held() == double.served
    double.restore()
    double.digest_is_wrong = 10
    with pytest.raises(SyncStuck):
        puller.pull.run()
    assert puller.held() == double.served


def test_another_log_makes_the_cache_begin_anew_and_offers_what_was_confirmed(
    double: SyncService, puller: Puller
) -> None:
    fill(double)
    puller.pull.run()
    sent = item()
    puller.outbox.put(sent, NOW)
    puller.outbox.settle([str(sent.id)], [], NOW)
    double.restore()
    double.delete("persona", "p1")
    puller.pull.run()
    assert puller.held() == double.served
    assert puller.outbox.tally().items == 1


@pytest.mark.parametrize("full", [False, True])
def test_of_a_person_who_is_gone_nothing_is_kept_that_was_confirmed(
    double: SyncService, puller: Puller, full: bool
) -> None:
    fill(double, 3)
    puller.pull.run()
    sent = [item("p1", text="a secret of p1"), item("p2"), item("new")]
    for each in sent:
        puller.outbox.put(each, NOW)
    puller.outbox.settle([str(each.id) for each in sent], [], NOW)
    assert b"a secret of p1" in puller.store.path.read_bytes()
    double.delete("persona", "p1")
    if full:
        double.next_pull(status(410, problem_type="cursor-expired"))
    puller.pull.run()
    assert puller.outbox.tally("confirmed").items == 2
    assert b"a secret of p1" not in puller.store.path.read_bytes()


def test_an_older_state_never_replaces_a_newer_one(double: SyncService, puller: Puller) -> None:
    fill(double)
    pulled = pulled_by(puller)
    page = double.entities["persona", "p1"]
    double.entities["persona", "p1"] = page._replace(version=page.version + 100)
    double.position += 200
    puller.pull.run()
    double.entities["persona", "p1"] = page._replace(version=page.version + 50)
    puller.cache.begin(Staging(full=False, since=pulled.cursor))
    puller.pull.run()
    assert puller.cache.versions()["persona", "p1"] == page.version + 100


def test_two_pulls_of_one_store_share_what_is_staged(
    double: SyncService, puller: Puller, tmp_path: Path
) -> None:
    fill(double)
    other = Puller(double, tmp_path / "store.db")
    double.before_pull = once(lambda: double.next_pull(status(500)), after=1)
    with pytest.raises(ServiceError):
        puller.pull.run()
    other.pull.run()
    assert puller.held() == other.held() == double.served


def once(act: Callable[[], None], after: int) -> Callable[[], None]:
    left = [after]

    def maybe() -> None:
        left[0] -= 1
        if left[0] == -1:
            act()

    return maybe


# --- mapping from the cache


def test_mapping_offline_says_how_old_its_data_is(double: SyncService, puller: Puller) -> None:
    double.put("mapper", "focus", mapper())
    stale = persona(is_stale=True, stale_since=NOW, changed_traits=["rhythm.period"])
    double.put("persona", "ada", stale)
    puller.pull.run()
    answer = puller.offline.map_persona(MapPersona(mapper_id="focus", persona_id="ada"))
    assert [each.rule_id for each in answer.suggestions] == ["early"]
    assert (answer.persona.is_stale, answer.persona.stale_since, answer.regenerate) == (True, NOW, "ada")
    assert answer.data.position == double.position
    assert 0 <= answer.data.seconds < 60
    assert puller.offline.persona("ada").changed_traits == ["rhythm.period"]


def test_what_was_learned_of_mapper_and_persona_weighs(double: SyncService, puller: Puller) -> None:
    double.put("mapper", "focus", mapper(learned={"early": 1.2}))
    double.put("persona", "ada", persona(learned={"focus": {"early": 1.5}}))
    puller.pull.run()
    (only,) = puller.offline.map_persona(MapPersona(mapper_id="focus", persona_id="ada")).suggestions
    assert only.learned == pytest.approx(1.8)


def test_a_mapping_after_a_pull_is_of_the_new_state(double: SyncService, puller: Puller) -> None:
    ask = MapPersona(mapper_id="focus", persona_id="ada")
    double.put("mapper", "focus", mapper())
    double.put("persona", "ada", persona())
    with pytest.raises(NotCached, match="sync"):
        puller.offline.map_persona(ask)
    puller.pull.run()
    assert puller.offline.map_persona(ask).suggestions
    double.put("persona", "ada", persona(period="night"))
    puller.pull.run()
    assert not puller.offline.map_persona(ask).suggestions
    double.delete("persona", "ada")
    puller.pull.run()
    with pytest.raises(NotCached, match="'ada'"):
        puller.offline.map_persona(ask)


def test_personas_are_not_served_past_their_time_and_mappers_are(double: SyncService, puller: Puller) -> None:
    double.valid_for = timedelta(seconds=-1)
    double.put("mapper", "focus", mapper())
    double.put("persona", "ada", persona())
    puller.pull.run()
    with pytest.raises(DataExpired):
        puller.offline.persona("ada")
    with pytest.raises(DataExpired):
        puller.offline.map_persona(MapPersona(mapper_id="focus", persona_id="ada"))
    assert puller.offline.mapper("focus").id == "focus"
    double.valid_for = timedelta(days=7)
    puller.pull.run()
    assert puller.offline.persona("ada").id == "ada"


@pytest.mark.parametrize("years", [-1, 1])
def test_a_device_clock_that_is_a_year_off_changes_nothing(
    double: SyncService, tmp_path: Path, years: int
) -> None:
    puller = Puller(double, tmp_path / "store.db")
    puller.ahead = timedelta(days=365 * years)
    double.put("persona", "ada", persona())
    puller.pull.run()
    assert puller.offline.persona("ada").id == "ada"
    assert abs(puller.clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
    again = Puller(double, tmp_path / "store.db")
    again.ahead = puller.ahead
    assert again.offline.persona("ada").id == "ada"


def test_a_clock_that_is_set_back_does_not_make_expired_data_valid(
    double: SyncService, puller: Puller
) -> None:
    double.put("persona", "ada", persona())
    double.valid_for = timedelta(seconds=-1)
    puller.pull.run()
    puller.ahead = timedelta(days=-365)
    with pytest.raises(DataExpired):
        puller.offline.persona("ada")


def test_what_went_by_has_gone_by_for_the_next_process_too(double: SyncService, puller: Puller) -> None:
    double.put("persona", "ada", persona())
    puller.pull.run()
    passed, heard = timedelta(days=8), puller.clock.now()
    earlier = puller.clock._steady
    puller.clock._steady = lambda: earlier() + passed.total_seconds()
    puller.clock.keep()
    puller.ahead = timedelta(days=-365)
    again = DeviceClock(puller.store, wall=puller.wall)
    assert again.now() >= heard + passed - timedelta(seconds=2)
    with pytest.raises(DataExpired):
        Offline(puller.cache, again).persona("ada")


def test_a_mapper_in_a_newer_rule_language_asks_for_an_upgrade_and_the_rest_works(
    double: SyncService, puller: Puller
) -> None:
    double.put("mapper", "focus", mapper())
    double.put("mapper", "later", mapper("later", rule_language=RULE_LANGUAGE + 1))
    broken = mapper("odd")
    broken.document["rules"][0]["conditions"] = {"quantum": []}
    double.put("mapper", "odd", broken)
    double.put("persona", "ada", persona())
    puller.pull.run()
    assert puller.offline.upgrades() == ["later", "odd"]
    with pytest.raises(UpgradeRequired, match=f"version {RULE_LANGUAGE + 1}"):
        puller.offline.map_persona(MapPersona(mapper_id="later", persona_id="ada"))
    with pytest.raises(UpgradeRequired):
        puller.offline.mapper("odd")
    assert puller.offline.map_persona(MapPersona(mapper_id="focus", persona_id="ada")).suggestions


def test_nothing_is_kept_of_an_epoch_that_is_the_same(puller: Puller) -> None:
    epoch = uuid4()
    assert puller.outbox.notice_epoch(epoch) == 0
    assert puller.outbox.notice_epoch(epoch) == 0
    assert puller.outbox.epoch == str(epoch)


def test_a_stranger_on_the_way_does_not_tell_the_time(double: SyncService, puller: Puller) -> None:
    puller.ahead = timedelta(days=365)
    double.next_pull(html())
    with pytest.raises(ServiceError):
        puller.pull.run()
    assert puller.clock.offset == 0.0
    puller.pull.run()
    assert puller.clock.offset < -300 * 86400


def test_a_service_that_never_settles_is_not_asked_for_ever(double: SyncService, puller: Puller) -> None:
    """Its cursors differ though nothing comes: each says when it was given."""
    page = double._page

    def unsettled(*asked: Any) -> Any:
        code, answer, headers, fault = page(*asked)
        following = f"{answer['next'][:-1]}, {len(double.pulls)}]"
        return code, {**answer, "upToDate": False, "hasMore": True, "next": following}, headers, fault

    double._standing = lambda _: ["full", str(double.epoch), double.position, []]  # type: ignore[method-assign]
    double._page = unsettled  # type: ignore[method-assign]
    with pytest.raises(ServiceError, match="catching up"):
        puller.pull.run()
