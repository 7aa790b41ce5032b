"""The form of a case: what an application does, what its SDK must then send, what it is answered, and how it
must then stand. docs/reference/conformance.md explains every word of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from ruamel.yaml import YAML

from tests.contract.sync.exchange import Exchange, Fate, Name, NoticeKind, Refusal, Strict, Talk, one_of

CASES: Final = Path(__file__).parent


class Observe(Strict, frozen=True, kw_only=True):
    """`observe`: `characters` adds a text of so many to the content; `times` does it so often."""

    as_: Name = msgspec.field(name="as")
    person: str = "ada"
    type: str = "note"
    content: dict[str, Any] = msgspec.field(default_factory=lambda: {"n": 1})
    characters: int = 0
    times: Annotated[int, Meta(ge=1)] = 1
    error: Refusal | None = None


class Feedback(Strict, frozen=True, kw_only=True):
    """`feedback` on a rule of a mapper, for a persona."""

    as_: Name = msgspec.field(name="as")
    persona: str = "ada"
    mapper: str = "focus"
    rule: str = "early"
    helpful: bool = True
    error: Refusal | None = None


class Map(Strict, frozen=True, kw_only=True):
    """`map`: the rules that fire, the position and age of the data, or why there is no answer."""

    mapper: str = "focus"
    persona: str = "ada"
    rules: list[str] | UnsetType = UNSET
    position: int | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    error: Refusal | UnsetType = UNSET

    def __post_init__(self) -> None:
        one_of(self, ("rules", "error"))


class Persona(Strict, frozen=True, kw_only=True):
    """`persona`: the summary that is served, or why none is."""

    id: str
    summary: str | UnsetType = UNSET
    error: Refusal | UnsetType = UNSET

    def __post_init__(self) -> None:
        one_of(self, ("summary", "error"))


class State(Strict, frozen=True, kw_only=True):
    """How the SDK must stand, as far as it is given. `entities` are `persona/ada@7`; `notices` must be among
    those since the last look, and `quiet` must not."""

    outbox: list[Name] | UnsetType = UNSET
    dead_letters: dict[Name, str] | UnsetType = UNSET
    entities: list[str] | UnsetType = UNSET
    cursor: str | UnsetType | None = UNSET
    valid_until: datetime | UnsetType | None = UNSET
    upgrade_required: list[str] | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    lost: int | UnsetType = UNSET
    notices: list[NoticeKind] | UnsetType = UNSET
    quiet: list[NoticeKind] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if all(getattr(self, name) is UNSET for name in self.__struct_fields__):
            raise ValueError("a state of which nothing is said")


class Step(Strict, frozen=True, kw_only=True):
    """One step of a case; exactly one of these."""

    observe: Observe | UnsetType = UNSET
    feedback: Feedback | UnsetType = UNSET
    push: Talk | UnsetType = UNSET
    flush: Talk | UnsetType = UNSET
    pull: Talk | UnsetType = UNSET
    map: Map | UnsetType = UNSET
    persona: Persona | UnsetType = UNSET
    retry: list[Name] | UnsetType = UNSET
    discard: list[Name] | UnsetType = UNSET
    wait: float | UnsetType = UNSET
    set_clock: float | UnsetType = UNSET
    restart: Literal[True] | UnsetType = UNSET
    crash: Literal[True] | UnsetType = UNSET
    state: State | UnsetType = UNSET

    def __post_init__(self) -> None:
        one_of(self, self.__struct_fields__)

    @property
    def word(self) -> str:
        """Which step it is."""
        return one_of(self, self.__struct_fields__)

    @property
    def talk(self) -> Talk | None:
        """What is said between SDK and service, where the step may be about that."""
        found = getattr(self, self.word)
        return found if isinstance(found, Talk) else None


class Options(Strict, frozen=True, kw_only=True):
    """How the SDK is opened, where that matters: how many items its outbox holds, and what then."""

    max_items: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    when_full: Literal["raise", "drop_oldest"] | UnsetType = UNSET


_EXPECTING: Final = frozenset({"push", "flush", "pull", "map", "persona", "state"})


class Case(Strict, frozen=True, kw_only=True):
    """A case: one rule, by name."""

    title: Annotated[str, Meta(min_length=10)]
    rule: Annotated[str, Meta(min_length=10)]
    options: Options = Options()
    steps: Annotated[list[Step], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if self.steps[-1].word not in _EXPECTING:
            raise ValueError(f"it ends with {self.steps[-1].word}, after which nothing is asserted")
        unknown = {name for step in self.steps for name in _named(step)} - self.names
        if unknown:
            raise ValueError(f"it speaks of items that nothing made: {sorted(unknown)}")

    @property
    def names(self) -> set[str]:
        """Of all items that the case makes."""
        return {name for step in self.steps for name in made_by(step)}

    def exchanges(self) -> Iterator[Exchange]:
        """All of them, in their order."""
        for step in self.steps:
            if step.talk is not None and step.talk.exchanges is not UNSET:
                yield from step.talk.exchanges


def made_by(step: Step) -> list[str]:
    """The names of the items that a step makes."""
    if step.feedback is not UNSET:
        return [step.feedback.as_] if step.feedback.error is None else []
    if step.observe is UNSET or step.observe.error is not None:
        return []
    name, times = step.observe.as_, step.observe.times
    return [name] if times == 1 else [f"{name}-{number}" for number in range(1, times + 1)]


def _named(step: Step) -> Iterator[str]:
    """The names of the items that a step speaks of."""
    yield from step.retry or ()
    yield from step.discard or ()
    if step.state is not UNSET:
        yield from step.state.outbox or ()
        yield from step.state.dead_letters or ()
    if step.talk is None:
        return
    if step.talk.standing is not UNSET:
        yield from step.talk.standing.poison
        yield from _fated(step.talk.standing.fates)
    for exchange in step.talk.exchanges or ():
        yield from exchange.request.items or ()
        yield from _fated(exchange.answer.fates or {})


def _fated(fates: dict[str, Fate]) -> list[str]:
    return [name for name in fates if name != "all"]


def read(text: str) -> Case:
    """A case from YAML. Raises msgspec.ValidationError or a YAMLError for what is none."""
    return msgspec.convert(YAML(typ="safe", pure=True).load(text), Case)


def read_all(folder: Path = CASES) -> dict[str, Case]:
    """All cases of a folder, by name. Raises ValueError for one that is no case, with its file."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            found[path.stem] = read(path.read_text("utf-8"))
        except Exception as error:
            raise ValueError(f"{path.name}: {error}") from error
    return found
