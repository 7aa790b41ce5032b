"""kill -9 at random: of two API processes, two workers, Redis and PostgreSQL, under load."""

from __future__ import annotations

import pytest

from tests.faults.chaos.changes import DEFINITION, PIN, RETRACTION
from tests.faults.chaos.plan import VICTIMS, strikes
from tests.faults.chaos.run import run

SEED = 20260105


def test_a_seed_decides_the_strikes_and_each_victim_has_its_turn() -> None:
    planned = list(strikes(SEED, 10))
    killed = [name for strike in planned for name in strike.victims]
    assert planned == list(strikes(SEED, 10)) != list(strikes(SEED + 1, 10))
    assert len(killed) == 10
    assert set(killed) == set(VICTIMS)
    assert any(strike.flush for strike in planned)


@pytest.mark.timeout(300)
def test_ten_kills_at_random_lose_double_and_misread_nothing() -> None:
    outcome = run(kills=10, seed=SEED)
    assert not outcome.findings, str(outcome)
    assert min(outcome.kills.values()) >= 1, str(outcome)
    assert outcome.counts["acknowledged observation"] > 100, str(outcome)
    assert outcome.counts["own writes seen"] > 0, str(outcome)
    assert all(outcome.counts[f"acknowledged {kind}"] for kind in (RETRACTION, PIN, DEFINITION)), str(outcome)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_kills_at_random_lose_double_and_misread_nothing() -> None:
    outcome = run(kills=100, seed=SEED)
    assert not outcome.findings, str(outcome)
