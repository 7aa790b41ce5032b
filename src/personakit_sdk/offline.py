"""Mapping offline: the cached persona and mapper, the same engine, the same answer as the service's."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from personakit_sdk import forking, wire
from personakit_sdk.cache import Cache, Kind, Pulled
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.errors import DataExpired, DocumentInvalid, NotCached, UpgradeRequired
from personakit_sdk.mapping import (
    context_of,
    instant_of,
    limit_of,
    shown_core,
    shown_traits,
    shows_overlay,
    withheld_of,
    without_traits,
)
from personakit_sdk.rules.document import RULE_LANGUAGE
from personakit_sdk.rules.evaluate import Decision, Suggestion, evaluate
from personakit_sdk.rules.facts import Facts, TraitFact
from personakit_sdk.rules.learned import combined
from personakit_sdk.rules.plan import Plan, compile_mapper

KEPT: Final = 512
"""Personas and mappers that are kept decoded."""
_NOTHING: Final = Decision(suggestions=[], fired=[], missing_traits=[])
"""What is decided where a mapping is withheld."""
T = TypeVar("T")


class DataAge(wire.Answer, frozen=True, kw_only=True):
    """How old the data of an answer is: as of `position`, which was recorded at `asOf`, and `seconds`
    since the service said last that nothing is newer. Personas are served up to `validUntil`."""

    position: int
    as_of: datetime
    valid_until: datetime
    seconds: float


class OfflineAnswer(wire.Answer, frozen=True, kw_only=True, omit_defaults=True):
    """What `GET /map-persona` answers, from the cache: `data` says how old it is. `regenerate` is the persona
    whose core `PersonaKit.regenerate` would make anew, where it is stale."""

    persona: wire.PersonaView
    suggestions: list[Suggestion]
    mapper: wire.MapperRef
    missing_traits: list[str]
    mindscape_versions: dict[str, int]
    data: DataAge
    regenerate: str | None = None
    explanation: Any = None
    withheld: wire.Withheld | None = None


class CachedPersona(NamedTuple):
    """A persona with what rules see of it."""

    body: wire.SyncedPersona
    facts: Mapping[str, TraitFact]


class CachedMapper(NamedTuple):
    """A mapper and its plan."""

    body: wire.SyncedMapper
    plan: Plan


class Offline:
    """Answers from `cache`, at the time that `clock` tells. Safe to share between threads."""

    def __init__(self, cache: Cache, clock: DeviceClock) -> None:
        self._cache, self._clock = cache, clock
        self._lock = threading.Lock()
        self._version: int | None = None
        self._decoded: dict[tuple[Kind, str], Any] = {}
        self._plans: dict[str, Plan] = {}
        forking.watch(self)

    def map_persona(self, ask: wire.MapPersona) -> OfflineAnswer:
        """Suggestions for a persona, best first. Raises NotCached, DataExpired, UpgradeRequired, or
        InvalidInput for a question that cannot be asked."""
        now = self._clock.now()
        at, context = instant_of(ask, now), context_of(ask)
        pulled, persona, mapper = self._both(ask.persona_id, ask.mapper_id, now)
        withheld = withheld_of(mapper.plan, mapper.body.consent, persona.body.consented_to)
        view = _view(persona.body, ask, now)
        if withheld is None:
            facts = Facts(traits=persona.facts, context=context, at=at)
            decision = _decision(mapper, persona, facts, ask)
        else:
            decision, view = _NOTHING, without_traits(view)
        return OfflineAnswer(
            persona=view,
            suggestions=decision.suggestions,
            mapper=wire.MapperRef(id=ask.mapper_id, version=mapper.body.version, hash=mapper.body.hash),
            missing_traits=decision.missing_traits,
            mindscape_versions=persona.body.mindscape_versions,
            data=_age(pulled, now),
            regenerate=ask.persona_id if persona.body.is_stale else None,
            explanation=decision.explanation,
            withheld=withheld,
        )

    def persona(self, id_: str) -> wire.Persona:
        """A cached persona as `GET /personas/{id}` shows it. Raises NotCached or DataExpired."""
        now = self._clock.now()
        pulled, (found,) = self._find(("persona", id_))
        _require_valid(pulled, now)
        body: wire.SyncedPersona = _there(found, "persona", id_, pulled).body
        return wire.Persona(
            id=body.id,
            name=body.name,
            people=body.people,
            uses=body.uses,
            core=shown_core(body.core, now),
            overlay=shown_traits(body.overlay, now),
            is_stale=body.is_stale,
            core_version=body.core_version,
            stale_since=body.stale_since,
            changed_traits=body.changed_traits,
            learned=body.learned,
            consented_to=body.consented_to,
            position=pulled.position,
        )

    def mapper(self, id_: str) -> wire.SyncedMapper:
        """A cached mapper. Raises NotCached or UpgradeRequired."""
        pulled, (found,) = self._find(("mapper", id_))
        mapper: CachedMapper = _there(found, "mapper", id_, pulled)
        return mapper.body

    def upgrades(self) -> list[str]:
        """The ids of the mappers that this SDK is too old for."""
        return [id_ for id_ in self._cache.ids("mapper") if self._is_too_new(id_)]

    def before_fork(self) -> None:
        """What is being decoded is finished first."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Goes on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Goes on, with what is decoded."""
        self._lock = threading.Lock()

    def _is_too_new(self, id_: str) -> bool:
        try:
            self.mapper(id_)
        except UpgradeRequired:
            return True
        except NotCached:
            return False
        return False

    def _both(
        self, persona_id: str, mapper_id: str, now: datetime
    ) -> tuple[Pulled, CachedPersona, CachedMapper]:
        pulled, (persona, mapper) = self._find(("persona", persona_id), ("mapper", mapper_id))
        _require_valid(pulled, now)
        return (
            pulled,
            _there(persona, "persona", persona_id, pulled),
            _there(mapper, "mapper", mapper_id, pulled),
        )

    def _find(self, *wanted: tuple[Kind, str]) -> tuple[Pulled, list[Any]]:
        """What is cached, decoded, all of it of one state; None for what is not there."""
        with self._lock:
            pulled = self._cache.pulled()
            known = pulled is not None and pulled.version == self._version
            if pulled is not None and known and all(each in self._decoded for each in wanted):
                return pulled, [self._decoded[each] for each in wanted]
            pulled, bodies = self._cache.find(*wanted)
            if pulled is None:
                raise NotCached(
                    "Nothing was pulled into the cache yet; call sync() while the service is there."
                )
            self._keep(pulled.version, wanted, bodies)
            return pulled, [self._decoded[each] for each in wanted]

    def _keep(self, version: int, wanted: tuple[tuple[Kind, str], ...], bodies: list[bytes | None]) -> None:
        if version != self._version or len(self._decoded) > KEPT:
            self._decoded.clear()
        self._version = version
        for each, body in zip(wanted, bodies, strict=True):
            self._decoded[each] = None if body is None else self._decode(*each, body)

    def _decode(self, kind: Kind, id_: str, body: bytes) -> CachedPersona | CachedMapper | UpgradeRequired:
        try:
            if kind == "mapper":
                return self._mapper(msgspec.json.decode(body, type=wire.SyncedMapper))
            persona = msgspec.json.decode(body, type=wire.SyncedPersona)
        except (msgspec.ValidationError, DocumentInvalid) as error:
            return UpgradeRequired(
                f"The {kind} {id_!r} is newer than this SDK can read; upgrade it ({error})."
            )
        return CachedPersona(persona, {**persona.core.traits, **persona.overlay})

    def _mapper(self, body: wire.SyncedMapper) -> CachedMapper | UpgradeRequired:
        if body.rule_language > RULE_LANGUAGE:
            return UpgradeRequired(
                f"The mapper {body.id!r} is written in version {body.rule_language} of the rule language, "
                f"and this SDK knows versions up to {RULE_LANGUAGE}; upgrade it."
            )
        plan = self._plans.get(body.hash)
        if plan is None:
            plan = compile_mapper(body.document)
            while len(self._plans) >= KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[body.hash] = plan
        return CachedMapper(body, plan)


def _there(found: Any, kind: Kind, id_: str, pulled: Pulled) -> Any:
    if found is None:
        raise NotCached(
            f"There is no {kind} {id_!r} in the cache, which is as of position {pulled.position} "
            f"({pulled.as_of.isoformat()}); sync() brings what has come since."
        )
    if isinstance(found, UpgradeRequired):
        raise UpgradeRequired(str(found))
    return found


def _require_valid(pulled: Pulled, now: datetime) -> None:
    if now > pulled.valid_until:
        raise DataExpired(
            f"The cached personas are not served after {pulled.valid_until.isoformat()}; sync() renews them."
        )


def _decision(mapper: CachedMapper, persona: CachedPersona, facts: Facts, ask: wire.MapPersona) -> Decision:
    return evaluate(
        mapper.plan,
        facts,
        persona_id=ask.persona_id,
        mapper_version=mapper.body.version,
        limit=limit_of(ask),
        learned=_learned(mapper, persona.body),
        explain=ask.explain,
    )


def _learned(mapper: CachedMapper, persona: wire.SyncedPersona) -> dict[str, float]:
    own = persona.learned.get(mapper.body.id, {})
    if not (mapper.body.learned or own):
        return {}
    return combined(mapper.body.learned, own, mapper.plan.document["feedback_settings"])


def _view(persona: wire.SyncedPersona, ask: wire.MapPersona, now: datetime) -> wire.PersonaView:
    return wire.PersonaView(
        id=persona.id,
        core=shown_core(persona.core, now),
        is_stale=persona.is_stale,
        core_version=persona.core_version,
        overlay=shown_traits(persona.overlay, now) if shows_overlay(ask) else None,
        stale_since=persona.stale_since,
    )


def _age(pulled: Pulled, now: datetime) -> DataAge:
    age = max(timedelta(0), now - pulled.checked_at)
    return DataAge(
        position=pulled.position,
        as_of=pulled.as_of,
        valid_until=pulled.valid_until,
        seconds=age.total_seconds(),
    )
