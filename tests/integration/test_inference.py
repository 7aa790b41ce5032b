"""A model reads free text: once each, on evidence, within what it may say; over the real client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from personakit.agents.budget import Budget, BudgetSpent
from personakit.agents.service import Service
from personakit.domain.mindscape import Pin
from tests.history import TENANT, observation, surrogate
from tests.injections import INJECTIONS, obeyed
from tests.integration.asked_model import (
    USD_A_CALL,
    asking,
    events,
    infer,
    inferrer,
    last_completed,
    mindscape,
    note,
    reads_interests,
    shown_ids,
    spent,
    write,
)
from tests.integration.conftest import follow
from tests.messages_api import Asked, MessagesApi, Reply, failure, message, proposals

CLIMBING = "I would love to go climbing again"


@pytest.fixture
def api(model_server: MessagesApi) -> MessagesApi:
    model_server.forget()
    model_server.answer = reads_interests()
    return model_server


@pytest.fixture(scope="module")
def one_service(database: str, model_server: MessagesApi) -> Iterator[Service]:
    with asking(database, model_server) as service:
        yield service


@pytest.fixture
def asked(one_service: Service, api: MessagesApi) -> Service:
    """The service, and nothing asked yet."""
    return one_service


def test_what_somebody_wrote_becomes_a_trait_with_its_evidence(asked: Service) -> None:
    ids = write(asked, note("anna", CLIMBING), note("anna", "Booked the climbing hall for Sunday", 1))
    infer(asked, "anna")
    trait = mindscape(asked, "anna")["traits"]["interests.climbing"]
    assert trait["value"] is True
    assert trait["source"] == "anthropic:claude-test"
    assert {UUID(each) for each in trait["evidence"]} == set(ids)
    (version,) = asked.past.trait(TENANT, surrogate(asked, "anna"), "interests.climbing", limit=9)
    assert version.reason.endswith("interests.climbing: They wrote about it.")


def test_only_free_text_is_read(asked: Service, api: MessagesApi) -> None:
    terse = note("terse", "two words")
    other = note("terse", "从现在开始我想每天早上去爬山")
    long = note("terse", "four words are enough")
    _, other_id, long_id = write(asked, terse, other, long)
    write(asked, observation("terse", 1))
    infer(asked, "terse")
    assert {UUID(each) for each in shown_ids(api.asked[0])} == {other_id, long_id}


def test_what_has_expired_is_not_read_though_it_is_not_retracted_yet(
    asked: Service, api: MessagesApi
) -> None:
    over = msgspec.structs.replace(note("brief", CLIMBING), expires_at=datetime(2026, 3, 1, tzinfo=UTC))
    write(asked, over)
    assert infer(asked, "brief") is not None  # that there is nothing to read
    assert api.calls == 0
    (kept,) = write(asked, note("brief", "Now I would rather swim every day"))
    infer(asked, "brief")
    assert shown_ids(api.asked[0]) == [str(kept)]


def test_what_was_read_is_not_read_again(asked: Service, api: MessagesApi) -> None:
    write(asked, note("once", CLIMBING))
    assert infer(asked, "once") is not None
    assert infer(asked, "once") is None
    (new,) = write(asked, note("once", "Now I would rather swim every day"))
    infer(asked, "once")
    assert api.calls == 2
    assert shown_ids(api.asked[1]) == [str(new)]


def test_doubled_wake_ups_pay_once(asked: Service, api: MessagesApi) -> None:
    """Sixteen at once, and again before the read models have followed."""
    write(asked, note("doubled", CLIMBING))
    person = surrogate(asked, "doubled")

    def together() -> None:
        threads = [threading.Thread(target=inferrer(asked).infer, args=(TENANT, person)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    together()
    together()
    assert api.calls == 1
    assert len(events(asked, "mindscape", "doubled")) == 1


def test_an_answer_is_put_on_top_of_what_changed_meanwhile_and_not_asked_for_again(
    asked: Service, api: MessagesApi
) -> None:
    write(asked, note("raced", CLIMBING), observation("raced", 1))
    person = surrogate(asked, "raced")
    answer = reads_interests()

    def while_asked(body: Asked) -> Reply:
        asked.mindscaper.derive(TENANT, person)
        asked.curator.pin(TENANT, person, "diet", Pin("vegan", "low", "told", "key: me"))
        return answer(body)

    api.answer = while_asked
    infer(asked, "raced")
    row = mindscape(asked, "raced")
    assert api.calls == 1
    assert {"interests.climbing", "work.commits"} <= row["traits"].keys()
    assert row["version"] == 3


def test_a_path_that_was_pinned_while_it_was_asked_stays_as_it_was_pinned(
    asked: Service, api: MessagesApi
) -> None:
    write(asked, note("late-pin", CLIMBING))
    person = surrogate(asked, "late-pin")
    answer = reads_interests()

    def while_asked(body: Asked) -> Reply:
        asked.curator.pin(TENANT, person, "interests.climbing", Pin(False, "low", "told", "key: me"))
        return answer(body)

    api.answer = while_asked
    infer(asked, "late-pin")
    assert mindscape(asked, "late-pin")["traits"] == {}
    assert last_completed(asked, "late-pin").dropped == {"pinned": 1}


def test_a_call_that_changes_nothing_is_recorded_with_what_it_cost(asked: Service, api: MessagesApi) -> None:
    api.answer = lambda _: proposals()
    write(asked, note("nothing", "There is nothing to see in here"))
    infer(asked, "nothing")
    completed = last_completed(asked, "nothing")
    assert completed.use.usd == pytest.approx(USD_A_CALL)
    assert infer(asked, "nothing") is None


def test_a_process_that_died_at_it_costs_one_call_and_no_more(asked: Service, api: MessagesApi) -> None:
    """Between the answer and the append: the lease is there still, and runs out."""
    write(asked, note("crashed", CLIMBING))
    person = surrogate(asked, "crashed")
    found = inferrer(asked)._unread(TENANT, person)
    assert found is not None
    inferrer(asked)._asked(found)  # and here it dies, holding its lease
    assert asked.leases.take(TENANT, "inference", person, 600) is not None
    assert infer(asked, "crashed") is None
    run_out(asked, person)
    assert infer(asked, "crashed") is not None
    assert api.calls == 2
    assert len(events(asked, "mindscape", "crashed")) == 1


def run_out(service: Service, entity: UUID) -> None:
    """Lets the leases and pauses of an entity be over."""
    sql = "UPDATE personakit.leases SET until = '-infinity', not_before = '-infinity' WHERE entity = %s"
    with service.pool.connection() as connection:
        connection.execute(sql, [entity])


def test_who_comes_back_after_their_lease_ran_out_records_the_cost_and_changes_nothing(
    asked: Service, api: MessagesApi
) -> None:
    write(asked, note("slow", CLIMBING))
    person = surrogate(asked, "slow")
    answer, first = reads_interests(), threading.Event()

    def while_asked(body: Asked) -> Reply:
        if not first.is_set():
            first.set()
            run_out(asked, person)
            assert inferrer(asked).infer(TENANT, person) is not None
        return answer(body)

    api.answer = while_asked
    infer(asked, "slow")
    assert len(events(asked, "mindscape", "slow")) == 1
    completed = last_completed(asked, "slow")
    assert completed.dropped == {"overtaken": 1}
    assert completed.use is not None


FAILURES: dict[str, Reply] = {
    "overloaded": failure(529, "overloaded_error"),
    "rate limited": failure(429, "rate_limit_error", retry_after="7200"),
    "cut": Reply(cut=True),
    "slow": Reply(seconds=0.4),
    "dripping": message('{"traits": []}', drip=0.02),
    "refused": message("", stop_reason="refusal"),
    "malformed": message("I have been pwned."),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_leaves_what_is_due_due_for_later_and_blocks_nothing_else(
    name: str, database: str, api: MessagesApi
) -> None:
    person = f"failing-{name.replace(' ', '-')}"
    with asking(database, api, timeout=0.2) as service:
        write(service, note(person, CLIMBING), observation(person, 1))
        api.answer = lambda _: FAILURES[name]
        infer(service, person)
        assert ready(service, person) is False
        service.mindscaper.derive(TENANT, surrogate(service, person))
        follow(service)
        assert "work.commits" in mindscape(service, person)["traits"]

        run_out(service, surrogate(service, person))
        api.answer = reads_interests()
        assert ready(service, person) is True
        infer(service, person)
        assert "interests.climbing" in mindscape(service, person)["traits"]


def ready(service: Service, person: str) -> bool:
    return (TENANT, surrogate(service, person)) in inferrer(service).ready(1000)


@pytest.mark.parametrize("name", ["refused", "malformed"])
def test_an_answer_of_no_use_is_paid_and_said_to_be(name: str, asked: Service, api: MessagesApi) -> None:
    write(asked, note(name, CLIMBING))
    before = spent(asked)
    api.answer = lambda _: FAILURES[name]
    infer(asked, name)
    completed = last_completed(asked, name)
    assert completed.dropped == {"refusal" if name == "refused" else name: 1}
    assert spent(asked) - before == pytest.approx(api.calls * USD_A_CALL)


def test_pauses_grow_with_each_failure_and_heed_what_the_provider_asks_for(
    asked: Service, api: MessagesApi
) -> None:
    write(asked, note("pausing", CLIMBING))
    person = surrogate(asked, "pausing")
    pauses = []
    for reply in (failure(400, "x"), failure(400, "x"), failure(429, "x", retry_after="7200")):
        api.next(reply)
        run_out(asked, person)
        infer(asked, "pausing")
        pauses.append(pause(asked, person))
    assert pauses == [60, 120, 7200]


def pause(service: Service, person: UUID) -> int:
    sql = "SELECT round(extract(epoch FROM not_before - failed_at)) AS s FROM personakit.leases"
    with service.pool.connection() as connection:
        row = connection.execute(f"{sql} WHERE entity = %s", [person]).fetchone()
    assert row is not None
    return int(row["s"])


def test_a_person_waits_until_there_is_enough_text_or_it_is_old_enough(
    database: str, api: MessagesApi
) -> None:
    with asking(database, api, batch_tokens=120, batch_seconds=3600) as service:
        write(service, note("brief", CLIMBING))
        few = ready(service, "brief")
        write(service, *[note("brief", f"{CLIMBING} and again, {n} times") for n in range(4)])
        assert (few, ready(service, "brief")) == (False, True)
    with asking(database, api, batch_tokens=10**9, batch_seconds=0) as service:
        assert ready(service, "brief") is True


def test_much_text_is_read_in_several_calls_none_too_large(database: str, api: MessagesApi) -> None:
    with asking(database, api, call_tokens=200) as service:
        ids = write(service, *[note("much", f"{CLIMBING}, number {n}, " * 6) for n in range(7)])
        ids += write(service, note("much", CLIMBING * 500))
        while infer(service, "much") is not None:
            pass
        seen = [UUID(each) for body in api.asked for each in shown_ids(body)]
        assert seen == ids
        assert api.calls > 3
        assert max(len(body["messages"][0]["content"]) for body in api.asked) < 200 * 3 + 1500
        assert ready(service, "much") is False


def test_the_budget_stops_calls_and_not_ingestion(database: str, api: MessagesApi) -> None:
    with asking(database, api) as service:
        already = spent(service)
    with asking(database, api, budget_usd=already + 0.05) as service:
        people = [f"thrifty{n}" for n in range(30)]
        for person in people:
            write(service, note(person, CLIMBING))
            infer(service, person)
        assert 1 <= api.calls < 30
        assert spent(service) <= already + 0.05
        (left,) = write(service, note(people[-1], "This is recorded all the same"))
        service.mindscaper.derive(TENANT, surrogate(service, people[-1]))
        with service.reader.snapshot_of_all() as snapshot:
            rows = snapshot.rows("observations.by_ids", **whose(service, people[-1]), ids=[left])
        assert len(rows) == 1
        assert inferrer(service).ready(1000) == []
    with asking(database, api) as service:  # tomorrow, or with more of a budget
        assert ready(service, people[-1]) is True


def test_calls_under_way_keep_others_waiting_but_not_until_tomorrow(asked: Service, api: MessagesApi) -> None:
    budget = Budget(asked.reader, usd=spent(asked) + 1.0)
    with budget.reserved(TENANT, 0.8):
        with pytest.raises(BudgetSpent, match="under way") as refused, budget.reserved(TENANT, 0.8):
            pass
        assert refused.value.retry_after < 60
        assert budget.refused() == []
    with budget.reserved(TENANT, 0.8):  # they cost less than they could have
        pass
    with pytest.raises(BudgetSpent, match="is spent"), budget.reserved(TENANT, 1.1):
        pass
    assert budget.refused() == [TENANT]


def whose(service: Service, person: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"tenant": TENANT, "person": surrogate(service, person), "before": 2**62, "limit": 10, "now": now}


@pytest.mark.parametrize("number", range(len(INJECTIONS)))
def test_no_text_makes_a_model_reach_what_it_may_not(number: int, asked: Service, api: MessagesApi) -> None:
    """Even one that obeys: not a pinned trait, not a computed one, and nobody else."""
    victim, bystander = f"victim{number}", f"bystander{number}"
    (foreign,) = write(asked, note(bystander, CLIMBING))
    write(asked, observation(victim, 3), note(victim, INJECTIONS[number]))
    person = surrogate(asked, victim)
    asked.mindscaper.derive(TENANT, person)
    asked.curator.pin(TENANT, person, "diet", Pin("vegan", "low", "told", "key: me"))
    follow(asked)
    before = mindscape(asked, victim)
    api.answer = lambda body: proposals(*obeyed(shown_ids(body)[0], str(foreign)))
    infer(asked, victim)
    assert mindscape(asked, victim) == before
    assert events(asked, "mindscape", bystander) == []
    assert sum(last_completed(asked, victim).dropped.values()) == len(obeyed("", ""))
    (body,) = api.asked
    assert str(foreign) not in str(body)
    assert CLIMBING not in str(body)
    assert body["messages"][0]["content"].count("</observations>") == 1


def test_what_was_read_through_is_told_of_the_past_as_it_was_live(asked: Service, api: MessagesApi) -> None:
    write(asked, note("past", CLIMBING))
    person = surrogate(asked, "past")
    infer(asked, "past")
    api.answer = lambda _: proposals()
    write(asked, note("past", "There is nothing to see in here"))
    infer(asked, "past")
    with asked.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("derivation_due.of_people", tenant=TENANT, people=[person])
    live = {row["derivation"]: row["read_through"] for row in rows}
    assert asked.past.mindscape(TENANT, person, asked.reader.head()).derived_through == live
    assert live["anthropic"] > 0


def test_at_work_it_reads_by_itself_and_keeps_nobody_waiting(database: str, api: MessagesApi) -> None:
    """While the model takes its time, what is computed is there."""
    go_on = threading.Event()
    answer = reads_interests()

    def slowly(body: Asked) -> Reply:
        go_on.wait(30)
        return answer(body)

    api.answer = slowly
    people = [f"working{n}" for n in range(6)]
    with asking(database, api, calls=2) as service:
        service.work()
        written = [each for person in people for each in (note(person, CLIMBING), observation(person, 1))]
        last = service.intake.record(TENANT, written)[-1].position
        service.reader.wait_for(TENANT, last, 30)
        computed = [mindscape(service, person)["traits"].keys() for person in people]
        go_on.set()
        for person in people:
            until(lambda: "interests.climbing" in mindscape(service, person)["traits"])  # noqa: B023
    assert all("work.commits" in traits and "interests.climbing" not in traits for traits in computed)


def until(reached: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if reached():
            return
        pause.wait(0.01)
    raise AssertionError("it never came")


def test_what_was_taken_back_is_not_read(asked: Service, api: MessagesApi) -> None:
    gone, left = write(asked, note("sorry", CLIMBING), note("sorry", "I would love to swim instead", 1))
    asked.retractions.retract(TENANT, gone, "not mine")
    follow(asked)
    infer(asked, "sorry")
    assert shown_ids(api.asked[0]) == [str(left)]


def test_what_is_taken_back_while_it_is_read_is_no_evidence(asked: Service, api: MessagesApi) -> None:
    (gone,) = write(asked, note("regret", CLIMBING))
    answer = reads_interests()

    def while_asked(body: Asked) -> Reply:
        asked.retractions.retract(TENANT, gone, "not mine")
        follow(asked)
        return answer(body)

    api.answer = while_asked
    infer(asked, "regret")
    assert events(asked, "mindscape", "regret") == []
    assert last_completed(asked, "regret").dropped == {"unknown evidence": 1}


def test_a_trait_goes_with_all_of_its_evidence(asked: Service) -> None:
    (gone,) = write(asked, note("undone", CLIMBING))
    infer(asked, "undone")
    before = mindscape(asked, "undone")["traits"]
    asked.retractions.retract(TENANT, gone, "not mine")
    follow(asked)
    asked.mindscaper.derive(TENANT, surrogate(asked, "undone"))
    follow(asked)
    assert (set(before), set(mindscape(asked, "undone")["traits"])) == ({"interests.climbing"}, set())
