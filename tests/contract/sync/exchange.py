"""What is said between SDK and service in a case, and the words that all parts of a case have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Name = Annotated[str, Meta(pattern=r"^[a-z]+(-[0-9]+)?$")]
"""Of an item: what `as` says, and with `times` that and a number: `a-1`, `a-2` …"""
Entity = Annotated[str, Meta(pattern=r"^(mapper|persona)/~?[a-z]+$")]
Fate = Literal["stored", "duplicate", "rejected", "erased", "id-of-erased", "retry", "absent"]
Refusal = Literal[
    "expired",
    "not-cached",
    "outbox-full",
    "service-error",
    "stuck",
    "too-large",
    "unreachable",
    "upgrade-required",
]
NoticeKind = Literal[
    "erased", "lost", "offered-again", "paused", "rejected", "reset", "retrying", "stuck", "upgrade-required"
]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A part of a case: a key that it does not know is an error."""


def one_of(part: Strict, names: tuple[str, ...]) -> str:
    """The one of the fields that is given. Raises ValueError; msgspec adds the path."""
    given = [name for name in names if getattr(part, name) is not UNSET]
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(names)}; this gives {given or 'none'}")
    return given[0]


class Request(Strict, frozen=True, kw_only=True):
    """What the SDK must send. `items` are those of a push, by name, in order; `body` is a pattern."""

    method: Literal["GET", "POST"]
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str | None] = {}
    items: list[Name] | UnsetType = UNSET
    body: Any = UNSET


class Change(Strict, frozen=True, kw_only=True):
    """An entity on a page, put or deleted; `with` replaces fields of the body that the runner makes. `ref` is
    that of a persona, its id unless it is given; `erased` says that nothing may be kept of it."""

    put: Entity | UnsetType = UNSET
    delete: Entity | UnsetType = UNSET
    version: int
    ref: str | UnsetType = UNSET
    erased: bool = False
    with_: dict[str, Any] = msgspec.field(name="with", default={})

    def __post_init__(self) -> None:
        one_of(self, ("put", "delete"))


class Page(Strict, frozen=True, kw_only=True):
    """A page of a pull. `digest`: of these entities (`persona/ada@7`), or as it stands."""

    items: list[Change]
    next: str
    intent: Literal["full", "changes", "none"]
    up_to_date: bool
    position: int
    epoch: Name = "first"
    valid_until: datetime | None = None
    digest: list[str] | str | None = None


class Answer(Strict, frozen=True, kw_only=True):
    """What the scripted service answers: one of `fates`, `page`, `problem`, `text`, `empty`, or a fault.
    `proxy` says that no service of ours answers so, but something before it."""

    status: int = 200
    headers: dict[str, str] = {}
    fates: dict[str, Fate] | UnsetType = UNSET
    epoch: Name = "first"
    page: Page | UnsetType = UNSET
    problem: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    empty: Literal[True] | UnsetType = UNSET
    fault: Literal["closed", "cut", "crash"] | None = None
    proxy: bool = False

    def __post_init__(self) -> None:
        if self.fault in {"closed", "crash"}:
            if self.says:
                raise ValueError(f"with the fault {self.fault} nothing is answered; this says {self.says}")
        else:
            one_of(self, _SAYINGS)

    @property
    def says(self) -> list[str]:
        """Which of the forms is given."""
        return [name for name in _SAYINGS if getattr(self, name) is not UNSET]


_SAYINGS: Final = ("fates", "page", "problem", "text", "empty")


class Exchange(Strict, frozen=True, kw_only=True):
    """One request and its answer."""

    request: Request
    answer: Answer


class Standing(Strict, frozen=True, kw_only=True):
    """Answers pushes however the SDK divides its items: a request with an item that is in `poison` is refused
    whole with that status; of all others each item has its fate, `stored` where none is said. At most so many
    requests."""

    most: int
    fates: dict[str, Fate] = {}
    poison: dict[Name, Literal[400, 413, 422, 500]] = {}
    epoch: Name = "first"


class Talk(Strict, frozen=True, kw_only=True):
    """A call that may send: exactly these exchanges (none: nothing may be sent), or pushes that are answered
    by a standing rule. `retryIn` is the call's own answer: null, seconds, or [least, most]."""

    exchanges: list[Exchange] | UnsetType = UNSET
    standing: Standing | UnsetType = UNSET
    retry_in: float | tuple[float, float] | UnsetType | None = UNSET
    error: Refusal | None = None

    def __post_init__(self) -> None:
        one_of(self, ("exchanges", "standing"))
