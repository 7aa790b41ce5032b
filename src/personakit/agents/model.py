"""A model as the agents know it: a question in, a text and what it cost out. Which provider answers, and
how, is decided by the entry (`anthropic_model.py`)."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from personakit.config import LONGEST_WAIT
from personakit.domain.events import ModelUse
from personakit.domain.model_output import MalformedAnswer
from personakit_sdk.errors import PersonaKitError

T = TypeVar("T")
BYTES_PER_TOKEN = 3
"""For estimates, and rather too few than too many: English has about four to a token."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A question. `instructions` and `schema` are the same every time, so that the provider may cache them;
    all that is about somebody is in `question`."""

    instructions: str
    schema: dict[str, Any]
    question: str
    max_tokens: int

    @property
    def prompt(self) -> str:
        """The prompt hash: SHA-256, in hexadecimal, of what is the same every time."""
        fixed = (self.instructions, self.schema)
        return hashlib.sha256(msgspec.json.encode(fixed, order="deterministic")).hexdigest()

    @property
    def tokens(self) -> int:
        """How many tokens it has, as estimated."""
        return len(msgspec.json.encode((self.instructions, self.schema, self.question))) // BYTES_PER_TOKEN


class Answer(msgspec.Struct, frozen=True):
    """What the model said, and what that took."""

    text: str
    use: ModelUse


class Model(Protocol):
    """Something that can be asked."""

    @property
    def name(self) -> str:
        """Which model."""

    def ask(self, ask: Ask) -> Answer:
        """One call. Raises ModelFailed."""

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens would cost."""


class ModelFailed(PersonaKitError):
    """The model gave no answer that is of use.

    `use` is what was paid nevertheless; `retry_after` how many seconds the provider wants to be left alone,
    where it says so; `again` whether it may help to ask again soon.
    """

    def __init__(
        self,
        message: str,
        *,
        again: bool = True,
        retry_after: float | None = None,
        use: ModelUse | None = None,
        reason: str = "unavailable",
    ) -> None:
        super().__init__(message)
        self.again = again
        self.retry_after = retry_after
        self.use = use
        self.reason = reason


class Understood(msgspec.Struct, Generic[T], frozen=True):
    """An answer that could be read, and what all the calls up to it took."""

    value: T
    use: ModelUse


class PatientModel:
    """Asks again, a bounded number of times, where that may help."""

    def __init__(self, model: Model, attempts: int, retry_seconds: float) -> None:
        self.model = model
        self._attempts = attempts
        self._retry_seconds = retry_seconds

    @property
    def name(self) -> str:
        """Which model."""
        return self.model.name

    def most(self, ask: Ask) -> float:
        """The most that a call may cost, in USD; to ask again after an answer of no use costs that again."""
        return self.model.usd(ask.tokens, ask.max_tokens)

    def ask(self, ask: Ask, read: Callable[[str], T]) -> Understood[T]:
        """What `read` makes of the answer; it raises MalformedAnswer for one that cannot be read. Raises
        ModelFailed, with all that was paid."""
        paid: ModelUse | None = None
        for left in reversed(range(self._attempts)):
            try:
                answer = self.model.ask(ask)
                paid = added(paid, answer.use)
                return Understood(read(answer.text), paid)
            except MalformedAnswer as error:
                failed = ModelFailed(str(error), reason="malformed")
            except ModelFailed as error:
                failed = error
                paid = added(paid, error.use) if error.use is not None else paid
            wait = self._wait(failed, left)
            if wait is None:
                failed.use = paid
                raise failed
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, failed: ModelFailed, left: int) -> float | None:
        """How long to wait before the next attempt; None where there is none."""
        if not left or not failed.again or (failed.retry_after or 0.0) > LONGEST_WAIT:
            return None
        backoff = min(self._retry_seconds * 2.0 ** (self._attempts - 1 - left), LONGEST_WAIT)
        jittered = backoff * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
        return max(failed.retry_after or 0.0, jittered)


def added(before: ModelUse | None, use: ModelUse) -> ModelUse:
    """Several calls as one use."""
    if before is None:
        return use
    counted = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "calls")
    sums: dict[str, Any] = {name: getattr(before, name) + getattr(use, name) for name in counted}
    return msgspec.structs.replace(use, usd=round(before.usd + use.usd, 9), **sums)
