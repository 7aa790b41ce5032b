"""Explanations: from the service, or made here of a mapper in a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from personakit.cli.connection import connect
from personakit.cli.documents.files import FileInvalid, placed, read
from personakit.cli.mappers.files import compiled
from personakit.cli.mappers.persona_facts import facts_of
from personakit.config import Settings
from personakit_sdk.errors import DocumentInvalid, Fault, InvalidInput
from personakit_sdk.mapping import withheld_of
from personakit_sdk.rules import Decision, Facts, Plan, TraitFact, evaluate
from personakit_sdk.rules.clock import find_zone
from personakit_sdk.rules.evaluate import explanation_of
from personakit_sdk.rules.explain import Explanation
from personakit_sdk.rules.inline_case import read_case
from personakit_sdk.rules.inline_tests import DEFAULT_AT
from personakit_sdk.rules.learned import combined
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.operators import instant
from personakit_sdk.rules.yaml import Marks
from personakit_sdk.transport import ServiceError
from personakit_sdk.wire import MapAnswer, Mapper, MapPersona, Persona, Withheld

_AS_OF_NOW: Final = (
    "The service says how far traits are believed now: confidences are those of now, not of --at."
)

_NO_RULES: Final = Explanation(rules=[], conditions={})


class Asked(NamedTuple):
    """What is to be explained: a mapping in this context, at this instant (None: now), cut after `limit`."""

    context: dict[str, Any]
    timezone: str | None
    at: datetime | None
    limit: int


class Explained(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An explanation, and of what. `version` is the service's, or the author's of a file. Where the service
    withheld the mapping no rule was asked."""

    mapper: str
    version: str
    about: str
    at: datetime | None
    missing_traits: list[str]
    explanation: Explanation
    remarks: list[str] = []
    withheld: Withheld | None = None


def by_service(settings: Settings, mapper_id: str, person: str, asked: Asked) -> Explained:
    """As the service decides with a mapper of its own."""
    body = MapPersona(
        mapper_id=mapper_id,
        persona_id=person,
        at=asked.at,
        timezone=asked.timezone,
        context=asked.context,
        limit=asked.limit,
        explain=True,
    )
    reply = connect(settings).request("POST", "/map-persona", body=body, idempotent=True)
    answer = reply.decode(MapAnswer)
    withheld = answer.withheld
    return Explained(
        mapper=answer.mapper.id,
        version=str(answer.mapper.version),
        about=person,
        at=asked.at,
        missing_traits=answer.missing_traits,
        explanation=_NO_RULES if withheld else msgspec.convert(answer.explanation, Explanation),
        remarks=[f"Nothing is mapped. {withheld.reason}"] if withheld else [],
        withheld=withheld,
    )


def by_persona(settings: Settings, file: str, person: str, asked: Asked) -> Explained:
    """As a mapper in a file decides on a persona that the service has."""
    plan = compiled(Path(file))
    persona = connect(settings).request("GET", f"/personas/{person}").decode(Persona)
    at = asked.at or instant(asked.context.get("current_time")) or datetime.now(UTC)
    facts = Facts(traits=facts_of(persona), context=_context(asked), at=at)
    own = persona.learned.get(plan.mapper_id, {})
    learned = combined(_learned(settings, plan.mapper_id), own, plan.document["feedback_settings"])
    explained = _explained(plan, person, at, _decide(plan, facts, person, asked.limit, learned))
    withheld = withheld_of(plan, "required", persona.consented_to)
    remarks = [f"{withheld.reason} Where consent is required nothing is mapped."] if withheld else []
    return msgspec.structs.replace(explained, remarks=remarks if asked.at is None else [*remarks, _AS_OF_NOW])


def _learned(settings: Settings, mapper_id: str) -> dict[str, float]:
    """What the service's mapper of this id has learned; nothing where it has none."""
    try:
        return connect(settings).request("GET", f"/mappers/{mapper_id}").decode(Mapper).learned
    except ServiceError as error:
        if error.status != 404:
            raise
        return {}


def by_given(file: str, given_file: Path, asked: Asked) -> Explained:
    """As a mapper in a file decides on facts in another."""
    plan = compiled(Path(file))
    given = _given(given_file, plan)
    context = {**given.get("context", {}), **_context(asked)}
    if "timezone" in given:
        context.setdefault("timezone", given["timezone"])
    said = instant(given.get("at", context.get("current_time")))
    at = asked.at or said or DEFAULT_AT
    traits = {path: TraitFact(value=value) for path, value in given.get("traits", {}).items()}
    facts = Facts(traits=traits, context=context, at=at)
    decision = _decide(plan, facts, "given", asked.limit, given.get("learned", {}))
    return _explained(plan, str(given_file), at, decision)


def _given(path: Path, plan: Plan) -> dict[str, Any]:
    """The facts in a file. Raises FileInvalid for what is not as `given` of a test is."""
    marks: Marks = {}
    try:
        value, marks = read(path, "facts")
        case = {"name": "given", "given": value, "expect": {"rules": []}}
        node = Node.root(case, "facts")
        given: dict[str, Any] = read_case(node, {rule.id for rule in plan.rules})["given"]
        node.refuse_faults("facts")
    except DocumentInvalid as error:
        faults = [Fault(fault.pointer.removeprefix("/given"), fault.message) for fault in error.faults]
        said = f"{path} has no facts such as `given` of a test has:"
        raise FileInvalid(path, "facts", placed(faults, marks), said) from error
    return given


def _context(asked: Asked) -> dict[str, Any]:
    """The context with the zone asked for. Raises InvalidInput for one that is none."""
    if asked.timezone is None:
        return asked.context
    if find_zone(asked.timezone) is None:
        raise InvalidInput(f"{asked.timezone!r} is no IANA time zone, such as Europe/Berlin.")
    return {**asked.context, "timezone": asked.timezone}


def _decide(plan: Plan, facts: Facts, person: str, limit: int, learned: dict[str, float]) -> Decision:
    return evaluate(
        plan, facts, persona_id=person, mapper_version=1, limit=limit, learned=learned, explain=True
    )


def _explained(plan: Plan, about: str, at: datetime, decision: Decision) -> Explained:
    return Explained(
        mapper=plan.mapper_id,
        version=plan.author_version,
        about=about,
        at=at,
        missing_traits=decision.missing_traits,
        explanation=explanation_of(decision),
    )
