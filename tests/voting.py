"""Votes on the rules of mappers, for tests of what they teach."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec

from personakit.agents.service import Service
from personakit.domain.events import FeedbackReceived, RuleWeightsAdjusted
from personakit.domain.mapper import MapperState, publish
from personakit.domain.publishing import Provenance
from personakit.eventlog.appender import NewEvent, wait
from personakit.eventlog.stored import StreamId
from personakit_sdk.rules import compile_mapper
from tests.history import TENANT
from tests.mapper_documents import mapper


class Vote(NamedTuple):
    """What one person says of one rule, so many days ago."""

    person: str
    rule: str
    helpful: bool
    ago: int = 1


def votes_of_all(people: Iterable[str], rule: str, *, helpful: bool, each: int = 4) -> list[Vote]:
    """Everybody's, the same."""
    return [Vote(person, rule, helpful) for person in people for _ in range(each)]


def publish_mapper(service: Service, id_: str, version: str = "1.0.0", **more: Any) -> None:
    """A mapper with the rules `liked` and `disliked`, unless `more` says what else."""
    document = {**mapper(id_, version, liked=1.0, disliked=1.0), **more}
    plan = compile_mapper(document)
    service.mappers.change(TENANT, id_, lambda state: publish(state, plan, "active", Provenance("test")))


def vote(service: Service, mapper_id: str, votes: Iterable[Vote], now: datetime | None = None) -> None:
    """Appends them in their order, in one group."""
    votes = list(votes)
    people = service.people.register(TENANT, {each.person for each in votes})
    at = now or datetime.now(UTC)
    events = [
        NewEvent(
            StreamId(TENANT, "feedback", uuid4()),
            1,
            FeedbackReceived(
                mapper_id=mapper_id,
                rule_id=each.rule,
                digest="d",
                helpful=each.helpful,
                occurred_at=at - timedelta(days=each.ago),
            ),
            people[each.person],
        )
        for each in votes
    ]
    wait(service.appender.append(events))


def state_of(service: Service, mapper_id: str) -> MapperState:
    """What the mapper's stream says."""
    return service.mappers.change(TENANT, mapper_id, lambda _: None).state


def adjustments_of(service: Service, stream: StreamId) -> list[RuleWeightsAdjusted]:
    """Those in a mapper's stream."""
    return [event for _, event in service.streams.events(stream) if isinstance(event, RuleWeightsAdjusted)]


def learned(service: Service, mapper_id: str) -> bytes:
    """The multipliers of a mapper as they stand in the log's JSON."""
    return msgspec.json.encode(state_of(service, mapper_id).adjusted.learned)
