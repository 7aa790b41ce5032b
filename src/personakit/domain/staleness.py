"""Whether a persona's core is stale: what the read model `personas` keeps, as a fold over the same events.

A core is stale when a trait changed materially in a mindscape version above the one it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from personakit.domain.events import MindscapeEvent, PersonaCoreGenerated
from personakit.domain.persona import Definition


class MaterialChange(msgspec.Struct, frozen=True):
    """The last material change of a trait: in which version of the person's mindscape, recorded when."""

    version: int
    at: datetime


class CoreHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A persona's newest core and what changed materially, by (person, path), of what it depends on. `made`
    counts the cores. `definition` None: a person's own persona, of all their traits."""

    core: PersonaCoreGenerated | None = None
    made: int = 0
    generated_at: datetime | None = None
    stale_since: datetime | None = None
    last_changes: Mapping[tuple[UUID, str], MaterialChange] = {}
    definition: Definition | None = None

    @property
    def is_stale(self) -> bool:
        """Whether a trait changed materially, or the persona's definition, since the core was made."""
        return self.stale_since is not None

    @property
    def changed(self) -> tuple[str, ...]:
        """The paths of the traits that make the core stale."""
        if self.core is None or not self.is_stale:
            return ()
        return tuple(sorted({path for _, path in _above(self.core, self.last_changes)}))


UNMADE = CoreHistory()
"""A persona that has no core yet, and whose people's mindscapes are empty."""


def mindscape_updated(
    history: CoreHistory, event: MindscapeEvent, *, person: UUID, version: int, at: datetime
) -> CoreHistory:
    """After the event that made version `version` of the mindscape of one of the persona's people, recorded
    at `at`."""
    changes = {
        (person, path): MaterialChange(version, at)
        for path in event.material
        if history.definition is None or _depends(history.definition, person, path)
    }
    makes_stale = history.core is not None and bool(_above(history.core, changes))
    return msgspec.structs.replace(
        history,
        stale_since=history.stale_since or (at if makes_stale else None),
        last_changes={**history.last_changes, **changes},
    )


def redefined(history: CoreHistory, definition: Definition, *, at: datetime) -> CoreHistory:
    """After another definition was given to the persona: its core is one of the old definition."""
    return msgspec.structs.replace(
        history,
        definition=definition,
        last_changes={},
        stale_since=(history.stale_since or at) if history.core is not None else None,
    )


def core_generated(history: CoreHistory, event: PersonaCoreGenerated, *, at: datetime) -> CoreHistory:
    """After one more core, recorded at `at`. One that raced an update is born stale."""
    raced = _above(event, history.last_changes).values()
    return msgspec.structs.replace(
        history,
        core=event,
        made=history.made + 1,
        generated_at=at,
        stale_since=min((change.at for change in raced), default=None),
    )


def _depends(definition: Definition, person: UUID, path: str) -> bool:
    return person in definition.people and definition.uses(path)


def _above(
    core: PersonaCoreGenerated, changes: Mapping[tuple[UUID, str], MaterialChange]
) -> dict[tuple[UUID, str], MaterialChange]:
    """The changes in versions above those that the core was made from."""
    return {
        (person, path): change
        for (person, path), change in changes.items()
        if change.version > core.mindscape_versions.get(str(person), 0)
    }
