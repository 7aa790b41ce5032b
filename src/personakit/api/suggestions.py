"""`/suggestions/{suggestionId}`: why a suggestion was made, from its id and the log alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import PathParameter, QueryParameter

from personakit.agents.past import AsOf, PastPersona, PastVersion
from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import answer, persona_of
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.exploring import explorer_of
from personakit.api.hot_reads import plan_of
from personakit.api.map_query import context_of
from personakit.api.multipliers import NOTHING, effective, weights_in, with_evidence
from personakit.api.personas import past_of
from personakit.api.problems import NotFound
from personakit.domain.exploration import Exploration
from personakit.domain.persona import Definition, compose_core, overlay_traits
from personakit.domain.traits import Trait
from personakit_sdk import wire
from personakit_sdk.mapping import withheld_of
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.document import purposes_of
from personakit_sdk.rules.evaluate import Decision, evaluate, explanation_of
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
    caller: CallerGiven,
    id_: Annotated[str, PathParameter(name="suggestionId", description="The suggestion's `id`")],
    context: Annotated[
        str | None, QueryParameter(description="The context that it was asked with, a JSON object")
    ] = None,
) -> Response[wire.Why]:
    """Why a suggestion was made: the rule with what each of its conditions saw, the traits as they were then,
    what made them so, and the observations behind them."""
    ref = suggestion_id.decode(id_)
    asked = context_of(context)
    tenant, persona = caller.tenant, persona_of(service, caller, ref.persona_id)
    mapper = _mapper(service, tenant, ref)
    then = service.past.at_instant(min(ref.at, datetime.now(UTC)))
    past = past_of(service, caller, ref.persona_id, persona, then)
    state = present.past_persona(past, ref.persona_id, persona)
    facts = state.facts
    shared, own = weights_in(mapper), state.weights.get(ref.mapper_id, NOTHING)
    learned = effective(shared, own, mapper["document"])
    decision = _again(service, tenant, ref, mapper, Facts(traits=facts, context=asked, at=ref.at), learned)
    explained = with_evidence(explanation_of(decision), shared, own).rules
    made = next((each for each in decision.suggestions if each.rule_id == ref.rule_id), None)
    consent = _consent(service, tenant, mapper, past, then)
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
        suggestion=made if consent.withheld is None else None,
        explanation=next(each for each in explained if each.id == ref.rule_id),
        traits=[_there(service, tenant, past, path, ref.at) for path in _found(paths, facts)],
        consent=consent,
    )
    return answer(why, service.reader.head())


def _consent(
    service: Service, tenant: str, mapper: dict[str, Any], past: PastPersona, then: AsOf
) -> wire.ConsentThen:
    """Whether the persona could be mapped then."""
    policy, plan = service.past.policy(tenant, then.position).policy, plan_of(mapper)
    return wire.ConsentThen(
        policy=policy,
        purposes=purposes_of(plan.document),
        consented_to=sorted(past.consented_to),
        withheld=withheld_of(plan, policy, past.consented_to),
    )


def _again(
    service: Service,
    tenant: str,
    ref: SuggestionRef,
    mapper: dict[str, Any],
    facts: Facts,
    learned: Mapping[str, float],
) -> Decision:
    """What was decided, made again: where it was explored, in the order that was drawn."""
    explorer = explorer_of(
        service,
        tenant,
        Exploration.of(mapper["document"], mapper["evidence"]),
        persona_id=ref.persona_id,
        mapper_id=ref.mapper_id,
        version=ref.mapper_version,
        at=ref.at,
    )
    return evaluate(
        plan_of(mapper),
        facts,
        persona_id=ref.persona_id,
        mapper_version=ref.mapper_version,
        limit=MOST,
        learned=learned,
        explain=True,
        reorder=None if explorer is None else explorer.reorder,
    )


def _mapper(service: Service, tenant: str, ref: SuggestionRef) -> dict[str, Any]:
    with service.reader.snapshot(tenant) as snapshot:
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


def _there(service: Service, tenant: str, past: PastPersona, path: str, at: datetime) -> wire.TraitThere:
    """A trait as rules saw it: of the overlay before the core; one of the core as it was in the versions that
    the core was made from."""
    overlay = overlay_traits(past.mindscapes, past.definition)
    core = past.core.core or compose_core(past.mindscapes, past.definition)
    if path in overlay:
        trait, versions = overlay[path], {each: seen.version for each, seen in past.mindscapes.items()}
    else:
        trait, versions = core.traits[path], _in_order(core.mindscape_versions, past.definition)
    person, made_by = _maker(service, tenant, path, trait, versions)
    return wire.TraitThere(
        path=path,
        person_id=service.people.names(tenant, [person])[person],
        trait=present.trait_then(trait, at),
        made_by=None if made_by is None else present.trait_version(made_by),
        evidence=list(trait.evidence),
    )


def _in_order(versions: Mapping[str, int], definition: Definition) -> dict[UUID, int]:
    """The versions by person, in the order in which the definition has them: the first one's traits count."""
    found = {UUID(person): version for person, version in versions.items()}
    return {person: found[person] for person in (*definition.people, *found) if person in found}


def _maker(
    service: Service, tenant: str, path: str, trait: Trait, versions: Mapping[UUID, int]
) -> tuple[UUID, PastVersion | None]:
    """Whose trait it is, and the version up to theirs that made it so."""
    for person, version in versions.items():
        for made in service.past.trait(tenant, person, path, limit=1, newest=version):
            after = made.changes[0].after
            if after is not None and (after.value, after.volatility) == (trait.value, trait.volatility):
                return person, made
    return next(iter(versions)), None
