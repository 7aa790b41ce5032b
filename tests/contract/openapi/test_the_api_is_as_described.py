"""Schemathesis, in short: every edge of every parameter of a third of the operations, against a service as it
is installed.

`make schemathesis` takes all of them, and adds requests made by chance, and sequences of them.
"""

from __future__ import annotations

import pytest

from personakit.api.scopes import NEEDED
from tests.contract.openapi.site import EDGES, installed


@pytest.mark.timeout(300)
def test_no_answer_to_an_edge_of_a_parameter_is_one_that_is_not_described() -> None:
    with installed() as site:
        done = site.run(phases=EDGES, examples=1, seed=1, operations=sorted(NEEDED)[::3])
    assert done.passed, done.output
    assert done.cases > 500, done.output
