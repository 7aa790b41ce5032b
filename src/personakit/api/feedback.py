"""`/feedback`: what became of a suggestion."""

from __future__ import annotations

import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.params import RawBody
from litestar.types import Scope

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.answers import answer, keyed_of
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.openapi import documented
from personakit.api.parameters import IdempotencyKey
from personakit.api.problems import NotFound
from personakit.api.rates import take_items
from personakit.api.touched import touch_all
from personakit.domain import exposure
from personakit.domain.exploration import Place
from personakit.eventlog.access import ApiKey
from personakit.eventlog.intake import About, Received, id_of_key
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.mapping import suggestion_of


@post(
    "/feedback",
    status_code=201,
    sync_to_thread=True,
    operation_class=documented(wire.Feedback, repeated="It was stored before"),
    operation_id="giveFeedback",
    summary="Say what became of a suggestion",
    tags=["feedback"],
)
def give_feedback(
    service: ServiceGiven,
    caller: CallerGiven,
    state: State,
    scope: Scope,
    body: RawBody,
    key: IdempotencyKey = None,
) -> Response[wire.Written]:
    """Say what became of a suggestion, by its id or by mapper, rule and persona."""
    sent = bodies.decode(body, wire.Feedback)
    take_items(scope, 1)
    if sent.id is None and key is not None:
        sent = msgspec.structs.replace(sent, id=id_of_key(caller.tenant, key))
    with service.reader.snapshot(caller.tenant) as snapshot:
        received = understood(service, snapshot, caller, sent)
    receipt = service.intake.receive(caller.tenant, sent, received.about, received.person)
    if receipt.status == "stored" and not received.in_use:
        state.metrics.feedback_on_gone_rule(caller.tenant)
    written = wire.Written(id=receipt.id, position=receipt.position, status=receipt.status)
    return answer(written, receipt.position, 201 if receipt.status == "stored" else 200)


def understood(service: Service, snapshot: Snapshot, caller: ApiKey, sent: wire.Feedback) -> Received:
    """The feedback, the rule that it is about and whose persona. Raises InvalidInput for feedback that says
    too little, ExposureInvalid, NotFound for a persona or a rule that there never was."""
    persona_id, about = _about(service, caller.tenant, sent)
    person = keyed_of(service, caller, persona_id)
    if persona_id.startswith("~"):
        row = snapshot.row("personas.by_id", tenant=caller.tenant, personas=[person.surrogate])
        touch_all((row and row["people"]) or ())
    known = snapshot.row(
        "mapper_versions.has_rule", tenant=caller.tenant, mapper_id=about.mapper_id, rule_id=about.rule_id
    )
    if known is None or not known["found"]:
        raise NotFound(
            f"There is no rule {about.rule_id!r} in any version of a mapper {about.mapper_id!r}; "
            "GET /mappers lists what there is."
        )
    return Received(sent, about, person, in_use=known["in_use"])


def _about(service: Service, tenant: str, sent: wire.Feedback) -> tuple[str, About]:
    """The persona's id and the rule. Raises InvalidInput for feedback that says too little, and
    ExposureInvalid for an exposure that is not the suggestion's."""
    if (sent.helpful, sent.rating, sent.outcome) == (None, None, None):
        raise InvalidInput("Feedback says `helpful`, `rating` or `outcome`; this says none of them.")
    if sent.suggestion_id is not None:
        ref = suggestion_of(sent, sent.suggestion_id)
        return ref.persona_id, About(
            mapper_id=ref.mapper_id,
            rule_id=ref.rule_id,
            mapper_version=ref.mapper_version,
            rank=ref.rank,
            at=ref.at,
            place=_place(service, tenant, sent.suggestion_id, sent.exposure),
        )
    if sent.exposure is not None:
        raise InvalidInput(
            "An `exposure` belongs to one suggestion; send it with that one's `suggestionId`.",
            (Fault("/suggestionId", "missing"),),
        )
    if sent.mapper_id is None or sent.rule_id is None or sent.persona_id is None:
        raise InvalidInput(
            "Feedback names its suggestion by `suggestionId`, or by `mapperId`, `ruleId` and `personaId`.",
            (Fault("/suggestionId", "missing"),),
        )
    return sent.persona_id, About(mapper_id=sent.mapper_id, rule_id=sent.rule_id)


def _place(service: Service, tenant: str, suggestion: str, sealed: str | None) -> Place | None:
    return None if sealed is None else exposure.decode(service.secret, tenant, suggestion, sealed)
