"""Everything below the API, put together: log, projections, agents. An entry point opens one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from personakit import shipped
from personakit.agents.actors import (
    ActorsElsewhere,
    ActorsHere,
    WhileRedisAnswers,
    in_process_broker,
    redis_broker,
)
from personakit.agents.adjuster import Adjuster
from personakit.agents.consents import Consents
from personakit.agents.curator import Curator
from personakit.agents.expiry import Expiry
from personakit.agents.inference_room import InferenceRoom
from personakit.agents.mappers import Mappers
from personakit.agents.mindscaper import Mindscaper
from personakit.agents.own_traits import TraitDocuments
from personakit.agents.past import Past
from personakit.agents.personas import Personas
from personakit.agents.regenerations import Regenerations
from personakit.agents.regenerator import Regenerator
from personakit.agents.releases import Releases
from personakit.agents.tenant_rules import TenantRules, shipped_documents
from personakit.agents.wakeups import Key, Send, Sweep, Wakeups
from personakit.agents.work import Work
from personakit.config import DEFAULT_AUDIT_DAYS, ModelSettings
from personakit.eventlog.appender import Appender
from personakit.eventlog.audit import KEEP_SECONDS, PRUNE_SECONDS, Audit
from personakit.eventlog.corrections import Corrections
from personakit.eventlog.eraser import CHANNEL, Eraser
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.intake import Intake
from personakit.eventlog.leases import Leases
from personakit.eventlog.listener import Listener
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.people import People
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import Appended, LogRecorder, make_log, open_datastore
from personakit.eventlog.retractions import Retractions
from personakit.eventlog.roles import Logins, logins, unbound
from personakit.eventlog.streams import Streams
from personakit.projections.builds import open_pool
from personakit.projections.follow import Followers, install
from personakit.projections.freshness import Freshness, FreshnessListener
from personakit.projections.read import Reader
from personakit.projections.sql import load_projections

WRITING, READING, BESIDE, OWNING = (1, 12), (3, 20), (1, 12), (0, 8)
"""How many connections each role holds here beside the log's own, and has at most. Tables are made seldom.
Those of the reader that are for single questions are apart: whoever asks one may hold a snapshot, and would
wait for others who do the same."""
USED_SECONDS = 20.0
HEARD_SECONDS = 1.0
SEND_AGAIN_SECONDS = 0.1
"""How soon a process that never hears of a begin sends a wake-up again."""
PAUSE_SECONDS = 60.0


class Part(Protocol):
    """Something that runs until it is closed."""

    def close(self) -> None:
        """Returns when it has ended."""


class Service:
    """The log, its projections and the agents over one database.

    The entry chooses where the agents are: here (`work`, which a context manager does), or in other
    processes (`wake_workers`). Until then the service records, and nobody folds what it recorded.
    """

    def __init__(
        self,
        database: str | Logins,
        master_key: bytes,
        redis_url: str | None = None,
        model: ModelSettings | None = None,
        erasure_journal: Path | None = None,
        audit_days: int = DEFAULT_AUDIT_DAYS,
    ) -> None:
        """`database` is what all roles are reached with, or each. Without `model` all of it works on computed
        traits. Without `erasure_journal` nobody can be erased; who stands in it and not in the database is
        erased first of all. Raises MasterKeyWrong when `master_key` is not the one of this database,
        RolesMissing, NotTheOwner and ErasureJournalUnusable."""
        self.logins = database if isinstance(database, Logins) else logins(database)
        self._redis_url = redis_url
        make_log(self.logins)
        self._reading = open_pool(self.logins.reader, *READING)
        self._beside = open_pool(self.logins.reader, *BESIDE)
        self.recorder = LogRecorder(open_datastore(self.logins.writer), self._beside.connection)
        self.audit = Audit(self.recorder, audit_days)
        self.keys = PersonKeys(self.recorder.datastore.get_connection, master_key)
        journal = None if erasure_journal is None else ErasureJournal(erasure_journal)
        self.eraser = Eraser(self.recorder, self.keys, journal)
        self.eraser.complete()
        self.pool = open_pool(self.logins.owner, *OWNING)
        self.projections = load_projections(shipped.projections_dir())
        install(self.pool, self.projections.values(), self.keys)
        self.rules = TenantRules(shipped_documents())
        self._wakeups = Wakeups()
        self.appender = Appender(self.recorder, self._appended)
        self.people = People(self.recorder, self.appender, self.keys, journal)
        self.eraser.on_erased = self._erased
        corrections = Corrections(self.recorder, self.appender)
        self.intake = Intake(self.people, self.appender, self.keys, corrections)
        self.retractions = Retractions(self.recorder, self.appender, self.keys)
        self.streams = Streams(self.recorder, self.appender, self.keys)
        self._writing = open_pool(self.logins.writer, *WRITING)
        self.reader = Reader(self._writing, self.projections, reading=self._reading)
        self.freshness = Freshness(self.reader.definitions)
        self.past = Past(self.recorder, self.streams, self.reader)
        self.mappers = Mappers(self.reader, self.streams)
        self.trait_documents = TraitDocuments(self.reader, self.streams, self.rules.documents)
        self.mindscaper = Mindscaper(self.reader, self.streams, self.rules)
        self.expiry = Expiry(self.reader, self.retractions)
        self.curator = Curator(self.reader, self.streams)
        self.leases = Leases(self.recorder, PAUSE_SECONDS if model is None else model.pause_seconds)
        self.inference = None if model is None else self._open_inference(model)
        summariser = None if self.inference is None else self.inference.summariser
        self.regenerator = Regenerator(self.reader, self.streams, summariser)
        self._regenerations = None if model is None else Regenerations(self.regenerator, self.leases, model)
        self.personas = Personas(self.reader, self.streams, self.people)
        self.consents = Consents(self.reader, self.streams, self.people)
        self.adjuster = Adjuster(self.reader, self.streams, self.mappers)
        self._releases = Releases(self._writing, self.pool, self.projections.values(), self.keys)
        self._work = Work(
            self._wakeups,
            self._writing,
            self.reader,
            self.rules,
            followers=Followers(self._writing, self.projections.values(), self.keys),
            mindscaper=self.mindscaper,
            regenerator=self.regenerator,
            adjuster=self.adjuster,
            expiry=self.expiry,
            inference=self.inference,
        )
        self.epoch, self.secret = self._identity()
        self.position = self.reader.head()
        self._hear_appends: list[Callable[[Sequence[Appended]], None]] = []
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        """Sets the agents to work in this process."""
        self.work()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def work(self) -> None:
        """The agents work in this process: alone, or, where there is Redis, with those of others."""
        noted = {name: self._wakeups.noting_start(name, run) for name, run in self._work.actors().items()}
        here = ActorsHere(in_process_broker(), noted)
        self._parts = [here]
        send = here.send if self._redis_url is None else self._share(here, noted, self._redis_url)
        self._wakeups.start(send)
        self._parts += [
            self._wakeups,
            Sweep(self._work.sweep),
            Sweep(self._releases.follow_others),
            Sweep(self._releases.drop_unused, USED_SECONDS),
            *self._serve_reads(),
        ]

    def wake_workers(self, redis_url: str) -> None:
        """The agents work in other processes, which this one wakes over Redis and never waits for."""
        there = ActorsElsewhere(redis_broker(redis_url, str(self.epoch)), self._work.actors())
        self._wakeups.start(WhileRedisAnswers(there.send, lambda _: None), SEND_AGAIN_SECONDS)
        self._parts = [there, self._wakeups, *self._serve_reads()]

    def saw(self, position: int) -> None:
        """Notes a position of the log; `position` is the newest that this process knows."""
        self.position = max(self.position, position)

    def on_append(self, hear: Callable[[Sequence[Appended]], None]) -> None:
        """Lets `hear` know what becomes of each group of events that this process appends."""
        self._hear_appends.append(hear)

    def unbound(self) -> str | None:
        """Why whoever reads here sees more than one tenant; None where they do not."""
        with self._reading.connection() as connection:
            return unbound(connection)

    def close(self) -> None:
        """Lets the agents end what they are at, writes what was taken, and lets go of the database."""
        for part in reversed(self._parts):
            part.close()
        for asking in (self._regenerations, self.inference):
            if asking is not None:
                asking.close()
        self.appender.close()
        self.streams.conflicts.keep()
        self.audit.keep()
        for pool in (self._reading, self._beside, self._writing, self.pool):
            pool.close()
        self.recorder.datastore.close()

    def _serve_reads(self) -> list[Part]:
        """What keeps the cache honest, and what is read here followed."""
        return [
            FreshnessListener(
                self.logins.reader, self.freshness, self.reader.definitions, {CHANNEL: self._heard_of_erased}
            ),
            Sweep(self._releases.say_used, USED_SECONDS),
            Sweep(self.streams.conflicts.keep, USED_SECONDS),
            Sweep(self.audit.keep, KEEP_SECONDS),
            Sweep(self.audit.prune, PRUNE_SECONDS),
        ]

    def _share(self, here: ActorsHere, noted: Mapping[str, Callable[..., None]], redis_url: str) -> Send:
        """Derivations go to whichever process has time. Followers are woken in each, by PostgreSQL: one
        that finds another at it finds nothing to do. Without Redis all work is done where it comes up."""
        shared = ActorsHere(redis_broker(redis_url, str(self.epoch)), noted)
        listener = Listener(self.logins.reader, self.recorder.channel_name, self._work.wake_followers)
        self._parts += [shared, listener]
        careful = WhileRedisAnswers(shared.send, here.send)

        def send(key: Key) -> None:
            (here.send if key[0] == "follow" else careful)(key)

        return send

    def until_shown(self, position: int, seconds: float) -> None:
        """Returns when what is read in this process, from the cache too, reflects `position`. Raises
        NotThereYet after `seconds`."""
        self.reader.wait_for_projections(position, seconds)
        self.freshness.until_heard(position, HEARD_SECONDS)

    def regenerate(self, tenant: str, persona: UUID, seconds: float) -> int | None:
        """Makes a persona's core anew; the event's position, or None when another made it, or none is newer.
        Where a model words it this costs. Raises NotThereYet, PersonErased, ModelFailed, BudgetSpent, and
        StillRegenerating after `seconds`."""
        if self._regenerations is None:
            return self.regenerator.regenerate(tenant, persona)
        return self._regenerations.regenerate(tenant, persona, seconds)

    def _open_inference(self, model: ModelSettings) -> InferenceRoom:
        return InferenceRoom(
            model,
            self.reader,
            self.streams,
            self.leases,
            self._computed_paths,
            lambda: self._wakeups.wake("infer_due"),
        )

    def _computed_paths(self, tenant: str) -> frozenset[str]:
        with self.reader.snapshot(tenant) as snapshot:
            return self.rules.of(snapshot, tenant).paths

    def _appended(self, events: Sequence[Appended]) -> None:
        self.saw(max(event.position for event in events))
        self._work.wake_followers()
        for hear in self._hear_appends:
            hear(events)

    def _erased(self, surrogates: frozenset[UUID], events: Sequence[Appended]) -> None:
        self.people.forget(surrogates)
        self._appended(events)

    def _heard_of_erased(self, told: str | None) -> None:
        """Another process erased somebody, or one may have."""
        self.people.forget({UUID(each) for each in told.split()} if told else None)

    def _identity(self) -> tuple[UUID, bytes]:
        with self.recorder.datastore.get_connection() as connection:
            row = connection.execute(SQL["identity"]).fetchone()
        if row is None:
            raise LookupError("The log has no identity; its database was not set up by this service.")
        return row["epoch"], bytes(row["secret"])
