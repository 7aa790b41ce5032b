"""`/map-persona`: a persona, an instant and a context in, suggestions out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.openapi import ResponseSpec

from personakit.agents.budget import BudgetSpent
from personakit.agents.model import ModelFailed
from personakit.agents.regenerations import StillRegenerating
from personakit.agents.service import Service
from personakit.api import bodies, present
from personakit.api.answers import answer, asks_position
from personakit.api.dependencies import service_of
from personakit.api.exploring import Explorer, explorer_of
from personakit.api.hot_reads import Mapping, cached_mapping, read_mapping
from personakit.api.map_query import MapQuery, asked_by
from personakit.api.multipliers import effective, with_evidence
from personakit.api.openapi import documented
from personakit.api.problems import CoreStale
from personakit.api.regenerating import estimate, offer, regenerate
from personakit.eventlog.access import ApiKey
from personakit_sdk import wire
from personakit_sdk.mapping import context_of, instant_of, limit_of, shows_overlay, without_traits
from personakit_sdk.rules.evaluate import Decision, Reorder, evaluate_until
from personakit_sdk.rules.facts import Facts

LATER: Final = ResponseSpec(
    wire.MapAnswer,
    description="By the stale core: it is being made anew, and that takes longer than a caller would wait",
    generate_examples=False,
)


class _Decided(NamedTuple):
    """The parts of an answer that the rules decide; `suggestions` may be a `msgspec.Raw`."""

    suggestions: Any
    missing_traits: list[str]
    explanation: Any
    withheld: wire.Withheld | None = None


@get(
    "/",
    operation_class=documented(query=MapQuery),
    responses={202: LATER},
    operation_id="mapPersona",
    summary="Map a persona",
)
async def map_by_query(request: Request[str, ApiKey, Any]) -> Response[wire.MapAnswer]:
    """Map a persona. `at` is RFC 3339 (encode a + as %2B), `context` is a JSON object."""
    cached = not asks_position(request.scope)
    return await _map(service_of(request), request.auth, asked_by(request), cached=cached)


@post(
    "/",
    status_code=200,
    operation_class=documented(wire.MapPersona),
    responses={202: LATER},
    operation_id="mapPersonaByBody",
    summary="Map a persona, by a body",
)
async def map_by_body(request: Request[str, ApiKey, Any]) -> Response[wire.MapAnswer]:
    """Map a persona, with the question in a body."""
    ask = bodies.decode(await bodies.read_body(request), wire.MapPersona)
    return await _map(service_of(request), request.auth, ask, cached=not asks_position(request.scope))


async def _map(
    service: Service, caller: ApiKey, ask: wire.MapPersona, *, cached: bool
) -> Response[wire.MapAnswer]:
    now = datetime.now(UTC)
    at, context = instant_of(ask, now), context_of(ask)
    read = cached_mapping(service, caller, ask.persona_id, ask.mapper_id) if cached else None
    if read is None:
        read = await asyncio.to_thread(read_mapping, service, caller, ask.persona_id, ask.mapper_id)
    status = 200
    if read.withheld is None and read.persona.state.is_stale and ask.if_stale != "serve":
        fresh, status = await asyncio.to_thread(_refreshed, service, caller, ask, read)
        read = fresh
    explorer = explorer_of(
        service,
        caller.tenant,
        read.mapper.exploration,
        persona_id=ask.persona_id,
        mapper_id=ask.mapper_id,
        version=read.mapper.version,
        at=at,
    )
    decided = _decided(read, ask, context, at, now, explorer)
    return answer(_answer(service, read, decided, ask, now), read.position, status)


def _decided(
    read: Mapping,
    ask: wire.MapPersona,
    context: dict[str, Any],
    at: datetime,
    now: datetime,
    explorer: Explorer | None = None,
) -> _Decided:
    """Nothing where the mapping is withheld; else what the rules say, in an order of its own where the mapper
    explores."""
    withheld = read.withheld
    if withheld is not None:
        return _Decided([], [], None, withheld)
    if explorer is not None:
        return _explored(explorer, read, ask, context, at)
    return _decide(read, ask, context, at, now)


def _refreshed(service: Service, caller: ApiKey, ask: wire.MapPersona, read: Mapping) -> tuple[Mapping, int]:
    """What is read once the core is made anew, and the status to answer with: 202 where that takes longer
    than a caller would wait. Where it cannot be made the old one serves, and says that it is stale. Raises
    CoreStale, for a caller who wants no stale one."""
    state = read.persona.state
    if ask.if_stale == "fail":
        raise CoreStale(
            f"The core of {ask.persona_id!r} is stale since {state.stale_since}; changed since: "
            f"{', '.join(state.changed) or 'its definition'}. "
            f"POST /personas/{ask.persona_id}/regenerate makes it anew for about "
            f"{estimate(service, state).usd} USD; ifStale=serve takes it as it is."
        )
    try:
        regenerate(service, caller.tenant, state.persona)
    except StillRegenerating:
        return read, 202
    except (ModelFailed, BudgetSpent):  # said in the log by whoever tried it
        return read, 200
    return read_mapping(service, caller, ask.persona_id, ask.mapper_id), 200


def _decide(
    read: Mapping, ask: wire.MapPersona, context: dict[str, Any], at: datetime, now: datetime
) -> _Decided:
    """What is decided for now is kept with the persona, and taken from there for as long as it holds."""
    if ask.explain or at is not now:
        return _whole(read, _evaluated(read, ask, context, at)[0])
    mapper = read.mapper
    asked = (ask.mapper_id, mapper.version, mapper.hash, limit_of(ask), msgspec.json.encode(context))
    kept = read.persona.decisions.find(asked, at)
    if kept is None:
        decision, until = _evaluated(read, ask, context, at)
        read.persona.decisions.keep(asked, decision, at, until)
        return _Decided(decision.suggestions, decision.missing_traits, None)
    suggestions = kept.suggestions_at(ask.persona_id, ask.mapper_id, mapper.version, at)
    return _Decided(suggestions, kept.missing_traits, None)


def _explored(
    explorer: Explorer, read: Mapping, ask: wire.MapPersona, context: dict[str, Any], at: datetime
) -> _Decided:
    """What is decided in an order of its own, which each instant has: nothing of it is kept."""
    decision, _ = _evaluated(read, ask, context, at, explorer.reorder)
    return _whole(read, explorer.exposed(decision))


def _whole(read: Mapping, decision: Decision) -> _Decided:
    """A decision as it was made, its explanation with what was learned."""
    explanation = decision.explanation
    if explanation is not None:
        explanation = with_evidence(explanation, read.mapper.weights, read.own_weights)
    return _Decided(decision.suggestions, decision.missing_traits, explanation)


def _evaluated(
    read: Mapping,
    ask: wire.MapPersona,
    context: dict[str, Any],
    at: datetime,
    reorder: Reorder | None = None,
) -> tuple[Decision, datetime]:
    return evaluate_until(
        read.mapper.plan,
        Facts(traits=read.persona.state.facts, context=context, at=at),
        persona_id=ask.persona_id,
        mapper_version=read.mapper.version,
        limit=limit_of(ask),
        learned=effective(read.mapper.weights, read.own_weights, read.mapper.plan.document),
        explain=ask.explain,
        reorder=reorder,
    )


def _answer(
    service: Service, read: Mapping, decided: _Decided, ask: wire.MapPersona, now: datetime
) -> wire.MapAnswer:
    state = read.persona.state
    view = wire.PersonaView(
        id=state.id,
        core=present.core(state, now),
        is_stale=state.is_stale,
        core_version=state.core_version,
        overlay=state.prepared_overlay.at(now) if shows_overlay(ask) else None,
        stale_since=state.stale_since,
    )
    return wire.MapAnswer(
        persona=view if decided.withheld is None else without_traits(view),
        suggestions=decided.suggestions,
        mapper=wire.MapperRef(id=ask.mapper_id, version=read.mapper.version, hash=read.mapper.hash),
        missing_traits=decided.missing_traits,
        freshness=wire.Freshness(
            position=read.position,
            mindscape_versions=read.persona.mindscape_versions,
            derived_through=read.persona.derived_through,
        ),
        regenerate=offer(service, state),
        explanation=decided.explanation,
        withheld=decided.withheld,
    )


router = Router("/map-persona", route_handlers=[map_by_query, map_by_body], tags=["mapping"])
