"""More than the service can do, for some seconds, with slow and broken clients; `make overload` has more."""

from __future__ import annotations

import pytest

from tests.faults.overload.nuisances import KINDS
from tests.faults.overload.run import run

SEED = 20260105
SHORT = 2.0


@pytest.mark.timeout(240)
def test_when_more_is_asked_than_can_be_answered_health_is_and_what_is_accepted_is_kept() -> None:
    """Relations, no times: the machine may be busy with other things. So much is asked that it is too much
    for any."""
    outcome = run(SHORT, SEED, times=20.0, capacity_seconds=1.0)
    told = str(outcome)
    assert not outcome.broken, told
    assert outcome.load.accepted, told
    # More was asked than it could do: some were told so, or there was not even a connection to ask over.
    assert outcome.load.statuses[503] + outcome.load.unsent > 0, told
    assert len(outcome.health.seconds["/health/ready"]) >= 2, told
    assert all(outcome.nuisances[kind] for kind in ("garbage", "half_closed", "reset", "guess")), told
    assert set(outcome.nuisances) <= set(KINDS), told
