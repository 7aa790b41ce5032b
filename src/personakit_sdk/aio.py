"""`AsyncPersonaKit`: the client for asyncio; each call is the client's own, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from personakit_sdk import wire
from personakit_sdk.cached import Mappers, Personas
from personakit_sdk.client import FLUSH_SECONDS, REGENERATE_SECONDS, PersonaKit
from personakit_sdk.dead_letters import DeadLetter, DeadLetters
from personakit_sdk.offline import OfflineAnswer
from personakit_sdk.status import Status


class AsyncPersonas:
    """The personas in the cache."""

    def __init__(self, personas: Personas) -> None:
        self._personas = personas

    async def get(self, persona_id: str) -> wire.Persona:
        """As `Personas.get`."""
        return await asyncio.to_thread(self._personas.get, persona_id)

    async def ids(self) -> list[str]:
        """As `Personas.ids`."""
        return await asyncio.to_thread(self._personas.ids)


class AsyncMappers:
    """The mappers in the cache."""

    def __init__(self, mappers: Mappers) -> None:
        self._mappers = mappers

    async def get(self, mapper_id: str) -> wire.SyncedMapper:
        """As `Mappers.get`."""
        return await asyncio.to_thread(self._mappers.get, mapper_id)

    async def ids(self) -> list[str]:
        """As `Mappers.ids`."""
        return await asyncio.to_thread(self._mappers.ids)


class AsyncDeadLetters:
    """What the service rejected."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters

    async def list(self, limit: int = 500) -> list[DeadLetter]:
        """As `DeadLetters.list`."""
        return await asyncio.to_thread(self._dead_letters.list, limit)

    async def retry(self, ids: Sequence[UUID] | None = None) -> int:
        """As `DeadLetters.retry`."""
        return await asyncio.to_thread(self._dead_letters.retry, ids)

    async def discard(self, ids: Sequence[UUID] | None = None) -> int:
        """As `DeadLetters.discard`."""
        return await asyncio.to_thread(self._dead_letters.discard, ids)


class AsyncPersonaKit:
    """A PersonaKit whose calls are awaited; it takes the same arguments. To make one opens its store, which
    takes milliseconds: `await AsyncPersonaKit.open(…)` does that in a thread too."""

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self._adopt(PersonaKit(url, key, **options))

    @classmethod
    async def open(cls, url: str, key: str, **options: Any) -> Self:
        """Makes one without holding up the loop."""
        made = cls.__new__(cls)
        made._adopt(await asyncio.to_thread(PersonaKit, url, key, **options))
        return made

    async def observe(self, *given: Any, **named: Any) -> UUID:
        """As `PersonaKit.observe`."""
        return await asyncio.to_thread(self._kit.observe, *given, **named)

    async def feedback(self, *given: Any, **named: Any) -> UUID:
        """As `PersonaKit.feedback`."""
        return await asyncio.to_thread(self._kit.feedback, *given, **named)

    async def map_persona(self, *given: Any, **named: Any) -> OfflineAnswer:
        """As `PersonaKit.map_persona`."""
        return await asyncio.to_thread(self._kit.map_persona, *given, **named)

    async def regenerate(
        self,
        persona_id: str,
        *,
        timeout: float = REGENERATE_SECONDS,  # noqa: ASYNC109 - the client's own
    ) -> wire.Persona:
        """As `PersonaKit.regenerate`."""
        return await asyncio.to_thread(self._kit.regenerate, persona_id, timeout=timeout)

    async def flush(self, timeout: float = FLUSH_SECONDS) -> bool:  # noqa: ASYNC109 - the client's own
        """As `PersonaKit.flush`."""
        return await asyncio.to_thread(self._kit.flush, timeout)

    async def sync(self) -> Status:
        """As `PersonaKit.sync`."""
        return await asyncio.to_thread(self._kit.sync)

    async def status(self) -> Status:
        """As `PersonaKit.status`."""
        return await asyncio.to_thread(self._kit.status)

    async def close(self) -> None:
        """As `PersonaKit.close`."""
        await asyncio.to_thread(self._kit.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _adopt(self, kit: PersonaKit) -> None:
        self._kit = kit
        self.personas = AsyncPersonas(kit.personas)
        self.mappers = AsyncMappers(kit.mappers)
        self.dead_letters = AsyncDeadLetters(kit.dead_letters)
