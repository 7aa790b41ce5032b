"""Plays a case: moves the SDK and the time, and holds what is sent and shown against what the case has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tests.contract.sync.answers import PROBLEM
from tests.contract.sync.case import Case, Map, Observe, Options, Persona, State, Step, made_by
from tests.contract.sync.difference import difference
from tests.contract.sync.driven import Driven, Gone, Refused
from tests.contract.sync.exchange import Talk
from tests.contract.sync.scripted import KEY, Scripted, serving

BEGIN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""When every case begins, on the service's clock and on the device's."""
_ROUNDING: Final = 0.001


class Failed(Exception):
    """The SDK did not do what the case has."""


def play(case: Case, driven: Driven, folder: Path) -> None:
    """Plays a case against an SDK, in an empty folder. Raises Failed with the first difference, and the SDK's
    process is gone; else it is there for the next case."""
    try:
        with serving(Scripted(BEGIN, driven.kill)) as scripted:
            _Play(driven, scripted, folder / "store", case.options).run(case)
    except BaseException:
        driven.end()
        raise


class _Play:
    def __init__(self, driven: Driven, scripted: Scripted, store: Path, options: Options) -> None:
        self._driven, self._scripted = driven, scripted
        self._opened = {"key": KEY, "store": str(store), **msgspec.to_builtins(options)}
        self._passed, self._set = 0.0, 0.0

    def run(self, case: Case) -> None:
        with _located("open"):
            self._open()
        for number, step in enumerate(case.steps, 1):
            with _located(f"step {number}, {step.word}"):
                self._step(step)
                _require(self._scripted.outstanding())
        with _located("close"):
            self._driven.ask("close")
            _require(self._scripted.outstanding())

    def _step(self, step: Step) -> None:
        if step.talk is not None:
            self._talk(step.word, step.talk)
            return
        match getattr(step, step.word):
            case Observe() as told:
                with _refusal(told.error):
                    self._observe(told, made_by(step))
            case Map() as asked:
                self._map(asked)
            case Persona() as asked:
                self._persona(asked)
            case State() as expected:
                self._state(expected)
            case _:
                self._act(step)

    def _act(self, step: Step) -> None:
        match step.word:
            case "feedback":
                self._feedback(step)
            case "wait":
                self._passed += step.wait or 0.0
                self._scripted.now = BEGIN + timedelta(seconds=self._passed)
                self._driven.ask("clock", **self._clock())
            case "set_clock":
                self._set += step.set_clock or 0.0
                self._driven.ask("clock", **self._clock())
            case "retry":
                self._decide("retry", step.retry or [])
                self._scripted.outgoing.unsettle(step.retry or [])
            case "discard":
                self._decide("discard", step.discard or [])
            case "restart":
                self._driven.ask("close")
                self._begin_anew()
            case "crash":
                self._begin_anew()

    def _feedback(self, step: Step) -> None:
        assert step.feedback is not UNSET
        told = step.feedback
        values = {"mapper": told.mapper, "rule": told.rule, "persona": told.persona}
        with _refusal(told.error):
            made = self._driven.ask("feedback", **values, helpful=told.helpful)
            _require(self._scripted.outgoing.queued(told.as_, made["id"], told.persona))

    def _decide(self, word: str, names: Sequence[str]) -> None:
        self._driven.ask(word, ids=[self._scripted.outgoing.ids[name] for name in names])

    def _observe(self, told: Observe, names: Sequence[str]) -> None:
        content = {**told.content, **({"text": "x" * told.characters} if told.characters else {})}
        for name in names or [told.as_]:
            made = self._driven.ask("observe", person=told.person, type=told.type, content=content)
            _require(self._scripted.outgoing.queued(name, made["id"], told.person))

    def _talk(self, word: str, talk: Talk) -> None:
        self._scripted.expect(talk)
        crashes = any(exchange.answer.fault == "crash" for exchange in talk.exchanges or ())
        said: dict[str, Any] = {}
        gone: Exception | None = None
        try:
            with _refusal(talk.error):
                said = self._driven.ask(word)
        except (Failed, Refused, Gone) as error:
            gone = error
        _require(self._scripted.outstanding())
        if crashes and (gone is None or isinstance(gone, Gone)):
            self._begin_anew()
        elif gone is not None:
            raise gone
        elif talk.retry_in is not UNSET:
            _require(_wait_differs(talk.retry_in, said.get("retryIn")))

    def _map(self, asked: Map) -> None:
        with _refusal(asked.error or None):
            said = self._driven.ask("map", mapper=asked.mapper, persona=asked.persona)
            shown = ("rules", "position", "seconds")
            expected = {name: getattr(asked, name) for name in shown if getattr(asked, name) is not UNSET}
            _require(difference(expected, said, "the answer"))

    def _persona(self, asked: Persona) -> None:
        with _refusal(asked.error or None):
            said = self._driven.ask("persona", id=asked.id)
            if asked.error is UNSET:
                _require(difference({"summary": asked.summary}, said, "the persona"))

    def _state(self, expected: State) -> None:
        said = self._driven.ask("state")
        names = self._scripted.outgoing.name
        found = said | {
            "outbox": [names(id_) for id_ in said["outbox"]],
            "deadLetters": {names(each["id"]): _slug(each["type"]) for each in said["deadLetters"]},
            "entities": sorted(f"{each['kind']}/{each['id']}@{each['version']}" for each in said["entities"]),
        }
        wanted = msgspec.to_builtins(expected)
        notices, quiet = set(wanted.pop("notices", ())), set(wanted.pop("quiet", ()))
        # A pattern looks only at what it names, and here there must be no other.
        if "deadLetters" in wanted:
            _require(difference(sorted(wanted["deadLetters"]), sorted(found["deadLetters"]), "deadLetters"))
        if "entities" in wanted:
            wanted["entities"] = sorted(wanted["entities"])
        _require(difference(wanted, found, "the state"))
        if missing := notices - set(said["notices"]):
            raise Failed(f"no notice came of {sorted(missing)}; there were {said['notices']}")
        if surplus := quiet & set(said["notices"]):
            raise Failed(f"a notice came of {sorted(surplus)}")

    def _open(self) -> None:
        self._driven.ask("open", url=self._scripted.url, **self._opened, **self._clock())

    def _begin_anew(self) -> None:
        self._driven.end()
        self._open()

    def _clock(self) -> dict[str, Any]:
        shown = BEGIN + timedelta(seconds=self._passed + self._set)
        return {"now": shown.isoformat(), "steady": self._passed}


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Whatever the SDK does wrong in the block is a Failed that says where."""
    try:
        yield
    except (Failed, Gone, Refused) as error:
        raise Failed(f"{where}: {error}") from error
    except (LookupError, TypeError) as error:
        raise Failed(f"{where}: the SDK's answer has not all that it should: {error!r}") from error


@contextmanager
def _refusal(reason: str | None) -> Iterator[None]:
    """The block has to be refused for that reason; with None, it must not be."""
    try:
        yield
    except Refused as error:
        if error.reason != reason:
            raise
    else:
        if reason is not None:
            raise Failed(f"it was not refused, though it should, as {reason}")


def _wait_differs(expected: float | tuple[float, float] | None, found: Any) -> str | None:
    if expected is None or found is None:
        return None if expected is found else f"retryIn is {found}, not {expected}"
    least, most = expected if isinstance(expected, tuple) else (expected, expected)
    if least - _ROUNDING <= found <= most + _ROUNDING:
        return None
    return f"retryIn is {found}, not from {least} to {most}"


def _slug(problem_type: str) -> str:
    return problem_type.removeprefix(PROBLEM)


def _require(wrong: str | None) -> None:
    if wrong is not None:
        raise Failed(wrong)
