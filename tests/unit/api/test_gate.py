"""The gate: never more at work than may be, everybody answered, and nothing held when all have gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.api import gate as gates
from personakit.api.bodies import MAX_BODY
from personakit.api.gate import Gate
from personakit.api.problems import BodySlow, TooBusy

AT_WORK, IN_LINE = 3, 4


class Caller:
    """One request: how long its body takes to come in, and how the application takes its time over it."""

    def __init__(
        self, path: str = "/x", parts: tuple[bytes, ...] = (b"",), pause: float = 0.0, key: str = ""
    ) -> None:
        self.path = path
        self.key = key
        self.status = 0
        self.said = b""
        self._parts = list(parts)
        self._pause = pause

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self._pause)
        body = self._parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self._parts)}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.said += message["body"]

    async def ask(self, app: Any) -> None:
        scope: dict[str, Any] = {"type": "http", "path": self.path}
        if self.key:
            scope["auth"] = SimpleNamespace(prefix=self.key)
        await app(scope, self.receive, self.send)


class Stalled(Caller):
    """Whose body never comes to its end."""

    async def receive(self) -> dict[str, Any]:
        if not self._parts:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": self._parts.pop(0), "more_body": True}


async def ok(send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def app_of(gate: Gate, seen: list[int], *, reads: bool = True, waits: bool = False) -> Any:
    async def app(_: Any, receive: Any, send: Any) -> None:
        if reads:
            await receive()
        if waits:
            async with gate.aside():
                await asyncio.sleep(0.002)
        seen.append(gate.at_work)
        await asyncio.sleep(0.001)
        seen.append(gate.at_work)
        await ok(send)

    return gate.around(app)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), min_size=1, max_size=30),
    st.booleans(),
    st.booleans(),
)
def test_no_more_are_at_work_than_may_be_and_all_are_answered(
    callers: list[tuple[int, int, bool]], reads: bool, waits: bool
) -> None:
    seen: list[int] = []

    async def run() -> Counter[int]:
        gate = Gate(AT_WORK, IN_LINE)
        app = app_of(gate, seen, reads=reads, waits=waits)

        async def call(starts: int, parts: int, gives_up: bool) -> int:
            await asyncio.sleep(starts / 1000)
            caller = Caller(parts=(b"x",) * (parts + 1), pause=0.001)
            asking = asyncio.create_task(caller.ask(app))
            if gives_up:
                await asyncio.sleep(parts / 1000)
                asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            return caller.status or -1

        statuses = Counter(await asyncio.gather(*(call(*each) for each in callers)))
        assert (gate.at_work, gate.bodies.taken) == (0, 0)
        return statuses

    statuses = asyncio.run(run())
    assert max(seen, default=0) <= AT_WORK
    assert set(statuses) <= {200, 503, -1}
    assert sum(statuses.values()) == len(callers)
    if len(callers) <= AT_WORK + IN_LINE:
        assert not statuses[503]


def test_health_is_asked_past_a_full_gate_and_others_are_told_at_once_to_come_again() -> None:
    async def run() -> list[int]:
        gate, held = Gate(AT_WORK, IN_LINE), asyncio.Event()

        async def app(scope: Any, _: Any, send: Any) -> None:
            if not gates.is_health(scope["path"]):
                await held.wait()
            await ok(send)

        gated = gate.around(app)
        holding = [Caller() for _ in range(AT_WORK + IN_LINE)]
        asking = [asyncio.create_task(each.ask(gated)) for each in holding]
        await asyncio.sleep(0)
        late, probe = Caller(), Caller("/health/live")
        await late.ask(gated)
        await probe.ask(gated)
        held.set()
        await asyncio.gather(*asking)
        assert {each.status for each in holding} == {200}
        return [late.status, probe.status]

    assert asyncio.run(run()) == [503, 200]


def test_whoever_stands_in_line_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LINE_SECONDS", 0.01)

    async def run() -> Caller:
        gate, held = Gate(1, 1), asyncio.Event()

        async def app(_: Any, __: Any, send: Any) -> None:
            await held.wait()
            await ok(send)

        gated = gate.around(app)
        first, second = Caller(), Caller()
        asking = asyncio.create_task(first.ask(gated))
        await asyncio.sleep(0)
        await second.ask(gated)
        held.set()
        await asking
        assert gate.at_work == 0
        return second

    second = asyncio.run(run())
    assert second.status == 503
    assert b"No place became free" in second.said


def test_whoever_read_its_body_and_finds_no_place_in_time_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gates, "LINE_SECONDS", 0.01)

    async def run() -> None:
        gate, held = Gate(1, 1), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (held.wait() if scope["path"] == "/hold" else receive())
            await ok(send)

        gated = gate.around(app)
        writing = asyncio.create_task(Caller(pause=0.01).ask(gated))
        await asyncio.sleep(0)
        holding = asyncio.create_task(Caller("/hold").ask(gated))
        with pytest.raises(TooBusy, match="No place became free"):
            await writing
        held.set()
        await holding
        assert (gate.at_work, gate.bodies.taken) == (0, 0)

    asyncio.run(run())


def test_a_body_that_does_not_come_in_time_is_given_up_and_held_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gates, "BODY_SECONDS", 0.05)
    seen: list[int] = []

    async def run() -> tuple[list[int], Gate]:
        gate = Gate(1, 0)
        app = app_of(gate, seen)
        slow = asyncio.create_task(Caller(parts=(b"x", b"y"), pause=60.0).ask(app))
        await asyncio.sleep(0.01)
        quick = [Caller() for _ in range(5)]
        for each in quick:
            await each.ask(app)
        with pytest.raises(BodySlow):
            await slow
        return [each.status for each in quick], gate

    statuses, gate = asyncio.run(run())
    assert statuses == [200] * 5
    assert (gate.at_work, gate.bodies.taken) == (0, 0)


def test_bodies_take_no_more_room_together_than_there_is() -> None:
    async def run() -> Gate:
        gate = Gate(bodies_bytes=10)
        app = app_of(gate, [])
        with pytest.raises(TooBusy):
            await Caller(parts=(b"x" * 6, b"y" * 6)).ask(app)
        small = Caller(parts=(b"x" * 10,))
        await small.ask(app)
        assert small.status == 200
        return gate

    assert asyncio.run(run()).bodies.taken == 0


def test_a_key_whose_bodies_stand_still_leaves_room_for_another() -> None:
    async def run() -> list[int]:
        app = app_of(Gate(), [])
        stalled = [Stalled(parts=(b"x" * (MAX_BODY - 1),), key="one") for _ in range(64)]
        stalling = [asyncio.create_task(each.ask(app)) for each in stalled]
        await asyncio.sleep(0.01)
        refused, other = Caller(parts=(b"x" * MAX_BODY,), key="one"), Caller(parts=(b"x",), key="other")
        await other.ask(app)
        with pytest.raises(TooBusy):
            await refused.ask(app)
        for each in stalling:
            each.cancel()
        assert any(
            isinstance(each, TooBusy) for each in await asyncio.gather(*stalling, return_exceptions=True)
        )
        return [other.status]

    assert asyncio.run(run()) == [200]


def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_large() -> None:
    bodies: list[bytes] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert not message["more_body"]
        bodies.append(message["body"])
        await ok(send)

    caller = Caller(parts=(b"x" * MAX_BODY, b"yy", b"never read"))
    asyncio.run(caller.ask(Gate().around(app)))
    assert bodies == [b"x" * MAX_BODY + b"yy"]
    assert caller._parts == [b"never read"]
