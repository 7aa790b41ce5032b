"""Delivering observations in batches to a service that is busy, says no, or goes away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from personakit.cli.delivery import deliver
from personakit_sdk.transport import ServiceError, Transport
from personakit_sdk.wire import Observation


def observations(count: int, size: int = 1) -> list[Observation]:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    return [
        Observation(
            id=UUID(int=number + 1),
            person_id="ann",
            type="note",
            content={"text": "x" * size},
            occurred_at=start + timedelta(minutes=number),
        )
        for number in range(count)
    ]


def quiet(what: str, done: int, total: int | None) -> None:
    """A report that nobody reads."""


def test_batches_hold_at_most_five_hundred(service, transport) -> None:
    reports = []
    summary = deliver(transport, observations(1201), lambda *said: reports.append(said), total=1201)
    assert service.batches == [500, 500, 201]
    assert (summary.sent, summary.stored) == (1201, 1201)
    assert reports == [("sending", 500, 1201), ("sending", 1000, 1201), ("sending", 1201, 1201)]


def test_batches_hold_at_most_a_megabyte_but_never_nothing(service, transport) -> None:
    deliver(transport, observations(5, size=400_000) + observations(1, size=2_000_000)[:1], quiet)
    assert service.batches == [2, 2, 1, 1]


def test_a_service_that_is_full_for_a_while_gets_the_batch_again(service, transport) -> None:
    service.script = [503, 429, 503]
    assert deliver(transport, observations(3), quiet).stored == 3


def test_only_what_the_service_could_not_take_yet_is_sent_again(service, transport) -> None:
    items = observations(10)
    service.busy = {str(items[3].id), str(items[7].id)}
    summary = deliver(transport, items, quiet)
    assert service.batches == [10, 2]
    assert (summary.sent, summary.stored) == (10, 10)


def test_a_service_that_never_takes_an_observation_ends_the_delivery(service) -> None:
    items = observations(2)

    class AlwaysBusy(set[str]):
        def remove(self, item: str) -> None:
            """Stay busy."""

    service.busy = AlwaysBusy({str(items[0].id)})
    impatient = Transport(service.url, "pk_test", patience=0.05)
    with pytest.raises(ServiceError, match="too busy to take 1 observations; import again"):
        deliver(impatient, items, quiet)
    impatient.close()


def test_rejected_items_are_counted_with_their_reasons_and_the_rest_is_kept(service, transport) -> None:
    items = observations(30)
    service.refused = {str(item.id) for item in items[:25]}
    summary = deliver(transport, items, quiet)
    assert (summary.stored, summary.rejected, summary.complete) == (5, 25, False)
    assert len(summary.problems) == 20
    assert summary.problems[0] == f"{items[0].id}: It has no content."


def test_a_batch_that_is_refused_whole_is_reported_with_its_problem(service, transport) -> None:
    service.script = [413]
    with pytest.raises(ServiceError, match="It is a 413"):
        deliver(transport, observations(3), quiet)


def test_nothing_to_send_sends_nothing(service, transport) -> None:
    assert deliver(transport, [], quiet).sent == 0
    assert service.batches == []
