"""How fast a key goes, in one process and in several that tell each other."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.api import rates as module
from personakit.api.problems import RateExceeded
from personakit.api.rates import TOLD_OF, Allowance, Rates, rate_headers, take_items
from personakit.domain.grant import Grant
from personakit.domain.rate import BURST_SECONDS, Rate
from personakit.eventlog.access import ApiKey, Spent

_POLICY = re.compile(rb'"requests";q=\d+;w=\d+, "items";q=\d+;qu="personakit-items";w=\d+')
_LIMIT = re.compile(rb'"requests";r=(\d+);t=(\d+)')
_LIMITS = re.compile(rb'"requests";r=9;t=1, "items";r=(\d+);t=(\d+)')
TELLS = 1.0


def key(prefix: str, rate: Rate | None = None) -> ApiKey:
    return ApiKey(
        prefix=prefix,
        tenant="default",
        name=prefix,
        grant=Grant(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        expires_at=None,
        overlap_until=None,
        last_used_at=None,
        revoked_at=None,
        rate=rate,
    )


def admitted(rates: Rates, each: ApiKey, times: int) -> tuple[int, Any]:
    """How many of so many requests came in, and the scope of the last."""
    count, scope = 0, {}
    for _ in range(times):
        scope = {}
        with suppress(RateExceeded):
            rates.admit(scope, each)  # type: ignore[arg-type]  # all that is looked at
            count += 1
    return count, scope


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_each_key_has_its_own_rate_and_the_usual_one_without(clock: list[float]) -> None:
    rates = Rates(Rate(2, 100))
    slow, usual = key("pk_slow", Rate(0.5, 1)), key("pk_usual")
    assert admitted(rates, slow, 50)[0] == 0.5 * BURST_SECONDS
    assert admitted(rates, usual, 50)[0] == 2 * BURST_SECONDS
    clock[0] += 4
    assert (admitted(rates, slow, 50)[0], admitted(rates, usual, 50)[0]) == (2, 8)


def test_items_are_counted_apart_and_a_large_batch_is_paid_for_afterwards(clock: list[float]) -> None:
    rates = Rates(Rate(1000, 1))
    _, scope = admitted(rates, key("pk_a"), 1)
    take_items(scope, 500)
    with pytest.raises(RateExceeded) as refused:
        take_items(scope, 1)
    assert refused.value.retry_after == 500 - BURST_SECONDS + 1
    clock[0] += refused.value.retry_after
    take_items(scope, 1)


def test_answers_tell_policy_and_what_is_left_refusals_too(clock: list[float]) -> None:
    rates = Rates(Rate(1, 7))
    for times, left in ((1, 9), (9, 0), (1, 0)):
        _, scope = admitted(rates, key("pk_a"), times)
        headers = rate_headers(scope)
        assert headers is not None
        (policy_name, policy), (limit_name, limit) = headers
        assert (policy_name, limit_name) == (b"ratelimit-policy", b"ratelimit")
        assert _POLICY.fullmatch(policy)
        found = _LIMIT.fullmatch(limit)
        assert found is not None
        assert int(found[1]) == left
        assert int(found[2]) == max(1, 10 - left)
    assert clock == [1000.0]


def test_an_answer_to_what_sent_items_tells_of_them_too(clock: list[float]) -> None:
    rates = Rates(Rate(1, 7))
    _, scope = admitted(rates, key("pk_a"), 1)
    take_items(scope, 30)
    headers = rate_headers(scope)
    assert headers is not None
    found = _LIMITS.fullmatch(headers[1][1])
    assert found is not None
    assert (int(found[1]), int(found[2])) == (40, 5)
    assert clock == [1000.0]


def test_keys_that_are_long_not_used_are_forgotten(clock: list[float]) -> None:
    rates = Rates(Rate(1, 1))
    admitted(rates, key("pk_a"), 10)
    assert rates.untold() == {"pk_a": (10, 0)}
    rates.told({"pk_a": (10, 0)}, iter([Spent("pk_a", 10, 0)]))
    clock[0] += module.REMEMBERED_SECONDS + 1
    assert rates.untold() == {}
    assert admitted(rates, key("pk_a"), 20)[0] == 10


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 50),
    st.lists(st.lists(st.integers(0, 400), min_size=4, max_size=4), min_size=20, max_size=60),
)
def test_several_processes_together_keep_to_the_rate_on_the_long_average(
    processes: int, rate: int, waves: list[list[int]]
) -> None:
    """Each tells the others once a second. Until the first time each goes by itself; from then on they owe
    what they had too much."""
    began = 0.0
    made = [Allowance(Rate(rate, rate), began) for _ in range(processes)]
    everywhere, given_in_all, most_in_a_tell = 0, 0, 0
    for tick, wave in enumerate(waves):
        now = began + tick * TELLS
        in_this = 0
        for allowance, asked in zip(made, wave, strict=False):
            for _ in range(asked):
                try:
                    allowance.request(now)
                    in_this += 1
                except RateExceeded:
                    break
        given_in_all += in_this
        most_in_a_tell = max(most_in_a_tell, in_this)
        for allowance in made:
            if (spent := allowance.untold()) is not None:
                everywhere += spent[0]
                allowance.told(spent, Spent("pk_a", everywhere, 0))
        size = rate * BURST_SECONDS
        untold = processes * (TOLD_OF * size + 1)
        assert given_in_all <= rate * tick * TELLS + processes * (size + 1) + most_in_a_tell + untold
