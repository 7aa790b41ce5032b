"""`POST /sync`: what happened at a client while nobody was asked. Each item has a fate of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from math import ceil
from typing import Any, Final, NamedTuple
from uuid import UUID

from litestar import Response, post
from litestar.datastructures import State
from litestar.params import RawBody
from litestar.types import Scope

from personakit.agents.service import Service
from personakit.api.answers import answer, require_person
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.feedback import understood
from personakit.api.openapi import documented
from personakit.api.problems import UNAVAILABLE, problem_of
from personakit.api.rates import take_items
from personakit.api.scopes import require
from personakit.api.sync.pushed import Told, read_push, told_by
from personakit.api.touched import touch_named
from personakit.eventlog.access import ApiKey
from personakit.eventlog.intake import Fate, Receipt, Received, Sent
from personakit.eventlog.person_keys import MasterKeyWrong
from personakit_sdk import wire
from personakit_sdk.errors import PersonaKitError

RETRY_SECONDS: Final = 2
AGAIN: Final = (*UNAVAILABLE, MasterKeyWrong)
"""What is mended on our side: the item is good, and is to be sent again."""
Outcome = Fate | Exception
_TAKES: Final[Mapping[wire.ItemKind, frozenset[wire.KeyScope]]] = {
    "observation": frozenset({"observe"}),
    "feedback": frozenset({"feedback"}),
}


class Item(NamedTuple):
    """What is to be recorded under an id."""

    id: UUID
    sent: Sent


@post(
    "/sync",
    status_code=200,
    sync_to_thread=True,
    tags=["sync"],
    operation_id="push",
    operation_class=documented(wire.Push),
    summary="Push what happened",
)
def push(
    service: ServiceGiven, caller: CallerGiven, state: State, scope: Scope, body: RawBody
) -> Response[wire.PushAnswer]:
    """Record observations and feedback that a client kept, at most 500, oldest first: those of one `key` are
    recorded in their order. Each has a fate of its own, by its id: `stored` or `duplicate` once it is
    committed, `rejected` if it never will be, `retry` if it may be later, after `Retry-After` seconds."""
    items = read_push(body)
    take_items(scope, len(items))
    outcomes = record(
        service, caller, items, gone=partial(state.metrics.feedback_on_gone_rule, caller.tenant)
    )
    results = {id_: _result(outcome) for id_, outcome in outcomes.items()}
    found = wire.PushAnswer(
        epoch=service.epoch, results={str(id_): result for id_, result in results.items()}
    )
    position = max((result.position or 0 for result in results.values()), default=0)
    return answer(found, position or service.position, headers=_retry_after(outcomes))


def record(
    service: Service,
    caller: ApiKey,
    items: Mapping[UUID, wire.PushItem | Exception],
    gone: Callable[[], None] = lambda: None,
) -> dict[UUID, Outcome]:
    """Records what can be; the outcome of each item, in their order. Where the log cannot be written to, that
    and all after it is to be sent again: nothing overtakes what came before it. `gone` hears of each feedback
    that was stored about a rule that the mapper has no more."""
    outcomes: dict[UUID, Outcome] = {}
    told = {id_: _told(caller, item) for id_, item in items.items()}
    try:
        good = list(_understood(service, caller, told, outcomes))
        for run in _runs(good):
            for item, fate in zip(run, _recorded(service, caller.tenant, run), strict=True):
                outcomes[item.id] = fate
                if _is_of_gone_rule(item, fate):
                    gone()
    except UNAVAILABLE as error:
        again: dict[UUID, Outcome] = dict.fromkeys(items, error)
        outcomes = again | outcomes
    return {id_: outcomes[id_] for id_ in items}


def _is_of_gone_rule(item: Item, fate: Outcome) -> bool:
    stored = isinstance(fate, Receipt) and fate.status == "stored"
    return stored and isinstance(item.sent, Received) and not item.sent.in_use


def _told(caller: ApiKey, item: wire.PushItem | Exception) -> Told | Exception:
    """What an item tells, or why the caller may not tell it."""
    if isinstance(item, Exception):
        return item
    try:
        require(caller.grant, _TAKES[item.kind])
        if item.kind == "observation":
            require_person(caller, item.key)
        return told_by(item)
    except PersonaKitError as error:
        return error


def _understood(
    service: Service, caller: ApiKey, told: Mapping[UUID, Told | Exception], outcomes: dict[UUID, Outcome]
) -> Iterator[Item]:
    """What can be recorded; the others have their outcome. People come first: feedback may be about somebody
    of whom this very request tells first."""
    _register(
        service,
        caller.tenant,
        {each.person_id for each in told.values() if isinstance(each, wire.Observation)},
    )
    with service.reader.snapshot(caller.tenant) as snapshot:
        for id_, each in told.items():
            try:
                match each:
                    case Exception():
                        raise each
                    case wire.Feedback():
                        yield Item(id_, understood(service, snapshot, caller, each))
                    case wire.Observation():
                        touch_named(service, caller.tenant, [each.person_id])
                        yield Item(id_, each)
            except UNAVAILABLE:
                raise
            except PersonaKitError as error:
                outcomes[id_] = error


def _register(service: Service, tenant: str, person_ids: Collection[str]) -> None:
    """Makes those known whose key is not damaged."""
    try:
        service.people.register(tenant, person_ids)
    except MasterKeyWrong:
        for person_id in person_ids:
            with suppress(MasterKeyWrong):
                service.people.register(tenant, [person_id])


def _runs(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Items that are committed together: an observation that corrects another is a run of its own."""
    for corrects, run in groupby(items, key=_corrects):
        if corrects:
            yield from ([item] for item in run)
        else:
            yield list(run)


def _recorded(service: Service, tenant: str, run: Sequence[Item]) -> list[Outcome]:
    try:
        return [*_taken(service, tenant, run)]
    except MasterKeyWrong as error:  # the damaged key of one person, which is nobody else's trouble
        if len(run) == 1:
            return [error]
        return [outcome for item in run for outcome in _recorded(service, tenant, [item])]


def _taken(service: Service, tenant: str, run: Sequence[Item]) -> list[Fate]:
    first = run[0].sent
    if isinstance(first, wire.Observation) and first.supersedes is not None:
        return [service.intake.correct(tenant, first, first.supersedes)]
    return service.intake.take(tenant, [item.sent for item in run])


def _corrects(item: Item) -> bool:
    return isinstance(item.sent, wire.Observation) and item.sent.supersedes is not None


def _result(outcome: Outcome) -> wire.PushResult:
    if isinstance(outcome, Exception):
        status: Any = "retry" if isinstance(outcome, AGAIN) else "rejected"
        return wire.PushResult(status=status, problem=problem_of(outcome))
    return wire.PushResult(status=outcome.status, position=outcome.position)


def _retry_after(outcomes: Mapping[UUID, Outcome]) -> dict[str, str]:
    again = [each for each in outcomes.values() if isinstance(each, AGAIN)]
    if not again:
        return {}
    seconds = max(getattr(each, "retry_after", None) or RETRY_SECONDS for each in again)
    return {"Retry-After": str(ceil(seconds))}
