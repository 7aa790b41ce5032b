"""The provider's Messages API behind `Model`. The package is imported where one is opened, so that a start
without a key costs nothing.

A client's time-outs are of single reads: who sends a byte now and then would hold a call for ever. So calls
run in an event loop, in a thread of its own, where one deadline ends a call whatever it is at.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from personakit.agents.model import Answer, Ask, ModelFailed
from personakit.config import ModelSettings, Prices
from personakit.domain.events import ModelUse

if TYPE_CHECKING:
    from anthropic.types import Message, Usage

MILLION = 1_000_000
PASSING = frozenset({408, 409, 429})
"""Below 500, what may be different soon."""


class AnthropicModel:
    """Asks by the official client. Close it when done."""

    def __init__(self, settings: ModelSettings) -> None:
        import anthropic  # noqa: PLC0415 - takes seconds to import, and most installations have no key

        self._errors = anthropic
        self._settings = settings
        # No retries of the client's own: it waits as long as a Retry-After says, be that hours.
        # Nor does it go where an answer sends it: the key and what is told of people would go there too.
        self._client = anthropic.AsyncAnthropic(
            api_key=settings.api_key,
            base_url=settings.base_url,
            timeout=settings.timeout,
            max_retries=0,
            http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Which model."""
        return self._settings.name

    def close(self) -> None:
        """Lets go of the connections; nobody may be asking any more."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens would cost, none of them cached."""
        prices = self._settings.prices
        return round((input_tokens * prices.input + output_tokens * prices.output) / MILLION, 9)

    def ask(self, ask: Ask) -> Answer:
        """One call, from connecting to the end of its answer within the time-out. Raises ModelFailed; its
        message has nothing of the question in it."""
        try:
            message = asyncio.run_coroutine_threadsafe(self._within_deadline(ask), self._loop).result()
        except TimeoutError:
            raise ModelFailed(
                f"The model did not answer within {self._settings.timeout:g} seconds.", reason="too slow"
            ) from None
        except self._errors.APIStatusError as error:
            raise self._refused(error) from None
        except self._errors.APIError as error:  # no answer, or one that is none
            kind = type(error).__name__
            raise ModelFailed(f"The model could not be asked: {kind}.", reason="unreachable") from None
        return self._answer(ask, message)

    async def _within_deadline(self, ask: Ask) -> Any:
        async with asyncio.timeout(self._settings.timeout):
            return await self._client.messages.create(
                model=self._settings.name,
                max_tokens=ask.max_tokens,
                system=[{"type": "text", "text": ask.instructions, "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": ask.question}],
                output_config={"format": {"type": "json_schema", "schema": ask.schema}},
            )

    def _refused(self, error: Any) -> ModelFailed:
        status = int(error.status_code)
        said = f"{status} {error.type or ''}".strip()
        return ModelFailed(
            f"The model could not be asked: the provider answered {said}.",
            again=status >= 500 or status in PASSING,
            retry_after=_seconds(error.response.headers.get("retry-after")),
            reason="overloaded" if status in {429, 529} else "refused by provider",
        )

    def _answer(self, ask: Ask, message: Any) -> Answer:
        """Picks the text out by type: thinking may come before it."""
        if not isinstance(message, self._errors.types.Message) or message.usage is None:
            raise ModelFailed("What the provider answered is no message.", reason="unreachable")
        use = self._use(ask, message)
        if message.stop_reason not in {"end_turn", "stop_sequence"}:
            raise ModelFailed(
                f"The model stopped before the end: {message.stop_reason}.",
                again=message.stop_reason != "refusal",
                use=use,
                reason="refusal" if message.stop_reason == "refusal" else "cut short",
            )
        return Answer("".join(part.text for part in message.content if part.type == "text"), use)

    def _use(self, ask: Ask, message: Message) -> ModelUse:
        usage = message.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        return ModelUse(
            model=message.model,
            prompt=ask.prompt,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            usd=cost(usage, self._settings.prices),
        )


def cost(usage: Usage, prices: Prices) -> float:
    """USD, to a thousand-millionth. `input_tokens` of the provider are those that no cache had a part in."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    parts = (
        usage.input_tokens * prices.input,
        usage.output_tokens * prices.output,
        read * prices.cache_read,
        written * prices.cache_write,
    )
    return round(sum(parts) / MILLION, 9)


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After in seconds; a date is rare, and counts as none."""
    try:
        return None if retry_after is None else max(0.0, float(retry_after))
    except ValueError:
        return None
