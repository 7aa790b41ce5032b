"""Items leave the outbox when the service has them, and only then, whatever happens on the way."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from personakit_sdk import wire
from personakit_sdk.dead_letters import DeadLetters
from personakit_sdk.outbox import Rejection
from tests.sync_service import SyncService, cut, html, ids, lost, omit, status
from tests.unit.sdk.conftest import NOW, Sender, item

NO_GOOD = wire.Problem(type="t", title="No", status=422, detail="It is no good.")


def by_key(items: list[dict[str, object]]) -> dict[object, list[object]]:
    found: dict[object, list[object]] = defaultdict(list)
    for each in items:
        found[each["key"]].append(each["id"])
    return found


def test_what_is_stored_leaves_the_outbox_and_is_kept_as_confirmed(
    double: SyncService, sender: Sender
) -> None:
    sent = [item(n=n) for n in range(3)]
    sender.put(*sent)
    assert sender.drain() == 1
    assert ids(double.order) == [each.id for each in sent]
    assert (sender.outbox.tally().items, sender.outbox.tally("confirmed").items) == (0, 3)
    assert sender.kinds() == ["delivered"]


@pytest.mark.parametrize(
    "fault", [lost(), lost(committed=False), cut(), html(), html(502), html(200, committed=False), omit(2)]
)
def test_an_answer_that_says_too_little_makes_an_item_go_again(
    double: SyncService, sender: Sender, fault: object
) -> None:
    sent = [item(n=n) for n in range(3)]
    sender.put(*sent)
    double.next_push(fault)  # type: ignore[arg-type]
    sender.drain()
    assert ids(double.order) == [each.id for each in sent]
    assert sender.outbox.tally("confirmed").items == 3


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 404, 301])
def test_a_status_that_passes_means_again(double: SyncService, sender: Sender, code: int) -> None:
    sender.put(item())
    double.next_push(status(code), status(code))
    assert sender.drain() > 2
    assert len(double.order) == 1


def test_waits_double_up_to_five_minutes_and_every_one_ends(double: SyncService, sender: Sender) -> None:
    sender.put(item())
    double.down = status(503)
    waits = []
    for _ in range(14):
        wait = sender.delivery.run()
        assert wait is not None
        waits.append(wait)
        sender.seconds += wait
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-2:] == [300.0, 300.0]
    double.down = None
    assert sender.delivery.run() is None


def test_waits_are_drawn_from_nothing_to_the_ceiling(double: SyncService, sender: Sender) -> None:
    sender.put(item())
    double.next_push(status(503))
    sender.chance = 0.25
    assert sender.delivery.run() == 0.125


def test_what_the_service_asks_to_wait_wins(double: SyncService, sender: Sender) -> None:
    sender.put(item())
    double.next_push(status(429, retry_after="700"))
    assert sender.delivery.run() == 700.0
    sender.delivery.hurry()
    assert sender.delivery.run() == 700.0
    assert len(double.pushes) == 1


def test_a_wait_outlives_its_process_and_ends_when_the_clock_is_set_back(
    double: SyncService, sender: Sender, tmp_path: Path
) -> None:
    sender.put(item())
    double.next_push(status(503))
    assert sender.delivery.run() == 0.5
    other = Sender(double, tmp_path / "store.db")
    assert other.delivery.run() == 0.5
    other.seconds -= 365 * 86400
    assert other.delivery.run() is None
    assert len(double.order) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_opens_nothing_pauses_and_keeps_everything(
    double: SyncService, sender: Sender, code: int
) -> None:
    sender.put(item(), item("bob"))
    double.next_push(status(code))
    assert sender.delivery.run() == 300.0
    assert sender.outbox.tally().items == 2
    assert sender.delivery.waits().paused
    assert sender.kinds() == ["paused"]
    sender.delivery.hurry()
    sender.drain()
    assert len(double.order) == 2
    assert not sender.delivery.waits().paused


@pytest.mark.parametrize(
    ("code", "place"), [(400, 0), (400, 499), (413, 250), (422, 251), (500, 0), (500, 250), (500, 499)]
)
def test_one_poison_item_among_500_is_found_and_no_other_suffers(
    double: SyncService, sender: Sender, code: int, place: int
) -> None:
    sent = [item(f"p{n % 50}", n=n) for n in range(500)]
    sender.put(*sent)
    double.poison = lambda each: code if each["body"]["n"] == place else None
    for _ in range(40):
        sender.seconds += sender.delivery.run() or 0
    blamed = sent[place]
    behind = [each for each in sent[place + 1 :] if each.key == blamed.key] if code == 500 else []
    assert {each["id"] for each in double.order} == {
        str(each.id) for each in sent if each is not blamed and each not in behind
    }
    assert len(double.pushes) <= 40 + 20  # the runs, and the search
    if code != 500:
        (letter,) = DeadLetters(sender.store).list()
        assert (letter.id, letter.problem.status) == (blamed.id, code)


def test_items_of_a_person_arrive_in_their_order_whatever_fails(double: SyncService, sender: Sender) -> None:
    sent = [item(f"p{n % 7}", n=n) for n in range(300)]
    sender.put(*sent)
    double.next_push(status(413), status(422), status(500), lost(), html(), cut(), omit(100), lost())
    sender.drain()
    assert by_key(double.order) == by_key([{"key": each.key, "id": str(each.id)} for each in sent])
    assert sender.outbox.tally("dead").items == 0


def test_what_the_service_is_too_busy_for_holds_up_its_own_person_only(
    double: SyncService, sender: Sender
) -> None:
    double.busy = lambda each: each["key"] == "ada"
    sender.put(item("ada"), item("bob"))
    assert sender.delivery.run() == 0.5
    late = [item("ada"), item("bob")]
    sender.put(*late)
    assert sender.delivery.run() == 0.5
    assert [each["key"] for each in double.order] == ["bob", "bob"]
    sender.seconds += 0.5
    wait = sender.delivery.run()
    assert wait == 1.0
    sender.seconds += wait
    double.busy = lambda _: False
    sender.drain()
    assert len(double.order) == 4


def test_what_is_rejected_is_kept_with_its_problem_and_can_be_retried_or_discarded(
    double: SyncService, sender: Sender
) -> None:
    double.reject = lambda each: "no such type" if each["body"].get("bad") else None
    bad, good, worse = item(bad=1), item(), item(bad=2)
    sender.put(bad, good, worse)
    sender.drain()
    dead = DeadLetters(sender.store)
    assert [letter.id for letter in dead] == [bad.id, worse.id]
    assert dead.list()[0].problem.detail == "no such type"
    assert dead.list()[0].item == bad
    assert sender.kinds().count("rejected") == 2
    double.reject = lambda _: None
    assert dead.discard([worse.id]) == 1
    assert dead.retry() == 1
    sender.drain()
    assert {str(bad.id), str(good.id)} == double.stored.keys()
    assert len(dead) == 0


def test_the_same_id_with_another_body_is_rejected_by_the_service_and_refused_here(
    double: SyncService, sender: Sender, tmp_path: Path
) -> None:
    first = item(mood=1)
    sender.put(first, first)
    assert sender.outbox.tally().items == 1
    sender.drain()
    other = Sender(double, tmp_path / "other.db")
    other.put(item(id_=first.id, mood=2))
    other.drain()
    assert other.outbox.tally("dead").items == 1
    with pytest.raises(Exception, match="another item's already"):
        sender.put(item(id_=first.id, mood=2))


def test_a_service_restored_from_a_backup_gets_back_what_it_lost(double: SyncService, sender: Sender) -> None:
    sent = [item(f"p{n % 3}", n=n) for n in range(20)]
    sender.put(*sent)
    sender.drain()
    double.restore(without=8)
    late = item("p1")
    sender.put(late)
    sender.drain()
    assert double.stored.keys() == {str(each.id) for each in (*sent, late)}
    assert "offered-again" in sender.kinds()
    assert sender.outbox.tally("confirmed").items == 21


def test_confirmed_items_are_kept_for_seven_days_and_no_more_than_fit(
    double: SyncService, tmp_path: Path
) -> None:
    sender = Sender(double, tmp_path / "store.db", max_items=5)
    for _ in range(2):
        sender.put(*(item() for _ in range(4)))
        sender.drain()
    sender.outbox.prune(sender.delivery._clock.now())
    assert sender.outbox.tally("confirmed").items == 5
    sender.outbox.prune(NOW.replace(year=2100))
    assert sender.outbox.tally("confirmed").items == 0


def test_a_dead_letter_that_nobody_decides_on_is_let_go_and_that_is_said(sender: Sender) -> None:
    old, young = item(), item()
    sender.put(old, young)
    for letter, days in ((old, 31), (young, 29)):
        at = sender.delivery._clock.now() - timedelta(days=days)
        sender.outbox.settle([], [Rejection(str(letter.id), NO_GOOD)], at)
    sender.delivery.run()
    assert [letter.id for letter in DeadLetters(sender.store)] == [young.id]
    assert [(notice.kind, notice.count) for notice in sender.told] == [("lost", 1)]


def test_a_request_is_held_to_its_limits(double: SyncService, sender: Sender) -> None:
    sender.put(*(item(text="x" * 200_000) for _ in range(11)), *(item("bob") for _ in range(600)))
    sender.drain()
    assert len(double.order) == 611
    assert max(map(len, double.pushes)) <= 500
    assert [len(items) for items in double.pushes][:2] == [5, 5]


def test_two_deliveries_at_once_send_nothing_twice(
    double: SyncService, sender: Sender, tmp_path: Path
) -> None:
    sender.put(item(id_=uuid4()))
    other = Sender(double, tmp_path / "store.db")
    with sender.delivery._lock.within(0) as alone:
        assert alone
        wait = other.delivery.run()
    assert wait == 0.25
    assert double.pushes == []
    other.drain()
    assert sender.delivery.run() is None
    assert len(double.pushes) == 1


def test_a_stranger_on_the_way_decides_about_no_item(double: SyncService, sender: Sender) -> None:
    sender.put(item("ada", n=1), item("ada", n=2), item("bob"))
    double.down = html(400, committed=False)
    for _ in range(20):
        sender.seconds += sender.delivery.run() or 0.0
    assert sender.outbox.tally("dead").items == 0
    double.down = None
    sender.drain()
    assert len(double.order) == 3


def test_a_stranger_on_the_way_does_not_tell_the_time(double: SyncService, sender: Sender) -> None:
    clock = sender.delivery._clock
    clock._wall = lambda: datetime.now(UTC) + timedelta(days=365)
    double.next_push(html(), html(502))
    sender.put(item())
    for _ in range(2):
        sender.seconds += sender.delivery.run() or 0.0
    assert clock.offset == 0.0
    sender.drain()
    assert clock.offset < -300 * 86400


def test_nobody_is_made_to_wait_for_ever(double: SyncService, sender: Sender) -> None:
    double.next_push(status(503, retry_after="9" * 400))
    sender.put(item())
    sender.delivery.run()
    assert sender.delivery.retry_in() == pytest.approx(86_400)
    sender.drain()
    assert len(double.order) == 1
