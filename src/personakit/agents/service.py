"""Everything below the API, put together: log, projections, agents. An entry point opens one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid5

from personakit import shipped
from personakit.agents.mindscaper import Mindscaper
from personakit.agents.past import Past
from personakit.agents.regenerator import Regenerator
from personakit.agents.wakeups import Wakeups, open_broker
from personakit.domain.computed_traits import ComputedTraits, load_computed_traits
from personakit.domain.events import MapperPublished
from personakit.domain.mapper import MapperState, publish_shipped
from personakit.domain.mapper import evolve as evolve_mapper
from personakit.eventlog.appender import Appender
from personakit.eventlog.intake import Intake
from personakit.eventlog.people import People
from personakit.eventlog.recorder import SQL, LogRecorder, open_datastore
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams, Updated
from personakit.projections.follow import Follower, install, open_pool
from personakit.projections.read import Reader
from personakit.projections.sql import load_projections
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.yaml import load_yaml

POOL_SIZE = 4
DEBOUNCE_SECONDS = 0.05
DUE_LIMIT = 500
_MAPPERS = UUID("1b3c9a52-6f0f-4b0e-8d4c-0d9d4f8f2a77")


class Service:
    """The log, its projections and the agents over one database. A context manager."""

    def __init__(self, conninfo: str, redis_url: str | None = None) -> None:
        self.recorder = LogRecorder(open_datastore(conninfo))
        self.recorder.create_table()
        self.pool = open_pool(conninfo, POOL_SIZE)
        self.projections = load_projections(shipped.projections_dir())
        install(self.pool, self.projections)
        self.computed = load_shipped_computed_traits()
        self.appender = Appender(self.recorder, lambda _: self._wake_followers())
        self.people = People(self.recorder, self.appender)
        self.intake = Intake(self.people, self.appender)
        self.streams = Streams(self.recorder, self.appender)
        self.reader = Reader(self.pool, self.projections)
        self.past = Past(self.recorder, self.streams, self.reader)
        self.mindscaper = Mindscaper(self.reader, self.streams, self.computed)
        self.regenerator = Regenerator(self.reader, self.streams)
        self._followers = {name: Follower(self.pool, p) for name, p in self.projections.items()}
        self.epoch, self.secret = self._identity()
        self._wakeups = Wakeups(open_broker(redis_url, str(self.epoch)), self._sweep)

    def __enter__(self) -> Self:
        """Sets the agents to work. Until then the service records, and nobody folds what it recorded."""
        self._wakeups.start(self._actors())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the agents end what they are at, writes what was taken, and lets go of the database."""
        self._wakeups.close()
        self.appender.close()
        self.pool.close()
        self.recorder.datastore.close()

    def change_mapper(
        self, tenant: str, mapper_id: str, decide: Callable[[MapperState], MapperPublished | None]
    ) -> Updated[MapperState]:
        """Appends to a mapper's stream what `decide` makes of its state, whoever else changes it."""
        stream = StreamId(tenant, "mapper", uuid5(_MAPPERS, f"{tenant}\n{mapper_id}"))
        return self.streams.update(stream, Loaded(MapperState(), 0), evolve_mapper, decide)

    def publish_shipped(self, tenant: str) -> None:
        """Gives a tenant the mappers that come with the release, except where it has its own."""
        for path in sorted(shipped.mappers_dir().glob("*.yaml")):
            plan = compile_mapper(load_yaml(path.read_text(encoding="utf-8")))
            self.change_mapper(tenant, plan.mapper_id, partial(publish_shipped, plan))

    def _actors(self) -> Mapping[str, Callable[..., None]]:
        return {
            "follow": self._follow,
            "derive_due": self._derive_due,
            "derive": self._derive,
            "core_due": self._core_due,
        }

    def _wake_followers(self) -> None:
        for name in self._followers:
            self._wakeups.wake("follow", name)

    def _sweep(self, wakeups: Wakeups) -> None:
        """Makes up for wake-ups that were lost."""
        self._wake_followers()
        wakeups.wake("derive_due")
        wakeups.wake("core_due")

    def _follow(self, name: str) -> None:
        if not self._followers[name].catch_up():
            return
        if name in ("observations", "derivation_due"):
            self._wakeups.wake("derive_due", delay=DEBOUNCE_SECONDS)
        if name in ("mindscapes", "personas"):
            self._wakeups.wake("core_due", delay=DEBOUNCE_SECONDS)

    def _derive_due(self) -> None:
        with self.reader.snapshot() as snapshot:
            due = snapshot.rows("derivation_due.due", definition=self.computed.fingerprint, limit=DUE_LIMIT)
        for row in due:
            self._wakeups.wake("derive", row["tenant"], str(row["person"]))

    def _derive(self, tenant: str, person: str) -> None:
        self.mindscaper.derive(tenant, UUID(person))

    def _core_due(self) -> None:
        with self.reader.snapshot() as snapshot:
            without = snapshot.rows("personas.without_core", limit=DUE_LIMIT)
        for row in without:
            self.regenerator.first_core(row["tenant"], row["persona"])

    def _identity(self) -> tuple[UUID, bytes]:
        with self.recorder.datastore.get_connection() as connection:
            row = connection.execute(SQL["identity"]).fetchone()
        if row is None:
            raise LookupError("The log has no identity; its database was not set up by this service.")
        return row["epoch"], bytes(row["secret"])


def load_shipped_computed_traits() -> ComputedTraits:
    """The computed traits that come with the release."""
    return load_computed_traits(_documents())


def _documents() -> Iterable[dict[str, Any]]:
    for path in sorted(shipped.computed_traits_dir().glob("*.yaml")):
        yield load_yaml(path.read_text(encoding="utf-8"))
