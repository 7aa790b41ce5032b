"""`/map-persona`: a persona, an instant and a context in, suggestions out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import QueryParameter, RawBody

from personakit.agents.service import Service
from personakit.api import bodies, present
from personakit.api.answers import answer, persona_of
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.openapi import documented
from personakit.api.present import PersonaState
from personakit.api.problems import CoreStale, NotFound
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.rules import compile_mapper, evaluate
from personakit_sdk.rules.clock import find_zone
from personakit_sdk.rules.evaluate import Decision
from personakit_sdk.rules.facts import Facts
from personakit_sdk.rules.plan import Plan

LIMITS: Final[dict[wire.DetailLevel, int]] = {"instant": 3, "balanced": 5, "deep_dive": 20}
FREE: Final = wire.Estimate(input_tokens=0, output_tokens=0, usd=0.0)
"""A composed core uses no model."""
_LEVELS = ", ".join(f"`{level}` up to {limit} suggestions" for level, limit in LIMITS.items())
_IF_STALE = (
    "What to do when the core is stale: `serve` it as it is, `regenerate` it first, or `fail` with 409 and "
    "the price of a fresh one"
)
WAIT_SECONDS = 30.0
PLANS_KEPT = 512

_plans: dict[str, Plan] = {}


class Mapped(msgspec.Struct, frozen=True):
    """What one mapping read and decided."""

    state: PersonaState
    mapper: dict[str, Any]
    decision: Decision
    freshness: wire.Freshness


@get("/", sync_to_thread=True, operation_id="mapPersona", summary="Map a persona")
def map_by_query(
    service: ServiceGiven,
    tenant: TenantGiven,
    mapper_id: Annotated[str, QueryParameter(name="mapperId", description="An active mapper's id")],
    persona_id: Annotated[str, QueryParameter(name="personaId", description="A person's or a persona's id")],
    detail_level: Annotated[
        wire.DetailLevel, QueryParameter(name="detailLevel", description=f"How much to answer: {_LEVELS}")
    ] = "balanced",
    if_stale: Annotated[wire.IfStale, QueryParameter(name="ifStale", description=_IF_STALE)] = "serve",
    at: Annotated[
        str | None,
        QueryParameter(
            description="The instant to decide for, RFC 3339 with an offset; without it "
            "`context.current_time`, and without that now",
            schema_extra={"format": "date-time"},
        ),
    ] = None,
    timezone: Annotated[
        str | None, QueryParameter(description="Where the person is, as in `Europe/Berlin`")
    ] = None,
    context: Annotated[
        str | None, QueryParameter(description="What the rules may know of the moment, a JSON object")
    ] = None,
    limit: Annotated[
        int | None,
        QueryParameter(
            ge=1, le=100, description="How many suggestions at most; without it, as the detail level has it"
        ),
    ] = None,
    explain: Annotated[bool, QueryParameter(description="Say of every rule why it fired or did not")] = False,
) -> Response[wire.MapAnswer]:
    """Map a persona. `at` is RFC 3339 (encode a + as %2B), `context` is a JSON object."""
    asked = {
        "mapperId": mapper_id,
        "personaId": persona_id,
        "detailLevel": detail_level,
        "ifStale": if_stale,
        "at": at,
        "timezone": timezone,
        "context": _object(context),
        "limit": limit,
        "explain": explain,
    }
    return _map(service, tenant, bodies.decode(msgspec.json.encode(asked), wire.MapPersona))


@post(
    "/",
    status_code=200,
    sync_to_thread=True,
    operation_class=documented(wire.MapPersona),
    operation_id="mapPersonaByBody",
    summary="Map a persona, by a body",
)
def map_by_body(service: ServiceGiven, tenant: TenantGiven, body: RawBody) -> Response[wire.MapAnswer]:
    """Map a persona, with the question in a body."""
    return _map(service, tenant, bodies.decode(body, wire.MapPersona))


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(
            f"`context` must be a JSON object: {error}.", (Fault("context", str(error)),)
        ) from None


def _map(service: Service, tenant: str, ask: wire.MapPersona) -> Response[wire.MapAnswer]:
    now = datetime.now(UTC)
    at = ask.at or _current_time(ask.context) or now
    mapped = _read(service, tenant, ask, at)
    if mapped.state.is_stale and ask.if_stale == "fail":
        raise CoreStale(
            f"The core of {ask.persona_id!r} is stale since {mapped.state.stale_since}; changed since: "
            f"{', '.join(mapped.state.changed)}. POST /personas/{ask.persona_id}/regenerate makes it anew "
            f"for {FREE.usd} USD; ifStale=serve takes it as it is."
        )
    if mapped.state.is_stale and ask.if_stale == "regenerate":
        made = service.regenerator.regenerate(tenant, mapped.state.persona)
        service.reader.wait_for_projections(made or service.reader.head(), WAIT_SECONDS)
        mapped = _read(service, tenant, ask, at)
    return answer(_answer(mapped, ask, now), mapped.freshness.position)


def _context(ask: wire.MapPersona) -> dict[str, Any]:
    """The caller's context, with the zone asked for. Raises InvalidInput for a zone that is none."""
    if ask.timezone is None:
        return ask.context
    if find_zone(ask.timezone) is None:
        raise InvalidInput(
            f"{ask.timezone!r} is no IANA time zone, such as Europe/Berlin.", (Fault("/timezone", "no zone"),)
        )
    return {**ask.context, "timezone": ask.timezone}


def _current_time(context: dict[str, Any]) -> datetime | None:
    if "current_time" not in context:
        return None
    try:
        return msgspec.convert(context["current_time"], wire.Instant)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"context.current_time must be an instant with an offset, as in 2026-03-02T09:00:00Z: {error}.",
            (Fault("/context/current_time", str(error)),),
        ) from None


def _read(service: Service, tenant: str, ask: wire.MapPersona, at: datetime) -> Mapped:
    """Reads persona and mapper in one snapshot, and decides."""
    context = _context(ask)
    persona = persona_of(service, tenant, ask.persona_id)
    with service.reader.snapshot() as snapshot:
        state = present.persona_state(snapshot, tenant, ask.persona_id, persona)
        mapper = active_mapper(snapshot, tenant, ask.mapper_id)
        freshness = _freshness(snapshot, tenant, state)
    decision = evaluate(
        plan_of(mapper),
        Facts(traits=state.facts, context=context, at=at),
        persona_id=ask.persona_id,
        mapper_version=mapper["version"],
        limit=ask.limit or LIMITS[ask.detail_level],
        explain=ask.explain,
    )
    return Mapped(state, mapper, decision, freshness)


def active_mapper(snapshot: Snapshot, tenant: str, mapper_id: str) -> dict[str, Any]:
    """The mapper's row at its active version, or NotFound."""
    row = snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id)
    if row is None or row["status"] != "active":
        raise NotFound(f"There is no active mapper {mapper_id!r}; GET /mappers lists what there is.")
    return row


def plan_of(mapper: dict[str, Any]) -> Plan:
    """The compiled mapper of a row; compiled once a version, and kept for the next PLANS_KEPT."""
    plan = _plans.get(mapper["hash"])
    if plan is None:
        plan = compile_mapper(mapper["document"])
        while len(_plans) >= PLANS_KEPT:
            _plans.pop(next(iter(_plans)), None)
        _plans[mapper["hash"]] = plan
    return plan


def _freshness(snapshot: Snapshot, tenant: str, state: PersonaState) -> wire.Freshness:
    """One person's id is the persona's; of a persona of several, each is named by their surrogate."""
    names = {p: state.id if len(state.people) == 1 else str(p) for p in state.people}
    derived: dict[str, dict[str, int]] = {name: {} for name in names.values()}
    for row in snapshot.rows("derivation_due.of_people", tenant=tenant, people=list(state.people)):
        derived[names[row["person"]]][row["derivation"]] = row["read_through"]
    return wire.Freshness(
        position=snapshot.position,
        mindscape_versions={names[p]: state.mindscapes[p].version for p in state.people},
        derived_through=derived,
    )


def _answer(mapped: Mapped, ask: wire.MapPersona, now: datetime) -> wire.MapAnswer:
    state, decision = mapped.state, mapped.decision
    view = wire.PersonaView(
        id=state.id,
        core=present.core(state, now),
        is_stale=state.is_stale,
        core_version=state.core_version,
        overlay=None if ask.detail_level == "instant" else present.traits(state.overlay, now),
        stale_since=state.stale_since,
    )
    return wire.MapAnswer(
        persona=view,
        suggestions=list(decision.suggestions),
        mapper=wire.MapperRef(id=ask.mapper_id, version=mapped.mapper["version"], hash=mapped.mapper["hash"]),
        missing_traits=list(decision.missing_traits),
        freshness=mapped.freshness,
        regenerate=wire.Regenerate(href=f"/personas/{state.id}/regenerate", estimate=FREE),
        explanation=decision.explanation,
    )


router = Router("/map-persona", route_handlers=[map_by_query, map_by_body], tags=["mapping"])
