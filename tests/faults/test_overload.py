"""More than the service can do, for some seconds, with slow and broken clients; `make overload` has more."""

from __future__ import annotations

import pytest

from personakit.domain.rate import Rate
from tests.faults.overload.nuisances import KINDS
from tests.faults.overload.run import run

SEED = 20260105
SHORT = 2.0
SLOW = Rate(5, 50)
"""How fast the callers' key may go: whatever the machine can do, they ask for more."""


@pytest.mark.timeout(240)
def test_when_more_is_asked_than_can_be_answered_health_is_and_what_is_accepted_is_kept() -> None:
    """Relations, no times: the machine may be busy with other things."""
    outcome = run(SHORT, SEED, times=4.0, capacity_seconds=1.0, key_rate=SLOW)
    told = str(outcome)
    assert not outcome.health.failures, told
    assert len(outcome.health.seconds) >= 2, told
    assert outcome.lost == 0, told
    assert len(outcome.load.accepted) > 0, told
    assert outcome.load.statuses[429] > 0, told
    assert set(outcome.load.statuses) <= {200, 201, 404, 429, 503}, told
    assert outcome.load.unanswered == 0, told
    assert all(outcome.nuisances[kind] for kind in ("garbage", "half_closed", "reset", "guess")), told
    assert set(outcome.nuisances) <= set(KINDS), told
    assert outcome.exit_code == 0, told
