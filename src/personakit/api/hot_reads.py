"""What is read most, from the cache where it may be believed and from one snapshot where not."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.consents import policy_in, policy_stream
from personakit.agents.mappers import mapper_stream
from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import persona_of, require_persona
from personakit.api.kept_decisions import KeptDecisions
from personakit.api.multipliers import NOTHING, Weights, weights_in
from personakit.api.present import PersonaState
from personakit.api.problems import NotFound
from personakit.api.touched import touch_all
from personakit.domain.exploration import Exploration
from personakit.eventlog.access import ApiKey
from personakit.projections.moved import mark
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.mapping import withheld_of
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.plan import Plan

PLANS_KEPT = 512
_plans: dict[str, Plan] = {}


class HotPersona(NamedTuple):
    """A persona, and of each of its people, by their ids, which mindscape it is from and how far each
    derivation has read."""

    state: PersonaState
    mindscape_versions: dict[str, int]
    derived_through: dict[str, dict[str, int]]
    decisions: KeptDecisions


class HotMapper(NamedTuple):
    """A mapper at its active version, with what was learned of its rules for all, and the tenant's policy on
    consent."""

    version: int
    hash: str
    plan: Plan
    weights: Weights
    exploration: Exploration | None
    policy: wire.ConsentPolicyName


class Mapping(NamedTuple):
    """What a mapping is decided from, and the position of the log that it reflects."""

    persona: HotPersona
    mapper: HotMapper
    position: int

    @property
    def own_weights(self) -> Weights:
        """What was learned of the mapper's rules for this persona."""
        return self.persona.state.weights.get(self.mapper.plan.mapper_id, NOTHING)

    @property
    def withheld(self) -> wire.Withheld | None:
        """Why the persona is not mapped; None where it is."""
        return withheld_of(self.mapper.plan, self.mapper.policy, self.persona.state.consented_to)


def cached_mapping(service: Service, caller: ApiKey, persona_id: str, mapper_id: str) -> Mapping | None:
    """From the cache alone: asks no database. None where it has not all of it, or not for the caller."""
    tenant = caller.tenant
    person = service.people.found(tenant, persona_id)
    if person is None:
        return None
    persona = service.freshness.get(("persona", tenant, person.surrogate))
    mapper = service.freshness.get(("mapper", tenant, mapper_id))
    if persona is None or mapper is None:
        return None
    if not caller.grant.has_persona(persona_id, persona.value.state.people_ids):
        return None
    touch_all(persona.value.state.people)
    return Mapping(persona.value, mapper.value, min(persona.position, mapper.position))


def read_mapping(service: Service, caller: ApiKey, persona_id: str, mapper_id: str) -> Mapping:
    """From one snapshot, and kept. Raises NotFound for a persona or an active mapper that is not there."""
    persona = persona_of(service, caller, persona_id)
    with service.reader.snapshot(caller.tenant) as snapshot:
        hot = _read_persona(service, snapshot, caller, persona_id, persona)
        mapper = _read_mapper(service, snapshot, caller.tenant, mapper_id)
    return Mapping(hot, mapper, snapshot.position)


def read_persona(
    service: Service, caller: ApiKey, persona_id: str, *, cached: bool
) -> tuple[HotPersona, int]:
    """A persona and the position that it reflects, from the cache if it may be, else from a snapshot.
    Raises NotFound."""
    persona = persona_of(service, caller, persona_id)
    found = (
        service.freshness.get(("persona", caller.tenant, persona))
        if cached and persona_id[0] != "~"
        else None
    )
    if found is not None:
        return found.value, found.position
    with service.reader.snapshot(caller.tenant) as snapshot:
        hot = _read_persona(service, snapshot, caller, persona_id, persona)
    return hot, snapshot.position


def _read_persona(
    service: Service, snapshot: Snapshot, caller: ApiKey, persona_id: str, persona: UUID
) -> HotPersona:
    tenant = caller.tenant
    state = present.persona_state(snapshot, tenant, persona_id, persona)
    require_persona(caller, persona_id, state.people_ids)
    touch_all(state.people)
    names = dict(zip(state.people, state.people_ids, strict=True))
    versions = {name: state.mindscapes[person].version for person, name in names.items()}
    derived: dict[str, dict[str, int]] = {name: {} for name in names.values()}
    for row in snapshot.rows("derivation_due.of_people", tenant=tenant, people=list(state.people)):
        derived[names[row["person"]]][row["derivation"]] = row["read_through"]
    hot = HotPersona(state, versions, derived, KeptDecisions())
    marks = {mark(each) for each in (persona, *state.people)}
    size = 2 * len(msgspec.json.encode([state.core_traits, state.weights, *state.mindscapes.values()]))
    size += state.prepared_core.size + state.prepared_overlay.size + KeptDecisions.SIZE
    service.freshness.put(("persona", tenant, persona), hot, snapshot.positions, marks, size)
    return hot


def _read_mapper(service: Service, snapshot: Snapshot, tenant: str, mapper_id: str) -> HotMapper:
    row = active_mapper(snapshot, tenant, mapper_id)
    hot = HotMapper(
        row["version"],
        row["hash"],
        plan_of(row),
        weights_in(row),
        Exploration.of(row["document"], row["evidence"]),
        policy_in(snapshot, tenant).policy,
    )
    streams = (mapper_stream(tenant, mapper_id), policy_stream(tenant))
    marks = {mark(each.stream) for each in streams}
    size = len(msgspec.json.encode([row["document"], row["learned"], row["evidence"]]))
    service.freshness.put(("mapper", tenant, mapper_id), hot, snapshot.positions, marks, size)
    return hot


def active_mapper(snapshot: Snapshot, tenant: str, mapper_id: str) -> dict[str, Any]:
    """The mapper's row at its active version, or NotFound."""
    row = snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id)
    if row is None:
        raise NotFound(f"There is no active mapper {mapper_id!r}; GET /mappers lists what there is.")
    if row["status"] == "draft":
        raise NotFound(
            f"The mapper {mapper_id!r} is not active: it is a draft. "
            f"POST /mappers/{mapper_id}/versions/{row['version']}/publish activates it."
        )
    if row["status"] == "deprecated":
        raise NotFound(
            f"The mapper {mapper_id!r} was withdrawn; "
            f"POST /mappers/{mapper_id}/versions/{row['version']}/publish brings it back."
        )
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
