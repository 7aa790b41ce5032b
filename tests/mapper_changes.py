"""Changes of mappers where no agent is at work, so that a request for one would wait until it shows."""

from __future__ import annotations

from personakit.agents.service import Service
from personakit.domain.mapper import Status, publish, withdraw
from personakit.domain.publishing import Provenance
from personakit_sdk.rules import compile_mapper
from tests.mapper_documents import mapper

ME = Provenance("test")


def publish_mapper(service: Service, tenant: str, id_: str, status: Status = "active") -> None:
    """Publishes a mapper that suggests to everyone, or brings it back."""
    plan = compile_mapper(mapper(id_))
    service.mappers.change(tenant, id_, lambda state: publish(state, plan, status, ME))


def withdraw_mapper(service: Service, tenant: str, id_: str) -> None:
    """Takes it out of use."""
    service.mappers.change(tenant, id_, lambda state: withdraw(state, id_, ME))
