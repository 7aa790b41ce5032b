"""Exactness with erasures: whatever happened to whom, what is left is what a replay makes without them.

The random histories of `test_exactness.py`, in which people are erased and made again, before and after read
models have followed what was about them, and while streams of theirs stand still.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from personakit.agents.service import Service
from personakit.domain.events import Event, PersonaCoreGenerated, PersonaDefined
from personakit.eventlog.access import create_tenant
from personakit.eventlog.appender import NewEvent
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.retractions import NotRecorded
from personakit.projections.follow import Followers
from tests.integration.test_exactness import NAMES, TENANTS, Histories, indexes, names, tenants
from tests.postgres import MASTER_KEY


class Erasures(Histories):
    """One history in which people are forgotten."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        journal = Path(self.folder.name, "erasures.jsonl")
        self.service = Service(next(self.conninfo), MASTER_KEY, erasure_journal=journal)
        for tenant in TENANTS:
            create_tenant(self.service.recorder, tenant, tenant)
        self.people = []
        self.sent = []
        self.erased: set[UUID] = set()
        self.once_erased: set[tuple[str, str]] = set()

    @rule(tenant=tenants, index=indexes)
    def register(self, tenant: str, index: int) -> None:
        """Unless they were erased."""
        person = self.service.people.register(tenant, [f"p{index}"]).get(f"p{index}")
        if person is not None and (tenant, person) not in self.people:
            self.people.append((tenant, person))

    @precondition(lambda self: self._known())
    @rule(which=st.integers(0, 7), again=indexes)
    def erase(self, which: int, again: int) -> None:
        """Somebody who is there, once or twice; half of them are made again at once."""
        tenant, index = self._known()[which % len(self._known())]
        known = self.service.people.find(tenant, f"p{index}")
        assert known is not None
        for _ in range(1 + (again == 1)):
            done = self.service.eraser.erase(tenant, f"p{index}")
            assert done is not None
            assert done.person == known.surrogate
        self.people = [each for each in self.people if each[1].surrogate != known.surrogate]
        self.erased.add(known.surrogate)
        self.once_erased.add((tenant, f"p{index}"))
        if again > 1:
            self.make_again(tenant, index)

    @precondition(lambda self: self._known())
    @rule(which=st.integers(0, 7))
    def erase_one_more(self, which: int) -> None:
        """It is drawn as one rule of many, and would come too seldom."""
        self.erase(which, 0)

    def _known(self) -> list[tuple[str, int]]:
        everybody = itertools.product(TENANTS, range(4))
        return [(tenant, n) for tenant, n in everybody if self.service.people.find(tenant, f"p{n}")]

    @rule(tenant=tenants, index=indexes)
    def make_again(self, tenant: str, index: int) -> None:
        made = self.service.people.make_again(tenant, f"p{index}")
        assert made.surrogate not in self.erased
        self.register(tenant, index)

    @precondition(lambda self: self.sent)
    @rule(which=indexes, again=indexes)
    def retract(self, which: int, again: bool) -> None:
        try:
            super().retract(which, again)
        except (PersonErased, NotRecorded):  # or it came while they were gone
            tenant, sent = self.sent[which % len(self.sent)]
            assert (tenant, sent.person_id) in self.once_erased

    @rule(name=names)
    def hold_against_a_replay(self, name: str) -> None:
        """Once it has followed the last erasure: up to there it has rows that a replay does not make."""
        Followers(self.service.pool, [self._projection(name)], self.service.keys).catch_up()
        super().hold_against_a_replay(name)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "folder"):
                self.folder.cleanup()

    def _compare_all(self) -> None:
        super()._compare_all()
        for name in NAMES:
            for table, rows in self._rows(name).items():
                left = [row for row in rows if any(str(each) in row for each in self.erased)]
                assert table == "changes" or not left, (name, table)
                assert all(row.endswith(",erase)") for row in left), left
        with self.service.pool.connection() as connection:
            about = "SELECT entity FROM personakit.leases UNION SELECT person FROM personakit.person_keys"
            assert not {row["entity"] for row in connection.execute(about)} & self.erased

    def _about_persona(self, number: int, event: Event, skip: int = 0) -> None:
        """Of people of its own tenant, and made from no others; while it has a key."""
        there = {person.surrogate for tenant, person in self.people if tenant == TENANTS[0]}
        if isinstance(event, PersonaDefined):
            event = msgspec.structs.replace(event, people=tuple(p for p in event.people if p in there))
            if not event.people:
                return
        if isinstance(event, PersonaCoreGenerated):
            event = msgspec.structs.replace(event, mindscape_versions={})
        try:
            super()._about_persona(number, event, skip)
        except PersonErased:
            return

    def _write(self, new: NewEvent) -> None:
        try:
            super()._write(new)
        except PersonErased:
            assert new.person is not None
            assert new.person.surrogate in self.erased


@pytest.mark.timeout(300)
def test_what_is_left_is_what_a_replay_makes_and_nothing_of_the_erased(
    databases: Iterator[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Fresh(Erasures):
        conninfo = databases

    with caplog.at_level(logging.CRITICAL):  # of each quarantine, of which there are many
        run_state_machine_as_test(  # type: ignore[no-untyped-call]  # the library's
            Fresh,
            settings=settings(
                max_examples=5,
                stateful_step_count=40,
                deadline=None,
                print_blob=True,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
