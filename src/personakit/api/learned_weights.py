"""`/mappers/{id}/weights`: what was learned of a mapper's rules, and what people do about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import RawBody

from personakit.agents.mappers import state_in
from personakit.agents.service import Service
from personakit.agents.votes import VotesOn, read_votes
from personakit.api import bodies
from personakit.api.answers import WAIT_SECONDS, answer
from personakit.api.dependencies import OriginGiven, ServiceGiven, TenantGiven
from personakit.api.document_answers import ETAG, tagged
from personakit.api.etags import tags_in
from personakit.api.mapper_answers import unknown, unknown_version
from personakit.api.openapi import documented
from personakit.api.parameters import IfMatch, MapperIdInPath
from personakit.domain import oversight
from personakit.domain.adjustment import Beliefs, believed, proposal, proposed
from personakit.domain.events import RuleWeightsAdjusted
from personakit.domain.learning import Settings
from personakit.domain.mapper import MapperState, require_known
from personakit.domain.publishing import Provenance
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.rules.learned import combined

TOLD: Final = 20
"""So many versions are told of the history."""
_Decide = Callable[[MapperState], RuleWeightsAdjusted | None]


@get(
    "/{mapperId:str}/weights",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_id="getLearnedWeights",
    summary="Read what was learned of rules",
)
def get_weights(
    service: ServiceGiven, tenant: TenantGiven, mapper_id: MapperIdInPath
) -> Response[wire.LearnedWeights]:
    """Rule by rule: the author's weight, what it is multiplied with for all, by which votes, and what would
    be published now."""
    return _shown(service, tenant, mapper_id, datetime.now(UTC).date())


@post(
    "/{mapperId:str}/weights",
    status_code=200,
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(wire.AdjustWeights),
    operation_id="adjustLearnedWeights",
    summary="Change what was learned of rules",
)
def adjust_weights(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    mapper_id: MapperIdInPath,
    body: RawBody,
    if_match: IfMatch = None,
) -> Response[wire.LearnedWeights]:
    """Approve what is proposed, freeze rules, thaw them, or roll back to the multipliers of a version, which
    freezes the rules that it changes: they would learn the same again. Each makes the mapper's next version,
    with the same document and hash; what changes nothing makes none."""
    asked = bodies.decode(body, wire.AdjustWeights)
    today = datetime.now(UTC).date()
    decide = _decide(service, tenant, mapper_id, asked, Provenance(origin, asked.reason), if_match, today)

    def of_known(state: MapperState) -> RuleWeightsAdjusted | None:
        require_known(state, mapper_id)
        return decide(state)

    updated = service.mappers.change(tenant, mapper_id, of_known)
    service.until_shown(updated.position or service.reader.head(), WAIT_SECONDS)
    return _shown(service, tenant, mapper_id, today)


def _decide(
    service: Service,
    tenant: str,
    mapper_id: str,
    asked: wire.AdjustWeights,
    by: Provenance,
    if_match: str | None,
    today: date,
) -> _Decide:
    """What is asked for, as a decision on the mapper's state. Raises InvalidInput for what does not go with
    the action, NotFound for a version that is not there."""
    _require_fitting(asked)
    tags, rules = tags_in(if_match), asked.rules
    match asked.action:
        case "freeze":
            return lambda state: oversight.freeze(state, today, by, rules=rules, if_match=tags)
        case "thaw":
            return lambda state: oversight.thaw(state, today, by, rules=rules, if_match=tags)
        case "approve":
            votes, seen = VotesOn(service.reader, tenant, mapper_id, today), asked.weights
            return lambda state: oversight.approve(
                state, votes.beliefs(state.shown), today, by, rules=rules, seen=seen, if_match=tags
            )
        case "roll_back":
            version = asked.version or 0
            then = _learned_at(service, tenant, mapper_id, version)
            return lambda state: oversight.roll_back(state, version, then, today, by, if_match=tags)


def _require_fitting(asked: wire.AdjustWeights) -> None:
    wanted = {"version": asked.action == "roll_back", "weights": None, "rules": None}
    allowed = {
        "approve": {"rules", "weights"},
        "freeze": {"rules"},
        "thaw": {"rules"},
        "roll_back": {"version"},
    }
    for name, needed in wanted.items():
        given = getattr(asked, name) is not None
        if given and name not in allowed[asked.action]:
            raise InvalidInput(f"`{name}` does not go with {asked.action}.", (Fault(f"/{name}", "not here"),))
        if needed and not given:
            raise InvalidInput(f"{asked.action} needs `{name}`.", (Fault(f"/{name}", "missing"),))


def _learned_at(service: Service, tenant: str, mapper_id: str, version: int) -> dict[str, float]:
    """The multipliers that stood at a version. Raises NotFound."""
    with service.reader.snapshot(tenant) as snapshot:
        row = snapshot.row(
            "mapper_versions.one", tenant=tenant, mapper_id=mapper_id, version=min(version, 2**63 - 1)
        )
        if row is None and snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id) is None:
            raise unknown(mapper_id)
    if row is None:
        raise unknown_version(mapper_id, version)
    return {rule: float(multiplier) for rule, multiplier in row["learned"].items()}


def _shown(service: Service, tenant: str, mapper_id: str, today: date) -> Response[wire.LearnedWeights]:
    asked = {"tenant": tenant, "mapper_id": mapper_id}
    with service.reader.snapshot(tenant) as snapshot:
        row = snapshot.row("mappers.state", **asked)
        if row is None:
            raise unknown(mapper_id)
        state = state_in(row)
        half_life = Settings.of(state.shown.document).half_life_days
        votes = read_votes(snapshot, tenant, mapper_id, half_life, today)
        beliefs = believed(state.shown.document, votes)
        moved = _moved(snapshot, tenant, mapper_id, state.version)
        history = [_version(each) for each in snapshot.rows("mapper_versions.adjusted", limit=TOLD, **asked)]
    found = _weights(mapper_id, state, beliefs, moved, today)
    found = msgspec.structs.replace(found, history=history)
    return answer(found, snapshot.position, headers=tagged(found.hash))


def _moved(snapshot: Snapshot, tenant: str, mapper_id: str, version: int) -> dict[str, dict[str, Any]]:
    """By rule, the version that gave it its multiplier, and when that was made."""
    asked = {"tenant": tenant, "mapper_id": mapper_id}
    row = snapshot.row("mapper_versions.moved", version=version, **asked)
    moved = {} if row is None else row["moved"]
    rows = snapshot.rows("mapper_versions.made", versions=sorted(set(moved.values())), **asked)
    made = {each["version"]: each["created_at"] for each in rows}
    return {rule: {"version": at, "changed_at": made[at]} for rule, at in moved.items()}


def _version(row: dict[str, Any]) -> wire.LearnedVersion:
    """A version that learning made, with the rules that got their multiplier by it."""
    changed = [
        wire.RuleLearned(rule_id=rule, learned=row["learned"][rule], **row["evidence"].get(rule, {}))
        for rule, version in sorted(row["moved"].items())
        if version == row["version"]
    ]
    return wire.LearnedVersion(
        version=row["version"],
        created_at=row["created_at"],
        cause=row["cause"],
        origin=row["origin"],
        reason=row["reason"],
        restores=row["restores"],
        changed=changed,
    )


def _weights(
    mapper_id: str, state: MapperState, beliefs: Beliefs, moved: dict[str, dict[str, Any]], today: date
) -> wire.LearnedWeights:
    would = proposed(state, proposal(state, beliefs, today))
    learned, evidence = state.adjusted.learned.multipliers, beliefs.evidence()
    multipliers = combined(learned, {}, state.shown.document["feedback_settings"])

    def learning(rule: str, weight: float | None) -> wire.RuleLearning:
        found = evidence.get(rule)
        return wire.RuleLearning(
            rule_id=rule,
            weight=weight,
            learned=multipliers.get(rule, 1.0),
            proposed=would.get(rule),
            rate=None if found is None else found.rate,
            votes=0.0 if found is None else found.votes,
            personas=0 if found is None else found.personas,
            frozen=rule in state.adjusted.frozen,
            **moved.get(rule, {}),
        )

    return wire.LearnedWeights(
        id=mapper_id,
        version=state.version,
        hash=state.shown.hash,
        publishing=beliefs.settings.publishing,
        rules=[learning(rule["id"], rule["weight"]) for rule in state.shown.document["rules"]],
        gone=[learning(rule, None) for rule in sorted({*evidence, *multipliers} - beliefs.rules)],
    )
