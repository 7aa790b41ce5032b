"""What an application sees of its cache: the personas and mappers in it."""

from __future__ import annotations

from personakit_sdk import wire
from personakit_sdk.cache import Cache
from personakit_sdk.offline import Offline


class Personas:
    """The personas in the cache."""

    def __init__(self, offline: Offline, cache: Cache) -> None:
        self._offline, self._cache = offline, cache

    def get(self, persona_id: str) -> wire.Persona:
        """A persona as `GET /personas/{id}` shows it. Raises NotCached or DataExpired."""
        return self._offline.persona(persona_id)

    def ids(self) -> list[str]:
        """The ids of all of them, sorted."""
        return self._cache.ids("persona")


class Mappers:
    """The mappers in the cache."""

    def __init__(self, offline: Offline, cache: Cache) -> None:
        self._offline, self._cache = offline, cache

    def get(self, mapper_id: str) -> wire.SyncedMapper:
        """A mapper at its active version. Raises NotCached or UpgradeRequired."""
        return self._offline.mapper(mapper_id)

    def ids(self) -> list[str]:
        """The ids of all of them, sorted."""
        return self._cache.ids("mapper")
