"""Whatever clients do and whatever befalls them, in the end every item is stored once or is a dead letter,
and every cache equals the service; until then each cache shows a state that the service once had."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from personakit_sdk.dead_letters import DeadLetters
from personakit_sdk.errors import SyncStuck
from personakit_sdk.outbox import Outbox
from personakit_sdk.transport import ServiceError, Unreachable
from tests.sync_service import Fault, SyncService, cut, html, lost, omit, status, sync_service
from tests.unit.sdk.conftest import Puller, Sender, item, persona

CLIENTS = 3
KEYS = st.sampled_from(["ada", "bob", "eve"])
WHO = st.integers(0, CLIENTS - 1)
PUSH_FAULTS = st.sampled_from(
    [
        lost(),
        lost(committed=False),
        cut(),
        html(),
        html(502),
        omit(2),
        *map(status, (400, 401, 413, 429, 500, 503)),
    ]
)
PULL_FAULTS = st.sampled_from(
    [
        lost(),
        cut(),
        html(),
        status(304),
        status(500),
        *(status(410, problem_type=kind) for kind in ("cursor-expired", "epoch-changed", "scope-changed")),
    ]
)


class Killed(BaseException):
    """The process ends here."""


class Client:
    """A store, and the process that uses it now. The first two clients share one."""

    def __init__(self, service: SyncService, path: Path) -> None:
        self._service, self._path = service, path
        self.ahead = timedelta()
        self.open()

    def open(self) -> None:
        """A new process."""
        self.sender = Sender(self._service, self._path)
        self.puller = Puller(self._service, self._path, page=2)
        self.puller.ahead = self.ahead

    def close(self) -> None:
        """The process is gone."""
        self.sender.store.close()
        self.puller.store.close()


class Law(RuleBasedStateMachine):
    """Three clients of two stores, and a service."""

    @initialize()
    def begin(self) -> None:
        self._ending = ExitStack()
        folder = Path(self._ending.enter_context(tempfile.TemporaryDirectory()))
        self.service = self._ending.enter_context(sync_service())
        self.clients = [Client(self.service, folder / name) for name in ("a.db", "a.db", "b.db")]
        self.put: dict[str, str] = {}
        self.order: dict[tuple[str, str], list[str]] = {}
        self.states: dict[tuple[str, int], Any] = {}
        self.jumped = self.disturbed = False
        self.remember()

    def remember(self) -> None:
        """Notes what the service serves now."""
        self.states[str(self.service.epoch), self.service.position] = self.service.served

    @rule(who=WHO, key=KEYS, kind=st.sampled_from(["observation", "feedback"]), bad=st.booleans())
    def tell(self, who: int, key: str, kind: str, bad: bool) -> None:
        told = item(key, kind=kind, bad=bad and key == "eve")
        self.clients[who].sender.put(told)
        self.put[str(told.id)] = key

    @rule(who=WHO, seconds=st.floats(0, 400))
    def push(self, who: int, seconds: float) -> None:
        self.service.reject = lambda each: "bad" if each["body"]["bad"] else None
        sender = self.clients[who].sender
        sender.seconds += seconds
        sender.delivery.run()
        self.remember()

    @rule(who=WHO)
    def push_and_be_killed_before_the_answer_is_kept(self, who: int) -> None:
        client = self.clients[who]

        def die(*_: object) -> None:
            raise Killed

        client.sender.outbox.settle = die  # type: ignore[method-assign]
        with suppress(Killed):
            client.sender.delivery.run()
        self.remember()
        client.close()
        client.open()

    @rule(who=WHO)
    def pull(self, who: int) -> None:
        with suppress(Unreachable, ServiceError, SyncStuck):
            self.clients[who].puller.pull.run()

    @rule(who=WHO, after=st.integers(0, 2))
    def pull_and_be_killed_under_way(self, who: int, after: int) -> None:
        client = self.clients[who]
        cache, left = client.puller.cache, [after]
        stage = cache._stage

        def die(*given: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            stage(*given)

        cache._stage = die  # type: ignore[method-assign]
        with suppress(Killed, Unreachable, ServiceError, SyncStuck):
            client.puller.pull.run()
        client.close()
        client.open()

    @rule(fault=PUSH_FAULTS)
    def next_push_fails(self, fault: Fault) -> None:
        self.service.next_push(fault)

    @rule(fault=PULL_FAULTS)
    def next_pull_fails(self, fault: Fault) -> None:
        self.service.next_pull(fault)

    @rule(
        down=st.sampled_from([None, lost(committed=False), lost(), status(503), html(502, committed=False)])
    )
    def the_network_goes_or_comes(self, down: Fault | None) -> None:
        self.service.down = down

    @rule(id_=KEYS, period=st.sampled_from(["morning", "night"]))
    def a_persona_changes(self, id_: str, period: str) -> None:
        self.service.put("persona", id_, persona(id_, period))
        self.remember()

    @precondition(lambda self: self.service.served)
    @rule(data=st.data())
    def a_persona_goes(self, data: st.DataObject) -> None:
        kind, id_ = data.draw(st.sampled_from(sorted(self.service.served)))
        self.service.delete(kind, id_)
        self.remember()

    @rule(without=st.integers(0, 3))
    def the_service_is_restored_from_a_backup(self, without: int) -> None:
        # What was confirmed is kept for a week: a clock that jumps may have ended that.
        self.service.restore(without=0 if self.jumped else min(without, len(self.service.order)))
        self.remember()

    @rule(who=WHO, days=st.sampled_from([-400, -1, 1, 400]))
    def a_device_clock_jumps(self, who: int, days: int) -> None:
        self.jumped = True
        client = self.clients[who]
        client.ahead += timedelta(days=days)
        client.puller.ahead = client.ahead
        client.sender.seconds += 86400 * days

    @invariant()
    def every_cache_shows_a_state_that_the_service_had(self) -> None:
        for client in self.clients:
            pulled = client.puller.cache.pulled()
            if pulled is not None:
                assert client.puller.held() == self.states[str(pulled.epoch), pulled.position]

    def teardown(self) -> None:
        if not hasattr(self, "clients"):
            return
        try:
            self.in_the_end_all_is_well()
        finally:
            for client in self.clients:
                client.close()
            self._ending.close()

    def in_the_end_all_is_well(self) -> None:
        service = self.service
        service.down = None
        service._push_faults.clear()
        service._pull_faults.clear()
        service.reject = lambda each: "bad" if each["body"]["bad"] else None
        for client in self.clients:
            client.puller.seconds += 2 * 3600
            client.puller.pull.run()
            client.sender.drain()
        dead = {str(letter.id) for client in self.clients for letter in DeadLetters(client.sender.store)}
        assert service.stored.keys() | dead == self.put.keys()
        assert len(service.order) == len(service.stored)
        for client in self.clients:
            client.puller.pull.run()
            assert client.puller.held() == service.served
            assert Outbox(client.sender.store).tally().items == 0


TestLaw = Law.TestCase
TestLaw.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
