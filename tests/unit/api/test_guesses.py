"""Guessing keys: slowed down where it comes from, and no burden to anybody else."""

from __future__ import annotations

import pytest

from personakit.api import guesses as module
from personakit.api.guesses import MOST_ADDRESSES, Guesses
from personakit.api.problems import TooManyGuesses
from personakit.domain.rate import BURST_SECONDS

BURST = int(module.A_SECOND * BURST_SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def guess(guesses: Guesses, host: str, times: int) -> None:
    for _ in range(times):
        guesses.require_few(host)
        guesses.wrong(host)


def test_an_address_may_err_now_and_then_and_is_slowed_down_when_it_goes_on(clock: list[float]) -> None:
    guesses = Guesses()
    guess(guesses, "192.0.2.1", BURST)
    with pytest.raises(TooManyGuesses):
        guesses.require_few("192.0.2.1")
    guess(guesses, "192.0.2.2", BURST)
    clock[0] += 1
    guess(guesses, "192.0.2.1", int(module.A_SECOND))
    with pytest.raises(TooManyGuesses):
        guesses.require_few("192.0.2.1")


def test_whoever_has_a_network_of_ipv6_has_one_address(clock: list[float]) -> None:
    guesses = Guesses()
    for number in range(BURST):
        guess(guesses, f"2001:db8:0:1::{number:x}", 1)
    with pytest.raises(TooManyGuesses):
        guesses.require_few("2001:db8:0:1:ffff::1")
    guesses.require_few("2001:db8:0:2::1")
    assert clock == [1000.0]


def test_addresses_of_ipv4_are_told_apart_where_both_kinds_are_listened_to(clock: list[float]) -> None:
    guesses = Guesses()
    guess(guesses, "::ffff:192.0.2.1", BURST)
    with pytest.raises(TooManyGuesses):
        guesses.require_few("192.0.2.1")
    guesses.require_few("::ffff:192.0.2.2")
    assert clock == [1000.0]


def test_so_many_addresses_are_remembered_and_no_more() -> None:
    guesses = Guesses()
    for number in range(MOST_ADDRESSES + 10):
        guesses.wrong(f"host-{number}")
    assert len(guesses._of) == MOST_ADDRESSES
    assert "host-0" not in guesses._of
