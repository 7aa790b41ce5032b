"""`/suggestions/{suggestionId}`: why a suggestion was made, from its id and the log alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import PathParameter, QueryParameter

from personakit.agents.past import AsOf, PastPersona
from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import answer, persona_of
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.hot_reads import plan_of
from personakit.api.map_query import context_of
from personakit.api.personas import past_of
from personakit.api.problems import NotFound
from personakit.domain.traits import Trait
from personakit_sdk import wire
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.evaluate import evaluate
from personakit_sdk.rules.facts import Facts
from personakit_sdk.rules.paths import parse_path
from personakit_sdk.rules.suggestion_id import SuggestionRef

MOST = 10_000
"""More suggestions than any mapper makes: nothing is cut when one is made again."""


@get(
    "/suggestions/{suggestionId:str}",
    sync_to_thread=True,
    operation_id="getSuggestion",
    summary="Read why a suggestion was made",
    tags=["mapping"],
)
def get_suggestion(
    service: ServiceGiven,
    tenant: TenantGiven,
    id_: Annotated[str, PathParameter(name="suggestionId", description="The suggestion's `id`")],
    context: Annotated[
        str | None, QueryParameter(description="The context that it was asked with, a JSON object")
    ] = None,
) -> Response[wire.Why]:
    """Why a suggestion was made: the rule with what each of its conditions saw, the traits as they were then,
    what made them so, and the observations behind them."""
    ref = suggestion_id.decode(id_)
    asked = context_of(context)
    persona = persona_of(service, tenant, ref.persona_id)
    mapper = _mapper(service, tenant, ref)
    then = service.past.at_instant(min(ref.at, datetime.now(UTC)))
    past = past_of(service, tenant, ref.persona_id, persona, then)
    facts = present.past_persona(past, ref.persona_id, persona).facts
    decision = evaluate(
        plan_of(mapper),
        Facts(traits=facts, context=asked, at=ref.at),
        persona_id=ref.persona_id,
        mapper_version=ref.mapper_version,
        limit=MOST,
        explain=True,
    )
    explained = decision.explanation.rules if decision.explanation is not None else []
    made = next((each for each in decision.suggestions if each.rule_id == ref.rule_id), None)
    rule = next(each for each in mapper["document"]["rules"] if each["id"] == ref.rule_id)
    paths = sorted({*_paths(rule), *_named(rule, mapper["document"]["conditions"])})
    why = wire.Why(
        suggestion_id=id_,
        persona_id=ref.persona_id,
        mapper=wire.MapperRef(id=ref.mapper_id, version=ref.mapper_version, hash=mapper["hash"]),
        rule_id=ref.rule_id,
        rank=ref.rank,
        at=ref.at,
        position=then.position,
        suggestion=made,
        explanation=next(each for each in explained if each.id == ref.rule_id),
        traits=[_there(service, tenant, ref, past, path, then) for path in _found(paths, facts)],
    )
    return answer(why, service.reader.head())


def _mapper(service: Service, tenant: str, ref: SuggestionRef) -> dict[str, Any]:
    with service.reader.snapshot() as snapshot:
        row = snapshot.row(
            "mapper_versions.one", tenant=tenant, mapper_id=ref.mapper_id, version=ref.mapper_version
        )
    if row is None or not any(rule["id"] == ref.rule_id for rule in row["document"]["rules"]):
        raise NotFound(
            f"There is no rule {ref.rule_id!r} in version {ref.mapper_version} of a mapper "
            f"{ref.mapper_id!r}; the suggestion is of another service, or was altered."
        )
    return row


def _paths(value: Any) -> Iterator[str]:
    """The paths into traits that conditions or actions read."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if key == "trait_check":
                yield member["path"]
            if key == "from_trait":
                yield member
            yield from _paths(member)
    elif isinstance(value, list):
        for member in value:
            yield from _paths(member)


def _named(value: Any, conditions: Mapping[str, Any]) -> Iterator[str]:
    """The paths that the named conditions read which are referred to, directly or by others."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if key == "condition":
                yield from _paths(conditions[member])
                yield from _named(conditions[member], conditions)
            else:
                yield from _named(member, conditions)
    elif isinstance(value, list):
        for member in value:
            yield from _named(member, conditions)


def _found(paths: list[str], facts: Mapping[str, Any]) -> list[str]:
    """The traits that the paths lie in, each once, in order."""
    found = (next((at for at, _ in parse_path(path).splits if at in facts), None) for path in paths)
    return sorted({path for path in found if path is not None})


def _there(
    service: Service, tenant: str, ref: SuggestionRef, past: PastPersona, path: str, then: AsOf
) -> wire.TraitThere:
    person = next(
        (each for each, mindscape in past.mindscapes.items() if path in mindscape.visible_traits()),
        next(iter(past.mindscapes)),
    )
    core = past.core.core.traits if past.core.core is not None else {}
    trait: Trait = core.get(path) or past.mindscapes[person].visible_traits()[path]
    versions = service.past.trait(tenant, person, path, limit=1, through=then.position)
    return wire.TraitThere(
        path=path,
        person_id=ref.persona_id if len(past.mindscapes) == 1 else str(person),
        trait=present.trait_then(trait, ref.at),
        made_by=present.trait_version(versions[0]) if versions else None,
        evidence=list(trait.evidence),
    )
