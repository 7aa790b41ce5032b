"""`/mappers/{id}/rules/{ruleId}`: the author's weight of one rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from litestar import Response, patch
from litestar.params import PathParameter, RawBody

from personakit.api import bodies
from personakit.api.dependencies import OriginGiven, ServiceGiven, TenantGiven
from personakit.api.document_answers import ETAG
from personakit.api.etags import tags_in
from personakit.api.mapper_answers import changed
from personakit.api.openapi import documented
from personakit.api.parameters import IfMatch, MapperIdInPath
from personakit.domain import mapper, rule_weight
from personakit.domain.events import RuleWeightChanged
from personakit.domain.publishing import Provenance
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput


@patch(
    "/{mapperId:str}/rules/{ruleId:str}",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(wire.RuleWeight),
    operation_id="changeRuleWeight",
    summary="Change a rule's weight",
)
def change_weight(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    mapper_id: MapperIdInPath,
    rule_id: Annotated[str, PathParameter(name="ruleId", description="The rule's `id`")],
    body: RawBody,
    if_match: IfMatch = None,
) -> Response[wire.Mapper]:
    """Give a rule another weight, which makes the next version; changes that come at once add up. The same
    weight makes no version. It is the active version that is changed, or the newest draft where none ever
    was active."""
    asked = bodies.decode(body, wire.RuleWeight)
    weigh = _weigh(asked)
    by = Provenance(origin, asked.reason)

    def decide(state: mapper.MapperState) -> RuleWeightChanged | None:
        mapper.require_known(state, mapper_id)
        return mapper.change_weight(state, rule_id, weigh, by, if_match=tags_in(if_match))

    return changed(service, tenant, mapper_id, service.mappers.change(tenant, mapper_id, decide))


def _weigh(asked: wire.RuleWeight) -> Callable[[float], float]:
    """What makes the new weight of the present one. Raises InvalidInput."""
    match asked.weight, asked.change:
        case (float() as weight, None):
            made = rule_weight.set_to(weight)
            return lambda _: made
        case (None, float() as change):
            return partial(rule_weight.changed_by, change=change)
        case _:
            raise InvalidInput(
                "Give either `weight`, the new one, or `change`, what is to be added to the present one.",
                (Fault("", "it needs exactly one of weight and change"),),
            )
